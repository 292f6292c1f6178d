//! Properties of blobs.

use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use manifest_schema::Digest;
use manifest_schema::manifest::BlobRef;
use manifest_schema::storage::Key;
use tokio::task::JoinSet;

use super::{Backend, all_keys, assert_absent, noise, writer};
use crate::{Creation, Source, StoreError};

/// More than two buffers, and no multiple of one.
const LARGE: usize = (600 << 10) + 13;

/// A sink that can be looked into after it was dropped.
#[derive(Clone, Default)]
struct Spy(Arc<Mutex<Vec<u8>>>);

impl Spy {
    fn seen(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }
}

impl Write for Spy {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A source that counts what is taken from it, a few bytes at a time.
struct Counted<R>(R, Arc<AtomicU64>);

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(10_007);
        let count = self.0.read(&mut buffer[..most])?;
        self.1.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// Breaks off as a network does.
struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::TimedOut.into())
    }
}

fn bytes(bytes: &[u8]) -> Source {
    Source::reader(io::Cursor::new(bytes.to_vec()))
}

/// Blobs of all sizes go in and come out the same, as a stream and as a small read.
pub async fn blobs_come_back_verified(backend: &impl Backend) {
    let store = backend.fresh().await;
    for length in [0, 1, 256 << 10, LARGE] {
        let content = noise(length);
        let blob = BlobRef::of(&content);
        assert_eq!(writer(&store).await.create(&blob, bytes(&content)).await.unwrap(), Creation::Created);
        assert_eq!(store.size_of(&Key::Blob(blob.digest)).await.unwrap(), Some(length as u64));
        assert!(store.read_blob(&blob, Vec::new()).await.unwrap() == content, "{length} bytes came back different");
        assert!(store.fetch(&blob.digest, length).await.unwrap() == content);
        if length > 0 {
            let refused = store.fetch(&blob.digest, length - 1).await;
            assert!(matches!(refused, Err(StoreError::TooLarge { .. })));
        }
    }
}

/// A blob that is there isn't read again, and one that isn't is read once.
pub async fn a_blob_is_read_from_its_source_once_at_most(backend: &impl Backend) {
    let store = backend.fresh().await;
    let content = noise(LARGE);
    let blob = BlobRef::of(&content);
    for expected in [Creation::Created, Creation::Exists] {
        let count = Arc::new(AtomicU64::new(0));
        let source = Source::reader(Counted(io::Cursor::new(content.clone()), Arc::clone(&count)));
        assert_eq!(writer(&store).await.create(&blob, source).await.unwrap(), expected);
        let read = if expected == Creation::Created { blob.size } else { 0 };
        assert_eq!(count.load(Ordering::Relaxed), read);
    }
    let gone = Source::path("no/such/file");
    assert_eq!(writer(&store).await.create(&blob, gone).await.unwrap(), Creation::Exists);
}

/// Of many that publish the same blob, one creates it; the others find it there and whole.
pub async fn one_publisher_of_a_blob_wins(backend: &impl Backend) {
    let store = backend.fresh().await;
    let content = noise(LARGE);
    let blob = BlobRef::of(&content);
    let mut publishers = JoinSet::new();
    for _ in 0..16 {
        let (store, content) = (store.clone(), content.clone());
        publishers.spawn(async move {
            let creation = writer(&store).await.create(&blob, bytes(&content)).await.unwrap();
            assert!(store.read_blob(&blob, Vec::new()).await.unwrap() == content);
            creation
        });
    }
    let ended = publishers.join_all().await;
    assert_eq!(ended.iter().filter(|creation| **creation == Creation::Created).count(), 1);
    assert_eq!(all_keys(&store).await, [Key::Blob(blob.digest).to_string()]);
}

