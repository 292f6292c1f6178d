//! All that a network and S3 can do to a publisher, a reader and a writer of documents.

use std::io::Cursor;
use std::time::Duration;

use emulators::SeaweedFs;
use emulators::faults::{Fault, FaultProxy, Seen};
use manifest_schema::Digest;
use manifest_schema::manifest::BlobRef;
use manifest_schema::names::{EnvironmentName, ProjectName};
use manifest_schema::storage::Key;
use store::{Creation, Location, Replacement, Source, Store, StoreError};
use tokio::task::JoinSet;

use crate::bench::{access, in_environment, location, open_or_create};

/// One blob for each way up: in one request, and in parts.
const SIZES: [usize; 3] = [1000, 300 << 10, (17 << 20) + 5];

fn content(length: usize) -> Vec<u8> {
    let period: Vec<u8> = (0..251).map(|index| u8::try_from(index * 7 % 251).unwrap()).collect();
    let mut bytes = period.repeat(length.div_ceil(period.len()));
    bytes.truncate(length);
    bytes
}

fn contents() -> Vec<Vec<u8>> {
    SIZES.map(content).into()
}

fn pointer() -> Key {
    Key::Build(ProjectName::new("hello").unwrap(), "0.1".parse().unwrap())
}

fn lease() -> Key {
    Key::Lease(EnvironmentName::new("production").unwrap(), ProjectName::new("hello").unwrap())
}

/// What publishing is, for a store: the blobs, and last the pointer.
async fn publish(place: &Location, endpoint: &str) -> Result<Creation, StoreError> {
    let store = open_or_create(place, &access(endpoint)).await?;
    let writer = store.blob_writer().await?;
    for bytes in contents() {
        let _ = writer.create(&BlobRef::of(&bytes), Source::bytes(bytes)).await?;
    }
    store.create(&pointer(), b"the manifest").await
}

async fn fetch(store: &Store) -> Result<(), StoreError> {
    for bytes in contents() {
        assert!(store.read_blob(&BlobRef::of(&bytes), Vec::new()).await? == bytes, "other bytes were let through");
    }
    Ok(())
}

/// A pointer that is there proves that everything is.
async fn assert_sound(place: &Location, endpoint: &str) {
    let store = match Store::open(place, &access(endpoint)).await {
        Err(StoreError::NotFound { .. }) => return,
        opened => opened.unwrap(),
    };
    if store.size_of(&pointer()).await.unwrap().is_some() {
        fetch(&store).await.expect("a pointer whose blobs are missing");
    }
}

fn puts(seen: &Seen) -> bool {
    seen.method == "PUT"
}

fn blobs(seen: &Seen) -> bool {
    seen.method == "PUT" && seen.path.contains("/blobs/")
}

fn parts(seen: &Seen) -> bool {
    seen.query.contains("partNumber=")
}

fn begins(seen: &Seen) -> bool {
    seen.method == "POST" && seen.query.starts_with("uploads")
}

fn completes(seen: &Seen) -> bool {
    seen.method == "POST" && seen.query.contains("uploadId=")
}

fn builds(seen: &Seen) -> bool {
    seen.method == "PUT" && seen.path.contains("/builds/")
}

fn gets_blobs(seen: &Seen) -> bool {
    seen.method == "GET" && seen.path.contains("/blobs/")
}

fn lists(seen: &Seen) -> bool {
    seen.query.contains("list-type=2")
}

type Fits = fn(&Seen) -> bool;

/// Does all of these, several at once: each waits most of the time, until it tries again.
async fn at_once(cases: impl IntoIterator<Item: Future<Output = ()> + Send + 'static>) {
    let mut running = JoinSet::new();
    for case in cases {
        if running.len() == 6 {
            running.join_next().await.unwrap().unwrap();
        }
        running.spawn(case);
    }
    while let Some(done) = running.join_next().await {
        done.unwrap();
    }
}

