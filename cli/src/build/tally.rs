//! Counting blobs.

use manifest_schema::manifest::BlobRef;
use serde::Serialize;

use crate::output::{count, size};

/// How many, and how much.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Tally {
    pub(crate) blobs: usize,
    pub(crate) bytes: u64,
}

impl Tally {
    /// All of these.
    pub(crate) fn of(blobs: &[BlobRef]) -> Self {
        Self { blobs: blobs.len(), bytes: blobs.iter().map(|blob| blob.size).sum() }
    }

    /// One more.
    pub(crate) fn add(&mut self, bytes: u64) {
        self.blobs += 1;
        self.bytes += bytes;
    }
}

impl std::fmt::Display for Tally {
    /// `3 blobs (1.2 MiB)`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", count(self.blobs, "blob"), size(self.bytes))
    }
}
