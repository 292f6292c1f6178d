//! Gates 4 to 9: who built it, from what, and whether it is its time.

use super::{Case, Findings7to9, Reasons};
use crate::deployment::DeploymentRecord;
use crate::digest::Digest;
use crate::dsse;
use crate::job::{Action, LaunchRequest};
use crate::json::Document;
use crate::keys::PublicKey;
use crate::manifest::{BuildManifest, Evidence};
use crate::reason::{Code, Reason};
use crate::statement::{self, Verified, subject};
use crate::time::Timestamp;
use crate::trust::{EnvironmentPolicy, EvidenceRule, ProjectPolicy, TrustPolicy, TrustedPolicy};

/// A clock may be this far ahead of ours, in seconds.
pub(super) const CLOCK_SKEW: u64 = 300;

/// A build manifest that enough builders signed. Only [`VerifiedManifest::verify`] makes one:
///
/// ```compile_fail,E0451
/// use manifest_schema::gates::VerifiedManifest;
/// use manifest_schema::manifest::BuildManifest;
///
/// fn forge(manifest: BuildManifest, from: VerifiedManifest) -> VerifiedManifest {
///     VerifiedManifest { manifest, ..from }
/// }
/// ```
#[derive(Debug, Clone)]
pub struct VerifiedManifest {
    digest: Digest,
    manifest: BuildManifest,
    builders: Vec<PublicKey>,
    built_at: Timestamp,
}

impl VerifiedManifest {
    /// Gates 4 and 5: at least `threshold` distinct `keys` signed build statements about exactly these bytes, whose
    /// digest is `expected`. Only then are they parsed.
    ///
    /// # Errors
    /// With `build.untrusted`, `manifest.mismatch` or `manifest.malformed`.
    pub fn verify(
        bytes: &[u8],
        expected: Digest,
        envelopes: &[Vec<u8>],
        keys: &[PublicKey],
        threshold: u32,
    ) -> Result<Self, Vec<Reason>> {
        // Nobody's word is never enough, whatever the caller asks for.
        let threshold = threshold.max(1);
        let mut reasons = Reasons::default();
        let mut builders: Vec<PublicKey> = Vec::new();
        let mut built_at: Option<Timestamp> = None;
        let mut refused = Vec::new();
        for envelope in envelopes {
            match Verified::<statement::Build>::open(envelope, keys) {
                Ok(opened) if opened.subject(subject::MANIFEST) == Some(expected) => {
                    let new = opened.signers().iter().filter(|key| !builders.contains(key)).copied();
                    builders.extend(new.collect::<Vec<_>>());
                    let at = opened.predicate().built_at;
                    built_at = Some(built_at.map_or(at, |earliest| earliest.min(at)));
                }
                Ok(opened) => refused.push(match opened.subject(subject::MANIFEST) {
                    Some(other) => format!("a statement is about the manifest {}", other.short()),
                    None => "a statement names no manifest".to_owned(),
                }),
                Err(error) => refused.push(error.to_string()),
            }
        }
        if builders.len() < threshold as usize {
            let mut message =
                format!("{} of {threshold} builders signed manifest {}", builders.len(), expected.short());
            for cause in refused {
                message.push_str("; ");
                message.push_str(&cause);
            }
            reasons.add(Code::BuildUntrusted, message);
        }
        let digest = Digest::of(bytes);
        if digest != expected {
            reasons.add(Code::ManifestMismatch, format!("the manifest's digest is {digest}, not {expected}"));
        }
        let Some(built_at) = built_at.filter(|_| reasons.0.is_empty()) else { return Err(reasons.0) };
        let manifest = BuildManifest::from_bytes(bytes)
            .map_err(|error| vec![Reason::new(Code::ManifestMalformed, error.to_string())])?;
        Ok(Self { digest, manifest, builders, built_at })
    }

    /// The manifest digest.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The manifest.
    pub fn manifest(&self) -> &BuildManifest {
        &self.manifest
    }

    /// Distinct builder keys that signed it.
    pub fn builders(&self) -> &[PublicKey] {
        &self.builders
    }

    /// The earliest time at which a builder says that it was built.
    pub fn built_at(&self) -> Timestamp {
        self.built_at
    }
}

/// Gates 4 and 5 for this request.
pub(super) fn verify(
    case: &Case,
    request: &LaunchRequest,
    policy: &TrustedPolicy,
    latest: Option<&DeploymentRecord>,
) -> Result<VerifiedManifest, Vec<Reason>> {
    let Some(bytes) = &case.manifest else {
        let message = format!("no blob {} in the artifacts store", request.manifest);
        return Err(vec![Reason::new(Code::ManifestMissing, message)]);
    };
    let role = &policy.policy().roles.builder;
    let keys = policy.policy().keys_of(role);
    let verified = VerifiedManifest::verify(bytes, request.manifest, &case.builds, &keys, role.threshold);
    // Drift looks at what was deployed: it also takes the keys under which that was accepted then.
    let then = latest.filter(|record| {
        request.action == Action::Drift && record.manifest == request.manifest && !record.builders.is_empty()
    });
    match (verified, then) {
        (Err(_), Some(record)) => {
            let all = u32::try_from(record.builders.len()).unwrap_or(u32::MAX);
            VerifiedManifest::verify(bytes, request.manifest, &case.builds, &record.builders, all)
        }
        (verified, _) => verified,
    }
}

