//! What there is to know about a build, as a value: its manifest, who signed what about it, and whether a store holds
//! all of it. Telling it to people is the CLI's matter.
//!
//! Nothing of a statement is in a report but what an accepted key signed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::json::{Document, schema_tag};
use crate::manifest::{BlobRef, BuildManifest};
use crate::names::{ArtifactName, ChangeId, EnvironmentName, PersonName};
use crate::storage::AttestationKind;
use crate::time::Timestamp;

schema_tag!(ManifestReportSchema, "airlock/manifest-report/v1");

/// A build manifest, and what an artifacts store holds about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ManifestReport {
    /// Always `airlock/manifest-report/v1`.
    pub schema: ManifestReportSchema,
    /// The manifest digest.
    pub digest: Digest,
    /// The manifest. Its bytes, which the digest is of, are in the store under that digest.
    pub manifest: BuildManifest,
    /// What a store holds about it; absent when none was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored: Option<Stored>,
}

/// What an artifacts store holds about a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Stored {
    /// Where the store is.
    pub store: String,
    /// The manifest that is published under the build's number; absent when none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<Digest>,
    /// Version of the trust policy whose keys were accepted; absent when none could be followed from pinned roots, and
    /// then no signature was checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<u64>,
    /// The statements about the manifest: builds, plans, reviews, approvals, deployments; each by the time it was signed.
    pub statements: Vec<StatementReport>,
    /// Per artifact, in the manifest's order, what is there of it.
    pub artifacts: Vec<Presence>,
    /// Per report, in the manifest's order, what is there of it.
    pub evidence: Vec<Presence>,
}

/// One statement about a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct StatementReport {
    /// As what it is stored.
    pub kind: AttestationKind,
    /// SHA-256 of the payload.
    pub statement: Digest,
    /// Whose it is.
    pub signature: Signature,
}

/// What is known about a statement's signatures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "state", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Signature {
    /// Keys that may sign such statements signed it, and it is about this manifest.
    Valid {
        /// Each of them; at least one.
        signers: Vec<Signer>,
        /// What they say.
        said: Said,
    },
    /// It is not to be believed.
    Invalid {
        /// Why.
        problem: String,
    },
    /// There are no keys to check it with.
    Unchecked {
        /// The key ids that it names, which anybody can write.
        claimed: Vec<String>,
    },
}

/// A key that signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Signer {
    /// `SHA256:` and the OpenSSH fingerprint.
    pub key: String,
    /// What the trust policy calls the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The person whose key it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<PersonName>,
}

/// What a statement says, in the words that all kinds share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Said {
    /// When it was built, planned, reviewed, answered, or deployed.
    pub at: Timestamp,
    /// Where it would be, or was, deployed; not of builds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvironmentName>,
    /// The change; not of builds and plans.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<ChangeId>,
    /// A review's verdict (`approve`, `person`), an approval's decision (`approve`, `reject`, `revoke`), a deployment's
    /// outcome (`succeeded`, …).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
    /// When a plan or an approval ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Present and true when an approval also lets an older build through.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rollback: bool,
    /// Present and true when an approval also holds in a freeze window.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub emergency: bool,
}

/// What a store holds of one artifact or report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Presence {
    /// The artifact or report.
    pub name: ArtifactName,
    /// How many blobs it is, each counted once.
    pub blobs: u64,
    /// How many bytes they are.
    pub bytes: u64,
    /// Blobs that are not there; sorted by digest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<BlobRef>,
    /// Blobs in whose place is something else; sorted by digest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wrong: Vec<WrongBlob>,
}

/// Something that lies in a blob's place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct WrongBlob {
    /// What should be there.
    pub blob: BlobRef,
    /// How it differs.
    pub problem: String,
}

impl Presence {
    /// Whether all of it is there.
    pub fn is_whole(&self) -> bool {
        self.missing.is_empty() && self.wrong.is_empty()
    }
}

impl Document for ManifestReport {
    const SCHEMA: &'static str = ManifestReportSchema::NAME;
    const NAME: &'static str = "manifest report";
    const LIMIT: usize = 2 * BuildManifest::LIMIT;
}
