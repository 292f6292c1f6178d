//! The statements that are signed: in-toto Statement v1 with one of our predicates, in a DSSE envelope.
//!
//! [`Verified`] is the proof that an accepted key signed a statement of exactly this type. It has no other
//! constructor than [`Verified::open`], so a function that takes one can't be handed anything unchecked.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::dsse::{self, EnvelopeError, TooLongToSign};
pub use crate::dsse::{Signed, Unsigned};
use crate::json::to_bytes;
use crate::keys::{PublicKey, SecretKey};

pub mod predicates;

pub use predicates::{
    Approval, Build, Decision, Deployment, Outcome, Plan, PlanBase, Review, ReviewVerdict, TrustPolicy,
};

/// `_type` of every statement (in-toto Attestation Framework v1).
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";

/// What one type of statement says.
pub trait Predicate: Serialize + DeserializeOwned + JsonSchema {
    /// `predicateType`.
    const TYPE: &'static str;
    /// What people call it, with its article.
    const NAME: &'static str;
}

/// The names that subjects have in our statements.
pub mod subject {
    /// The build manifest.
    pub const MANIFEST: &str = "build-manifest.json";
    /// The plan summary.
    pub const SUMMARY: &str = "plan-summary.json";
    /// Terraform's saved plan.
    pub const SAVED_PLAN: &str = "saved.tfplan";
    /// The change bot's facts.
    pub const FACTS: &str = "facts.json";
    /// The trust policy.
    pub const TRUST_POLICY: &str = "trust-policy.json";
}

/// What a statement is about: bytes, by digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Subject {
    /// One of the names in [`subject`].
    pub name: String,
    /// Its digests; only SHA-256 is looked at.
    pub digest: SubjectDigest,
}

/// The digests of a subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SubjectDigest {
    /// 64 lower-case hex digits.
    #[schemars(regex(pattern = r"^[0-9a-f]{64}$"))]
    sha256: String,
}

impl Subject {
    /// A subject by its name and digest.
    pub fn new(name: &str, digest: Digest) -> Self {
        Self { name: name.to_owned(), digest: SubjectDigest { sha256: digest.hex() } }
    }
}

/// An in-toto statement. Fields that aren't named here are ignored, as the specification asks; fields of the predicate
/// are ours, and unknown ones are refused.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Statement<P> {
    #[serde(rename = "_type")]
    statement_type: String,
    subject: Vec<Subject>,
    predicate_type: String,
    predicate: P,
}

impl<P: Predicate> Statement<P> {
    /// A statement about `subjects`.
    pub fn new(subjects: Vec<Subject>, predicate: P) -> Self {
        let (statement_type, predicate_type) = (STATEMENT_TYPE.to_owned(), P::TYPE.to_owned());
        Self { statement_type, subject: subjects, predicate_type, predicate }
    }

    /// Its exact bytes, for whoever signs them.
    ///
    /// # Errors
    /// When it is too long for a KMS to sign.
    pub fn unsigned(&self) -> Result<Unsigned, TooLongToSign> {
        Unsigned::new(to_bytes(self))
    }

    /// Signs it with a key that is in this process.
    ///
    /// # Errors
    /// As [`Self::unsigned`].
    pub fn sign(&self, key: &SecretKey) -> Result<Signed, TooLongToSign> {
        Ok(self.unsigned()?.sign(key))
    }
}

/// A statement that an accepted key signed. Only [`Verified::open`] makes one:
///
/// ```compile_fail,E0451
/// use manifest_schema::statement::{Build, Verified};
///
/// fn forge(predicate: Build, from: Verified<Build>) -> Verified<Build> {
///     Verified { predicate, ..from }
/// }
/// ```
///
/// It can't be read from anywhere, either:
///
/// ```compile_fail,E0277
/// use manifest_schema::statement::{Build, Verified};
///
/// fn read(bytes: &[u8]) -> Option<Verified<Build>> {
///     serde_json::from_slice(bytes).ok()
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Verified<P> {
    statement: Digest,
    subjects: Vec<Subject>,
    predicate: P,
    signers: Vec<PublicKey>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    #[serde(rename = "_type")]
    statement_type: String,
    predicate_type: String,
}

impl<P: Predicate> Verified<P> {
    /// Checks the envelope's signatures, then reads the payload's bytes, and only those, as a statement of type `P`.
    ///
    /// # Errors
    /// When the envelope can't be read, no key of `keys` signed it, or it says something of another type.
    pub fn open(envelope: &[u8], keys: &[PublicKey]) -> Result<Self, EnvelopeError> {
        let payload = dsse::verify(envelope, keys)?;
        let refuse = |cause: String| EnvelopeError::Payload { expected: P::NAME, cause };
        let head: Head = serde_json::from_slice(payload.bytes()).map_err(|error| refuse(error.to_string()))?;
        if head.statement_type != STATEMENT_TYPE {
            return Err(refuse(format!("_type is {:?}", head.statement_type)));
        }
        if head.predicate_type != P::TYPE {
            return Err(refuse(format!("predicateType is {:?}", head.predicate_type)));
        }
        let parsed: Statement<P> =
            serde_json::from_slice(payload.bytes()).map_err(|error| refuse(error.to_string()))?;
        Ok(Self {
            statement: Digest::of(payload.bytes()),
            subjects: parsed.subject,
            predicate: parsed.predicate,
            signers: payload.signers().to_vec(),
        })
    }

