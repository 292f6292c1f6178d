//! Turns files into artifacts and back: hash, pack, extract, safely.
//!
//! Packing (CI) reads files, a Terraform directory or an image in any of its forms and returns the manifest's [`Artifact`]
//! together with where the bytes of each blob are. The same files give the same artifact on any machine, whatever
//! their times, owners, umask or the order in which they were made. A file that changes while it is read is refused,
//! and so is anything but regular files, directories and, in directories, links inside: what is recorded is exactly
//! what was there.
//!
//! Extraction (the worker, gate 12) goes the other way for Terraform bundles. A bundle has exactly one encoding, see
//! [`BUNDLE_MEDIA_TYPE`], and [`extract_bundle`] takes no other: it knows from the verified manifest which bytes must
//! come next and compares, so there is no archive parser that could be led to disagree with another one.
//!
//! [`ImageDocument`] and [`ImageConfig`] read what an image's documents say; they see bytes only, so whoever calls them
//! has compared those with a digest.
//!
//! Nothing here verifies signatures or talks to a store: who vouches for a file list is decided before and elsewhere.

mod archive;
mod bundle;
mod error;
mod extract;
mod image;
mod modules;
mod oci;
mod pack;
mod read;
mod walk;

use std::collections::BTreeSet;
use std::path::PathBuf;

use manifest_schema::manifest::{Artifact, BlobRef};

pub use bundle::{BUNDLE_MEDIA_TYPE, BundleLimits, bundle_contents, pack_terraform};
pub use error::{ArchiveProblem, ImageProblem, ModuleProblem, PackError};
pub use extract::{EntryProblem, ExtractError, extract_bundle};
pub use image::{locate_image, pack_image};
pub use oci::{
    DOCUMENT_LIMIT, Descriptor, Healthcheck, History, ImageConfig, ImageDocument, Platform, RootFs, RunConfig,
};
pub use pack::{DEFAULT_MEDIA_TYPE, DIRECTORY_MEDIA_TYPE, pack_directory, pack_file};

/// Called with the number of bytes hashed since the last call, from any of several threads.
pub type Progress<'a> = &'a (dyn Fn(u64) + Sync);

/// An artifact and the bytes behind it.
#[derive(Debug, Clone)]
pub struct Packed {
    /// What the manifest says about it.
    pub artifact: Artifact,
    /// Every blob that the store must hold for it, each digest once.
    pub blobs: Vec<BlobSource>,
}

/// One blob and where its bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobSource {
    /// What the bytes hashed to while packing.
    pub blob: BlobRef,
    /// Where to read them. A file may have changed since: whoever copies it hashes again.
    pub origin: Origin,
}

/// Where a blob's bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The whole of this file.
    File(PathBuf),
    /// Some of the bytes of this file, an archive.
    Range {
        /// The file.
        path: PathBuf,
        /// Where they begin.
        offset: u64,
        /// How many they are.
        length: u64,
    },
    /// In memory, because packing made them; at most [`BundleLimits::bytes`] or [`DOCUMENT_LIMIT`].
    Bytes(Vec<u8>),
}

impl Packed {
    /// Pairs an artifact with its sources, keeping the first source of each digest.
    fn new(artifact: Artifact, sources: impl IntoIterator<Item = BlobSource>) -> Self {
        let mut seen = BTreeSet::new();
        let blobs = sources.into_iter().filter(|source| seen.insert(source.blob.digest)).collect();
        Self { artifact, blobs }
    }
}
