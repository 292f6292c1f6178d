//! Tags are put where there are none, and never moved.

use emulators::faults::Fault;
use manifest_schema::Digest;
use registry::{Destination, RegistryError};

use crate::image::{noise, simple};
use crate::site::{Site, into};

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_is_put_once_and_another_image_is_refused_before_anything_is_sent() {
    let site = Site::new().await;
    let tagged = Destination { tag: Some("1.0".parse().unwrap()), ..into("app") };
    let (first, second) = (simple(&site.store, &[noise(1, 1000)]).await, simple(&site.store, &[noise(2, 1000)]).await);
    site.push(&tagged, &first).await.unwrap();
    let source = format!("docker://{}/app:1.0", site.docker.address());
    let raw = site.skopeo(&["inspect", "--raw", "--tls-verify=false", &source]);
    assert_eq!(Digest::of(&raw), first[0].digest);

    site.proxy.plan(|_| Fault::None);
    site.push(&tagged, &first).await.unwrap();
    assert!(site.proxy.seen().iter().all(|seen| seen.method == "HEAD"));

    site.proxy.plan(|_| Fault::None);
    let error = site.push(&tagged, &second).await.unwrap_err();
    assert!(matches!(&error, RegistryError::TagTaken { wanted, .. } if *wanted == second[0].digest));
    let (address, there, wanted) = (site.address(), first[0].digest, second[0].digest);
    assert_eq!(
        error.to_string(),
        format!(
            "the tag 1.0 of {address}/app is {there} already, not {wanted}: choose another tag, or none, as images are \
             deployed by digest"
        )
    );
    assert_eq!(site.proxy.seen().len(), 1);
    assert!(!error.is_temporary());

    // Without the tag nothing is in the way.
    site.push(&into("app"), &second).await.unwrap();
    site.assert_arrived("app", &second);
    let raw = site.skopeo(&["inspect", "--raw", "--tls-verify=false", &source]);
    assert_eq!(Digest::of(&raw), first[0].digest);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_immutable_tag_that_comes_up_meanwhile_decides() {
    let site = Site::new().await;
    let tagged = Destination { tag: Some("1.0".parse().unwrap()), ..into("app") };
    let (first, second) = (simple(&site.store, &[noise(1, 1000)]).await, simple(&site.store, &[noise(2, 1000)]).await);
    site.push(&tagged, &first).await.unwrap();
    // What ECR answers: the tag wasn't there when it was looked for.
    let immutable = r#"{"errors":[{"code":"TAG_INVALID","message":"The image tag '1.0' already exists"}]}"#;
    for (image, fine) in [(&first, true), (&second, false)] {
        let looked = std::sync::atomic::AtomicUsize::new(0);
        site.proxy.plan(move |seen| match (seen.path.ends_with("/manifests/1.0"), seen.method.as_str()) {
            (true, "HEAD") if looked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < 2 => {
                Fault::Answer(404, Vec::new(), String::new())
            }
            (true, "PUT") => Fault::Answer(400, Vec::new(), immutable.to_owned()),
            _ => Fault::None,
        });
        match site.push(&tagged, image).await {
            Ok(_) => assert!(fine),
            Err(error) => assert!(!fine && matches!(error, RegistryError::TagTaken { .. }), "{error}"),
        }
    }
}
