//! Several processes, some of them killed, and a disk that fills up.
//!
//! The processes are this test program itself: it starts itself again to run one of the tests marked as ignored, which
//! do what a variable tells them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a failed helper is a failed test"
)]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use manifest_schema::Digest;
use manifest_schema::manifest::BlobRef;
use manifest_schema::names::{EnvironmentName, ProjectName};
use manifest_schema::storage::{Key, prefix};
use store::{Access, BlobWriter, Creation, Location, Source, Store, StoreError, conformance};
use tempfile::TempDir;

const STORE: &str = "STORE_OF_THE_CHILD";

/// This program, running one test in the store at `path`.
fn child(test: &str, path: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "--nocapture", test]).env(STORE, path).stdout(Stdio::piped());
    command
}

async fn writer(store: &Store) -> BlobWriter {
    store.blob_writer().await.unwrap()
}

async fn create(path: &Path) -> Store {
    Store::open_or_create(&Location::from(path), &Access::default()).await.unwrap()
}

async fn store_of_the_child() -> Store {
    let path = std::env::var_os(STORE).expect("this test is run by another one only");
    create(Path::new(&path)).await
}

fn lease() -> Key {
    Key::Lease(EnvironmentName::new("production").unwrap(), ProjectName::new("hello").unwrap())
}

fn heartbeat() -> Key {
    Key::JobHeartbeat("01939c7e-5d2f-7c3a-9b1e-0123456789ab".parse().unwrap())
}

/// Content that says of itself whether it is whole.
fn sealed(seed: u64, length: usize) -> Vec<u8> {
    let body = format!("{seed} ").repeat(length);
    format!("{}\n{body}", Digest::of(body.as_bytes())).into_bytes()
}

fn is_whole(bytes: &[u8]) -> bool {
    let text = str::from_utf8(bytes).unwrap();
    text.split_once('\n').is_some_and(|(digest, body)| digest == Digest::of(body.as_bytes()).to_string())
}

#[tokio::test]
#[ignore = "run by processes_lose_no_replacement"]
async fn child_increments() {
    let store = store_of_the_child().await;
    for _ in 0..40 {
        conformance::increment(&store, &lease()).await;
    }
}

#[tokio::test]
async fn processes_lose_no_replacement() {
    let place = TempDir::new().unwrap();
    let path = place.path().join("store");
    let children: Vec<Child> = (0..4).map(|_| child("child_increments", &path).spawn().unwrap()).collect();
    for child in children {
        assert!(child.wait_with_output().unwrap().status.success());
    }
    let total = create(&path).await.get(&lease(), 100).await.unwrap().unwrap().bytes;
    assert_eq!(total, b"160");
}

#[tokio::test]
#[ignore = "run by a_killed_writer_leaves_no_half_object"]
async fn child_writes_until_killed() {
    let store = store_of_the_child().await;
    let start = u64::from(std::process::id()) << 32;
    for seed in start.. {
        let small = sealed(seed, 3000);
        let _ = store.create(&Key::Launch(Digest::of(&small)), &small).await.unwrap();
        store.put(&heartbeat(), &sealed(seed, 20_000)).await.unwrap();
        let before = store.get(&lease(), 1 << 24).await.unwrap().map(|object| object.version);
        let _ = store.replace(&lease(), &sealed(seed, 5000), before.as_ref()).await.unwrap();
        let large = sealed(seed, 200_000);
        let _ = writer(&store)
            .await
            .create(&BlobRef::of(&large), Source::reader(std::io::Cursor::new(large)))
            .await
            .unwrap();
        if seed == start {
            println!("\nwriting");
        }
    }
}

#[tokio::test]
async fn a_killed_writer_leaves_no_half_object() {
    let place = TempDir::new().unwrap();
    let path = place.path().join("store");
    let mut objects = 0;
    for round in 0..25 {
        let mut child = child("child_writes_until_killed", &path).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap() == "writing"), "the writer didn't start");
        // It has been through its loop once; now it is anywhere in one of the next rounds.
        tokio::time::sleep(Duration::from_micros(1 + round * 1777)).await;
        child.kill().unwrap();
        child.wait().unwrap();
        objects = assert_all_whole(&create(&path).await).await;
    }
    assert!(objects >= 25 * 2 + 2, "each writer creates two objects at least, besides those it overwrites: {objects}");
}

