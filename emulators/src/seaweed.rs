//! SeaweedFS: conditional writes that are exact under races, checksums that are checked, versions, object lock.

use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

use crate::server::{Server, free_ports, wait_for_answer};
use crate::tools::tool;
use crate::{ACCESS_KEY, SECRET_KEY};

/// A SeaweedFS server with S3 in front.
#[derive(Debug)]
pub struct SeaweedFs {
    _server: Server,
    _home: TempDir,
    port: u16,
    filer: u16,
    buckets: AtomicU32,
}

impl SeaweedFs {
    /// Starts one; it is empty.
    pub fn start() -> Self {
        Self::with(Some(&identities()))
    }

    /// Starts one that lets in anybody who doesn't sign, for a server before it that decides who may do what.
    pub fn start_open() -> Self {
        Self::with(None)
    }

    fn with(identities: Option<&str>) -> Self {
        let home = TempDir::new().unwrap();
        let [port, master, volume, filer] = free_ports();
        std::fs::create_dir(home.path().join("data")).unwrap();
        let mut arguments: Vec<String> = [
            "server",
            "-dir=data",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            "-filer",
            "-s3",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            // Few large volumes: with many small ones later buckets find no room.
            "-master.volumeSizeLimitMB=1024",
            "-volume.max=500",
        ]
        .map(str::to_owned)
        .into();
        for (name, port) in [("s3", port), ("master", master), ("volume", volume), ("filer", filer)] {
            arguments.push(format!("-{name}.port={port}"));
        }
        if let Some(identities) = identities {
            std::fs::write(home.path().join("s3.json"), identities).unwrap();
            arguments.push("-s3.config=s3.json".to_owned());
        }
        let server = Server::start(&tool("weed"), &arguments, &[], home.path());
        wait_for_answer(port, "GET /", &["200", "403"], home.path());
        // It answers before it can store anything.
        wait_for_answer(master, "GET /dir/assign", &["200"], home.path());
        Self { _server: server, _home: home, port, filer, buckets: AtomicU32::new(0) }
    }

    /// Its address.
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
        // A bucket is a folder of the file system behind S3, which asks for no signature.
        wait_for_answer(self.filer, &format!("POST /buckets/{name}/"), &["201"], self._home.path());
        name
    }
}

fn identities() -> String {
    format!(
        r#"{{"identities": [{{"name": "tests", "actions": ["Admin"],
            "credentials": [{{"accessKey": "{ACCESS_KEY}", "secretKey": "{SECRET_KEY}"}}]}}]}}"#
    )
}
