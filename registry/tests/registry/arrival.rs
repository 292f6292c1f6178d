//! What arrives, and what doesn't have to be sent.

use emulators::faults::Fault;
use manifest_schema::Digest;
use registry::{Amount, Destination, RegistryError};
use serde_json::json;

use crate::image::{Maker, OCI_MANIFEST, noise, simple};
use crate::site::{Site, into};

#[tokio::test(flavor = "multi_thread")]
async fn an_image_arrives_as_it_is_and_what_is_there_is_not_sent_again() {
    let site = Site::new().await;
    let base = [noise(1, 3_000_000), noise(2, 600_000), noise(3, 1), Vec::new()];
    let first = simple(&site.store, &base).await;
    let pushed = site.push(&into("team/app"), &first).await.unwrap();
    assert_eq!(pushed.digest, first[0].digest);
    let bytes = first.iter().map(|entry| entry.size).sum();
    assert_eq!((pushed.sent, pushed.present), (Amount { blobs: 6, bytes }, Amount::default()));
    site.assert_arrived("team/app", &first);

    site.proxy.plan(|_| Fault::None);
    let again = site.push(&into("team/app"), &first).await.unwrap();
    assert_eq!((again.present, again.sent), (pushed.sent, Amount::default()));
    assert!(site.proxy.seen().iter().all(|seen| seen.method == "HEAD"), "{:?}", site.proxy.seen());

    // One changed layer: it, the configuration that names it, and the manifest.
    let second = simple(&site.store, &[base[0].clone(), noise(9, 700_000), base[2].clone(), base[3].clone()]).await;
    site.proxy.plan(|_| Fault::None);
    let pushed = site.push(&into("team/app"), &second).await.unwrap();
    let changed: u64 = second.iter().filter(|entry| !first.contains(entry)).map(|entry| entry.size).sum();
    assert_eq!((pushed.sent.blobs, pushed.present.blobs), (3, 3));
    assert_eq!(pushed.sent.bytes, changed);
    assert_eq!(site.proxy.seen().iter().map(|seen| seen.length as u64).sum::<u64>(), changed);
    site.assert_arrived("team/app", &second);

    let registry = site.registry(registry::Credentials::Anonymous);
    // This registry makes repositories as images come; one like ECR says that there is none.
    assert!(registry.has_repository(&"team/other".parse().unwrap()).await.unwrap());
    let unknown = r#"{"errors":[{"code":"NAME_UNKNOWN","message":"The repository does not exist"}]}"#;
    site.proxy.plan(|_| Fault::Answer(404, Vec::new(), unknown.to_owned()));
    assert!(!registry.has_repository(&"team/other".parse().unwrap()).await.unwrap());
    let error = site.push(&into("team/other"), &first).await.unwrap_err();
    let address = site.address();
    let told = format!("there is no repository team/other in {address}: create it, or correct its name");
    assert_eq!(error.to_string(), told);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_travels_with_its_platforms_attestations_and_referrers() {
    let site = Site::new().await;
    let mut maker = Maker::new(&site.store).await;
    let shared = noise(1, 50_000);
    let mut named = Vec::new();
    for (architecture, seed) in [("amd64", 2), ("arm64", 3)] {
        let mut image = maker.image(architecture, &[shared.clone(), noise(seed, 80_000)]).await;
        image["platform"] = json!({ "os": "linux", "architecture": architecture });
        let attestation = maker.attestation(&image).await;
        named.extend([image, attestation]);
    }
    // Not part of the index: it refers to it.
    let empty = maker.blob("application/vnd.oci.empty.v1+json", b"{}".to_vec()).await;
    let sbom = maker.blob("application/spdx+json", noise(4, 10_000)).await;
    let index = maker.index(&named).await;
    let mut image = maker.list();
    let mut maker = Maker::new(&site.store).await;
    let fields =
        json!({ "artifactType": "application/spdx+json", "config": empty, "layers": [sbom], "subject": index });
    maker.manifest(fields).await;
    let referrer = maker.list().remove(0);
    image.push(referrer.clone());

    let pushed = site.push(&into("app"), &image).await.unwrap();
    assert_eq!(pushed.digest, image[0].digest);
    // Four manifests, the index, the referrer; shared layers and configurations once.
    assert_eq!(pushed.sent.blobs, image.len() as u64);
    let puts = site.seen("PUT").into_iter().filter(|seen| seen.path.contains("/manifests/"));
    let order: Vec<String> = puts.map(|seen| seen.path.rsplit('/').next().unwrap().to_owned()).collect();
    assert_eq!(order.len(), 6);
    assert_eq!(order[4..], [image[0].digest.to_string(), referrer.digest.to_string()]);
    site.assert_arrived("app", &image[..image.len() - 3]);
    let source = format!("docker://{}/app@{}", site.docker.address(), referrer.digest);
    let raw = site.skopeo(&["inspect", "--raw", "--tls-verify=false", &source]);
    assert_eq!(Digest::of(&raw), referrer.digest);
}

#[tokio::test(flavor = "multi_thread")]
async fn blobs_of_another_repository_are_mounted() {
    let site = Site::new().await;
    let layers = [noise(1, 400_000), noise(2, 300_000)];
    let base = simple(&site.store, &layers).await;
    site.push(&into("base"), &base).await.unwrap();
    let derived = simple(&site.store, &[layers[0].clone(), layers[1].clone(), noise(3, 200_000)]).await;
    let to = Destination { mount_from: vec!["nothing".parse().unwrap(), "base".parse().unwrap()], ..into("derived") };
    site.proxy.plan(|_| Fault::None);
    let pushed = site.push(&to, &derived).await.unwrap();
    assert_eq!((pushed.mounted, pushed.sent.blobs), (Amount { blobs: 2, bytes: 700_000 }, 3));
    assert_eq!(site.seen("PATCH").len(), 2);
    site.assert_arrived("derived", &derived);

    // A registry that doesn't let us mount, or doesn't know how, gets the bytes.
    for (status, repository) in [(401, "one"), (403, "two"), (404, "three"), (405, "four"), (500, "five")] {
        site.proxy.plan(move |seen| match seen.query.contains("mount=") {
            true => Fault::Answer(status, Vec::new(), String::new()),
            false => Fault::None,
        });
        let to = Destination { mount_from: vec!["base".parse().unwrap()], ..into(repository) };
        let pushed = site.push(&to, &base).await.unwrap();
        assert_eq!((pushed.mounted.blobs, pushed.sent.blobs), (0, 4), "{status}");
        site.assert_arrived(repository, &base);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_does_not_fit_its_manifests_goes_nowhere() {
    let site = Site::new().await;
    let image = simple(&site.store, &[noise(1, 1000), noise(2, 1000)]).await;
    let mut stranger = image.clone();
    stranger.push(simple(&site.store, &[noise(3, 10)]).await.pop().unwrap());
    let mut resized = image.clone();
    resized.last_mut().unwrap().size += 1;
    let mut mistaken = image.clone();
    mistaken[0].media_type = "application/octet-stream".to_owned();
    for (list, problem) in [
        (&image[..0], "it is empty"),
        (&image[..3], "which is not in it"),
        (&resized, "which is not in it"),
        (&stranger, "no manifest names sha256:"),
        (&mistaken, "can't read the manifest"),
    ] {
        let error = site.push(&into("app"), list).await.unwrap_err();
        assert!(error.to_string().contains(problem), "{error}");
        assert!(matches!(error, RegistryError::WrongList { .. } | RegistryError::Document { .. }));
    }
    assert_eq!(site.proxy.seen(), []);
    assert!(image[0].media_type == OCI_MANIFEST);
}
