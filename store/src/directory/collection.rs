//! Removing blobs: here and nowhere else, and only while nobody writes any.

use std::fs::File;
use std::time::SystemTime;

use manifest_schema::Digest;
use manifest_schema::storage::Key;

use super::{Directory, blob, open};
use crate::error::StoreError;

/// The right to remove blobs from a directory. As long as it lives, nobody else writes or removes any there: what it
/// finds missing stays missing, and what is named stays named. A process that dies gives it up.
#[derive(Debug)]
pub struct Collection {
    directory: Directory,
    _exclusive: File,
}

impl Collection {
    pub(super) fn new(directory: Directory, exclusive: File) -> Self {
        Self { directory, _exclusive: exclusive }
    }

    /// Removes those of these blobs that are there, and returns how many they were. When it returns, they stay removed
    /// even after a power cut: what is removed by a later call is never gone before them.
    ///
    /// # Errors
    /// What the system says; some may be removed then. Doing it again removes the others.
    pub async fn remove(&self, blobs: Vec<Digest>) -> Result<usize, StoreError> {
        self.directory.run(move |tree| blob::remove(tree, &blobs)).await
    }

    /// Removes what writers that were killed more than a day ago left behind, and returns how many files that were.
    ///
    /// # Errors
    /// What the system says.
    pub async fn clear_temporaries(&self) -> Result<usize, StoreError> {
        self.directory.run(open::clear_temporaries).await
    }

    /// When an object was written, by the clock of the file system; `None` if there is none.
    ///
    /// # Errors
    /// What the system says.
    pub async fn written_at(&self, key: &Key) -> Result<Option<SystemTime>, StoreError> {
        let key = key.to_string();
        self.directory
            .run(move |tree| {
                let Some((file, _)) = tree.open_object(&key)? else { return Ok(None) };
                file.metadata().and_then(|data| data.modified()).map(Some).map_err(tree.failed("look at", &key))
            })
            .await
    }
}
