//! What goes into a store and comes out of it.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use manifest_schema::Digest;

/// An object's bytes, and which version of it they are.
#[derive(Clone, PartialEq, Eq)]
pub struct Object {
    /// All of its bytes.
    pub bytes: Vec<u8>,
    /// For [`Store::replace`](crate::Store::replace).
    pub version: Version,
}

impl fmt::Debug for Object {
    /// Saved plans may hold secrets, so the bytes are never printed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Object({} bytes, {:?})", self.bytes.len(), self.version)
    }
}

/// Tells one state of an object from another; comparable for equality only, and only within one key of one store.
///
/// The same bytes may have the same version again later (as with an `ETag`): what must never be taken for its earlier
/// self has to hold something that never repeats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version(String);

impl Version {
    /// The version that a directory gives to an object with this content.
    pub(crate) fn of_content(digest: Digest) -> Self {
        Self(digest.hex())
    }

    /// The version that a bucket gives to an object: its `ETag`, quotes included.
    pub(crate) fn of_tag(tag: &str) -> Self {
        Self(tag.to_owned())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// What came of creating an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "an object that existed was not written"]
pub enum Creation {
    /// It is there now, with these bytes.
    Created,
    /// It was there before; nothing was written.
    Exists,
}

/// What came of replacing an object.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "after a conflict nothing was written"]
pub enum Replacement {
    /// It holds the new bytes and has this version.
    Replaced(Version),
    /// It isn't what was expected; nothing was written.
    Conflict,
}

/// What came of repairing a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repair {
    /// It was there, and its bytes are that blob: nothing was written.
    Sound,
    /// It wasn't there, and is now.
    Created,
    /// Other bytes were there; now it is that blob.
    Replaced,
}

/// One line of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The whole key, prefix included.
    pub key: String,
    /// In bytes.
    pub size: u64,
}

/// Where a blob's bytes come from.
pub struct Source(Origin);

enum Origin {
    Path(PathBuf),
    Opener(Opener),
    Reader(Option<Reader>),
}

type Reader = Box<dyn Read + Send>;
type Opener = Box<dyn FnMut() -> io::Result<Reader> + Send>;

impl Source {
    /// A file. It is opened only if the blob isn't there yet.
    pub fn path(path: impl Into<PathBuf>) -> Self {
        Self(Origin::Path(path.into()))
    }

    /// Anything that can be read from its beginning several times. It is opened only if the blob isn't there yet, and
    /// again if S3 wants all of it again. A reader that blocks holds up only this blob.
    pub fn opener(open: impl FnMut() -> io::Result<Box<dyn Read + Send>> + Send + 'static) -> Self {
        Self(Origin::Opener(Box::new(open)))
    }

    /// Anything that can be read once: what S3 wants again then fails.
    pub fn reader(reader: impl Read + Send + 'static) -> Self {
        Self(Origin::Reader(Some(Box::new(reader))))
    }

    /// Bytes in memory.
    pub fn bytes(bytes: Vec<u8>) -> Self {
        let bytes = Bytes::from(bytes);
        Self::opener(move || Ok(Box::new(io::Cursor::new(bytes.clone()))))
    }

    /// What messages call it.
    pub(crate) fn name(&self) -> String {
        match &self.0 {
            Origin::Path(path) => path.display().to_string(),
            Origin::Opener(_) | Origin::Reader(_) => "the source".to_owned(),
        }
    }

    /// From the beginning, whatever was read before.
    pub(crate) fn open(&mut self) -> io::Result<Reader> {
        match &mut self.0 {
            Origin::Path(path) => Ok(Box::new(File::open(path)?)),
            Origin::Opener(open) => open(),
            Origin::Reader(reader) => reader.take().ok_or_else(|| io::Error::other("it can be read only once")),
        }
    }

    /// Whether it can be opened, for the first time or again.
    pub(crate) fn can_be_opened(&self) -> bool {
        match &self.0 {
            Origin::Path(_) | Origin::Opener(_) => true,
            Origin::Reader(reader) => reader.is_some(),
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({})", self.name())
    }
}

impl From<&Path> for Source {
    fn from(path: &Path) -> Self {
        Self::path(path)
    }
}

impl From<PathBuf> for Source {
    fn from(path: PathBuf) -> Self {
        Self::path(path)
    }
}
