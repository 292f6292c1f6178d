//! A store in a bucket, or in a part of one.
//!
//! Objects are at the location's prefix and their key. One more, `airlock-store.json`, marks the place as a store; like
//! a directory's, it is never listed, and no key starts with `airlock-`.
//!
//! - Every write is conditional: `If-None-Match: *` creates, `If-Match` replaces, so a bucket policy may refuse all
//!   others. Nothing is ever deleted; an upload in parts that didn't come to its end is aborted.
//! - Every upload carries the SHA-256 of its bytes, which S3 checks before it stores them. The request's signature covers
//!   that checksum, so the bytes aren't hashed once more for the signature.
//! - A call that is repeated after an answer was lost can find its own object: documents are then read back and
//!   compared, so that a writer isn't told that somebody else was first.
//! - Reads of one object in several requests name its `ETag`, and its version where the bucket has versions.
//! - A listing that can't be read to its end, or that isn't in order, is an error.
//!
//! What is held in memory on its way has a bound for the whole store ([`window`]), however many blobs move at once.

mod call;
mod download;
mod leftovers;
mod list;
mod object;
mod open;
mod repair;
mod upload;
pub(crate) mod window;

use std::sync::Arc;

use aws_sdk_s3::Client;
use tokio::sync::OnceCell;

use crate::access::BucketRules;
use crate::error::StoreError;
use crate::location::S3Location;
use window::Window;

/// What the names of our own objects start with; no key does.
const OURS: &str = "airlock-";

/// A bucket, or a part of one, that is a store.
#[derive(Debug, Clone)]
pub struct Bucket(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    client: Client,
    location: S3Location,
    shown: String,
    partition: &'static str,
    rules: BucketRules,
    window: Window,
    /// Whether the parts that killed writers have left were looked for.
    tidied: OnceCell<()>,
}

impl Bucket {
    /// Where it is.
    pub fn location(&self) -> &S3Location {
        &self.0.location
    }

    /// The store, as messages call it.
    fn shown(&self) -> String {
        self.0.shown.clone()
    }

    /// A key with the store's prefix.
    fn full(&self, key: &str) -> String {
        format!("{}{key}", self.0.location.prefix())
    }

    fn owner(&self) -> Option<String> {
        self.0.rules.owner.clone().map(String::from)
    }

    /// Does work that goes on to its end even if the caller stops waiting for it.
    async fn to_the_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        crate::work::joined(self.0.shown.clone(), tokio::spawn(work)).await
    }
}
