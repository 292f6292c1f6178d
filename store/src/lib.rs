//! Blobs and documents in a directory or in S3.
//!
//! This is the object layer: bytes under the keys of [`manifest_schema::storage`], with the few operations that both
//! kinds of store can make atomic. What it promises, and the `conformance` module (a feature) tests of every kind:
//!
//! - an object is there whole or not at all, for every reader, at every moment, whatever happens to the writer;
//! - of many that create one key, one wins; a replacement happens only if nothing changed in between;
//! - when a call returns, what it wrote survives a power cut (the heartbeat alone may fall back to its previous one);
//! - every read is bounded by the caller, and a blob's bytes count only once their digest is checked;
//! - keys are created once: only a lease is replaced, only a heartbeat overwritten, only a blob that isn't its digest
//!   repaired, and only blobs are ever removed: by a [`Collection`], which there is only while nobody writes blobs.
//!
//! It doesn't know what the bytes mean, decides nothing about trust, and never takes a place that isn't marked as a
//! store for one. Work that was begun goes on to its end if the caller stops waiting for it.

mod access;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod directory;
mod error;
mod location;
mod marker;
mod object;
mod objects;
mod s3;
mod work;

pub use access::{Access, AccountId, AccountIdError, BucketRules, Retention, RetentionMode};
pub use directory::{Collection, Directory, DirectoryWriter};
pub use error::StoreError;
pub use location::{Location, LocationError, S3Location};
pub use object::{Creation, Listed, Object, Repair, Replacement, Source, Version};
pub use objects::{BlobWriter, Store};
pub use s3::Bucket;
