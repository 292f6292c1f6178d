//! A directory is a store: what all stores promise, and what only a directory can do wrong.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a failed helper is a failed test"
)]

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use manifest_schema::Digest;
use manifest_schema::manifest::BlobRef;
use manifest_schema::storage::{Key, prefix};
use store::conformance::{self, Backend};
use store::{Access, BlobWriter, Creation, Location, Source, Store, StoreError};
use tempfile::TempDir;

struct Directories(TempDir, AtomicU32);

impl Directories {
    fn new() -> Self {
        Self(TempDir::new().unwrap(), AtomicU32::new(0))
    }
}

fn file_of(store: &Store, key: &Key) -> PathBuf {
    let Location::Directory(path) = store.location() else { panic!("not a directory") };
    path.join(key.to_string())
}

impl Backend for Directories {
    async fn fresh(&self) -> Store {
        let number = self.1.fetch_add(1, Ordering::Relaxed);
        create(&self.0.path().join(number.to_string())).await.unwrap()
    }

    async fn tamper(&self, store: &Store, key: &Key, bytes: &[u8]) {
        fs::write(file_of(store, key), bytes).unwrap();
    }
}

async fn writer(store: &Store) -> BlobWriter {
    store.blob_writer().await.unwrap()
}

async fn create(path: &Path) -> Result<Store, StoreError> {
    Store::open_or_create(&Location::from(path), &Access::default()).await
}

async fn open(path: &Path) -> Result<Store, StoreError> {
    Store::open(&Location::from(path), &Access::default()).await
}