    /// SHA-256 of the payload's bytes.
    pub fn statement(&self) -> Digest {
        self.statement
    }

    /// What was signed.
    pub fn predicate(&self) -> &P {
        &self.predicate
    }

    /// Distinct accepted keys that signed; at least one.
    pub fn signers(&self) -> &[PublicKey] {
        &self.signers
    }

    /// The digest of the subject called `name`; `None` when there is none, or more than one.
    pub fn subject(&self, name: &str) -> Option<Digest> {
        let mut found = self.subjects.iter().filter(|subject| subject.name == name);
        let (first, second) = (found.next()?, found.next());
        if second.is_some() {
            return None;
        }
        Digest::from_hex(&first.digest.sha256).ok()
    }
}

/// The `predicateType` that a payload claims; to tell people what a file is.
pub fn claimed_type(payload: &[u8]) -> Option<String> {
    serde_json::from_slice::<Head>(payload).ok().map(|head| head.predicate_type)
}

#[cfg(test)]
mod longest;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::tests::key;
    use crate::time::Timestamp;

    fn time() -> Timestamp {
        "2026-11-22T09:30:00Z".parse().unwrap()
    }

    fn build() -> Statement<Build> {
        Statement::new(vec![Subject::new(subject::MANIFEST, Digest::of(b"m"))], Build { built_at: time() })
    }

    fn sealed(payload: &str) -> Vec<u8> {
        Unsigned::new(payload.into()).unwrap().sign(&key(1)).envelope
    }

    #[test]
    fn a_signed_statement_opens_under_its_key_only() {
        let signed = build().sign(&key(1)).unwrap();
        let opened = Verified::<Build>::open(&signed.envelope, &[key(2).public(), key(1).public()]).unwrap();
        assert_eq!(opened.statement(), signed.statement);
        assert_eq!(opened.subject(subject::MANIFEST), Some(Digest::of(b"m")));
        assert_eq!(opened.signers(), [key(1).public()]);
        let refused = Verified::<Build>::open(&signed.envelope, &[key(2).public()]);
        assert!(matches!(refused, Err(EnvelopeError::Untrusted(_))), "{refused:?}");
    }

    /// Threat model, row 8: a statement of one type is never read as another.
    #[test]
    fn one_type_is_not_another() {
        let signed = build().sign(&key(1)).unwrap();
        let refused = Verified::<TrustPolicy>::open(&signed.envelope, &[key(1).public()]);
        assert!(matches!(refused, Err(EnvelopeError::Payload { .. })), "{refused:?}");
    }

    /// Threat 8 again: not even when the predicates look alike.
    #[test]
    fn the_types_are_looked_at_and_not_the_shape() {
        let (own, other) = (Build::TYPE, "urn:airlock:build:v2");
        for (statement_type, predicate_type, taken) in [
            (STATEMENT_TYPE, own, true),
            ("https://in-toto.io/Statement/v0.1", own, false),
            ("", own, false),
            (STATEMENT_TYPE, other, false),
            (STATEMENT_TYPE, TrustPolicy::TYPE, false),
        ] {
            let payload = format!(
                r#"{{"_type":"{statement_type}","subject":[],"predicateType":"{predicate_type}","predicate":{{"builtAt":"2026-11-22T09:30:00Z"}}}}"#
            );
            let envelope = sealed(&payload);
            let opened = Verified::<Build>::open(&envelope, &[key(1).public()]);
            assert_eq!(opened.is_ok(), taken, "{statement_type} {predicate_type}: {opened:?}");
            assert_eq!(claimed_type(payload.as_bytes()).as_deref(), Some(predicate_type));
        }
    }

    #[test]
    fn an_ambiguous_subject_is_none() {
        let twice =
            vec![Subject::new(subject::MANIFEST, Digest::of(b"a")), Subject::new(subject::MANIFEST, Digest::of(b"b"))];
        let signed = Statement::new(twice, Build { built_at: time() }).sign(&key(1)).unwrap();
        let opened = Verified::<Build>::open(&signed.envelope, &[key(1).public()]).unwrap();
        assert_eq!(opened.subject(subject::MANIFEST), None);
        assert_eq!(opened.subject(subject::SUMMARY), None);
    }

    #[test]
    fn unknown_fields_are_refused_in_our_predicate_and_ignored_around_it() {
        let open = |payload: &str| {
            let envelope = sealed(payload);
            Verified::<Build>::open(&envelope, &[key(1).public()])
        };
        let text = |around: &str, inside: &str| {
            format!(
                r#"{{"_type":"{STATEMENT_TYPE}","subject":[],"predicateType":"{}"{around},"predicate":{{"builtAt":"2026-11-22T09:30:00Z"{inside}}}}}"#,
                Build::TYPE
            )
        };
        assert!(open(&text("", "")).is_ok());
        assert!(open(&text(r#","extension":{"a":1}"#, "")).is_ok());
        assert!(open(&text("", r#","extra":1"#)).is_err(), "an unknown predicate field was taken");
        assert!(open(&text("", r#","builtAt":"2026-11-22T09:30:00Z""#)).is_err(), "a duplicate field was taken");
    }
}
