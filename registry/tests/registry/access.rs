//! Who we are: passwords, tokens that end in the middle of a push, and ECR.

use std::sync::atomic::{AtomicUsize, Ordering};

use aws_credential_types::Credentials as AwsCredentials;
use emulators::faults::{Fault, FaultProxy, Seen};
use emulators::tokens::{BASIC, PASSWORD, USER, refused, token_server};
use emulators::{ACCESS_KEY, Moto, REGION, SECRET_KEY};
use registry::{Credentials, Registry, RegistryError};

use crate::image::{noise, simple};
use crate::site::{Site, into};

fn somebody(password: &str) -> Credentials {
    Credentials::Basic { user: USER.to_owned(), password: password.to_owned().into() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_asked_for_once_and_again_when_it_ends_in_the_middle() {
    let site = Site::new().await;
    let layers: Vec<Vec<u8>> = (1..=4).map(|seed| noise(seed, 500_000)).collect();
    let image = simple(&site.store, &layers).await;
    // One that is good for long is enough; of those that are used up after 8 requests it takes some.
    for (repository, good_for, tokens) in [("good", 1000, 1..=1), ("short", 8, 3..=12)] {
        let (plan, asked) = token_server(site.address(), good_for);
        site.proxy.plan(plan);
        let pushed =
            site.registry(somebody(PASSWORD)).push(&into(repository), &image, &site.store, &site.listener()).await;
        assert_eq!(pushed.unwrap_or_else(|error| panic!("{repository}: {error}")).sent.blobs, 6);
        let asked = asked.lock().unwrap().clone();
        assert!(tokens.contains(&asked.len()), "{repository}: {}", asked.len());
        assert!(asked.iter().all(|query| *query == format!("service=tests&scope=repository:{repository}:pull%2Cpush")));
        site.assert_arrived(repository, &image);
        let (shown, secret): (Vec<_>, Vec<_>) = site.proxy.seen().into_iter().partition(|seen| seen.path != "/token");
        assert!(shown.iter().all(|seen| seen.authorization.as_deref() != Some(BASIC)), "only the token server is told");
        assert_eq!(secret.len(), asked.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_shown_to_who_asks_for_it_and_nobody_is_let_in_with_another() {
    let site = Site::new().await;
    let image = simple(&site.store, &[noise(1, 100_000)]).await;
    let push =
        async |credentials| site.registry(credentials).push(&into("app"), &image, &site.store, &site.listener()).await;
    let (plan, _) = token_server(site.address(), 1000);
    site.proxy.plan(plan);
    for wrong in [somebody("sesame"), Credentials::Anonymous] {
        let error = push(wrong).await.unwrap_err();
        assert!(matches!(error, RegistryError::Denied { .. }), "{error}");
        assert!(error.to_string().contains("/token gives no token: HTTP 401; let this user pull from"), "{error}");
    }

    let basic = |seen: &Seen| match seen.authorization.as_deref() == Some(BASIC) {
        true => Fault::None,
        false => refused("Basic realm=\"tests\"".to_owned()),
    };
    site.proxy.plan(basic);
    for wrong in [somebody("sesame"), Credentials::Anonymous] {
        let error = push(wrong).await.unwrap_err();
        assert!(matches!(error, RegistryError::Denied { .. }), "{error}");
        assert!(!format!("{error:?}").contains("sesame"));
    }
    site.proxy.plan(basic);
    push(somebody(PASSWORD)).await.unwrap();
    let shown: Vec<bool> = site.proxy.seen().iter().map(|seen| seen.authorization.is_some()).collect();
    // The first blobs are looked for at once.
    let unasked = shown.iter().filter(|shown| !**shown).count();
    assert!(!shown[0] && unasked <= 2, "not before it is asked for, and always after: {shown:?}");
    site.assert_arrived("app", &image);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_never_goes_over_a_network_in_plain_sight() {
    let site = Site::new().await;
    let image = simple(&site.store, &[noise(1, 1000)]).await;
    for realm in
        ["http://auth.example.com/token", "ftp://127.0.0.1/", "", "http://127.0.0.1.example.com/", "file:///etc/passwd"]
    {
        site.proxy.plan(move |_| refused(format!("Bearer realm=\"{realm}\"")));
        let pushed = site.registry(somebody(PASSWORD)).push(&into("app"), &image, &site.store, &site.listener()).await;
        let error = pushed.unwrap_err();
        assert!(matches!(error, RegistryError::WrongAnswer { .. }), "{error}");
        assert!(error.to_string().contains("which is not https"), "{error}");
    }
}

/// A way to moto, through a proxy that counts and may answer itself.
async fn aws(proxy: &FaultProxy) -> Credentials {
    let settings =
        aws::Settings { region: Some(REGION.to_owned()), endpoint: Some(proxy.endpoint()), ..aws::Settings::default() };
    let credentials = AwsCredentials::new(ACCESS_KEY, SECRET_KEY, None, None, "tests");
    Credentials::Ecr(Box::new(aws::Connection::with_credentials(&settings, &[], credentials).await))
}

#[tokio::test(flavor = "multi_thread")]
async fn ecr_lets_in_with_a_token_of_aws() {
    let site = Site::new().await;
    let moto = Moto::start();
    let way = FaultProxy::start(moto.port());
    let image = simple(&site.store, &[noise(1, 100_000), noise(2, 100_000)]).await;
    let registry = site.registry(aws(&way).await);
    let shown = |seen: &Seen| match seen.authorization.as_deref().is_some_and(|header| header.starts_with("Basic ")) {
        true => Fault::None,
        false => refused("Basic realm=\"ecr\",service=\"ecr.amazonaws.com\"".to_owned()),
    };
    site.proxy.plan(shown);
    registry.push(&into("app"), &image, &site.store, &site.listener()).await.unwrap();
    registry.push(&into("again"), &image, &site.store, &site.listener()).await.unwrap();
    assert_eq!(way.seen().len(), 1, "a token is good for 12 hours");
    assert!(site.proxy.seen().iter().all(|seen| seen.authorization.is_some()), "ECR needn't ask");
    site.assert_arrived("app", &image);

    // It turns one down before its time.
    let given = AtomicUsize::new(0);
    way.plan(move |_| {
        let number = given.fetch_add(1, Ordering::Relaxed);
        let data =
            format!(r#"{{"authorizationData":[{{"authorizationToken":"token-{number}","expiresAt":4102444800}}]}}"#);
        Fault::Answer(200, vec![("content-type", "application/x-amz-json-1.1".to_owned())], data)
    });
    let seen_so_far = AtomicUsize::new(0);
    site.proxy.plan(move |seen| {
        let current = format!("Basic token-{}", usize::from(seen_so_far.fetch_add(1, Ordering::Relaxed) >= 5));
        match seen.authorization.as_ref() == Some(&current) {
            true => Fault::None,
            false => refused("Basic realm=\"ecr\"".to_owned()),
        }
    });
    let registry = site.registry(aws(&way).await);
    registry.push(&into("renewed"), &image, &site.store, &site.listener()).await.unwrap();
    assert_eq!(way.seen().len(), 2);
    site.assert_arrived("renewed", &image);

    let denied =
        r#"{"__type":"AccessDeniedException","message":"not authorized to perform: ecr:GetAuthorizationToken"}"#;
    let json = || vec![("content-type", "application/x-amz-json-1.1".to_owned())];
    way.plan(move |_| Fault::Answer(400, json(), denied.to_owned()));
    let registry = site.registry(aws(&way).await);
    let error = registry.push(&into("app"), &image, &site.store, &site.listener()).await.unwrap_err();
    assert!(matches!(error, RegistryError::Aws(_)), "{error}");
    assert!(error.to_string().contains("; allow ecr:GetAuthorizationToken on * for this identity"), "{error}");

    let elsewhere = "registry.example.com".parse().unwrap();
    let error = Registry::open(&elsewhere, aws(&way).await).unwrap_err();
    assert!(error.to_string().starts_with("registry.example.com is not a registry of ECR"), "{error}");
}
