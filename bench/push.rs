//! Pushes the image of a manifest from its store into a registry: what `bench/registry.sh` times.
//!
//!     bench-push MANIFEST STORE REGISTRY REPOSITORY

use std::error::Error;
use std::fs;
use std::sync::Arc;

use manifest_schema::Document as _;
use manifest_schema::manifest::{BuildManifest, Content};
use registry::{Credentials, Destination, Listener, Registry};
use store::{Access, Store};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [manifest, store, registry, repository] = arguments.as_slice() else {
        return Err("usage: bench-push MANIFEST STORE REGISTRY REPOSITORY".into());
    };
    let manifest = BuildManifest::from_bytes(&fs::read(manifest)?)?;
    let store = Store::open(&store.parse()?, &Access::default()).await?;
    let registry = Registry::open(&registry.parse()?, Credentials::Anonymous)?;
    let to = Destination { repository: repository.parse()?, tag: None, mount_from: Vec::new() };
    let listener: Listener = Arc::new(|_| {});
    for artifact in &manifest.artifacts {
        if let Content::Image(blobs) = &artifact.content {
            registry.push(&to, blobs, &store, &listener).await?;
        }
    }
    Ok(())
}
