//! Repairing, what killed writers leave, and buckets whose owner has rules.

use std::io::Cursor;

use aws_sdk_s3::types::{BucketVersioningStatus, ObjectLockRetentionMode, VersioningConfiguration};
use emulators::SeaweedFs;
use emulators::faults::{Fault, FaultProxy};
use manifest_schema::manifest::BlobRef;
use manifest_schema::storage::Key;
use store::conformance::Backend as _;
use store::{Creation, Repair, Retention, RetentionMode, Source, StoreError};

use crate::bench::{Buckets, access, client, in_environment, location, open_or_create};

#[test]
fn a_wrong_blob_is_replaced_and_nothing_else() {
    in_environment("rules::a_wrong_blob_is_replaced_and_nothing_else", async {
        let server = SeaweedFs::start();
        let buckets = Buckets::new(server.endpoint(), false, || server.bucket()).await;
        for length in [1000_usize, 17 << 20] {
            let store = buckets.fresh().await;
            let writer = store.blob_writer().await.unwrap();
            let bytes: Vec<u8> = (0..length).map(|index| u8::try_from(index % 253).unwrap()).collect();
            let blob = BlobRef::of(&bytes);
            let source = || Source::reader(Cursor::new(bytes.clone()));
            assert_eq!(writer.repair(&blob, source()).await.unwrap(), Repair::Created);
            assert_eq!(writer.repair(&blob, Source::path("no/such/file")).await.unwrap(), Repair::Sound);
            let mut flipped = bytes.clone();
            flipped[length / 2] ^= 1;
            for wrong in [flipped.as_slice(), b"", &bytes[1..]] {
                buckets.tamper(&store, &Key::Blob(blob.digest), wrong).await;
                let refused = writer.repair(&blob, Source::bytes(flipped.clone())).await.unwrap_err();
                assert!(matches!(refused, StoreError::SourceChanged { .. }), "{refused}");
                assert_eq!(writer.repair(&blob, source()).await.unwrap(), Repair::Replaced);
                assert!(store.read_blob(&blob, Vec::new()).await.unwrap() == bytes);
            }
        }
    });
}

#[test]
fn uploads_of_killed_writers_are_aborted_a_day_later() {
    in_environment("rules::uploads_of_killed_writers_are_aborted_a_day_later", async {
        let server = SeaweedFs::start();
        let proxy = FaultProxy::start(server.port());
        let bucket = server.bucket();
        let client = client(&server.endpoint()).await;
        for key in ["store/blobs/sha256/ab", "store/theirs", "elsewhere/blobs/sha256/ab"] {
            client.create_multipart_upload().bucket(&bucket).key(key).send().await.unwrap();
        }
        let left = async || {
            let listed = client.list_multipart_uploads().bucket(&bucket).send().await.unwrap();
            let mut keys: Vec<String> =
                listed.uploads().iter().map(|upload| upload.key().unwrap().to_owned()).collect();
            keys.sort();
            keys
        };
        let publish = async |number: u8| {
            let store = open_or_create(&location(&bucket, "store"), &access(&proxy.endpoint())).await.unwrap();
            let writer = store.blob_writer().await.unwrap();
            assert_eq!(writer.create_bytes(vec![number; 17 << 20]).await.unwrap(), Creation::Created);
        };
        publish(1).await;
        assert_eq!(left().await.len(), 3, "somebody may still be busy with it");
        // A century ago.
        proxy.first(usize::MAX, Fault::Instead("<Initiated>20", "<Initiated>19"), |seen| {
            seen.query.starts_with("uploads")
        });
        publish(2).await;
        assert_eq!(left().await, ["elsewhere/blobs/sha256/ab", "store/theirs"]);
        // Who may not list them goes on without.
        proxy.first(usize::MAX, Fault::Status(403, "AccessDenied"), |seen| {
            seen.method == "GET" && seen.query.contains("uploads")
        });
        publish(3).await;
    });
}

#[test]
fn objects_are_locked_where_the_rules_say_so() {
    in_environment("rules::objects_are_locked_where_the_rules_say_so", async {
        let server = SeaweedFs::start();
        let client = client(&server.endpoint()).await;
        let bucket = "locked-bucket";
        client.create_bucket().bucket(bucket).object_lock_enabled_for_bucket(true).send().await.unwrap();
        let versioned = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
        client.put_bucket_versioning().bucket(bucket).versioning_configuration(versioned).send().await.unwrap();
        let mut access = access(&server.endpoint());
        access.bucket.retention = Some(Retention { mode: RetentionMode::Governance, days: 30 });
        let store = open_or_create(&location(bucket, "store"), &access).await.unwrap();
        let writer = store.blob_writer().await.unwrap();
        for length in [1000, 17 << 20] {
            let bytes = vec![3; length];
            let blob = BlobRef::of(&bytes);
            assert_eq!(writer.create_bytes(bytes.clone()).await.unwrap(), Creation::Created);
            assert!(store.read_blob(&blob, Vec::new()).await.unwrap() == bytes, "read by version");
            let key = format!("store/{}", Key::Blob(blob.digest));
            let locked = client.get_object_retention().bucket(bucket).key(key).send().await.unwrap();
            let retention = locked.retention().unwrap();
            assert_eq!(retention.mode(), Some(&ObjectLockRetentionMode::Governance));
            let until = retention.retain_until_date().unwrap().secs();
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
            let days = (until.unsigned_abs() - now).div_ceil(24 * 60 * 60);
            assert_eq!(days, 30);
        }
        // A heartbeat goes on being overwritten.
        let heartbeat = Key::JobHeartbeat("01939c7e-5d2f-7c3a-9b1e-0123456789ab".parse().unwrap());
        for beat in [b"1", b"2", b"3"] {
            store.put(&heartbeat, beat).await.unwrap();
        }
        assert_eq!(store.get(&heartbeat, 10).await.unwrap().unwrap().bytes, b"3");
    });
}
