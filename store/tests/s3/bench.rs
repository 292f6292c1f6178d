//! What the tests of this program work with: a server, a bucket in it, and a store in that.

use std::sync::atomic::{AtomicU32, Ordering};

use aws::Connection;
use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use manifest_schema::storage::Key;
use store::conformance::Backend;
use store::{Access, BucketRules, Location, Store, StoreError};

/// Gives this process the emulators' credentials, once, before anything reads them.
///
/// Tests can't change their own environment safely, so they take it from a profile that the settings don't name: the
/// whole test runs again in a process that has it.
pub(crate) fn in_environment(test: &str, work: impl Future<Output = ()>) {
    if std::env::var_os("AWS_ACCESS_KEY_ID").is_some_and(|key| key == emulators::ACCESS_KEY) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
        return runtime.block_on(work);
    }
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "--nocapture", test]).envs(emulators::credentials());
    assert!(command.status().unwrap().success(), "{test} failed in its own process");
}

/// How a store at this address is reached.
pub(crate) fn access(endpoint: &str) -> Access {
    let aws = aws::Settings { endpoint: Some(endpoint.to_owned()), ..aws::Settings::default() };
    Access { aws, bucket: BucketRules { path_style: true, ..BucketRules::default() }, ..Access::default() }
}

/// A client that obeys no rules of ours, as somebody with access to the bucket may have.
pub(crate) async fn client(endpoint: &str) -> Client {
    let connection = Connection::new(&access(endpoint).aws, &[]).await;
    Client::from_conf(aws_sdk_s3::config::Builder::from(connection.config()).force_path_style(true).build())
}

pub(crate) fn location(bucket: &str, prefix: &str) -> Location {
    format!("s3://{bucket}/{prefix}").parse().unwrap()
}

/// Stores in the buckets of one server.
pub(crate) struct Buckets<F> {
    endpoint: String,
    client: Client,
    new_bucket: F,
    count: AtomicU32,
    sorts: bool,
}

impl<F: Fn() -> String> Buckets<F> {
    pub(crate) async fn new(endpoint: String, sorts: bool, new_bucket: F) -> Self {
        let client = client(&endpoint).await;
        Self { endpoint, client, new_bucket, count: AtomicU32::new(0), sorts }
    }
}

impl<F: Fn() -> String> Backend for Buckets<F> {
    /// Every other one has a bucket for itself; the others share theirs with somebody.
    async fn fresh(&self) -> Store {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let prefix = if number.is_multiple_of(2) { "" } else { "ours/airlock" };
        let bucket = (self.new_bucket)();
        if !prefix.is_empty() {
            for key in ["ours/airlock.txt", "ours/airlocks/x", "theirs/blobs/sha256/x", "!", "~"] {
                let call = self.client.put_object().bucket(&bucket).key(key);
                call.body(ByteStream::from_static(b"somebody else's")).send().await.unwrap();
            }
        }
        open_or_create(&location(&bucket, prefix), &access(&self.endpoint)).await.unwrap()
    }

    fn sorts_across_folders(&self) -> bool {
        self.sorts
    }

    async fn tamper(&self, store: &Store, key: &Key, bytes: &[u8]) {
        let Location::S3(place) = store.location() else { panic!("not a bucket") };
        let call = self.client.put_object().bucket(place.bucket()).key(format!("{}{key}", place.prefix()));
        call.body(ByteStream::from(bytes.to_vec())).send().await.unwrap();
    }
}

pub(crate) async fn open_or_create(location: &Location, access: &Access) -> Result<Store, StoreError> {
    Store::open_or_create(location, access).await
}
