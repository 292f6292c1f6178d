//! Waiting for one's turn with the blobs of a store.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use store::{BlobWriter, Collection, Directory, Store, StoreError};

use crate::exit::Failure;
use crate::output::Output;

/// Who waits longer is told what for.
const MOMENT: Duration = Duration::from_secs(1);

/// Begins to write blobs, when nobody removes any.
///
/// # Errors
/// When the store can't be written.
pub(crate) async fn blob_writer(out: &Output, store: &Store) -> Result<BlobWriter, Failure> {
    let what = format!("waiting for `airlock gc` to be done with {}", store.location());
    Ok(patiently(out, &what, store.blob_writer()).await?)
}

/// Begins to remove blobs, when nobody writes any.
///
/// # Errors
/// When the store can't be written.
pub(crate) async fn collection(out: &Output, directory: &Directory) -> Result<Collection, Failure> {
    let what = format!("waiting for whoever publishes into {}", directory.path().display());
    Ok(patiently(out, &what, directory.collect()).await?)
}

async fn patiently<T>(
    out: &Output,
    what: &str,
    turn: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let mut turn = pin!(turn);
    match tokio::time::timeout(MOMENT, &mut turn).await {
        Ok(came) => came,
        Err(_) => {
            out.say(what);
            turn.await
        }
    }
}
