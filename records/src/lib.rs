//! The documents of both stores, typed: what the gateway, the worker and the CLI read and write through [`store`].
//!
//! It promises that a job's chain of events has one writer at a time, that a lease is taken over only from a job that
//! is provably over, and that a [`Case`](manifest_schema::gates::Case) holds everything that the gates need. It decides
//! nothing: what it gathers is believed only after `manifest_schema::gates::decide`.

pub mod ambient;
pub mod attestations;
pub mod case;
pub mod config;
pub mod deployments;
mod error;
pub mod journal;
pub mod lease;
pub mod place;
pub mod plans;
pub mod states;
pub mod task;
pub mod trust;

pub use ambient::Ambient;
pub use error::{RecordError, with_causes};
pub use journal::Journal;

use manifest_schema::Document;
use manifest_schema::storage::Key;
use store::{Creation, Replacement, Store};

/// The two stores, on either side of the gap.
#[derive(Debug, Clone)]
pub struct Sides {
    /// CI writes, production reads.
    pub artifacts: Store,
    /// Only production reads and writes.
    pub production: Store,
}

/// Reads a document; `None` if there is none.
///
/// # Errors
/// When the store can't be read, or what is there is not such a document.
pub async fn load<D: Document>(store: &Store, key: &Key) -> Result<Option<D>, RecordError> {
    let Some(object) = store.get(key, D::LIMIT).await? else { return Ok(None) };
    let document = D::from_bytes(&object.bytes);
    document.map(Some).map_err(|source| RecordError::Document { key: key.to_string(), source })
}

/// Largest saved plan or state that is read, in bytes.
pub(crate) const MOST_SECRET: usize = 256 << 20;

/// Empties an object that nobody needs any more and that may hold secrets, if it is there. No process behind the gap may
/// delete anything, so an empty object stays; where a bucket keeps versions, its lifecycle rules remove the old one.
pub(crate) async fn empty(store: &Store, key: &Key) -> Result<(), RecordError> {
    let Some(object) = store.get(key, MOST_SECRET).await?.filter(|object| !object.bytes.is_empty()) else {
        return Ok(());
    };
    // Whoever else changed it meanwhile has emptied it.
    let (Replacement::Replaced(_) | Replacement::Conflict) = store.replace(key, b"", Some(&object.version)).await?;
    Ok(())
}

/// Writes a document that isn't there yet.
///
/// # Errors
/// When the store can't be written, or the document is larger than [`load`] reads.
pub async fn create<D: Document>(store: &Store, key: &Key, document: &D) -> Result<Creation, RecordError> {
    Ok(store.create(key, &bounded(key, document)?).await?)
}

/// A document's bytes, if they can be read again. What is created once could otherwise be in the way for good.
pub(crate) fn bounded<D: Document>(key: &Key, document: &D) -> Result<Vec<u8>, RecordError> {
    let bytes = document.to_bytes();
    if bytes.len() > D::LIMIT {
        let (key, size) = (key.to_string(), bytes.len());
        return Err(RecordError::TooLarge { key, document: D::NAME, size, limit: D::LIMIT });
    }
    Ok(bytes)
}
