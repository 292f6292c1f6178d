//! A store in a directory.
//!
//! Besides the objects, each a file at the path that its key spells, the directory holds three names of our own, which
//! are never listed and which no key starts with:
//!
//! - `airlock-store.json` marks it as a store;
//! - `airlock-tmp/` holds files that are being written; they become objects by `link` (created once) or `rename`
//!   (overwritten), both atomic, after their bytes have reached the disk;
//! - `airlock-lock` is locked while an object is compared and replaced;
//! - `airlock-blobs-lock` is locked, shared, by whoever writes blobs, and exclusively by whoever removes some.
//!
//! The kernel releases the locks of a process that dies.
//!
//! The directory is opened once, and every path below it is walked folder by folder without following links, so
//! neither a link planted inside nor a swapped folder leads a read or a write outside. The path to the directory itself
//! is the user's own and may lead through links. The file system must have hard links and be local: on NFS a lost
//! answer can make the one creator believe that another was first.

mod blob;
mod collection;
mod list;
mod open;
mod tree;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use manifest_schema::manifest::BlobRef;

use crate::error::StoreError;
use crate::object::{Creation, Listed, Object, Repair, Replacement, Source, Version};
use crate::work::blocking;
use tree::Tree;

pub use collection::Collection;

/// A directory that is a store.
#[derive(Debug, Clone)]
pub struct Directory(Arc<Tree>);

impl Directory {
    /// Its path, as it was opened.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) async fn open(path: &Path) -> Result<Self, StoreError> {
        let path = path.to_owned();
        let shown = path.display().to_string();
        blocking(shown, move || open::open(&path)).await.map(|tree| Self(Arc::new(tree)))
    }

    pub(crate) async fn open_or_create(path: &Path) -> Result<Self, StoreError> {
        let path = path.to_owned();
        let shown = path.display().to_string();
        blocking(shown, move || open::open_or_create(&path)).await.map(|tree| Self(Arc::new(tree)))
    }

    pub(crate) async fn get(&self, key: String, limit: usize) -> Result<Option<Object>, StoreError> {
        self.run(move |tree| tree.get(&key, limit)).await
    }

    pub(crate) async fn size_of(&self, key: String) -> Result<Option<u64>, StoreError> {
        self.run(move |tree| tree.size_of(&key)).await
    }

    pub(crate) async fn create(&self, key: String, bytes: Vec<u8>) -> Result<Creation, StoreError> {
        self.run(move |tree| tree.create(&key, &bytes)).await
    }

    pub(crate) async fn replace(
        &self,
        key: String,
        bytes: Vec<u8>,
        expected: Option<Version>,
    ) -> Result<Replacement, StoreError> {
        self.run(move |tree| tree.replace(&key, &bytes, expected.as_ref())).await
    }

    pub(crate) async fn put(&self, key: String, bytes: Vec<u8>) -> Result<(), StoreError> {
        self.run(move |tree| tree.put(&key, &bytes)).await
    }

    pub(crate) async fn list(
        &self,
        prefix: String,
        after: Option<String>,
        limit: usize,
    ) -> Result<Vec<Listed>, StoreError> {
        self.run(move |tree| list::list(tree, &prefix, after.as_deref(), limit)).await
    }

    pub(crate) async fn blob_writer(&self) -> Result<DirectoryWriter, StoreError> {
        let shared = self.run(|tree| tree.lock_blobs(File::lock_shared)).await?;
        Ok(DirectoryWriter { directory: self.clone(), _shared: Arc::new(shared) })
    }

    /// Begins to remove blobs, after waiting for everybody who writes some; they wait as long as the collection lives.
    ///
    /// # Errors
    /// What the system says.
    pub async fn collect(&self) -> Result<Collection, StoreError> {
        let exclusive = self.run(|tree| tree.lock_blobs(File::lock)).await?;
        Ok(Collection::new(self.clone(), exclusive))
    }

    pub(crate) async fn present(&self, blobs: BTreeSet<BlobRef>) -> Result<BTreeSet<BlobRef>, StoreError> {
        self.run(move |tree| blob::present(tree, blobs)).await
    }

    pub(crate) async fn read_blob<W>(&self, blob: BlobRef, sink: W) -> Result<W, StoreError>
    where
        W: Write + Send + 'static,
    {
        self.run(move |tree| blob::read(tree, &blob, sink)).await
    }

    async fn run<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Tree) -> Result<T, StoreError> + Send + 'static,
    {
        let tree = Arc::clone(&self.0);
        blocking(self.0.shown().to_owned(), move || work(&tree)).await
    }
}

/// Writes blobs into a directory; see [`BlobWriter`](crate::BlobWriter).
#[derive(Debug, Clone)]
pub struct DirectoryWriter {
    directory: Directory,
    _shared: Arc<File>,
}

impl DirectoryWriter {
    pub(crate) async fn create(&self, blob: BlobRef, source: Source) -> Result<Creation, StoreError> {
        self.run(move |tree| blob::create(tree, &blob, source)).await
    }

    pub(crate) async fn repair(&self, blob: BlobRef, source: Source) -> Result<Repair, StoreError> {
        self.run(move |tree| blob::repair(tree, &blob, source)).await
    }

    /// Goes on to its end even if the caller stops waiting, and so must the lock.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Tree) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let writer = self.clone();
        self.directory
            .run(move |tree| {
                let done = work(tree);
                drop(writer);
                done
            })
            .await
    }
}
