//! Gates 1 to 10: the decision whether a request may go on, made from values alone.
//!
//! [`decide`] is the only way to an [`Admission`]. It decides every gate that can be decided, and a refusal lists every
//! gate that failed, not the first. What depends on something refused is left undecided: a manifest that no accepted
//! builder signed is not even parsed.
//!
//! `apply` enforces all gates. `plan` and `drift` enforce 1 to 6, report 7 to 9 as warnings, and skip 10. `drift` is
//! refused for a build that isn't the one that runs: there is nothing that reality should match.

mod approval;
mod build;
mod deployed;
mod needs;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::job::{Action, LaunchRequest};
use crate::json::{Document, schema_tag};
use crate::names::PersonName;
use crate::reason::{Code, Reason};
use crate::time::Timestamp;
use crate::trust::{ChainError, EnvironmentPolicy, PinnedRoots, SignedPolicy, TrustedPolicy};

pub use approval::AdmittedPlan;
pub use build::VerifiedManifest;
pub use deployed::{Deployed, RecordedDeployment};
pub use needs::{Circumstances, Needs};

/// The account and region that a process finds itself in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Place {
    /// The AWS account's id, or `local`.
    pub account: String,
    /// The AWS region, or `local`.
    pub region: String,
}

/// Everything that a decision is made from. None of it is believed before it is checked.
#[derive(Debug, Clone)]
pub struct Case {
    /// The clock.
    pub now: Timestamp,
    /// Where this runs.
    pub place: Place,
    /// The roots that this process's configuration pins.
    pub roots: PinnedRoots,
    /// All trust policy versions, from 1.
    pub trust: Vec<SignedPolicy>,
    /// The newest trust policy version ever seen here.
    pub last_seen: u64,
    /// The launch request's bytes.
    pub request: Vec<u8>,
    /// The bytes stored as the build manifest.
    pub manifest: Option<Vec<u8>>,
    /// Envelopes of build statements.
    pub builds: Vec<Vec<u8>>,
    /// Blobs that the evidence names, by their digest, which was checked.
    pub evidence: BTreeMap<Digest, Vec<u8>>,
    /// The newest deployment record.
    pub deployed: Deployed,
    /// The plan that the request names; only for `apply`.
    pub plan: Option<StoredPlan>,
    /// Envelopes of reviews.
    pub reviews: Vec<Vec<u8>>,
    /// Lists of authors, by their digest, which was checked.
    pub authors: BTreeMap<Digest, Vec<u8>>,
    /// Envelopes of approvals; `None` when they could not all be listed.
    pub approvals: Option<Vec<Vec<u8>>>,
}

/// A plan as the production store keeps it.
#[derive(Debug, Clone)]
pub struct StoredPlan {
    /// The planner's envelope.
    pub envelope: Vec<u8>,
    /// The summary's bytes.
    pub summary: Vec<u8>,
}

schema_tag!(AuthorsSchema, "airlock/authors/v1");

/// Who wrote the commits of a change: a blob that a review names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Authors {
    /// Always `airlock/authors/v1`.
    pub schema: AuthorsSchema,
    /// Forge identities such as `github:alice`, sorted.
    pub identities: Vec<String>,
}

impl Document for Authors {
    const SCHEMA: &'static str = AuthorsSchema::NAME;
    const NAME: &'static str = "authors list";
}

/// A request that passed gates 1 to 10. Only [`decide`] makes one:
///
/// ```compile_fail,E0451
/// use manifest_schema::gates::Admission;
/// use manifest_schema::job::LaunchRequest;
///
/// fn forge(request: LaunchRequest, from: Admission) -> Admission {
///     Admission { request, ..from }
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Admission {
    request: LaunchRequest,
    policy: TrustedPolicy,
    environment: EnvironmentPolicy,
    manifest: VerifiedManifest,
    plan: Option<AdmittedPlan>,
    approved_by: Vec<PersonName>,
    warnings: Vec<Reason>,
}

impl Admission {
    /// The request.
    pub fn request(&self) -> &LaunchRequest {
        &self.request
    }

    /// The trust policy in force.
    pub fn policy(&self) -> &TrustedPolicy {
        &self.policy
    }

    /// Its rules for the request's environment.
    pub fn environment(&self) -> &EnvironmentPolicy {
        &self.environment
    }

    /// The build.
    pub fn manifest(&self) -> &VerifiedManifest {
        &self.manifest
    }

    /// The approved plan; for `apply` only, and always there.
    pub fn plan(&self) -> Option<&AdmittedPlan> {
        self.plan.as_ref()
    }

    /// The people whose approvals counted.
    pub fn approved_by(&self) -> &[PersonName] {
        &self.approved_by
    }

    /// Gates that this action only reports.
    pub fn warnings(&self) -> &[Reason] {
        &self.warnings
    }
}

/// Collects reasons, so that a refusal can list them all.
#[derive(Debug, Default)]
pub(crate) struct Reasons(Vec<Reason>);

impl Reasons {
    pub(crate) fn add(&mut self, code: Code, message: impl Into<String>) {
        self.0.push(Reason::new(code, message));
    }

    /// Keeps the value, or the reasons why there is none.
    pub(crate) fn keep<T>(&mut self, result: Result<T, Vec<Reason>>) -> Option<T> {
        result.map_err(|reasons| self.0.extend(reasons)).ok()
    }
}

