//! moto: a second opinion about S3, and STS accounts. It accepts wrong checksums and any secret.

use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

use crate::server::{Server, free_ports, wait_for_answer};
use crate::tools::tool;

/// A moto server.
pub struct Moto {
    _server: Server,
    _home: TempDir,
    port: u16,
    buckets: AtomicU32,
}

impl Moto {
    /// Starts one; it knows nothing yet.
    pub fn start() -> Self {
        let home = TempDir::new().unwrap();
        let [port] = free_ports();
        let arguments = ["-H", "127.0.0.1", "-p", &port.to_string()].map(str::to_owned);
        let server = Server::start(&tool("moto_server"), &arguments, &[], home.path());
        wait_for_answer(port, "GET /moto-api/", &["200"], home.path());
        Self { _server: server, _home: home, port, buckets: AtomicU32::new(0) }
    }

    /// Its address, for every service.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its port on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Makes an empty bucket; gives its name.
    pub fn bucket(&self) -> String {
        let name = format!("bucket-{}", self.buckets.fetch_add(1, Ordering::Relaxed));
        wait_for_answer(self.port, &format!("PUT /{name}"), &["200"], self._home.path());
        name
    }
}