#[test]
fn a_publisher_survives() {
    in_environment("faults::a_publisher_survives", async {
        let server = SeaweedFs::start();
        let survived: [(&str, usize, Fault, Fits); 15] = [
            ("everything is slow", 100, Fault::Delay(Duration::from_millis(30)), |_| true),
            ("an error", 1, Fault::Status(500, "InternalError"), blobs),
            ("errors of parts", 3, Fault::Status(500, "InternalError"), parts),
            ("too fast", 2, Fault::Status(503, "SlowDown"), puts),
            ("another writer", 1, Fault::Status(409, "ConditionalRequestConflict"), blobs),
            ("another writer of the pointer", 1, Fault::Status(409, "ConditionalRequestConflict"), builds),
            ("another writer at completions", 2, Fault::Status(409, "ConditionalRequestConflict"), completes),
            ("a closed connection", 2, Fault::Dropped, puts),
            ("a closed connection at the beginning", 1, Fault::Dropped, begins),
            ("a lost answer", 1, Fault::LostAnswer, blobs),
            ("lost answers of parts", 2, Fault::LostAnswer, parts),
            ("the pointer's answer lost", 1, Fault::LostAnswer, builds),
            ("an error after the pointer was written", 1, Fault::CarriedOutBut(500, "InternalError"), builds),
            ("the completion's answer lost", 1, Fault::LostAnswer, completes),
            ("a cut listing", 1, Fault::Status(500, "InternalError"), lists),
        ];
        let cases = survived.into_iter().map(|(name, times, fault, fits)| {
            let (place, endpoint) = (location(&server.bucket(), "store"), server.endpoint());
            let proxy = FaultProxy::start(server.port());
            proxy.first(times, fault, fits);
            async move {
                let created = publish(&place, &proxy.endpoint()).await;
                let created = created.unwrap_or_else(|error| panic!("{name}: {error}"));
                assert_eq!(created, Creation::Created, "{name}: our own pointer was taken for another's");
                assert!(proxy.seen().iter().any(fits), "{name}: there was no such request");
                assert_sound(&place, &endpoint).await;
                assert_no_uploads(&place, &endpoint, name).await;
            }
        });
        at_once(cases).await;
    });
}

#[test]
fn a_publisher_fails_cleanly() {
    in_environment("faults::a_publisher_fails_cleanly", async {
        let server = SeaweedFs::start();
        let failed: [(&str, Fault, Fits); 7] = [
            ("another checksum", Fault::WrongUpload, |seen| seen.path.contains(&Digest::of(&content(1000)).hex())),
            ("another checksum of a part", Fault::WrongUpload, parts),
            ("no permission for blobs", Fault::Status(403, "AccessDenied"), blobs),
            ("no permission for parts", Fault::Status(403, "AccessDenied"), begins),
            ("no permission to complete", Fault::Status(403, "AccessDenied"), completes),
            ("no permission for the pointer", Fault::Status(403, "AccessDenied"), builds),
            ("a lie about a blob", Fault::Status(412, "PreconditionFailed"), blobs),
        ];
        let cases = failed.into_iter().map(|(name, fault, fits)| {
            let (place, endpoint) = (location(&server.bucket(), "store"), server.endpoint());
            let proxy = FaultProxy::start(server.port());
            proxy.first(usize::MAX, fault, fits);
            async move {
                let refused = publish(&place, &proxy.endpoint()).await.unwrap_err();
                assert!(!refused.is_temporary(), "{name}: {refused}");
                assert_sound(&place, &endpoint).await;
                assert_no_uploads(&place, &endpoint, name).await;
                assert_eq!(publish(&place, &endpoint).await.unwrap(), Creation::Created, "{name}: again");
                assert_sound(&place, &endpoint).await;
            }
        });
        at_once(cases).await;
    });
}

/// Nothing shows that isn't whole, and the next run makes it whole.
#[test]
fn a_publisher_may_stop_anywhere() {
    in_environment("faults::a_publisher_may_stop_anywhere", async {
        let server = SeaweedFs::start();
        let proxy = FaultProxy::start(server.port());
        let bucket = server.bucket();
        let place = location(&bucket, "whole");
        proxy.plan(|_| Fault::None);
        let _ = publish(&place, &proxy.endpoint()).await.unwrap();
        let cases = (0..proxy.seen().len()).map(|stop| {
            // Places of one bucket: this server sets disk aside for each bucket.
            let (place, endpoint) = (location(&bucket, &format!("stop-{stop}")), server.endpoint());
            let proxy = FaultProxy::start(server.port());
            proxy.plan(move |seen| if seen.number < stop { Fault::None } else { Fault::Status(403, "AccessDenied") });
            async move {
                assert!(publish(&place, &proxy.endpoint()).await.is_err(), "stopped at request {stop}");
                assert_sound(&place, &endpoint).await;
                let _ = publish(&place, &endpoint).await.unwrap();
                assert_sound(&place, &endpoint).await;
            }
        });
        at_once(cases).await;
    });
}