/// Decides gates 1 to 10.
///
/// # Errors
/// With every reason, in the order of the gates; never empty.
pub fn decide(case: &Case) -> Result<Admission, Vec<Reason>> {
    // Gate 1. Without a request there is nothing to decide.
    let request = LaunchRequest::from_bytes(&case.request)
        .map_err(|error| vec![Reason::new(Code::RequestMalformed, error.to_string())])?;
    // Gate 2. Without a policy nobody may sign anything.
    let policy = TrustedPolicy::establish(&case.roots, &case.trust, case.last_seen, case.now)
        .map_err(|error| vec![Reason::new(trust_code(&error), error.to_string())])?;

    let mut reasons = Reasons::default();
    let environment = reasons.keep(place(case, &request, &policy));
    let deployed = deployed::verify(case, &request, &policy);
    let latest = deployed.as_ref().ok().and_then(|deployed| deployed.record());
    let manifest = reasons.keep(build::verify(case, &request, &policy, latest));
    let mut gates7to9 = Findings7to9::default();
    if let (Some(environment), Some(manifest)) = (&environment, &manifest) {
        build::contents(case, &request, policy.policy(), environment, manifest, &mut reasons);
        gates7to9 = build::freshness(case, environment, manifest, latest);
    }
    // Gate 8, for every action: a plan that starts from what never was deployed is of no use.
    let deployed = reasons.keep(deployed.map_err(|reason| vec![reason]));
    let mut warnings = Vec::new();
    let mut approved = None;
    match request.action {
        Action::Plan => warnings = gates7to9.all(),
        Action::Drift => {
            warnings = gates7to9.all();
            // What runs, if that can't be told, is a reason already.
            reasons.0.extend(deployed.as_ref().and_then(|known| known.expect(&request).err()));
        }
        Action::Apply => {
            if let Some(environment) = &environment {
                let deployed = deployed.as_ref();
                let asked = approval::Asked { case, request: &request, policy: policy.policy(), environment, deployed };
                let mut gate10 = Reasons::default();
                let decided = approval::decide(&asked, &gates7to9, &mut gate10);
                if let (Some(plan), Some(manifest)) = (&decided.plan, &manifest) {
                    // How many people are needed depends on the build that the summary names.
                    let (planned, build) = (plan.summary().build, manifest.manifest().build.number());
                    if planned != build {
                        gate10.add(Code::PlanMismatch, format!("the summary is of build {planned}, not {build}"));
                    }
                }
                reasons.0.extend(gates7to9.unlifted(decided.lifts));
                reasons.0.extend(gate10.0);
                approved = Some(decided);
            }
        }
    }
    match (environment, manifest) {
        (Some(environment), Some(manifest)) if reasons.0.is_empty() => {
            let (plan, approved_by) = approved.map_or((None, Vec::new()), |a| (a.plan, a.people));
            Ok(Admission { request, policy, environment, manifest, plan, approved_by, warnings })
        }
        _ => Err(reasons.0),
    }
}

fn trust_code(error: &ChainError) -> Code {
    match error {
        ChainError::Missing => Code::TrustMissing,
        ChainError::Broken { .. } => Code::TrustBroken,
        ChainError::Expired { .. } => Code::TrustExpired,
        ChainError::RolledBack { .. } => Code::TrustRolledBack,
    }
}

/// Gate 3: the account and region that the policy means.
fn place(case: &Case, request: &LaunchRequest, policy: &TrustedPolicy) -> Result<EnvironmentPolicy, Vec<Reason>> {
    let name = &request.environment;
    let Some(environment) = policy.policy().environments.get(name) else {
        let known: Vec<_> = policy.policy().environments.keys().map(ToString::to_string).collect();
        let message = format!("the trust policy knows {}, not {name}", known.join(", "));
        return Err(vec![Reason::new(Code::EnvironmentUnknown, message)]);
    };
    let here = &case.place;
    if (&environment.account, &environment.region) == (&here.account, &here.region) {
        return Ok(environment.clone());
    }
    let message = format!(
        "{name} is account {} in {}; this is account {} in {}",
        environment.account, environment.region, here.account, here.region
    );
    Err(vec![Reason::new(Code::EnvironmentMismatch, message)])
}

/// What gates 7 to 9 found. An approval can lift them.
#[derive(Debug, Default)]
pub(crate) struct Findings7to9 {
    pub(crate) too_old: Option<Reason>,
    pub(crate) rollback: Option<Reason>,
    pub(crate) freeze: Option<Reason>,
}

/// What the approvals that count all carry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Lifts {
    pub(crate) rollback: bool,
    pub(crate) emergency: bool,
}

impl Findings7to9 {
    fn all(self) -> Vec<Reason> {
        self.unlifted(Lifts::default())
    }

    fn unlifted(self, lifts: Lifts) -> Vec<Reason> {
        let Self { too_old, rollback, freeze } = self;
        let by_rollback = [too_old, rollback].into_iter().flatten().filter(|_| !lifts.rollback);
        by_rollback.chain(freeze.into_iter().filter(|_| !lifts.emergency)).collect()
    }
}

#[cfg(test)]
pub(crate) mod tests;
