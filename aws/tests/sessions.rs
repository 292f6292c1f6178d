//! Who we are in AWS, over HTTP.

use std::time::Duration;

use aws::{AwsError, Call, Connection, ErrorKind, Role, Settings, Tag};
use aws_config::timeout::TimeoutConfig;
use aws_credential_types::Credentials;
use aws_double::{ACCESS_KEY, ACCOUNT, Double, Failure, REGION, SECRET_KEY, USER};

fn credentials() -> Credentials {
    Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "test")
}

fn settings(double: &Double, role: Option<&aws_double::Role>) -> Settings {
    let role = role.map(|role| Role {
        arn: role.arn(),
        external_id: role.external_id.clone(),
        session_name: None,
        web_identity: None,
    });
    Settings { region: Some(REGION.to_owned()), endpoint: Some(double.url()), role }
}

async fn connect(double: &Double, role: Option<&aws_double::Role>) -> Connection {
    Connection::with_credentials(&settings(double, role), &[], credentials()).await
}

#[tokio::test]
async fn sts_says_who_we_are() {
    let double = Double::start();
    let identity = connect(&double, None).await.identity().await.unwrap();
    assert_eq!((identity.account.as_str(), identity.arn.as_str()), (ACCOUNT, USER));
    assert_eq!((identity.user_id.as_str(), identity.expires), ("AIDAAIRLOCKDOUBLE000", None));
}

#[tokio::test]
async fn a_role_is_taken_on_with_its_external_id_name_and_tags() {
    let double = Double::start();
    let role = aws_double::Role { external_id: Some("x-1".to_owned()), ..aws_double::Role::open("deploy") };
    double.role(role.clone());
    let mut settings = settings(&double, Some(&role));
    settings.role.as_mut().unwrap().session_name = Some("jenkins".to_owned());
    let tags = [Tag::new("airlock-project", "hello"), Tag::new("airlock-build", "0.7")];
    let connection = Connection::with_credentials(&settings, &tags, credentials()).await;
    let identity = connection.identity().await.unwrap();
    assert_eq!(identity.arn, "arn:aws:sts::111111111111:assumed-role/deploy/jenkins");
    assert_eq!(identity.source, "a role that was taken on");
    assert!(identity.expires.is_some());
    let [call] = &double.calls_of("sts:AssumeRole")[..] else { panic!("{:?}", double.calls()) };
    let said = |name: &str| call.parameters.get(name).map(String::as_str);
    assert_eq!((said("ExternalId"), said("RoleSessionName")), (Some("x-1"), Some("jenkins")));
    assert_eq!((said("Tags.member.1.Key"), said("Tags.member.1.Value")), (Some("airlock-project"), Some("hello")));
    assert_eq!((said("Tags.member.2.Key"), said("Tags.member.2.Value")), (Some("airlock-build"), Some("0.7")));
}

/// What moto answers is no work of ours, so the double can't be wrong alone.
#[tokio::test]
async fn moto_agrees_about_users_and_sessions() {
    let moto = emulators::Moto::start();
    let ask = async |role: Option<Role>| {
        let settings = Settings { region: Some(REGION.to_owned()), endpoint: Some(moto.endpoint()), role };
        let tags = [Tag::new("airlock-project", "hello")];
        Connection::with_credentials(&settings, &tags, credentials()).await.identity().await.unwrap()
    };
    let user = ask(None).await;
    assert_eq!((user.account.as_str(), user.expires), ("123456789012", None));
    assert!(user.arn.starts_with("arn:aws:sts::123456789012:user/"), "{}", user.arn);
    let role = Role {
        arn: "arn:aws:iam::222222222222:role/deploy".to_owned(),
        external_id: Some("x-1".to_owned()),
        session_name: Some("jenkins".to_owned()),
        web_identity: None,
    };
    let session = ask(Some(role)).await;
    assert_eq!(session.account, "222222222222");
    assert_eq!(session.arn, "arn:aws:sts::222222222222:assumed-role/deploy/jenkins");
    assert_eq!(session.source, "a role that was taken on");
    assert!(session.expires.is_some_and(|expires| expires > std::time::SystemTime::now()));
}

/// A deploy may wait for hours for a person: its credentials are those of now.
#[tokio::test]
async fn a_session_is_taken_anew_when_it_has_expired() {
    let double = Double::start();
    let role = aws_double::Role { lasts: Duration::from_secs(2), ..aws_double::Role::open("deploy") };
    double.role(role.clone());
    let connection = connect(&double, Some(&role)).await;
    let client = aws_sdk_sts::Client::new(connection.config());
    for _ in 0..2 {
        client.get_caller_identity().send().await.unwrap();
        tokio::time::sleep(Duration::from_millis(2500)).await;
    }
    let keys: Vec<_> = double.calls_of("sts:GetCallerIdentity").into_iter().map(|call| call.access_key).collect();
    assert_eq!(keys.len(), 2);
    assert_ne!(keys[0], keys[1], "the second call was made with the session that had expired");
    assert_eq!(double.calls_of("sts:AssumeRole").len(), 2);
}