fn launch(name: &str) -> Key {
    Key::Launch(Digest::of(name.as_bytes()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_directory_conforms() {
    conformance::run(&Directories::new()).await;
}

#[tokio::test]
async fn missing_and_empty_directories_become_stores_and_stay() {
    let place = TempDir::new().unwrap();
    for name in ["missing", "empty", "deep/er/still"] {
        let path = place.path().join(name);
        if name == "empty" {
            fs::create_dir(&path).unwrap();
        }
        let store = create(&path).await.unwrap();
        assert_eq!(store.create(&launch("x"), b"1").await.unwrap(), Creation::Created);
        for again in [create(&path).await.unwrap(), open(&path).await.unwrap()] {
            assert_eq!(again.get(&launch("x"), 10).await.unwrap().unwrap().bytes, b"1");
        }
        let marker = fs::read_to_string(path.join("airlock-store.json")).unwrap();
        assert_eq!(marker, "{\n  \"schema\": \"airlock/store/v1\"\n}\n");
    }
}

#[tokio::test]
async fn what_is_no_store_is_refused_and_left_alone() {
    let place = TempDir::new().unwrap();
    let path = place.path().join("store");
    assert!(matches!(open(&path).await, Err(StoreError::NotFound { .. })));
    assert!(!path.exists(), "opening created something");

    fs::create_dir(&path).unwrap();
    let empty = open(&path).await.unwrap_err();
    assert!(matches!(empty, StoreError::NotAStore { .. }), "{empty}");
    assert!(empty.to_string().contains("is not an Airlock store (no airlock-store.json): "), "{empty}");

    fs::write(path.join("thesis.tex"), "years of work").unwrap();
    for refused in [open(&path).await, create(&path).await] {
        assert!(matches!(refused, Err(StoreError::NotAStore { .. })), "{refused:?}");
    }
    let left: Vec<_> = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["thesis.tex"]);

    for refused in [open(&path.join("thesis.tex")).await, create(&path.join("thesis.tex/below")).await] {
        assert!(matches!(refused, Err(StoreError::NotAStore { .. })), "{refused:?}");
    }
}

#[tokio::test]
async fn a_marker_of_another_version_is_refused() {
    let place = TempDir::new().unwrap();
    for marker in ["{\"schema\": \"airlock/store/v9\"}", "", "[]"] {
        fs::write(place.path().join("airlock-store.json"), marker).unwrap();
        for refused in [open(place.path()).await, create(place.path()).await] {
            assert!(matches!(refused, Err(StoreError::NotAStore { .. })), "{marker:?}: {refused:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_may_create_the_same_store_at_once() {
    let place = TempDir::new().unwrap();
    for round in 0..10 {
        let path = place.path().join(round.to_string());
        let mut racers = tokio::task::JoinSet::new();
        for racer in 0..8 {
            let path = path.clone();
            racers.spawn(async move {
                let store = create(&path).await.unwrap();
                store.create(&launch(&racer.to_string()), b"1").await.unwrap()
            });
        }
        let ended = racers.join_all().await;
        assert_eq!(ended, [Creation::Created; 8]);
        assert_eq!(open(&path).await.unwrap().list("", None, 100).await.unwrap().len(), 8);
    }
}

#[tokio::test]
async fn everything_is_closed_to_other_users() {
    let place = TempDir::new().unwrap();
    let path = place.path().join("store");
    let store = create(&path).await.unwrap();
    let blob = BlobRef::of(b"x");
    assert_eq!(writer(&store).await.create(&blob, Source::reader(&b"x"[..])).await.unwrap(), Creation::Created);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&file_of(&store, &Key::Blob(blob.digest))), 0o600);
    for folder in ["", "blobs", "blobs/sha256", "airlock-tmp"] {
        assert_eq!(mode(&path.join(folder)), 0o700, "{folder}");
    }
}

/// The kernel refuses files in /sys to every user, root too.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn no_permission_is_said_plainly() {
    let refused = create(Path::new("/sys/airlock-store")).await.unwrap_err();
    assert!(matches!(refused, StoreError::AccessDenied { .. }), "{refused:?}");
    assert!(refused.to_string().contains("/sys/airlock-store") && !refused.is_temporary());
}

/// The device that is always full.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_at_the_readers_end_is_the_sinks_failure() {
    let place = TempDir::new().unwrap();
    let store = create(&place.path().join("store")).await.unwrap();
    let blob = BlobRef::of(b"content");
    assert_eq!(writer(&store).await.create(&blob, Source::reader(&b"content"[..])).await.unwrap(), Creation::Created);
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let failed = store.read_blob(&blob, full).await.unwrap_err();
    let StoreError::SinkFailed { source, .. } = failed else { panic!("{failed:?}") };
    assert_eq!(source.kind(), std::io::ErrorKind::StorageFull);
}

#[tokio::test]
async fn links_inside_a_store_lead_nowhere() {
    let place = TempDir::new().unwrap();
    let (path, outside) = (place.path().join("store"), place.path().join("outside"));
    let store = create(&path).await.unwrap();
    let blob = BlobRef::of(b"secret");
    fs::create_dir_all(outside.join("sha256")).unwrap();
    fs::write(outside.join("sha256").join(blob.digest.hex()), "secret").unwrap();
    symlink(&outside, path.join("blobs")).unwrap();

    let key = Key::Blob(blob.digest);
    let other = BlobRef::of(b"other");
    for (what, refused) in [
        ("get", store.get(&key, 100).await.map(|_| ())),
        ("size_of", store.size_of(&key).await.map(|_| ())),
        ("fetch", store.fetch(&blob.digest, 100).await.map(|_| ())),
        ("read_blob", store.read_blob(&blob, Vec::new()).await.map(|_| ())),
        ("create", writer(&store).await.create(&other, Source::reader(&b"other"[..])).await.map(|_| ())),
        ("list", store.list(prefix::BLOBS, None, 10).await.map(|_| ())),
        ("list of all", store.list("", None, 10).await.map(|_| ())),
    ] {
        assert!(matches!(refused, Err(StoreError::Irregular { .. })), "{what} followed a link: {refused:?}");
    }
    assert_eq!(fs::read_dir(outside.join("sha256")).unwrap().count(), 1, "something was written outside");

    fs::create_dir(path.join("launches")).unwrap();
    symlink(outside.join("sha256").join(blob.digest.hex()), path.join(launch("x").to_string())).unwrap();
    for refused in [store.get(&launch("x"), 100).await.map(|_| ()), store.create(&launch("x"), b"1").await.map(|_| ())]
    {
        assert!(matches!(refused, Err(StoreError::Irregular { .. })), "{refused:?}");
    }
}

#[tokio::test]
async fn a_file_that_changed_since_it_was_hashed_is_named() {
    let place = TempDir::new().unwrap();
    let store = create(&place.path().join("store")).await.unwrap();
    let file = place.path().join("app.jar");
    fs::write(&file, "as built").unwrap();
    let blob = BlobRef::of(b"as built");
    fs::write(&file, "rebuilt!").unwrap();
    let refused = writer(&store).await.create(&blob, file.as_path()).await.unwrap_err();
    assert!(matches!(refused, StoreError::SourceChanged { .. }), "{refused:?}");
    assert!(refused.to_string().contains("app.jar"), "{refused}");
    fs::write(&file, "as built").unwrap();
    assert_eq!(writer(&store).await.create(&blob, file).await.unwrap(), Creation::Created);
}

#[tokio::test]
async fn only_old_leftovers_of_our_own_are_cleared_away() {
    let place = TempDir::new().unwrap();
    let path = place.path().join("store");
    create(&path).await.unwrap();
    let old = SystemTime::now() - Duration::from_hours(25);
    for (name, written) in [("1-1", old), ("1-2", SystemTime::now()), ("notes.txt", old)] {
        let file = fs::File::create(path.join("airlock-tmp").join(name)).unwrap();
        file.set_modified(written).unwrap();
    }
    let store = create(&path).await.unwrap();
    let mut left: Vec<_> = fs::read_dir(path.join("airlock-tmp")).unwrap().map(|e| e.unwrap().file_name()).collect();
    left.sort_unstable();
    assert_eq!(left, ["1-2", "notes.txt"]);
    assert_eq!(store.list("", None, 10).await.unwrap(), [], "our own files were listed");
    assert_eq!(store.list("airlock-tmp/", None, 10).await.unwrap(), []);
}

#[tokio::test]
async fn folders_without_objects_are_not_the_end_of_a_list() {
    let place = TempDir::new().unwrap();
    let path = place.path().join("store");
    let store = create(&path).await.unwrap();
    for number in 0..20 {
        fs::create_dir_all(path.join(format!("trust/{number:06}/empty"))).unwrap();
    }
    assert_eq!(store.create(&Key::TrustPolicy(99), b"1").await.unwrap(), Creation::Created);
    let listed = store.list(prefix::TRUST, None, 1).await.unwrap();
    assert_eq!(listed.len(), 1);
}

fn directory_of(store: &Store) -> &store::Directory {
    let Store::Directory(directory) = store else { panic!("not a directory") };
    directory
}

/// Whether something is still waited for after a while.
async fn waits<T>(turn: impl Future<Output = T>) -> bool {
    tokio::time::timeout(Duration::from_millis(100), turn).await.is_err()
}

#[tokio::test]
async fn a_collection_removes_blobs_and_nothing_else() {
    let place = TempDir::new().unwrap();
    let store = create(&place.path().join("store")).await.unwrap();
    let mut blobs = Vec::new();
    for content in [b"a", b"b", b"c"] {
        assert_eq!(writer(&store).await.create_bytes(content.to_vec()).await.unwrap(), Creation::Created);
        blobs.push(Digest::of(content));
    }
    assert_eq!(store.create(&launch("a"), b"stays").await.unwrap(), Creation::Created);
    let collection = directory_of(&store).collect().await.unwrap();
    assert_eq!(collection.remove(blobs[..2].to_vec()).await.unwrap(), 2);
    assert_eq!(collection.remove(blobs[..2].to_vec()).await.unwrap(), 0, "what is gone is no error");
    let left: Vec<_> = store.list("", None, 10).await.unwrap().into_iter().map(|listed| listed.key).collect();
    assert_eq!(left, [Key::Blob(blobs[2]).to_string(), launch("a").to_string()]);
}

#[tokio::test]
async fn a_collection_in_a_store_without_blobs_removes_none() {
    let place = TempDir::new().unwrap();
    let store = create(&place.path().join("store")).await.unwrap();
    let collection = directory_of(&store).collect().await.unwrap();
    assert_eq!(collection.remove(vec![Digest::of(b"x")]).await.unwrap(), 0);
    assert_eq!(collection.written_at(&launch("x")).await.unwrap(), None);
}

#[tokio::test]
async fn whoever_writes_blobs_and_whoever_removes_some_wait_for_each_other() {
    let place = TempDir::new().unwrap();
    let path = place.path().join("store");
    let (store, other) = (create(&path).await.unwrap(), open(&path).await.unwrap());
    let (first, second) = (writer(&store).await, writer(&other).await);
    assert!(waits(directory_of(&other).collect()).await, "a collection began while blobs were written");
    drop(first);
    assert!(waits(directory_of(&store).collect()).await, "one writer was forgotten");
    drop(second);

    let collection = directory_of(&store).collect().await.unwrap();
    assert!(waits(other.blob_writer()).await, "a writer began while blobs were removed");
    assert!(waits(directory_of(&other).collect()).await, "two collections went on at once");
    // Whoever only reads, or writes anything else, waits for nobody.
    assert_eq!(other.create(&launch("x"), b"1").await.unwrap(), Creation::Created);
    drop(collection);
    assert_eq!(writer(&other).await.create_bytes(b"x".to_vec()).await.unwrap(), Creation::Created);
}
