//! The operations that every kind of store has, and the rules that no kind may bend.

use std::collections::BTreeSet;
use std::io::Write;

use manifest_schema::Digest;
use manifest_schema::manifest::BlobRef;
use manifest_schema::storage::Key;

use crate::access::Access;
use crate::directory::{Directory, DirectoryWriter};
use crate::error::StoreError;
use crate::location::Location;
use crate::object::{Creation, Listed, Object, Repair, Replacement, Source, Version};
use crate::s3::Bucket;

/// An open store. Clones are cheap and mean the same store.
#[derive(Debug, Clone)]
pub enum Store {
    /// A directory on this machine.
    Directory(Directory),
    /// A bucket, or a part of one.
    S3(Bucket),
}

impl Store {
    /// Opens what already is a store.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] or [`StoreError::NotAStore`] when it isn't one; otherwise what the system says.
    pub async fn open(location: &Location, access: &Access) -> Result<Self, StoreError> {
        match location {
            Location::Directory(path) => Directory::open(path).await.map(Self::Directory),
            Location::S3(place) => Bucket::open(place, access).await.map(Self::S3),
        }
    }

    /// Opens a store, or makes one of a missing or an empty directory, or of a bucket's prefix that nothing uses; never
    /// makes a bucket. What writers that were killed more than a day ago left behind is cleared away, in a bucket before
    /// the first blob is sent in parts.
    ///
    /// # Errors
    /// [`StoreError::NotAStore`] when something else is there; otherwise what the system says.
    pub async fn open_or_create(location: &Location, access: &Access) -> Result<Self, StoreError> {
        match location {
            Location::Directory(path) => Directory::open_or_create(path).await.map(Self::Directory),
            Location::S3(place) => Bucket::open_or_create(place, access).await.map(Self::S3),
        }
    }

    /// Where this store is.
    pub fn location(&self) -> Location {
        match self {
            Self::Directory(directory) => Location::from(directory.path()),
            Self::S3(bucket) => Location::S3(bucket.location().clone()),
        }
    }

    /// Reads an object; `None` if there is none.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] above `limit` bytes; otherwise what the system says.
    pub async fn get(&self, key: &Key, limit: usize) -> Result<Option<Object>, StoreError> {
        match self {
            Self::Directory(directory) => directory.get(key.to_string(), limit).await,
            Self::S3(bucket) => bucket.get(&key.to_string(), limit).await,
        }
    }

    /// The size of an object in bytes, without reading it; `None` if there is none.
    ///
    /// # Errors
    /// What the system says.
    pub async fn size_of(&self, key: &Key) -> Result<Option<u64>, StoreError> {
        match self {
            Self::Directory(directory) => directory.size_of(key.to_string()).await,
            Self::S3(bucket) => bucket.size_of(&key.to_string()).await,
        }
    }

    /// Writes an object that isn't there yet. Of any number of concurrent calls for a key, exactly one creates it.
    ///
    /// # Errors
    /// [`StoreError::Unsupported`] if the key is a blob's: a [`BlobWriter`] writes those. Otherwise what the system says,
    /// and then the object may or may not be there: read it to find out.
    pub async fn create(&self, key: &Key, bytes: &[u8]) -> Result<Creation, StoreError> {
        if let Key::Blob(_) = key {
            return Err(self.refuse(key, "written without keeping collections out"));
        }
        match self {
            Self::Directory(directory) => directory.create(key.to_string(), bytes.to_vec()).await,
            Self::S3(bucket) => bucket.create(key.to_string(), bytes.to_vec()).await,
        }
    }

    /// Replaces an object if it still is the `expected` version; with `None`, creates it if it isn't there.
    ///
    /// # Errors
    /// [`StoreError::Unsupported`] for a key that is created once; otherwise what the system says, and then the object
    /// may or may not have been replaced: read it to find out.
    pub async fn replace(
        &self,
        key: &Key,
        bytes: &[u8],
        expected: Option<&Version>,
    ) -> Result<Replacement, StoreError> {
        if change_of(key) != Change::Replaced {
            return Err(self.refuse(key, "replaced"));
        }
        match self {
            Self::Directory(directory) => directory.replace(key.to_string(), bytes.to_vec(), expected.cloned()).await,
            Self::S3(bucket) => bucket.replace(key.to_string(), bytes.to_vec(), expected.cloned()).await,
        }
    }

