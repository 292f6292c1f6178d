//! Fetches every blob that a manifest names into files, through the same checks as a worker: what `bench/s3.sh` times.
//!
//!     bench-fetch MANIFEST STORE DIRECTORY

use std::error::Error;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use manifest_schema::Document as _;
use manifest_schema::manifest::{BlobRef, BuildManifest};
use store::{Access, Store, StoreError};
use tokio::task::JoinSet;

/// Blobs on their way at once.
const AT_ONCE: usize = 32;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [manifest, store, directory] = arguments.as_slice() else {
        return Err("usage: bench-fetch MANIFEST STORE DIRECTORY".into());
    };
    let (manifest, directory) = (BuildManifest::from_bytes(&fs::read(manifest)?)?, Path::new(directory));
    let store = Store::open(&store.parse()?, &Access::default()).await?;
    fs::create_dir_all(directory)?;
    let mut fetching = JoinSet::new();
    for blob in manifest.blobs() {
        if fetching.len() == AT_ONCE {
            fetching.join_next().await.transpose()?.transpose()?;
        }
        fetching.spawn(fetch(store.clone(), blob, directory.join(blob.digest.hex())));
    }
    while let Some(fetched) = fetching.join_next().await {
        fetched??;
    }
    Ok(())
}

async fn fetch(store: Store, blob: BlobRef, path: PathBuf) -> Result<(), StoreError> {
    let sink = File::create(&path).map_err(|source| StoreError::SinkFailed { digest: blob.digest, source })?;
    store.read_blob(&blob, sink).await.map(drop)
}
