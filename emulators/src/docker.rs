//! docker-registry: the reference implementation of a registry, as Debian packages it.

use std::path::PathBuf;

use tempfile::TempDir;

use crate::server::{Server, free_ports, wait_for_answer};
use crate::tools::installed;

/// A registry that lets anybody in.
pub struct DockerRegistry {
    _server: Server,
    home: TempDir,
    port: u16,
}

impl DockerRegistry {
    /// Starts one; it is empty.
    pub fn start() -> Self {
        let home = TempDir::new().unwrap();
        let [port] = free_ports();
        let config = format!(
            "version: 0.1\nlog: {{level: warn}}\nstorage: {{filesystem: {{rootdirectory: data}}, delete: {{enabled: true}}}}\n\
             http: {{addr: \"127.0.0.1:{port}\", secret: tests}}\n"
        );
        std::fs::write(home.path().join("config.yml"), config).unwrap();
        let arguments = ["serve", "config.yml"].map(str::to_owned);
        let server = Server::start(&installed("docker-registry"), &arguments, &[], home.path());
        wait_for_answer(port, "GET /v2/", &["200"], home.path());
        Self { _server: server, home, port }
    }

    /// Its host and port.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Its port on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it has its blobs: a folder for each, `sha256/<first two digits>/<digits>`.
    pub fn blobs(&self) -> PathBuf {
        self.home.path().join("data/docker/registry/v2/blobs")
    }
}