/// A source that is shorter, longer, endless, different or broken leaves nothing, and the right one still goes in.
pub async fn wrong_sources_leave_nothing(backend: &impl Backend) {
    let store = backend.fresh().await;
    let content = noise(LARGE);
    let blob = BlobRef::of(&content);
    let mut flipped = content.clone();
    flipped[LARGE / 2] ^= 1;
    let longer = [content.as_slice(), b"x"].concat();
    let taken = Arc::new(AtomicU64::new(0));
    for (name, source) in [
        ("empty", bytes(b"")),
        ("shorter", bytes(&content[..LARGE - 1])),
        ("longer", bytes(&longer)),
        ("different", bytes(&flipped)),
        ("endless", Source::reader(Counted(io::repeat(0), Arc::clone(&taken)))),
    ] {
        let refused = writer(&store).await.create(&blob, source).await.unwrap_err();
        assert!(matches!(refused, StoreError::SourceChanged { .. }), "{name}: {refused}");
        assert!(!refused.is_temporary(), "{name}");
        assert_absent(&store, &blob).await;
    }
    assert!(taken.load(Ordering::Relaxed) <= blob.size + 1, "an endless source was read on");

    let broken = Source::reader(io::Cursor::new(content[..LARGE / 2].to_vec()).chain(Broken));
    let refused = writer(&store).await.create(&blob, broken).await.unwrap_err();
    assert!(matches!(refused, StoreError::SourceUnreadable { .. }) && refused.is_temporary(), "{refused}");
    let missing = writer(&store).await.create(&blob, Source::path("no/such/file")).await.unwrap_err();
    assert!(matches!(missing, StoreError::SourceUnreadable { .. }) && !missing.is_temporary(), "{missing}");
    assert!(missing.to_string().contains("no/such/file"), "{missing}");
    assert_absent(&store, &blob).await;

    let other_size = BlobRef { size: blob.size - 1, ..blob };
    assert!(writer(&store).await.create(&other_size, bytes(&content)).await.is_err());
    assert_absent(&store, &blob).await;
    assert_eq!(writer(&store).await.create(&blob, bytes(&content)).await.unwrap(), Creation::Created);
}

/// Bytes that were put under a blob's key behind the store's back are never given as that blob.
pub async fn tampered_blobs_never_count(backend: &impl Backend) {
    let content = noise(LARGE);
    let blob = BlobRef::of(&content);
    let key = Key::Blob(blob.digest);
    let mut flipped = content.clone();
    flipped[LARGE - 1] ^= 0x80;
    let longer = [content.as_slice(), b"x"].concat();
    for (name, tampered) in [
        ("one bit flipped", flipped.as_slice()),
        ("cut short", &content[..LARGE - 1]),
        ("empty", b""),
        ("something appended", &longer),
    ] {
        let store = backend.fresh().await;
        assert_eq!(writer(&store).await.create(&blob, bytes(&content)).await.unwrap(), Creation::Created);
        backend.tamper(&store, &key, tampered).await;
        let spy = Spy::default();
        let refused = store.read_blob(&blob, spy.clone()).await.map(|_| ()).unwrap_err();
        let named = matches!(&refused, StoreError::BlobMismatch { digest, .. } if *digest == blob.digest);
        assert!(named && !refused.is_temporary(), "{name}: {refused}");
        assert!(spy.seen().len() <= LARGE, "{name}: more bytes than the blob has were passed on");
        let refused = store.fetch(&blob.digest, LARGE + 1).await.unwrap_err();
        assert!(matches!(refused, StoreError::BlobMismatch { .. }), "{name}: {refused}");
        if tampered.len() != LARGE {
            let again = writer(&store).await.create(&blob, bytes(&content)).await.unwrap_err();
            assert!(matches!(again, StoreError::BlobMismatch { .. }), "{name}: publishing hides the damage: {again}");
        }
    }
}

/// A blob that isn't there is reported as missing, by name.
pub async fn missing_blobs_are_missing(backend: &impl Backend) {
    let store = backend.fresh().await;
    let blob = BlobRef::of(b"never stored");
    let spy = Spy::default();
    let streamed = store.read_blob(&blob, spy.clone()).await.map(|_| ());
    for missing in [streamed, store.fetch(&blob.digest, 100).await.map(|_| ())] {
        let missing = missing.unwrap_err();
        assert!(matches!(missing, StoreError::BlobMissing { digest, .. } if digest == Digest::of(b"never stored")));
        assert!(!missing.is_temporary());
    }
    assert_eq!(spy.seen(), b"");
}

/// A sink that takes no more is not mistaken for a broken blob.
pub async fn a_failing_sink_is_named(backend: &impl Backend) {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let store = backend.fresh().await;
    let blob = BlobRef::of(b"content");
    assert_eq!(writer(&store).await.create(&blob, bytes(b"content")).await.unwrap(), Creation::Created);
    let failed = store.read_blob(&blob, Full).await.map(|_| ()).unwrap_err();
    let StoreError::SinkFailed { digest, source } = failed else { panic!("{failed}") };
    assert_eq!((digest, source.kind()), (blob.digest, io::ErrorKind::StorageFull));
}
