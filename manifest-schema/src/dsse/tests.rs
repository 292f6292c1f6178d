//! Envelopes: what is taken, what is refused, and that others agree.

mod others;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::keys::tests::key;

const PAYLOAD: &[u8] = br#"{"_type":"https://in-toto.io/Statement/v1"}"#;

fn sign(payload: &[u8], key: &SecretKey) -> Vec<u8> {
    Unsigned::new(payload.to_vec()).unwrap().sign(key).envelope
}

fn envelope() -> Value {
    serde_json::from_slice(&sign(PAYLOAD, &key(1))).unwrap()
}

fn check(envelope: &Value) -> Result<VerifiedPayload, EnvelopeError> {
    verify(&serde_json::to_vec(envelope).unwrap(), &[key(1).public(), key(2).public()])
}

/// The vector of the DSSE protocol, v1.0, §"Test vectors".
#[test]
fn the_pre_authentication_encoding_is_that_of_the_specification() {
    let encoded = pae("http://example.com/HelloWorld", b"hello world");
    assert_eq!(encoded, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    assert_eq!(pae("", b""), b"DSSEv1 0  0 ");
    // Lengths are of bytes, not of characters.
    assert_eq!(pae("é", "ü€".as_bytes()), "DSSEv1 2 é 5 ü€".as_bytes());
}

#[test]
fn an_envelope_is_written_as_the_specification_and_kms_want_it() {
    let envelope = envelope();
    assert_eq!(envelope["payloadType"], PAYLOAD_TYPE);
    assert_eq!(envelope["payload"], base64::engine::general_purpose::STANDARD.encode(PAYLOAD));
    assert_eq!(envelope["signatures"].as_array().unwrap().len(), 1);
    assert_eq!(envelope["signatures"][0]["keyid"], key(1).public().id().to_string());
    assert!(envelope["signatures"][0]["sig"].as_str().unwrap().ends_with("=="), "padded");
    let verified = check(&envelope).unwrap();
    assert_eq!((verified.bytes(), verified.signers()), (PAYLOAD, &[key(1).public()][..]));
}

type Mutation = fn(&mut Value);

/// Changes that take nothing away from the signature: the one signer still counts once, for the same bytes.
#[test]
fn mutations_that_change_nothing() {
    fn url_safe(text: &Value) -> Value {
        text.as_str().unwrap().replace('+', "-").replace('/', "_").into()
    }
    let harmless: &[(&str, Mutation)] = &[
        ("no keyid", |e| {
            e["signatures"][0].as_object_mut().unwrap().remove("keyid");
        }),
        ("empty keyid", |e| e["signatures"][0]["keyid"] = "".into()),
        ("junk keyid", |e| e["signatures"][0]["keyid"] = "\u{1b}[31mtrusted".into()),
        ("another's keyid", |e| e["signatures"][0]["keyid"] = key(2).public().id().to_string().into()),
        ("the signature twice", |e| {
            let twice = e["signatures"][0].clone();
            e["signatures"].as_array_mut().unwrap().push(twice);
        }),
        ("one key under two ids", |e| {
            let mut twice = e["signatures"][0].clone();
            twice["keyid"] = key(2).public().id().to_string().into();
            e["signatures"].as_array_mut().unwrap().push(twice);
        }),
        ("a junk signature beside it", |e| {
            e["signatures"].as_array_mut().unwrap().insert(0, json!({ "sig": "AAAA" }));
        }),
        ("no base64 beside it", |e| {
            e["signatures"].as_array_mut().unwrap().insert(0, json!({ "sig": "***" }));
        }),
        ("fifteen signatures of zeros beside it", |e| {
            let zeros = json!({ "sig": STANDARD_ENGINE.encode([0; 64]) });
            e["signatures"].as_array_mut().unwrap().extend(vec![zeros; 15]);
        }),
        ("URL-safe base64", |e| {
            e["payload"] = url_safe(&e["payload"]);
            e["signatures"][0]["sig"] = url_safe(&e["signatures"][0]["sig"]);
        }),
        ("no padding", |e| {
            e["payload"] = e["payload"].as_str().unwrap().trim_end_matches('=').into();
            e["signatures"][0]["sig"] = e["signatures"][0]["sig"].as_str().unwrap().trim_end_matches('=').into();
        }),
        ("unknown fields", |e| {
            e["extension"] = json!({ "payload": "x", "signatures": [] });
            e["signatures"][0]["cert"] = "x".into();
        }),
    ];
    for (mutation, mutate) in harmless {
        let mut envelope = envelope();
        mutate(&mut envelope);
        let verified = check(&envelope).unwrap_or_else(|error| panic!("{mutation}: {error}"));
        assert_eq!(verified.bytes(), PAYLOAD, "{mutation}");
        assert_eq!(verified.signers(), [key(1).public()], "{mutation}: one key is one signer");
    }
}

/// Changes after which nothing may be believed. Threat model, rows 6, 7, 9 and 12.
#[test]
fn mutations_that_end_in_a_refusal() {
    fn sig(envelope: &mut Value, change: impl Fn(&mut Vec<u8>)) {
        let mut bytes = decode(envelope["signatures"][0]["sig"].as_str().unwrap()).unwrap();
        change(&mut bytes);
        envelope["signatures"][0]["sig"] = STANDARD_ENGINE.encode(bytes).into();
    }
    let refused: &[(&str, Mutation, &str)] = &[
        (
            "another key's signature",
            |e| sig(e, |s| *s = key(3).sign(&pae(PAYLOAD_TYPE, PAYLOAD)).to_vec()),
            "no signature",
        ),
        ("of the payload alone", |e| sig(e, |s| *s = key(1).sign(PAYLOAD).to_vec()), "no signature"),
        ("over another type", |e| sig(e, |s| *s = key(1).sign(&pae("text/plain", PAYLOAD)).to_vec()), "no signature"),
        ("one bit of it flipped", |e| sig(e, |s| s[17] ^= 1), "no signature"),
        ("a byte too short", |e| sig(e, |s| s.truncate(63)), "no signature"),
        ("a byte too long", |e| sig(e, |s| s.push(0)), "no signature"),
        ("s plus the group order", |e| sig(e, |s| add_group_order(&mut s[32..])), "no signature"),
        ("an empty signature", |e| e["signatures"][0]["sig"] = "".into(), "no signature"),
        ("no signatures", |e| e["signatures"] = json!([]), "signed by nobody"),
        (
            "seventeen signatures",
            |e| {
                let one = e["signatures"][0].clone();
                e["signatures"] = vec![one; 17].into();
            },
            "17 signatures",
        ),
        ("another payloadType", |e| e["payloadType"] = "application/json".into(), "payloadType"),
        ("the payloadType in capitals", |e| e["payloadType"] = PAYLOAD_TYPE.to_uppercase().into(), "payloadType"),
        (
            "the payload with a space more",
            |e| {
                e["payload"] = STANDARD_ENGINE.encode([PAYLOAD, b" "].concat()).into();
            },
            "no signature",
        ),
        (
            "the payload written anew, meaning the same",
            |e| {
                let value: Value = serde_json::from_slice(PAYLOAD).unwrap();
                e["payload"] = STANDARD_ENGINE.encode(serde_json::to_vec_pretty(&value).unwrap()).into();
            },
            "no signature",
        ),
        ("an empty payload", |e| e["payload"] = "".into(), "no signature"),
        ("a payload that is no base64", |e| e["payload"] = "{}".into(), "not base64"),
        ("a payload in two alphabets", |e| e["payload"] = "-/==".into(), "not base64"),
        (
            "stray bits at the payload's end",
            |e| e["payload"] = "eyJ9".to_owned().replace('9', "B=").into(),
            "not base64",
        ),
        (
            "a line break in the payload",
            |e| {
                e["payload"] = format!("{}\n", e["payload"].as_str().unwrap()).into();
            },
            "not base64",
        ),
        ("a payload that is no text", |e| e["payload"] = json!([123, 125]), "not a DSSE envelope"),
        (
            "no payload",
            |e| {
                e.as_object_mut().unwrap().remove("payload");
            },
            "not a DSSE envelope",
        ),
        (
            "no payloadType",
            |e| {
                e.as_object_mut().unwrap().remove("payloadType");
            },
            "not a DSSE envelope",
        ),
        (
            "a signature without sig",
            |e| {
                e["signatures"][0].as_object_mut().unwrap().remove("sig");
            },
            "not a DSSE envelope",
        ),
        ("one signature in place of a list", |e| e["signatures"] = e["signatures"][0].clone(), "not a DSSE envelope"),
    ];
    for (mutation, mutate, expected) in refused {
        let mut envelope = envelope();
        mutate(&mut envelope);
        let error = check(&envelope).map(|_| ()).expect_err(mutation).to_string();
        assert!(error.contains(expected), "{mutation}: {error}");
    }
}

/// The malleable twin of a signature: s + L is s again for a verifier that doesn't check its range (RFC 8032 §5.1.7).
fn add_group_order(s: &mut [u8]) {
    let mut order = [0u8; 32];
    order[..16].copy_from_slice(&0x14de_f9de_a2f7_9cd6_5812_631a_5cf5_d3edu128.to_le_bytes());
    order[31] = 0x10;
    let mut carry = 0u16;
    for (byte, add) in s.iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
}

#[test]
fn what_is_no_envelope_is_an_error() {
    let keys = [key(1).public()];
    for bytes in ["", " ", "null", "1", "[]", "{}", "{\"payload\":", "not json", "\u{feff}{}"] {
        assert!(matches!(verify(bytes.as_bytes(), &keys), Err(EnvelopeError::Malformed(_))), "{bytes:?}");
    }
    assert!(verify(b"\xff\xfe", &keys).is_err());
    let text = String::from_utf8(sign(PAYLOAD, &key(1))).unwrap();
    let twice = text.replacen("\"payload\":", "\"payload\": \"e30=\", \"payload\":", 1);
    assert!(
        matches!(verify(twice.as_bytes(), &keys), Err(EnvelopeError::Malformed(_))),
        "a repeated payload was taken"
    );
    let mut padded = text.clone().into_bytes();
    padded.resize(MAX_ENVELOPE, b' ');
    assert!(verify(&padded, &keys).is_ok());
    padded.push(b' ');
    assert_eq!(verify(&padded, &keys).map(|_| ()), Err(EnvelopeError::TooLarge(MAX_ENVELOPE + 1)));
    assert!(verify(text.as_bytes(), &[]).is_err(), "no keys accept nothing");
}

/// Threat model, row 9: a torn file is an error at every length.
#[test]
fn an_envelope_cut_at_any_byte_is_an_error() {
    let bytes = sign(PAYLOAD, &key(1));
    let keys = [key(1).public()];
    let end = bytes.iter().rposition(|byte| *byte == b'}').unwrap();
    for length in 0..=end {
        assert!(verify(&bytes[..length], &keys).is_err(), "cut at {length}");
        assert!(inspect(&bytes[..length]).is_err(), "cut at {length}");
    }
    assert!(verify(&bytes[..=end], &keys).is_ok());
}

#[test]
fn two_keys_in_one_envelope_are_two_signers_in_any_order() {
    let mut both = envelope();
    let second: Value = serde_json::from_slice(&sign(PAYLOAD, &key(2))).unwrap();
    both["signatures"].as_array_mut().unwrap().insert(0, second["signatures"][0].clone());
    assert_eq!(check(&both).unwrap().signers(), [key(2).public(), key(1).public()]);
    let twice = [key(1).public(), key(1).public()];
    let verified = verify(&serde_json::to_vec(&both).unwrap(), &twice).unwrap();
    assert_eq!(verified.signers(), [key(1).public()], "a key listed twice is one key");
}

/// A KMS signs at most 4096 bytes (the whole encoding), so nobody signs more.
#[test]
fn what_a_kms_could_not_sign_is_not_signed() {
    let head = pae(PAYLOAD_TYPE, &[b' '; 4000]).len() - 4000;
    assert!(Unsigned::new(vec![b' '; MAX_PAE - head]).is_ok());
    assert_eq!(Unsigned::new(vec![b' '; MAX_PAE - head + 1]).err(), Some(TooLongToSign(MAX_PAE + 1)));
}

/// A signer elsewhere is believed as little as anybody: what it sends back is checked before there is an envelope.
#[test]
fn only_the_signature_that_was_asked_for_seals() {
    let unsigned = || Unsigned::new(PAYLOAD.to_vec()).unwrap();
    let message = unsigned().message().to_vec();
    let sealed = unsigned().seal(&key(1).public(), &key(1).sign(&message)).unwrap();
    assert_eq!(sealed.envelope, sign(PAYLOAD, &key(1)));
    assert_eq!(sealed.statement, Digest::of(PAYLOAD));
    let own = key(1).sign(&message);
    for (case, signature) in [
        ("another key's", key(2).sign(&message).to_vec()),
        ("of the payload alone", key(1).sign(PAYLOAD).to_vec()),
        ("of the message's digest", key(1).sign(Digest::of(&message).as_bytes()).to_vec()),
        ("empty", Vec::new()),
        ("cut", own[..63].to_vec()),
        ("longer", [&own[..], &[0]].concat()),
        ("altered", [&[own[0] ^ 1], &own[1..]].concat()),
    ] {
        let refused = unsigned().seal(&key(1).public(), &signature).map(|_| ());
        assert_eq!(refused, Err(WrongSignature(key(1).public().id())), "{case}");
    }
}

#[test]
fn claims_are_shown_without_what_a_terminal_would_obey() {
    let mut envelope = envelope();
    envelope["signatures"][0]["keyid"] = format!("\u{1b}[2Jroot\u{7}{}", "x".repeat(200)).into();
    let claimed = inspect(&serde_json::to_vec(&envelope).unwrap()).unwrap();
    assert_eq!(claimed.claimed, [format!("[2Jroot{}", "x".repeat(57))]);
    assert_eq!((claimed.statement, claimed.payload.as_slice()), (Digest::of(PAYLOAD), PAYLOAD));
}

proptest! {
    #[test]
    fn any_payload_that_fits_comes_back_byte_for_byte(payload in prop::collection::vec(any::<u8>(), 0..4000)) {
        let envelope = sign(&payload, &key(1));
        let verified = verify(&envelope, &[key(2).public(), key(1).public()]).unwrap();
        prop_assert_eq!(verified.bytes(), payload);
        prop_assert!(verify(&envelope, &[key(2).public()]).is_err());
    }

    /// Every byte of an envelope is covered: changing one gives an error, or the same payload by the same signer.
    #[test]
    fn no_changed_byte_changes_what_is_believed(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut envelope = sign(PAYLOAD, &key(1));
        let at = at.index(envelope.len());
        envelope[at] = byte;
        if let Ok(verified) = verify(&envelope, &[key(1).public()]) {
            prop_assert_eq!(verified.bytes(), PAYLOAD);
            prop_assert_eq!(verified.signers(), &[key(1).public()]);
        }
    }

    #[test]
    fn arbitrary_bytes_never_pass_or_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(verify(&bytes, &[key(1).public()]).is_err());
    }
}

/// What is around the payload isn't signed: whoever passes an envelope on can fill it up to the limit.
#[test]
fn a_padded_envelope_is_reduced_to_what_was_signed() {
    let genuine = sign(b"{}", &key(1));
    let mut padded: serde_json::Value = serde_json::from_slice(&genuine).unwrap();
    padded["unsigned"] = "x".repeat(40_000).into();
    padded["signatures"][0]["keyid"] = "y".repeat(10_000).into();
    let again = padded["signatures"][0].clone();
    padded["signatures"].as_array_mut().unwrap().push(again);
    let padded = serde_json::to_vec(&padded).unwrap();
    assert_eq!(reduce(&padded, &[key(2).public(), key(1).public()]).unwrap(), genuine);
    assert!(matches!(reduce(&padded, &[key(2).public()]), Err(EnvelopeError::Untrusted(_))));
}