/// S3 wants the parts again, and what can be read only once can't be sent again.
#[test]
fn an_upload_that_others_get_in_the_way_of_begins_anew() {
    in_environment("faults::an_upload_that_others_get_in_the_way_of_begins_anew", async {
        let server = SeaweedFs::start();
        let proxy = FaultProxy::start(server.port());
        let place = location(&server.bucket(), "store");
        let store = open_or_create(&place, &access(&proxy.endpoint())).await.unwrap();
        let writer = store.blob_writer().await.unwrap();
        let bytes = content(SIZES[2]);
        let conflict = Fault::Status(409, "ConditionalRequestConflict");
        for (source, begun) in [(Source::bytes(bytes.clone()), 3), (Source::reader(Cursor::new(bytes.clone())), 1)] {
            proxy.first(usize::MAX, conflict.clone(), completes);
            let refused = writer.create(&BlobRef::of(&bytes), source).await.unwrap_err();
            assert!(refused.is_temporary(), "{refused}");
            let seen = proxy.seen();
            let count = |fits: Fits| seen.iter().filter(|seen| fits(seen)).count();
            assert_eq!((count(begins), count(completes)), (begun, begun), "each upload is completed once");
            assert_no_uploads(&place, &server.endpoint(), "conflicts").await;
        }

        // Who was in the way had the same blob: then nothing is sent again.
        let other = open_or_create(&place, &access(&server.endpoint())).await.unwrap();
        let fault = Fault::CarriedOutBut(409, "ConditionalRequestConflict");
        proxy.first(1, fault, completes);
        let created = writer.create(&BlobRef::of(&bytes), Source::bytes(bytes.clone())).await.unwrap();
        assert_eq!(created, Creation::Exists);
        assert_eq!(proxy.seen().iter().filter(|seen| begins(seen)).count(), 1);
        assert!(other.read_blob(&BlobRef::of(&bytes), Vec::new()).await.unwrap() == bytes);
    });
}

/// Uploads that were begun and not ended cost money and show nowhere.
async fn assert_no_uploads(place: &Location, endpoint: &str, name: &str) {
    let Location::S3(place) = place else { panic!("not a bucket") };
    let client = crate::bench::client(endpoint).await;
    let listed = client.list_multipart_uploads().bucket(place.bucket()).send().await.unwrap();
    assert_eq!(listed.uploads().len(), 0, "{name}: an upload was left behind");
}

#[test]
fn a_reader_survives_or_fails_cleanly() {
    in_environment("faults::a_reader_survives_or_fails_cleanly", async {
        let server = SeaweedFs::start();
        let proxy = FaultProxy::start(server.port());
        let place = location(&server.bucket(), "store");
        let _ = publish(&place, &server.endpoint()).await.unwrap();
        let store = open_or_create(&place, &access(&proxy.endpoint())).await.unwrap();

        for (name, times, fault, fits) in [
            ("everything is slow", 100, Fault::Delay(Duration::from_millis(30)), (|_| true) as Fits),
            ("errors", 3, Fault::Status(500, "InternalError"), gets_blobs),
            ("too fast", 2, Fault::Status(503, "SlowDown"), gets_blobs),
            ("closed connections", 3, Fault::Dropped, gets_blobs),
            ("lost answers", 3, Fault::LostAnswer, gets_blobs),
            ("bodies that break off", 4, Fault::CutBody, gets_blobs),
        ] {
            proxy.first(times, fault, fits);
            fetch(&store).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        }

        for (name, fault) in [
            ("other bytes", Fault::WrongBytes),
            ("shorter bodies", Fault::ShortBody),
            ("errors for ever", Fault::Status(403, "AccessDenied")),
        ] {
            proxy.first(usize::MAX, fault, gets_blobs);
            for bytes in contents() {
                let refused = store.read_blob(&BlobRef::of(&bytes), Vec::new()).await;
                assert!(refused.is_err(), "{name}: {} bytes were let through", bytes.len());
            }
        }

        // Somebody replaces the blob between two ranges.
        let bytes = content(SIZES[2]);
        let blob = BlobRef::of(&bytes);
        let client = crate::bench::client(&server.endpoint()).await;
        let key = format!("store/{}", Key::Blob(blob.digest));
        let Location::S3(bucket) = &place else { panic!("not a bucket") };
        proxy.plan(|seen| if seen.number == 0 { Fault::None } else { Fault::Delay(Duration::from_secs(3)) });
        let reading = tokio::spawn({
            let store = store.clone();
            async move { store.read_blob(&blob, Vec::new()).await }
        });
        while proxy.seen().len() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let call = client.put_object().bucket(bucket.bucket()).key(key);
        call.body(b"another".to_vec().into()).send().await.unwrap();
        let refused = reading.await.unwrap().unwrap_err();
        assert!(matches!(refused, StoreError::BlobMismatch { .. }), "{refused}");
        assert!(refused.to_string().contains("replaced while it was read"), "{refused}");
    });
}

