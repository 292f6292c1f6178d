//! Keys in KMS, over HTTP.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed helper is a failed test")]

use aws::{Connection, ErrorKind, Settings};
use aws_credential_types::Credentials;
use aws_double::{ACCESS_KEY, Double, Failure, KeyState, REGION, SECRET_KEY};
use manifest_schema::dsse::{MAX_PAE, Unsigned};
use manifest_schema::keys::SecretKey;
use manifest_schema::statement::{Build, Statement, Subject, Verified, subject};
use manifest_schema::{Digest, Timestamp};
use signing::{KeySource, KmsKey, Signer, SigningError};
use zeroize::Zeroizing;

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&Zeroizing::new([seed; 32]))
}

async fn connect(double: &Double, region: &str) -> Connection {
    let settings = Settings { region: Some(region.to_owned()), endpoint: Some(double.url()), role: None };
    Connection::with_credentials(&settings, &[], Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "test")).await
}

async fn open(double: &Double, region: &str, name: &str) -> Result<Signer, SigningError> {
    let KeySource::Kms(name) = name.parse().unwrap() else { panic!("{name} is in no KMS") };
    KmsKey::open(&connect(double, region).await, &name).await.map(Signer::Kms)
}

fn statement() -> Statement<Build> {
    let built_at: Timestamp = "2026-11-22T09:30:00Z".parse().unwrap();
    Statement::new(vec![Subject::new(subject::MANIFEST, Digest::of(b"m"))], Build { built_at })
}

#[tokio::test]
async fn a_key_in_kms_signs_what_the_same_key_in_a_file_would() {
    let double = Double::start();
    let arn = double.key("builder", 1, KeyState::Enabled);
    let expected = Signer::File(key(1)).sign(&statement()).await.unwrap();
    for name in [
        "awskms:///alias/builder".to_owned(),
        format!("awskms:///{}", arn.rsplit('/').next().unwrap()),
        format!("awskms:///{arn}"),
    ] {
        let signer = open(&double, REGION, &name).await.unwrap();
        assert_eq!(signer.public(), key(1).public());
        let signed = signer.sign(&statement()).await.unwrap();
        assert_eq!(signed.envelope, expected.envelope, "{name}");
        Verified::<Build>::open(&signed.envelope, &[key(1).public()]).unwrap();
    }
}

/// An alias may point elsewhere a moment later: who signs is who was asked for the public half.
#[tokio::test]
async fn the_public_half_is_asked_for_once_and_the_same_key_signs() {
    let double = Double::start();
    let arn = double.key("builder", 1, KeyState::Enabled);
    let signer = open(&double, REGION, "awskms:///alias/builder").await.unwrap();
    signer.sign(&statement()).await.unwrap();
    signer.sign(&statement()).await.unwrap();
    assert_eq!(double.calls_of("kms:GetPublicKey").len(), 1);
    for call in double.calls_of("kms:Sign") {
        assert_eq!(call.parameters["KeyId"], arn);
        assert_eq!(call.parameters["MessageType"], "RAW");
        assert_eq!(call.parameters["SigningAlgorithm"], "ED25519_SHA_512");
    }
}

/// The region of an ARN is where the key is, whatever else is configured.
#[tokio::test]
async fn an_arn_is_asked_for_in_its_own_region() {
    let double = Double::start();
    let arn = double.key("builder", 1, KeyState::Enabled);
    let signer = open(&double, "us-east-1", &format!("awskms:///{arn}")).await.unwrap();
    signer.sign(&statement()).await.unwrap();
    assert!(double.calls().iter().all(|call| call.region.as_deref() == Some(REGION)));
    let failed = open(&double, "us-east-1", "awskms:///alias/builder").await.unwrap_err();
    let SigningError::Aws(error) = failed else { panic!("{failed}") };
    assert_eq!(error.kind(), ErrorKind::Missing);
    assert!(error.to_string().contains("arn:aws:kms:us-east-1"), "{error}");
    assert!(error.advice().contains("region"), "{}", error.advice());
}

/// Threat: who answers in KMS's name, or an alias that was moved, gets no envelope made.
#[tokio::test]
async fn a_wrong_signature_makes_no_envelope() {
    let double = Double::start();
    double.key("builder", 1, KeyState::Enabled);
    let signer = open(&double, REGION, "awskms:///alias/builder").await.unwrap();
    for lie in [Failure::OtherKey, Failure::Garbage] {
        double.fail("kms:Sign", lie.clone());
        let refused = signer.sign(&statement()).await.unwrap_err();
        assert!(matches!(refused, SigningError::WrongSignature { .. }), "{lie:?}: {refused}");
        assert!(!refused.is_temporary());
    }
    signer.sign(&statement()).await.unwrap();
}