    /// Overwrites an object, whatever it holds: the last writer wins. After a power cut it may be the previous one.
    ///
    /// # Errors
    /// [`StoreError::Unsupported`] for anything but a heartbeat; otherwise what the system says.
    pub async fn put(&self, key: &Key, bytes: &[u8]) -> Result<(), StoreError> {
        if change_of(key) != Change::Overwritten {
            return Err(self.refuse(key, "overwritten"));
        }
        match self {
            Self::Directory(directory) => directory.put(key.to_string(), bytes.to_vec()).await,
            Self::S3(bucket) => bucket.put(key.to_string(), bytes.to_vec()).await,
        }
    }

    /// Up to `limit` objects whose keys start with `prefix` and come strictly after `after`, in the order of the keys'
    /// bytes. Fewer than `limit` means that these are all; the last key is the next call's `after`.
    ///
    /// Objects created meanwhile may or may not be among them. `prefix` is empty or ends with `/`.
    ///
    /// # Errors
    /// [`StoreError::Unsupported`] for any other prefix; otherwise what the system says: a listing that can't be read
    /// to its end is never given as a shorter one.
    pub async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Listed>, StoreError> {
        let parts = prefix.strip_suffix('/').map(|folders| folders.split('/'));
        let sound = parts.is_some_and(|mut parts| parts.all(|part| !matches!(part, "" | "." | "..")));
        if !(sound || prefix.is_empty()) || prefix.contains('\0') {
            let what = format!("{prefix:?} is no prefix to list under: it ends with / and has no empty, . or .. part");
            return Err(StoreError::Unsupported { store: self.location().to_string(), what });
        }
        match self {
            Self::Directory(directory) => directory.list(prefix.to_owned(), after.map(str::to_owned), limit).await,
            Self::S3(bucket) => bucket.list(prefix, after, limit).await,
        }
    }

    /// Which of these blobs are there, with the size they should have. Nothing is read: readers check the bytes.
    ///
    /// # Errors
    /// What the system says.
    pub async fn present(&self, blobs: &BTreeSet<BlobRef>) -> Result<BTreeSet<BlobRef>, StoreError> {
        match self {
            Self::Directory(directory) => directory.present(blobs.clone()).await,
            Self::S3(bucket) => bucket.present(blobs.clone()).await,
        }
    }

    /// Begins to write blobs, after waiting for a [collection](crate::Collection) that goes on.
    ///
    /// # Errors
    /// What the system says.
    pub async fn blob_writer(&self) -> Result<BlobWriter, StoreError> {
        match self {
            Self::Directory(directory) => directory.blob_writer().await.map(BlobWriter::Directory),
            Self::S3(bucket) => Ok(BlobWriter::S3(bucket.clone())),
        }
    }

    /// Streams a blob into `sink`, never more than its size, and gives the sink back once digest and size are
    /// verified. Until then the sink holds bytes that nobody vouches for; on an error it is dropped.
    ///
    /// # Errors
    /// [`StoreError::BlobMissing`], [`StoreError::BlobMismatch`], [`StoreError::SinkFailed`], or what the system says.
    pub async fn read_blob<W>(&self, blob: &BlobRef, sink: W) -> Result<W, StoreError>
    where
        W: Write + Send + 'static,
    {
        match self {
            Self::Directory(directory) => directory.read_blob(*blob, sink).await,
            Self::S3(bucket) => bucket.read_blob(*blob, sink).await,
        }
    }