/// Gate 6: project, sources, refs and evidence as the policy wants.
pub(super) fn contents(
    case: &Case,
    request: &LaunchRequest,
    policy: &TrustPolicy,
    environment: &EnvironmentPolicy,
    verified: &VerifiedManifest,
    reasons: &mut Reasons,
) {
    let manifest = verified.manifest();
    if manifest.project != request.project {
        let message = format!("the manifest is of {}, the request of {}", manifest.project, request.project);
        reasons.add(Code::ProjectNotAllowed, message);
    }
    let Some(project) = environment.projects.get(&request.project) else {
        let message = format!("{} may not be deployed to {}", request.project, request.environment);
        reasons.add(Code::ProjectNotAllowed, message);
        return;
    };
    sources(project, manifest, reasons);
    for rule in &project.evidence {
        if let Err(reason) = evidence(case, policy, rule, manifest) {
            reasons.0.push(reason);
        }
    }
}

fn sources(project: &ProjectPolicy, manifest: &BuildManifest, reasons: &mut Reasons) {
    for rule in &project.sources {
        match manifest.sources.iter().find(|source| source.uri == rule.uri) {
            None => reasons.add(Code::SourceMissing, format!("the build doesn't name {}", rule.uri)),
            Some(source) if !rule.allows(&source.reference) => {
                let message =
                    format!("{} was built from {}, not {}", rule.uri, source.reference, rule.refs.join(" or "));
                reasons.add(Code::SourceRef, message);
            }
            Some(_) => {}
        }
    }
    for source in manifest.sources.iter().filter(|source| source.dirty && !project.allow_dirty) {
        reasons.add(Code::SourceRef, format!("{} had uncommitted changes", source.uri));
    }
}

fn evidence(case: &Case, policy: &TrustPolicy, rule: &EvidenceRule, manifest: &BuildManifest) -> Result<(), Reason> {
    let of_kind: Vec<_> = manifest.evidence.iter().filter(|item| item.kind == rule.kind).collect();
    if of_kind.is_empty() {
        return Err(Reason::new(Code::EvidenceMissing, format!("the build carries no {} report", rule.kind)));
    }
    if rule.signers.is_empty() {
        return Ok(());
    }
    let keys: Vec<_> = rule.signers.iter().filter_map(|name| policy.keys.get(name)).copied().collect();
    if of_kind.iter().any(|item| is_signed(case, item, &keys, manifest)) {
        return Ok(());
    }
    let message = format!("no {} report about this build is signed by who must sign it", rule.kind);
    Err(Reason::new(Code::EvidenceUntrusted, message))
}

/// Whether the report is an envelope by one of `keys` around a statement about one of this build's artifacts or commits.
fn is_signed(case: &Case, item: &Evidence, keys: &[PublicKey], manifest: &BuildManifest) -> bool {
    #[derive(serde::Deserialize)]
    struct AnyStatement {
        #[serde(rename = "_type")]
        statement_type: String,
        subject: Vec<AnySubject>,
    }
    #[derive(serde::Deserialize)]
    struct AnySubject {
        digest: std::collections::BTreeMap<String, String>,
    }

    let Some(bytes) = case.evidence.get(&item.digest).filter(|_| item.media_type == dsse::MEDIA_TYPE) else {
        return false;
    };
    let Ok(payload) = dsse::verify(bytes, keys) else { return false };
    let Ok(statement) = serde_json::from_slice::<AnyStatement>(payload.bytes()) else { return false };
    let about_us = |subject: &AnySubject| {
        subject.digest.iter().any(|(algorithm, hex)| match algorithm.as_str() {
            "sha256" => manifest.artifacts.iter().any(|artifact| artifact.digest.hex() == *hex),
            "gitCommit" | "sha1" => manifest.sources.iter().any(|source| source.commit.as_str() == hex),
            _ => false,
        })
    };
    statement.statement_type == statement::STATEMENT_TYPE && statement.subject.iter().any(about_us)
}

/// Gates 7 to 9: not too old, not lower than what runs, not in a freeze window.
pub(super) fn freshness(
    case: &Case,
    environment: &EnvironmentPolicy,
    verified: &VerifiedManifest,
    latest: Option<&DeploymentRecord>,
) -> Findings7to9 {
    let now = case.now;
    let built_at = verified.built_at();
    let age = now.seconds_since(built_at);
    let most = environment.maximum_build_age_seconds;
    let too_old = if built_at > now.plus_seconds(CLOCK_SKEW) {
        Some(format!("built at {built_at}, which is in the future"))
    } else if age > most {
        Some(format!("built at {built_at}, {age} s ago; at most {most} s are allowed"))
    } else {
        None
    };
    let build = verified.manifest().build.number();
    let live = latest.iter().flat_map(|record| &record.steps).flat_map(|step| &step.live);
    let rollback = live.max_by_key(|live| live.build).and_then(|live| {
        if build < live.build {
            Some(format!("build {build} is lower than {}, which is live", live.build))
        } else if build == live.build && verified.digest() != live.manifest {
            Some(format!("build {build} is live with another manifest ({})", live.manifest.short()))
        } else {
            None
        }
    });
    let freeze = environment.freezes.iter().find(|freeze| freeze.from <= now && now < freeze.until);
    let freeze = freeze.map(|freeze| format!("frozen until {}: {}", freeze.until, freeze.reason));
    Findings7to9 {
        too_old: too_old.map(|message| Reason::new(Code::BuildTooOld, message)),
        rollback: rollback.map(|message| Reason::new(Code::ManifestRollback, message)),
        freeze: freeze.map(|message| Reason::new(Code::FreezeActive, message)),
    }
}
