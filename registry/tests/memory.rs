//! How much memory a large layer takes on its way. A process of its own, so that nothing else is measured.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed helper is a failed test")]

use std::io::{self, Read};
use std::sync::Arc;

use emulators::DockerRegistry;
use manifest_schema::digest::Hasher;
use manifest_schema::manifest::{BlobEntry, BlobRef};
use registry::{Credentials, Destination, Registry};
use serde_json::json;
use store::{Access, Location, Source, Store};

const LAYER: u64 = 300 << 20;
const GOAL: u64 = 64 << 20;
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Bytes that are made as they are read.
fn layer() -> impl Read + Send {
    struct Noise(u64);
    impl Read for Noise {
        fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
            for byte in &mut *bytes {
                self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                *byte = self.0.to_le_bytes()[7];
            }
            Ok(bytes.len())
        }
    }
    Noise(1).take(LAYER)
}

/// The most memory that this process had so far, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_of_300_mib_takes_less_than_64_mib() {
    let (docker, home) = (DockerRegistry::start(), tempfile::TempDir::new().unwrap());
    let location = Location::from(home.path().join("store").as_path());
    let store = Store::open_or_create(&location, &Access::default()).await.unwrap();
    let writer = store.blob_writer().await.unwrap();

    let (mut hasher, mut reader, mut piece) = (Hasher::default(), layer(), vec![0; 1 << 20]);
    loop {
        match reader.read(&mut piece).unwrap() {
            0 => break,
            length => hasher.update(&piece[..length]),
        }
    }
    let (digest, size) = hasher.finish();
    let _ = writer.create(&BlobRef { digest, size }, Source::reader(layer())).await.unwrap();
    let config = b"{}".to_vec();
    let named = BlobRef::of(&config);
    let manifest = serde_json::to_vec(&json!({ "schemaVersion": 2, "mediaType": MANIFEST,
        "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": named.digest, "size": named.size },
        "layers": [{ "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest, "size": size }] }));
    let manifest = manifest.unwrap();
    let top = BlobRef::of(&manifest);
    for bytes in [config, manifest] {
        let _ = writer.create_bytes(bytes).await.unwrap();
    }
    let entry =
        |media_type: &str, BlobRef { digest, size }| BlobEntry { media_type: media_type.to_owned(), digest, size };
    let image = [entry(MANIFEST, top), entry("", named), entry("", BlobRef { digest, size })];

    let registry = Registry::open(&docker.address().parse().unwrap(), Credentials::Anonymous).unwrap();
    let to = Destination { repository: "app".parse().unwrap(), tag: None, mount_from: Vec::new() };
    let pushed = registry.push(&to, &image, &store, &(Arc::new(|_| {}) as registry::Listener)).await.unwrap();
    assert_eq!(pushed.sent.blobs, 3);
    assert!(peak() < GOAL, "{} MiB", peak() >> 20);
}