    /// A small blob's verified bytes, when only its digest is known.
    ///
    /// # Errors
    /// [`StoreError::BlobMissing`], [`StoreError::BlobMismatch`], [`StoreError::TooLarge`] above `limit` bytes, or what
    /// the system says.
    pub async fn fetch(&self, digest: &Digest, limit: usize) -> Result<Vec<u8>, StoreError> {
        let store = || self.location().to_string();
        let object = self.get(&Key::Blob(*digest), limit).await?;
        let bytes = object.ok_or_else(|| StoreError::BlobMissing { store: store(), digest: *digest })?.bytes;
        let found = Digest::of(&bytes);
        if found != *digest {
            let detail = format!("its bytes have the digest {found}");
            return Err(StoreError::BlobMismatch { store: store(), digest: *digest, detail });
        }
        Ok(bytes)
    }

    fn refuse(&self, key: &Key, change: &str) -> StoreError {
        let what = format!("{key} is never {change}");
        StoreError::Unsupported { store: self.location().to_string(), what }
    }
}

/// Writes blobs into a store. While it lives, no blob is removed there: keep it from before asking which blobs are missing
/// until whatever names them is written. Clones are the same writer; a process that dies leaves none.
#[derive(Debug, Clone)]
pub enum BlobWriter {
    /// Into a directory.
    Directory(DirectoryWriter),
    /// Into a bucket, from which nobody removes blobs.
    S3(Bucket),
}

impl BlobWriter {
    /// Stores a blob from a file or a stream, reading it once, or, unless it is small, not at all if a blob of that
    /// digest and size is there. (What is there isn't hashed again: readers always do.)
    ///
    /// # Errors
    /// [`StoreError::SourceChanged`] if the bytes aren't that blob, [`StoreError::SourceUnreadable`] if they can't be
    /// read; nothing is stored then. [`StoreError::BlobMismatch`] if a blob of another size has that digest.
    pub async fn create(&self, blob: &BlobRef, source: impl Into<Source>) -> Result<Creation, StoreError> {
        match self {
            Self::Directory(writer) => writer.create(*blob, source.into()).await,
            Self::S3(bucket) => bucket.create_blob(*blob, source.into()).await,
        }
    }

    /// Reads and hashes a blob that is there, and replaces it if its bytes aren't that blob: the one way in which a blob
    /// ever changes. Only what was read is replaced, not what somebody else puts there meanwhile.
    ///
    /// # Errors
    /// As [`BlobWriter::create`]; [`StoreError::BlobMismatch`] also if somebody else replaced it meanwhile.
    pub async fn repair(&self, blob: &BlobRef, source: impl Into<Source>) -> Result<Repair, StoreError> {
        match self {
            Self::Directory(writer) => writer.repair(*blob, source.into()).await,
            Self::S3(bucket) => bucket.repair_blob(*blob, source.into()).await,
        }
    }

    /// Stores bytes as the blob that they are.
    ///
    /// # Errors
    /// As [`BlobWriter::create`].
    pub async fn create_bytes(&self, bytes: Vec<u8>) -> Result<Creation, StoreError> {
        self.create(&BlobRef::of(&bytes), Source::bytes(bytes)).await
    }
}

/// What may happen to an object after it was created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Nothing,
    Replaced,
    Overwritten,
}

/// The append-only record holds because this is the only way to write, and says no.
fn change_of(key: &Key) -> Change {
    match key {
        Key::Lease(..) | Key::SavedPlan(_) | Key::ErroredState(..) => Change::Replaced,
        Key::JobHeartbeat(_) => Change::Overwritten,
        Key::Blob(_)
        | Key::Attestation { .. }
        | Key::Build(..)
        | Key::TrustPolicy(_)
        | Key::TrustEnvelope(..)
        | Key::TrustRecord(_)
        | Key::Launch(_)
        | Key::JobRequest(_)
        | Key::JobEvent(..)
        | Key::JobPlan(..)
        | Key::JobDeployment(..)
        | Key::PlanJob(_)
        | Key::PlanClaim(..)
        | Key::Deployed(..) => Change::Nothing,
    }
}