#[tokio::test]
async fn what_is_too_long_is_never_sent() {
    let double = Double::start();
    double.key("builder", 1, KeyState::Enabled);
    let signer = open(&double, REGION, "awskms:///alias/builder").await.unwrap();
    let subjects = (0..40).map(|_| Subject::new(subject::MANIFEST, Digest::of(b"m"))).collect();
    let built_at: Timestamp = "2026-11-22T09:30:00Z".parse().unwrap();
    let refused = signer.sign(&Statement::new(subjects, Build { built_at })).await.unwrap_err();
    assert!(matches!(refused, SigningError::TooLong(_)), "{refused}");
    assert_eq!(double.calls_of("kms:Sign"), []);
    let head = Unsigned::new(vec![b' '; 4000]).unwrap().message().len() - 4000;
    signer.seal(Unsigned::new(vec![b' '; MAX_PAE - head]).unwrap()).await.unwrap();
}

#[tokio::test]
async fn other_kinds_of_keys_are_refused_with_how_to_make_one() {
    let double = Double::start();
    double.key("p256", 1, KeyState::OtherSpec);
    double.key("agreement", 2, KeyState::OtherUsage);
    for (name, problem) in [
        ("awskms:///alias/p256", "its key spec is ECC_NIST_P256"),
        ("awskms:///alias/agreement", "its key usage is KEY_AGREEMENT"),
    ] {
        let refused = open(&double, REGION, name).await.unwrap_err();
        assert!(matches!(refused, SigningError::WrongKind { .. }), "{refused}");
        let text = refused.to_string();
        assert!(text.contains(problem) && text.contains("--key-spec ECC_NIST_EDWARDS25519"), "{text}");
    }
}

#[tokio::test]
async fn what_passes_by_itself_is_tried_again() {
    let double = Double::start();
    double.key("builder", 1, KeyState::Enabled);
    let signer = open(&double, REGION, "awskms:///alias/builder").await.unwrap();
    double.fail("kms:Sign", Failure::Error { status: 400, code: "ThrottlingException", message: "Rate exceeded" });
    double.fail("kms:Sign", Failure::Cut);
    double.fail("kms:Sign", Failure::Error { status: 500, code: "KMSInternalException", message: "oops" });
    signer.sign(&statement()).await.unwrap();
    assert_eq!(double.calls_of("kms:Sign").len(), 4);
}

#[tokio::test]
async fn refusals_name_the_call_the_key_and_what_to_change() {
    let double = Double::start();
    let arn = double.key("builder", 1, KeyState::Enabled);
    let signer = open(&double, REGION, "awskms:///alias/builder").await.unwrap();
    let skewed = "Signature expired: 20261122T090000Z is now earlier than 20261122T093000Z (20261122T093500Z - 5 min.)";
    for (code, message, kind, advice) in [
        ("AccessDeniedException", "User is not authorized", ErrorKind::Denied, "allow kms:Sign on arn:aws:kms"),
        ("DisabledException", "is disabled", ErrorKind::Unusable, "enable it"),
        ("KMSInvalidStateException", "is pending deletion", ErrorKind::Unusable, "cancel its deletion"),
        ("InvalidKeyUsageException", "incompatible", ErrorKind::Unusable, "the right kind"),
        ("NotFoundException", "Invalid arn us-east-1", ErrorKind::Missing, "the region of arn:aws:kms"),
        ("ExpiredTokenException", "expired", ErrorKind::Expired, "log in again"),
        ("UnrecognizedClientException", "invalid", ErrorKind::UnknownCredentials, "AWS_PROFILE"),
        ("InvalidSignatureException", skewed, ErrorKind::ClockSkew, "set this machine's clock"),
    ] {
        double.fail("kms:Sign", Failure::Error { status: 400, code, message });
        let failed = signer.sign(&statement()).await.unwrap_err();
        let SigningError::Aws(error) = &failed else { panic!("{failed}") };
        assert_eq!(error.kind(), kind, "{code}");
        assert_eq!(error.to_string(), format!("kms:Sign on {arn} failed: {code}, {message}, request double-1"));
        assert!(error.advice().contains(advice), "{code}: {}", error.advice());
        assert!(!failed.is_temporary(), "{code}");
    }
}

#[tokio::test]
async fn a_key_that_is_switched_off_says_so_before_anything_is_made() {
    let double = Double::start();
    for (alias, state, says) in
        [("off", KeyState::Disabled, "is disabled"), ("dying", KeyState::PendingDeletion, "is pending deletion")]
    {
        double.key(alias, 1, state);
        let failed = open(&double, REGION, &format!("awskms:///alias/{alias}")).await.unwrap_err();
        let SigningError::Aws(error) = failed else { panic!("{failed}") };
        assert_eq!(error.kind(), ErrorKind::Unusable);
        assert!(error.to_string().contains(says), "{error}");
        assert_eq!(error.call().to_string(), format!("kms:GetPublicKey on alias/{alias}"));
    }
}
