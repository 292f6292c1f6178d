//! What every kind of store must pass, unchanged. Each property panics with what is wrong.
//!
//! Run them all with [`run`] on a runtime with several threads: half of the properties are about races.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is a test suite that others run")]

mod blobs;
mod objects;

pub use blobs::*;
pub use objects::*;

use manifest_schema::Digest;
use manifest_schema::manifest::BlobRef;
use manifest_schema::names::{EnvironmentName, ProjectName};
use manifest_schema::storage::Key;

use crate::{BlobWriter, Store};

/// A kind of store under test.
#[expect(async_fn_in_trait, reason = "the suite awaits these where it is called and sends them nowhere")]
pub trait Backend {
    /// A new, empty store, which stays until the backend is dropped.
    async fn fresh(&self) -> Store;

    /// Whether listings know nothing of folders: `a-b/` comes before `a/`, and all of `a/` after the cursor `a`. An
    /// emulator may walk a tree.
    fn sorts_across_folders(&self) -> bool {
        true
    }

    /// Writes an object behind the store's back, as somebody with access to its disk or bucket can.
    async fn tamper(&self, store: &Store, key: &Key, bytes: &[u8]);
}

/// Runs every property.
pub async fn run(backend: &impl Backend) {
    one_creator_wins(backend).await;
    created_objects_never_change(backend).await;
    no_replacement_is_lost(backend).await;
    replacing_needs_the_current_version(backend).await;
    readers_never_see_half_an_object(backend).await;
    reads_are_limited(backend).await;
    lists_are_in_key_order(backend).await;
    lists_resume_after_any_key(backend).await;
    lists_refuse_what_is_no_prefix(backend).await;
    blobs_come_back_verified(backend).await;
    a_blob_is_read_from_its_source_once_at_most(backend).await;
    one_publisher_of_a_blob_wins(backend).await;
    wrong_sources_leave_nothing(backend).await;
    tampered_blobs_never_count(backend).await;
    missing_blobs_are_missing(backend).await;
    a_failing_sink_is_named(backend).await;
}

fn launch(name: &str) -> Key {
    Key::Launch(Digest::of(name.as_bytes()))
}

fn claim(number: u32) -> Key {
    Key::PlanClaim(Digest::of(b"a plan"), number)
}

fn lease() -> Key {
    Key::Lease(EnvironmentName::new("production").unwrap(), ProjectName::new("hello").unwrap())
}

fn heartbeat() -> Key {
    Key::JobHeartbeat("01939c7e-5d2f-7c3a-9b1e-0123456789ab".parse().unwrap())
}

/// Bytes that compress, repeat and align with nothing.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

/// All keys of the store, in pages of three.
async fn all_keys(store: &Store) -> Vec<String> {
    let mut keys: Vec<String> = Vec::new();
    loop {
        let page = store.list("", keys.last().map(String::as_str), 3).await.unwrap();
        let last = page.len() < 3;
        keys.extend(page.into_iter().map(|listed| listed.key));
        if last {
            return keys;
        }
    }
}

async fn writer(store: &Store) -> BlobWriter {
    store.blob_writer().await.unwrap()
}

async fn assert_absent(store: &Store, blob: &BlobRef) {
    assert_eq!(store.size_of(&Key::Blob(blob.digest)).await.unwrap(), None, "{} was stored", blob.digest);
    assert_eq!(all_keys(store).await, Vec::<String>::new(), "something was left behind");
}
