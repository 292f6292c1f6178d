//! What runs, for gates 8 and 10: the newest deployment record, believed only as the deployer signed it.
//!
//! Without this, whoever can write to the production store but holds no key could put a record of their own after the
//! newest one, and so make a rollback look like none, or a hundredth deploy like the first.

use super::Case;
use crate::deployment::DeploymentRecord;
use crate::digest::Digest;
use crate::job::LaunchRequest;
use crate::json::Document;
use crate::reason::{Code, Reason};
use crate::statement::{self, Verified, subject};
use crate::trust::TrustedPolicy;

/// What the production store says was deployed last. Nothing of it is believed yet.
#[derive(Debug, Clone)]
pub enum Deployed {
    /// There is no record.
    Never,
    /// There are records, in order, and this is the newest.
    Latest(RecordedDeployment),
    /// What is there is no sequence of records, for this reason. It is never taken for none.
    Unreadable(String),
}

/// A deployment record as the production store keeps it.
#[derive(Debug, Clone)]
pub struct RecordedDeployment {
    /// The number under which it is stored.
    pub sequence: u64,
    /// The record's bytes.
    pub record: Vec<u8>,
    /// The deployer's envelope about them.
    pub envelope: Option<Vec<u8>>,
}

/// What was deployed last, or that nothing was. Only [`verify`] makes one.
#[derive(Debug)]
pub(super) struct VerifiedDeployment(Option<DeploymentRecord>);

impl VerifiedDeployment {
    pub(super) fn record(&self) -> Option<&DeploymentRecord> {
        self.0.as_ref()
    }

    /// A drift job compares reality with the last complete deployment and nothing else.
    pub(super) fn expect(&self, request: &LaunchRequest) -> Result<(), Reason> {
        let LaunchRequest { project, environment, .. } = request;
        let said = match self.record().and_then(|record| record.complete) {
            Some(runs) if runs.manifest == request.manifest => return Ok(()),
            Some(runs) => format!("build {} of {project} runs in {environment}, not another", runs.build),
            None => format!("no deployment of {project} to {environment} was ever complete"),
        };
        Err(Reason::new(Code::DriftNotDeployed, said))
    }
}

/// The newest record: signed by a deployer, for this project and environment, and in this place.
///
/// The word of one deployer is enough: the process that writes a record holds one key. Keys that were the deployer's in
/// an earlier version of the trust policy count, because the record may be as old as that.
pub(super) fn verify(
    case: &Case,
    request: &LaunchRequest,
    policy: &TrustedPolicy,
) -> Result<VerifiedDeployment, Reason> {
    let refuse = |problem: String| Reason::new(Code::DeploymentUntrusted, problem);
    let found = match &case.deployed {
        Deployed::Never => return Ok(VerifiedDeployment(None)),
        Deployed::Unreadable(problem) => return Err(refuse(problem.clone())),
        Deployed::Latest(found) => found,
    };
    let refuse = |problem: String| refuse(format!("deployment record {}: {problem}", found.sequence));
    let envelope = found.envelope.as_ref().ok_or_else(|| refuse("no deployer has signed it".to_owned()))?;
    let opened = Verified::<statement::Deployment>::open(envelope, policy.deployers())
        .map_err(|error| refuse(error.to_string()))?;
    let said = opened.predicate();
    if said.record != Digest::of(&found.record) {
        return Err(refuse("the deployer signed another record".to_owned()));
    }
    let record = DeploymentRecord::from_bytes(&found.record).map_err(|error| refuse(error.to_string()))?;
    for (what, same) in [
        ("number", said.sequence == found.sequence && record.sequence == found.sequence),
        ("project", said.project == request.project && record.project == request.project),
        ("environment", said.environment == request.environment && record.environment == request.environment),
        ("manifest", opened.subject(subject::MANIFEST) == Some(record.manifest)),
        ("job", said.job == record.job),
    ] {
        if !same {
            return Err(refuse(format!("it is signed for another {what}")));
        }
    }
    Ok(VerifiedDeployment(Some(record)))
}