#[test]
fn a_writer_of_documents_knows_its_own() {
    in_environment("faults::a_writer_of_documents_knows_its_own", async {
        let server = SeaweedFs::start();
        let proxy = FaultProxy::start(server.port());
        let lost = [
            Fault::LostAnswer,
            Fault::CarriedOutBut(500, "InternalError"),
            Fault::CarriedOutBut(503, "SlowDown"),
            Fault::CarriedOutBut(409, "ConditionalRequestConflict"),
        ];
        for fault in lost {
            let place = location(&server.bucket(), "");
            let store = open_or_create(&place, &access(&proxy.endpoint())).await.unwrap();
            let event = Key::JobEvent("01939c7e-5d2f-7c3a-9b1e-0123456789ab".parse().unwrap(), 1);

            proxy.first(1, fault.clone(), puts);
            assert_eq!(store.create(&event, b"mine").await.unwrap(), Creation::Created, "{fault:?}");
            proxy.first(1, fault.clone(), puts);
            assert_eq!(store.create(&event, b"another's").await.unwrap(), Creation::Exists, "{fault:?}");

            proxy.first(1, fault.clone(), puts);
            let Replacement::Replaced(first) = store.replace(&lease(), b"1", None).await.unwrap() else {
                panic!("{fault:?}: a lost answer was taken for another's lease")
            };
            proxy.first(1, fault.clone(), puts);
            let replaced = store.replace(&lease(), b"2", Some(&first)).await.unwrap();
            let Replacement::Replaced(second) = replaced else { panic!("{fault:?}: the second") };
            assert_eq!(store.get(&lease(), 10).await.unwrap().unwrap().version, second);
            proxy.first(1, fault.clone(), puts);
            assert_eq!(store.replace(&lease(), b"3", Some(&first)).await.unwrap(), Replacement::Conflict);

            let heartbeat = Key::JobHeartbeat("01939c7e-5d2f-7c3a-9b1e-0123456789ab".parse().unwrap());
            for beat in [b"1", b"2"] {
                proxy.first(1, fault.clone(), puts);
                store.put(&heartbeat, beat).await.unwrap();
                assert_eq!(store.get(&heartbeat, 10).await.unwrap().unwrap().bytes, beat);
            }
        }
    });
}

#[test]
fn a_listing_is_whole_or_an_error() {
    in_environment("faults::a_listing_is_whole_or_an_error", async {
        let server = SeaweedFs::start();
        let proxy = FaultProxy::start(server.port());
        let place = location(&server.bucket(), "");
        let store = open_or_create(&place, &access(&proxy.endpoint())).await.unwrap();
        for number in 1..=9 {
            assert_eq!(store.create(&Key::PlanClaim(Digest::of(b"x"), number), b"1").await.unwrap(), Creation::Created);
        }
        let list = || store.list("plans/", None, 100);
        assert_eq!(list().await.unwrap().len(), 9);
        proxy.first(1, Fault::CutBody, lists);
        if let Ok(listed) = list().await {
            assert_eq!(listed.len(), 9, "a shorter listing was let through");
        }
        for (name, fault) in [
            ("goes on nowhere", Fault::Instead("<IsTruncated>false", "<IsTruncated>true")),
            ("is out of order", Fault::Instead("000009.json", "000000.json")),
            ("names another place", Fault::Instead("plans/", "plots/")),
            ("has no sizes", Fault::Instead("<Size>", "<Length>")),
            ("is no listing", Fault::Instead("<", "")),
            ("is refused", Fault::Status(403, "AccessDenied")),
        ] {
            proxy.first(usize::MAX, fault, lists);
            assert!(list().await.is_err(), "a listing that {name} was let through");
        }

        // What a listing doesn't show yet is sent once more, and found there.
        let bytes: Vec<Vec<u8>> = (0..40_u32).map(|number| number.to_be_bytes().to_vec()).collect();
        let blobs: std::collections::BTreeSet<BlobRef> = bytes.iter().map(|bytes| BlobRef::of(bytes)).collect();
        proxy.plan(|_| Fault::None);
        assert_eq!(store.present(&blobs).await.unwrap().len(), 0);
        let writer = store.blob_writer().await.unwrap();
        for bytes in &bytes {
            let source = Source::reader(Cursor::new(bytes.clone()));
            assert_eq!(writer.create(&BlobRef::of(bytes), source).await.unwrap(), Creation::Created);
        }
        assert_eq!(store.present(&blobs).await.unwrap(), blobs);
        proxy.plan(|seen| if lists(seen) { Fault::Stale } else { Fault::None });
        for bytes in &bytes {
            assert_eq!(writer.create_bytes(bytes.clone()).await.unwrap(), Creation::Exists);
        }
    });
}