/// Checks every object; returns how many there are.
async fn assert_all_whole(store: &Store) -> usize {
    let all = store.list("", None, usize::MAX).await.unwrap();
    for prefix in ["launches/", prefix::BLOBS] {
        for listed in all.iter().filter(|listed| listed.key.starts_with(prefix)) {
            let digest = Digest::from_hex(listed.key[prefix.len()..].trim_end_matches(".json")).unwrap();
            let key = if prefix == prefix::BLOBS { Key::Blob(digest) } else { Key::Launch(digest) };
            let bytes = store.get(&key, 1 << 24).await.unwrap().unwrap().bytes;
            assert_eq!(Digest::of(&bytes), digest, "half of {key} was left");
        }
    }
    for key in [heartbeat(), lease()] {
        if let Some(object) = store.get(&key, 1 << 24).await.unwrap() {
            assert!(is_whole(&object.bytes), "half of {key} was left");
        }
    }
    all.len()
}

#[tokio::test]
#[ignore = "run by a_full_disk_leaves_nothing_half_written"]
async fn child_fills_the_disk() {
    let store = store_of_the_child().await;
    let large = vec![1; 1 << 20];
    let blob = BlobRef::of(&large);
    assert_eq!(store.create(&Key::Launch(blob.digest), b"fits").await.unwrap(), Creation::Created);
    store.put(&heartbeat(), b"fits").await.unwrap();
    for refused in [
        store.create(&Key::TrustRecord(1), &large).await.map(|_| ()),
        store.put(&heartbeat(), &large).await,
        store.replace(&lease(), &large, None).await.map(|_| ()),
        writer(&store).await.create(&blob, Source::reader(std::io::Cursor::new(large.clone()))).await.map(|_| ()),
    ] {
        let refused = refused.unwrap_err();
        assert!(matches!(refused, StoreError::NoSpace { .. }), "{refused:?}");
        assert!(refused.to_string().contains("free space and run again"), "{refused}");
    }
}

/// A file size limit stands in for a full disk: it needs no mount, so it works everywhere, and fails in the same place,
/// in the middle of a write. (`ulimit -f` counts blocks of 512 or 1024 bytes; either is too few.)
#[tokio::test]
async fn a_full_disk_leaves_nothing_half_written() {
    let place = TempDir::new().unwrap();
    let path = place.path().join("store");
    let filler = child("child_fills_the_disk", &path);
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ && ulimit -f 600 && exec \"$0\" \"$@\""]);
    limited.arg(filler.get_program()).args(filler.get_args()).env(STORE, &path);
    let output = limited.output().unwrap();
    assert!(output.status.success(), "{output:?}");

    let store = create(&path).await;
    let listed = store.list("", None, 100).await.unwrap();
    assert_eq!(listed.iter().map(|listed| listed.size).collect::<Vec<_>>(), [4, 4], "{listed:?}");
    assert_eq!(std::fs::read_dir(path.join("airlock-tmp")).unwrap().count(), 0, "a temporary file was left");
}

#[tokio::test]
#[ignore = "run by a_killed_collector_is_in_nobodys_way"]
async fn child_collects_until_killed() {
    let Store::Directory(directory) = store_of_the_child().await else { panic!("not a directory") };
    let collection = directory.collect().await.unwrap();
    println!("\ncollecting");
    std::thread::sleep(Duration::from_secs(600));
    drop(collection);
}

#[tokio::test]
async fn a_killed_collector_is_in_nobodys_way() {
    let place = TempDir::new().unwrap();
    let path = place.path().join("store");
    let store = create(&path).await;
    let mut child = child("child_collects_until_killed", &path).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "collecting"), "the collector didn't start");
    let turn = tokio::spawn(async move { writer(&store).await.create_bytes(b"x".to_vec()).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!turn.is_finished(), "a blob was written during a collection");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(turn.await.unwrap().unwrap(), Creation::Created);
}
