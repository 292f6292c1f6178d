//! What goes wrong on the way, and what must not go wrong because of it.

use std::collections::BTreeSet;

use emulators::faults::{Fault, Seen};
use manifest_schema::manifest::BlobEntry;
use registry::RegistryError;
use store::StoreError;

use crate::image::{noise, simple};
use crate::site::{Site, into};

type Fits = fn(&Seen) -> bool;

/// Each kind of request that a push makes.
const KINDS: [(&str, Fits); 6] = [
    ("find a blob", |seen| seen.method == "HEAD" && seen.path.contains("/blobs/")),
    ("begin", |seen| seen.method == "POST"),
    ("send", |seen| seen.method == "PATCH" && seen.length > 1000),
    ("finish", |seen| seen.method == "PUT" && seen.path.contains("/blobs/")),
    ("find a manifest", |seen| seen.method == "HEAD" && seen.path.contains("/manifests/")),
    ("put a manifest", |seen| seen.method == "PUT" && seen.path.contains("/manifests/")),
];

fn answer(status: u16) -> Fault {
    Fault::Answer(status, Vec::new(), r#"{"errors":[{"code":"UNKNOWN","message":"planned\u0007"}]}"#.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_in_passing_is_tried_again() {
    let site = Site::new().await;
    let image = simple(&site.store, &[noise(1, 2_000_000), noise(2, 100_000)]).await;
    let faults = [answer(503), answer(429), Fault::Dropped, Fault::LostAnswer, Fault::CarriedOutBut(502, "Bad")];
    for (number, (kind, fits)) in KINDS.into_iter().enumerate() {
        for (variant, fault) in faults.iter().enumerate() {
            let repository = format!("app-{number}-{variant}");
            site.proxy.first(1, fault.clone(), fits);
            let pushed = site.push(&into(&repository), &image).await;
            let pushed = pushed.unwrap_or_else(|error| panic!("{kind}, {fault:?}: {error}"));
            assert_eq!(pushed.sent.blobs + pushed.present.blobs, 4, "{kind}, {fault:?}");
            site.assert_arrived(&repository, &image);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_on_failing_or_is_refused_is_told_in_the_end() {
    let site = Site::new().await;
    let image = simple(&site.store, &[noise(1, 200_000)]).await;
    for (number, (kind, fits)) in KINDS.into_iter().enumerate() {
        let to = into(&format!("app-{number}"));
        site.proxy.plan(move |seen| if fits(seen) { answer(503) } else { Fault::None });
        let error = site.push(&to, &image).await.unwrap_err();
        assert!(matches!(error, RegistryError::Unavailable { .. }) && error.is_temporary(), "{kind}: {error}");
        // A HEAD has no body to say more in.
        let said = if kind.starts_with("find") { "HTTP 503" } else { "HTTP 503, UNKNOWN planned" };
        assert!(error.to_string().ends_with(&format!(": {said}; run again in a moment")), "{error}");
        assert!(site.proxy.seen().iter().filter(|seen| fits(seen)).count() <= 15, "{kind}");

        site.proxy.plan(move |seen| if fits(seen) { answer(400) } else { Fault::None });
        let error = site.push(&to, &image).await.unwrap_err();
        assert!(matches!(error, RegistryError::Refused { .. }) && !error.is_temporary(), "{kind}: {error}");
        assert!(error.to_string().contains("HTTP 400"), "{error}");

        site.proxy.plan(move |seen| if fits(seen) { answer(403) } else { Fault::None });
        let error = site.push(&to, &image).await.unwrap_err();
        assert!(matches!(error, RegistryError::Denied { .. }), "{kind}: {error}");

        let unknown = r#"{"errors":[{"code":"NAME_UNKNOWN","message":"repository name not known to registry"}]}"#;
        let is_head = matches!(kind, "find a blob" | "find a manifest");
        let missing = move |seen: &Seen| {
            if fits(seen) { Fault::Answer(404, Vec::new(), unknown.to_owned()) } else { Fault::None }
        };
        site.proxy.plan(missing);
        match site.push(&to, &image).await {
            // A HEAD has no body to say so in: what comes next says it.
            Ok(_) => assert!(is_head, "{kind}"),
            Err(error) => assert!(matches!(error, RegistryError::NoRepository { .. }), "{kind}: {error}"),
        }
    }
    let registry = registry::Registry::open(&"127.0.0.1:9".parse().unwrap(), registry::Credentials::Anonymous).unwrap();
    let error = registry.push(&into("app"), &image, &site.store, &site.listener()).await.unwrap_err();
    assert!(matches!(error, RegistryError::Unreachable { .. }) && error.is_temporary(), "{error}");
    assert!(error.to_string().contains("in 127.0.0.1:9/app: "), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_cut_goes_on_where_the_registry_says_and_otherwise_begins_anew() {
    let site = Site::new().await;
    let image = simple(&site.store, &[noise(1, 3_000_000)]).await;
    // docker-registry 2.8 can't say how much it has of an upload that was cut.
    site.proxy.first(2, Fault::CutUpload(1_000_000), |seen| seen.length > 1_000_000);
    site.push(&into("cut"), &image).await.unwrap();
    assert_eq!(site.resumed(), [0, 0]);
    site.assert_arrived("cut", &image);

    // A registry that can say gets the rest.
    site.proxy.plan(|seen| match seen.method.as_str() {
        "PATCH" if seen.length == 3_000_000 => Fault::PartOfUpload(1_234_567),
        "GET" => Fault::UploadStatus,
        _ => Fault::None,
    });
    site.push(&into("part"), &image).await.unwrap();
    assert_eq!(site.resumed(), [1_234_567]);
    let lengths: Vec<usize> =
        site.seen("PATCH").iter().map(|seen| seen.length).filter(|length| *length > 1000).collect();
    assert_eq!(lengths, [3_000_000, 3_000_000 - 1_234_567]);
    site.assert_arrived("part", &image);

    // One that is wrong about it ends up with something else, which is no blob, and then gets everything.
    site.proxy.plan(|seen| match seen.method.as_str() {
        "PATCH" if seen.number < 12 && seen.length == 3_000_000 => Fault::PartOfUpload(1_234_567),
        "PATCH" if seen.length == 3_000_000 - 1_234_567 => Fault::WrongUpload,
        "GET" => Fault::UploadStatus,
        _ => Fault::None,
    });
    site.push(&into("wrong"), &image).await.unwrap();
    assert_eq!(site.resumed(), [1_234_567, 0]);
    site.assert_arrived("wrong", &image);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_changed_on_its_way_is_sent_again() {
    let site = Site::new().await;
    let image = simple(&site.store, &[noise(1, 300_000)]).await;
    site.proxy.first(1, Fault::WrongUpload, |seen| seen.length == 300_000);
    site.push(&into("app"), &image).await.unwrap();
    assert_eq!(site.resumed(), [0]);
    site.assert_arrived("app", &image);
    // Twice is not by chance.
    site.proxy.plan(|seen| if seen.length == 300_000 { Fault::WrongUpload } else { Fault::None });
    let error = site.push(&into("other"), &image).await.unwrap_err();
    assert!(matches!(error, RegistryError::Refused { .. }), "{error}");
    assert!(error.to_string().contains("DIGEST_INVALID"), "{error}");
    assert_eq!(site.seen("PATCH").iter().filter(|seen| seen.length == 300_000).count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_store_has_damaged_never_becomes_a_blob() {
    for (which, at) in [(2, 0), (2, 1_999_999), (2, 1_000_000), (3, 5), (1, 3)] {
        let site = Site::new().await;
        let image = simple(&site.store, &[noise(1, 2_000_000), noise(2, 10)]).await;
        let damaged: &BlobEntry = &image[which];
        site.damage(&damaged.digest, at);
        let error = site.push(&into("app"), &image).await.unwrap_err();
        let RegistryError::Store(StoreError::BlobMismatch { digest, .. }) = &error else { panic!("{error}") };
        assert_eq!(*digest, damaged.digest);
        let finished = site.seen("PUT").into_iter().filter(|seen| seen.query.contains(&damaged.digest.hex()));
        assert_eq!(finished.count(), 0, "{which}, {at}");
        assert!(!site.has_blob(&damaged.digest));
        // Not even all of its bytes left.
        assert!(site.seen("PATCH").iter().all(|seen| seen.length as u64 != damaged.size));
        assert_eq!(site.seen("DELETE").len(), 1, "the upload is cancelled");
        assert!(site.seen("PUT").iter().all(|seen| !seen.path.contains("/manifests/")));
    }
    let site = Site::new().await;
    let image = simple(&site.store, &[noise(1, 10)]).await;
    site.damage(&image[0].digest, 0);
    let error = site.push(&into("app"), &image).await.unwrap_err();
    assert!(matches!(error, RegistryError::Store(StoreError::BlobMismatch { .. })), "{error}");
    assert_eq!(site.proxy.seen(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_can_not_be_right_are_not_believed() {
    let site = Site::new().await;
    let image = simple(&site.store, &[noise(1, 1000)]).await;
    let located = |location: &str| Fault::Answer(202, vec![("location", location.to_owned())], String::new());
    let digest = |text: &str| Fault::Answer(201, vec![("docker-content-digest", text.to_owned())], String::new());
    let (begin, put): (Fits, Fits) = (KINDS[1].1, KINDS[5].1);
    for (fits, fault, problem) in [
        (begin, located("http://127.0.0.1:1/v2/"), "uploads go nowhere but to http://127.0.0.1:"),
        (begin, located("//127.0.0.1:1/v2/"), "uploads go nowhere but to"),
        (begin, located(&format!("http://{}.example.com/v2/", site.address())), "uploads go nowhere but to"),
        (begin, located(&format!("http://{}@127.0.0.1:1/v2/", site.address())), "uploads go nowhere but to"),
        (begin, located("relative"), "uploads go nowhere but to"),
        (begin, Fault::Answer(202, Vec::new(), String::new()), "it has no Location"),
        (put, digest("sha256:00"), "it is about \"sha256:00\""),
    ] {
        site.proxy.plan(move |seen| if fits(seen) { fault.clone() } else { Fault::None });
        let error = site.push(&into("app"), &image).await.unwrap_err();
        assert!(matches!(error, RegistryError::WrongAnswer { .. }), "{error}");
        assert!(error.to_string().contains(problem), "{error}");
    }
    let sized = |seen: &Seen| match seen.method == "HEAD" && seen.path.contains("/blobs/") {
        true => Fault::Answer(200, Vec::new(), "two".to_owned()),
        false => Fault::None,
    };
    site.proxy.plan(sized);
    let error = site.push(&into("app"), &image).await.unwrap_err();
    assert!(error.to_string().contains("has 3 bytes there, not"), "{error}");
    // A blob that is kept elsewhere is there; nobody follows.
    let moved: BTreeSet<u16> = [302, 307].into();
    for status in moved {
        site.proxy.plan(move |seen| match seen.method == "HEAD" && seen.path.contains("/blobs/") {
            true => Fault::Answer(status, vec![("location", "http://127.0.0.1:1/".to_owned())], String::new()),
            false => Fault::None,
        });
        let error = site.push(&into("elsewhere"), &image).await.unwrap_err();
        assert!(error.to_string().contains("put the manifest"), "{error}");
    }
}
