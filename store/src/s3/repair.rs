//! Blobs that are not what their names say.

use std::io;

use manifest_schema::manifest::BlobRef;
use manifest_schema::storage::Key;

use super::Bucket;
use super::object::Condition;
use crate::error::StoreError;
use crate::object::{Creation, Repair, Source};

impl Bucket {
    /// Reads and hashes a blob, and replaces it if it is wrong and still the one that was looked at.
    pub(crate) async fn repair_blob(&self, blob: BlobRef, source: Source) -> Result<Repair, StoreError> {
        let key = Key::Blob(blob.digest).to_string();
        // Asked before the bytes are read: what is replaced afterwards is what was wrong, or nothing is.
        let Some((_, version)) = self.head(&key).await? else {
            return Ok(match self.create_blob(blob, source).await? {
                Creation::Created => Repair::Created,
                Creation::Exists => Repair::Sound,
            });
        };
        match self.read_blob(blob, io::sink()).await {
            Ok(_) => return Ok(Repair::Sound),
            Err(StoreError::BlobMismatch { .. }) => {}
            Err(error) => return Err(error),
        }
        let this = self.clone();
        self.to_the_end(async move {
            if this.upload(&blob, source, &Condition::Is(version)).await? {
                return Ok(Repair::Replaced);
            }
            Err(this.mismatch(&blob, "somebody else replaced it just now"))
        })
        .await
    }
}
