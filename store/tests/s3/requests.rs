//! What is asked of S3, and what people are told when it says no.

use std::collections::BTreeSet;

use emulators::SeaweedFs;
use emulators::faults::{Fault, FaultProxy, Seen};
use manifest_schema::Digest;
use manifest_schema::manifest::BlobRef;
use manifest_schema::storage::Key;
use store::{Access, Creation, Replacement, Source, Store, StoreError};

use crate::bench::{access, in_environment, location, open_or_create};

const OWNER: &str = "111122223333";

fn owned(endpoint: &str) -> Access {
    let mut access = access(endpoint);
    access.bucket.owner = Some(OWNER.parse().unwrap());
    access
}

fn writes(seen: &Seen) -> bool {
    let begins = seen.query.starts_with("uploads") || seen.query.contains("partNumber=");
    matches!(seen.method.as_str(), "PUT" | "POST") && !begins
}

/// So that a bucket policy can demand it: every write says what must be there, every call whose bucket it is, and
/// nothing is deleted.
#[test]
fn every_write_is_conditional_and_every_call_names_the_owner() {
    in_environment("requests::every_write_is_conditional_and_every_call_names_the_owner", async {
        let server = SeaweedFs::start();
        let proxy = FaultProxy::start(server.port());
        let place = location(&server.bucket(), "store");
        let store = open_or_create(&place, &owned(&proxy.endpoint())).await.unwrap();
        let job = "01939c7e-5d2f-7c3a-9b1e-0123456789ab".parse().unwrap();
        let lease = Key::Lease("production".parse().unwrap(), "hello".parse().unwrap());
        let writer = store.blob_writer().await.unwrap();
        for length in [10, 300 << 10, 20 << 20] {
            let bytes = vec![1; length];
            let blob = BlobRef::of(&bytes);
            assert_eq!(writer.create(&blob, Source::bytes(bytes)).await.unwrap(), Creation::Created);
            assert_eq!(store.present(&BTreeSet::from([blob])).await.unwrap().len(), 1);
            store.read_blob(&blob, std::io::sink()).await.unwrap();
        }
        assert_eq!(store.create(&Key::JobEvent(job, 1), b"1").await.unwrap(), Creation::Created);
        for beat in 0..2 {
            store.put(&Key::JobHeartbeat(job), &[beat]).await.unwrap();
        }
        let Replacement::Replaced(first) = store.replace(&lease, b"1", None).await.unwrap() else { panic!("free") };
        assert!(matches!(store.replace(&lease, b"2", Some(&first)).await.unwrap(), Replacement::Replaced(_)));
        assert!(!store.list("", None, 100).await.unwrap().is_empty());

        let seen = proxy.seen();
        let unconditional: Vec<_> = seen.iter().filter(|seen| writes(seen) && seen.condition.is_none()).collect();
        assert!(unconditional.is_empty(), "{unconditional:?}");
        assert!(seen.iter().filter(|seen| writes(seen)).count() >= 8);
        let unowned: Vec<_> = seen.iter().filter(|seen| seen.owner.as_deref() != Some(OWNER)).collect();
        assert!(unowned.is_empty(), "{unowned:?}");
        assert!(!seen.iter().any(|seen| seen.method == "DELETE"), "something was deleted");
        assert!(seen.iter().filter(|seen| seen.query.contains("partNumber=")).count() == 3, "20 MiB are three parts");
    });
}

#[test]
fn every_refusal_says_which_action_on_what_and_what_to_change() {
    in_environment("requests::every_refusal_says_which_action_on_what_and_what_to_change", async {
        let server = SeaweedFs::start();
        let proxy = FaultProxy::start(server.port());
        let bucket = server.bucket();
        let place = location(&bucket, "store");
        let store = open_or_create(&place, &access(&proxy.endpoint())).await.unwrap();
        let claim = Key::PlanClaim(Digest::of(b"x"), 1);
        for (status, code, temporary, words) in [
            (403, "AccessDenied", false, &["allow s3:PutObject on", "arn:aws:s3:::"][..]),
            (404, "NoSuchBucket", false, &["check the name, the account and the region of arn:aws:s3:::"]),
            (301, "PermanentRedirect", false, &["region"]),
            (400, "AuthorizationHeaderMalformed", false, &["region"]),
            (403, "RequestTimeTooSkewed", false, &["set this machine's clock"]),
            (400, "ExpiredToken", false, &["expired", "log in again"]),
            (403, "InvalidAccessKeyId", false, &["AWS_PROFILE"]),
        ] {
            proxy.first(usize::MAX, Fault::Status(status, code), |seen| seen.method == "PUT");
            let refused = store.create(&claim, b"1").await.unwrap_err();
            let text = refused.to_string();
            assert!(text.contains("s3:PutObject") && text.contains(code) && text.contains(&bucket), "{code}: {text}");
            assert!(words.iter().all(|word| text.contains(word)), "{code}: {text}");
            assert!(!text.contains('\n') && refused.is_temporary() == temporary, "{code}: {text}");
        }
        proxy.plan(|_| Fault::None);

        let nowhere = location("no-such-bucket-here", "");
        for refused in [
            Store::open(&nowhere, &access(&server.endpoint())).await.map(|_| ()),
            open_or_create(&nowhere, &access(&server.endpoint())).await.map(|_| ()),
        ] {
            let text = refused.unwrap_err().to_string();
            assert!(text.contains("arn:aws:s3:::no-such-bucket-here") && text.contains("check the name"), "{text}");
        }
        let closed = Store::open(&place, &access("http://127.0.0.1:9")).await.unwrap_err();
        assert!(closed.is_temporary(), "{closed}");
    });
}

/// A bucket is never made, and a prefix becomes a store only if nothing is there.
#[test]
fn a_typo_never_becomes_a_store() {
    in_environment("requests::a_typo_never_becomes_a_store", async {
        let server = SeaweedFs::start();
        let bucket = server.bucket();
        let access = access(&server.endpoint());
        let (empty, used) = (location(&bucket, "empty"), location(&bucket, "used"));
        let client = crate::bench::client(&server.endpoint()).await;
        let call = client.put_object().bucket(&bucket).key("used/thesis.tex");
        call.body("years of work".to_owned().into_bytes().into()).send().await.unwrap();

        assert!(matches!(Store::open(&empty, &access).await, Err(StoreError::NotFound { .. })));
        for refused in [Store::open(&used, &access).await, open_or_create(&used, &access).await] {
            assert!(matches!(refused, Err(StoreError::NotAStore { .. })), "{refused:?}");
        }
        let root = open_or_create(&location(&bucket, ""), &access).await;
        assert!(matches!(root, Err(StoreError::NotAStore { .. })), "{root:?}");

        let mut racers = tokio::task::JoinSet::new();
        for racer in 0..8 {
            let (empty, access) = (empty.clone(), access.clone());
            racers.spawn(async move {
                let store = open_or_create(&empty, &access).await.unwrap();
                store.create(&Key::PlanClaim(Digest::of(b"x"), racer), b"1").await.unwrap()
            });
        }
        assert_eq!(racers.join_all().await, [Creation::Created; 8]);
        assert_eq!(Store::open(&empty, &access).await.unwrap().list("", None, 100).await.unwrap().len(), 8);

        let marker = client.put_object().bucket(&bucket).key("later/airlock-store.json");
        marker.body(br#"{"schema": "airlock/store/v9"}"#.to_vec().into()).send().await.unwrap();
        let later = open_or_create(&location(&bucket, "later"), &access).await;
        assert!(matches!(later, Err(StoreError::NotAStore { .. })), "{later:?}");
    });
}
