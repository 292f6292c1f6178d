//! Who signed what about a build, as the trust policy knows them.
//!
//! A statement is told only if a key signed it that may sign statements of its kind, and only if it is about this
//! build. What anything else says is not repeated: anybody can write it.

use manifest_schema::Digest;
use manifest_schema::keys::PublicKey;
use manifest_schema::report::{Said, Signature, Signer, StatementReport};
use manifest_schema::statement::{
    Approval, Build, Decision, Deployment, Outcome, Plan, Predicate, Review, ReviewVerdict, Verified, subject,
};
use manifest_schema::storage::AttestationKind;
use manifest_schema::trust::TrustPolicy;
use manifest_schema::{Timestamp, dsse};
use records::attestations;
use store::Store;

use crate::exit::Failure;

/// All statements about a build, of each kind in the order in which they were signed; those that are not to be believed
/// come last. Without a policy, none is checked.
///
/// # Errors
/// When the store can't be read, or was altered.
pub(crate) async fn read(
    store: &Store,
    manifest: Digest,
    policy: Option<&TrustPolicy>,
) -> Result<Vec<StatementReport>, Failure> {
    let mut statements = Vec::new();
    for kind in AttestationKind::ALL {
        let mut of_kind = Vec::new();
        for envelope in attestations::list(store, manifest, kind).await? {
            of_kind.push(report(&envelope, kind, manifest, policy));
        }
        of_kind.sort_by_key(|report| (signed_at(report).is_none(), signed_at(report), report.statement));
        statements.append(&mut of_kind);
    }
    Ok(statements)
}

fn signed_at(report: &StatementReport) -> Option<Timestamp> {
    match &report.signature {
        Signature::Valid { said, .. } => Some(said.at),
        Signature::Invalid { .. } | Signature::Unchecked { .. } => None,
    }
}

fn report(envelope: &[u8], kind: AttestationKind, manifest: Digest, policy: Option<&TrustPolicy>) -> StatementReport {
    let inspected = dsse::inspect(envelope);
    let statement = inspected.as_ref().map_or_else(|_| Digest::of(envelope), |inspected| inspected.statement);
    let signature = match (inspected, policy) {
        (Err(error), _) => Signature::Invalid { problem: error.to_string() },
        (Ok(inspected), None) => Signature::Unchecked { claimed: inspected.claimed },
        (Ok(_), Some(policy)) => judge(envelope, kind, manifest, policy),
    };
    StatementReport { kind, statement, signature }
}

fn judge(envelope: &[u8], kind: AttestationKind, manifest: Digest, policy: &TrustPolicy) -> Signature {
    let roles = &policy.roles;
    let checked = match kind {
        AttestationKind::Build => open::<Build>(envelope, manifest, &policy.keys_of(&roles.builder)),
        AttestationKind::Plan => open::<Plan>(envelope, manifest, &policy.keys_of(&roles.planner)),
        AttestationKind::Review => open::<Review>(envelope, manifest, &policy.bot_keys()),
        AttestationKind::Approval => {
            let keys: Vec<_> = policy.approver_keys().into_iter().chain(policy.bot_keys()).collect();
            open::<Approval>(envelope, manifest, &keys)
        }
        AttestationKind::Deployment => open::<Deployment>(envelope, manifest, &policy.keys_of(&roles.deployer)),
    };
    match checked {
        Ok((signers, said)) => {
            Signature::Valid { signers: signers.iter().map(|key| signer(policy, key)).collect(), said }
        }
        Err(problem) => Signature::Invalid { problem },
    }
}

fn open<P: Predicate + Says>(
    envelope: &[u8],
    manifest: Digest,
    keys: &[PublicKey],
) -> Result<(Vec<PublicKey>, Said), String> {
    let opened = Verified::<P>::open(envelope, keys).map_err(|error| error.to_string())?;
    match opened.subject(subject::MANIFEST) {
        Some(about) if about == manifest => Ok((opened.signers().to_vec(), opened.predicate().said())),
        Some(other) => Err(format!("it is about the manifest {}", other.short())),
        None => Err("it names no manifest".to_owned()),
    }
}

/// A key under the names that the policy has for it.
pub(crate) fn signer(policy: &TrustPolicy, key: &PublicKey) -> Signer {
    let name = policy.keys.iter().find(|(_, listed)| *listed == key).map(|(name, _)| name.to_string());
    Signer { key: key.id().to_string(), name, person: policy.person_of(key).cloned() }
}

/// What a kind of statement says, in the words of a report.
trait Says {
    fn said(&self) -> Said;
}

/// Only a time.
fn at(at: Timestamp) -> Said {
    Said { at, environment: None, change: None, verdict: None, expires_at: None, rollback: false, emergency: false }
}

impl Says for Build {
    fn said(&self) -> Said {
        at(self.built_at)
    }
}

impl Says for Plan {
    fn said(&self) -> Said {
        let environment = Some(self.environment.clone());
        Said { environment, expires_at: Some(self.expires_at), ..at(self.planned_at) }
    }
}

impl Says for Review {
    fn said(&self) -> Said {
        let verdict = match self.verdict {
            ReviewVerdict::Approve => "approve",
            ReviewVerdict::Person => "person",
        };
        let (environment, change) = (Some(self.environment.clone()), Some(self.change.clone()));
        Said { environment, change, verdict: Some(verdict.to_owned()), ..at(self.reviewed_at) }
    }
}

impl Says for Approval {
    fn said(&self) -> Said {
        // Only a yes ends.
        let (verdict, expires_at) = match self.decision {
            Decision::Approve => ("approve", Some(self.expires_at)),
            Decision::Reject => ("reject", None),
            Decision::Revoke { .. } => ("revoke", None),
        };
        Said {
            at: self.issued_at,
            environment: Some(self.environment.clone()),
            change: Some(self.change.clone()),
            verdict: Some(verdict.to_owned()),
            expires_at,
            rollback: self.rollback,
            emergency: self.emergency,
        }
    }
}

impl Says for Deployment {
    fn said(&self) -> Said {
        let verdict = match self.outcome {
            Outcome::Succeeded => "succeeded",
            Outcome::Failed => "failed",
            Outcome::RolledBack => "rolled-back",
            Outcome::Cancelled => "cancelled",
            Outcome::Interrupted => "interrupted",
        };
        let (environment, change) = (Some(self.environment.clone()), Some(self.change.clone()));
        Said { environment, change, verdict: Some(verdict.to_owned()), ..at(self.finished_at) }
    }
}