#[tokio::test]
async fn a_session_that_lasts_is_used_again() {
    let double = Double::start();
    let role = aws_double::Role::open("deploy");
    double.role(role.clone());
    let connection = connect(&double, Some(&role)).await;
    let client = aws_sdk_sts::Client::new(connection.config());
    for _ in 0..3 {
        client.get_caller_identity().send().await.unwrap();
    }
    assert_eq!(double.calls_of("sts:AssumeRole").len(), 1);
}

#[tokio::test]
async fn refusals_are_sorted_and_say_what_to_change() {
    let double = Double::start();
    let connection = connect(&double, None).await;
    let skewed = "Signature expired: 20261122T090000Z is now earlier than 20261122T093000Z";
    let early = "Signature not yet current: 20261122T100000Z is still later than 20261122T093500Z";
    for (status, code, message, kind, advice) in [
        (403, "AccessDenied", "explicit deny", ErrorKind::Denied, "allow sts:GetCallerIdentity"),
        (403, "ExpiredToken", "expired", ErrorKind::Expired, "log in again"),
        (403, "InvalidClientTokenId", "invalid", ErrorKind::UnknownCredentials, "AWS_PROFILE"),
        (403, "SignatureDoesNotMatch", "does not match", ErrorKind::UnknownCredentials, "AWS_PROFILE"),
        (403, "SignatureDoesNotMatch", skewed, ErrorKind::ClockSkew, "clock"),
        (403, "SignatureDoesNotMatch", early, ErrorKind::ClockSkew, "clock"),
        (403, "RequestExpired", "too old", ErrorKind::ClockSkew, "clock"),
    ] {
        double.fail("sts:GetCallerIdentity", Failure::Error { status, code, message });
        let error = connection.identity().await.unwrap_err();
        assert_eq!(error.kind(), kind, "{code}: {error}");
        assert_eq!(
            error.to_string(),
            format!("sts:GetCallerIdentity on * failed: {code}, {message}, request double-1")
        );
        assert!(error.advice().contains(advice), "{code}: {}", error.advice());
        assert!(!error.is_temporary());
    }
}

/// What STS says about a role is what a person needs, whatever the call was for.
#[tokio::test]
async fn a_role_that_cannot_be_taken_on_is_told_in_the_words_of_sts() {
    let double = Double::start();
    let unknown = aws_double::Role::open("nobodys");
    let error = connect(&double, Some(&unknown)).await.identity().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSession);
    let said = error.to_string();
    let expected = "sts:GetCallerIdentity on * failed: sts:AssumeRole: AccessDenied, User: arn:aws:iam::111111111111:user/ci \
                    is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::111111111111:role/nobodys";
    assert!(said.starts_with(expected), "{said}");
    assert!(error.advice().contains("external id") && error.advice().contains("sts:TagSession"), "{}", error.advice());

    // The same when another client needs the session.
    let connection = connect(&double, Some(&unknown)).await;
    let failed = aws_sdk_sts::Client::new(connection.config()).get_caller_identity().send().await.unwrap_err();
    let call = Call { action: "sts:GetCallerIdentity", resource: "*".to_owned() };
    let error = AwsError::new(call, failed);
    assert_eq!((error.kind(), error.to_string().starts_with(expected)), (ErrorKind::NoSession, true), "{error}");

    double.fail("sts:AssumeRole", Failure::Error { status: 403, code: "ExpiredToken", message: "expired" });
    let error = connect(&double, Some(&unknown)).await.identity().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Expired, "the credentials that take the role on: {error}");
}

#[tokio::test]
async fn a_way_that_is_out_of_order_is_temporary() {
    let double = Double::start();
    let call = || Call { action: "sts:GetCallerIdentity", resource: "*".to_owned() };
    let connection = connect(&double, None).await;
    let hasty = TimeoutConfig::builder().read_timeout(Duration::from_millis(100)).build();
    let config = connection.config().clone().into_builder().timeout_config(hasty);
    let config = config.retry_config(aws_config::retry::RetryConfig::disabled()).build();
    let client = aws_sdk_sts::Client::new(&config);
    let ask = async || AwsError::new(call(), client.get_caller_identity().send().await.unwrap_err());
    for (case, failure) in [("slow", Failure::Slow(Duration::from_secs(2))), ("cut", Failure::Cut)] {
        double.fail("sts:GetCallerIdentity", failure);
        let error = ask().await;
        assert_eq!((error.kind(), error.is_temporary()), (ErrorKind::Unavailable, true), "{case}: {error}");
    }
    let settings = Settings { endpoint: Some("http://127.0.0.1:1".to_owned()), ..settings(&double, None) };
    let nowhere = Connection::with_credentials(&settings, &[], credentials()).await;
    let config =
        nowhere.config().clone().into_builder().retry_config(aws_config::retry::RetryConfig::disabled()).build();
    let failed = aws_sdk_sts::Client::new(&config).get_caller_identity().send().await.unwrap_err();
    let error = AwsError::new(call(), failed);
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("refused"), "{error}");
}
