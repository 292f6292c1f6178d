//! Opening changes and signing ballots: what `change` and `deploy` share.

use std::path::Path;

use change::approval::Ballot;
use change::record::{ApprovalCopy, BuildJob, ChangeRequest, PlanInBrief};
use change::{ChangeRecord, Opened, Tracker};
use manifest_schema::job::Action;
use manifest_schema::plan::PlanSummary;
use manifest_schema::statement::{self, Decision, Verified, subject};
use manifest_schema::storage::AttestationKind;
use manifest_schema::trust::TrustPolicy;
use manifest_schema::{Digest, Document as _};
use records::attestations;
use signing::Signer;
use store::{Creation, Store};

use crate::build::named::NamedBuild;
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::git::Repository;
use crate::production::Production;

/// What people write into a change.
#[derive(Debug, Default, Clone, clap::Args)]
pub(crate) struct Texts {
    /// What the change is, on one line; without it, the build and the environment.
    #[arg(long, value_name = "TEXT")]
    summary: Option<String>,
    /// Why it is wanted.
    #[arg(long, value_name = "TEXT", default_value = "")]
    justification: String,
    /// What to do if it goes wrong.
    #[arg(long, value_name = "TEXT", default_value = "deploy the build before, with a rollback approval")]
    rollback_plan: String,
    /// A part of the system that it touches; may be given several times.
    #[arg(long = "component", value_name = "NAME")]
    components: Vec<String>,
    /// A pull request, an issue, or whatever else to look at; may be given several times.
    #[arg(long = "link", value_name = "URL")]
    links: Vec<String>,
}

/// A plan that production signed, as the artifacts store has it.
pub(crate) struct PlanCopy {
    /// The plan statement.
    pub(crate) statement: Digest,
    /// Digest of the summary's bytes.
    pub(crate) summary_digest: Digest,
    /// The summary.
    pub(crate) summary: PlanSummary,
}

/// Finds the copy of a plan of a build, signed by the planner.
///
/// # Errors
/// When there is no such plan, or its summary is missing.
pub(crate) async fn plan_copy(
    artifacts: &Store,
    policy: &TrustPolicy,
    manifest: Digest,
    plan: Digest,
) -> Result<PlanCopy, Failure> {
    let keys = policy.keys_of(&policy.roles.planner);
    for envelope in attestations::list(artifacts, manifest, AttestationKind::Plan).await? {
        let Ok(opened) = Verified::<statement::Plan>::open(&envelope, &keys) else { continue };
        let summary = opened.subject(subject::SUMMARY);
        if let Some(summary_digest) = summary.filter(|_| opened.statement() == plan) {
            let bytes = artifacts.fetch(&summary_digest, PlanSummary::LIMIT).await?;
            return Ok(PlanCopy { statement: plan, summary_digest, summary: PlanSummary::from_bytes(&bytes)? });
        }
    }
    let problem =
        anyhow::anyhow!("the artifacts store has no plan {} of this build, signed by the planner", plan.short());
    Err(Failure::new(Exit::Refused, problem).hint("`airlock get-deploy-job-status JOB` of the plan job fetches it"))
}

/// Opens a change for a plan of a build, or finds the open one.
///
/// # Errors
/// When the tracker can't be written.
pub(crate) fn open(
    context: &Context,
    tracker: &Tracker,
    build: &NamedBuild,
    plan: &PlanCopy,
    texts: Texts,
) -> Result<Opened, Failure> {
    let summary = &plan.summary;
    let title = || format!("deploy {} {} to {}", summary.project, summary.build, summary.environment);
    let made = &build.manifest.build;
    let request = ChangeRequest {
        project: summary.project.clone(),
        environment: summary.environment.clone(),
        action: Action::Apply,
        summary: texts.summary.unwrap_or_else(title),
        components: texts.components,
        justification: texts.justification,
        rollback_plan: texts.rollback_plan,
        build: BuildJob { number: made.number(), job: made.id.clone(), url: made.url.clone() },
        branch: build.manifest.sources.first().map(|source| source.reference.clone()),
        links: texts.links,
        scans: Vec::new(),
        manifest: build.digest,
        plan: plan.statement,
        plan_summary: plan.summary_digest,
        plan_in_brief: PlanInBrief::from(summary),
    };
    Ok(tracker.open(request, &whoami(), context.ambient.now())?)
}

/// What somebody decides about a change.
pub(crate) struct Vote<'a> {
    /// Yes, no, or taken back.
    pub(crate) decision: Decision,
    /// A yes that lifts gates 7 and 8.
    pub(crate) rollback: bool,
    /// A yes that lifts gate 9.
    pub(crate) emergency: bool,
    /// What they want others to know.
    pub(crate) comment: Option<String>,
    /// Their key.
    pub(crate) key: &'a Signer,
}

/// Signs a vote, publishes it, and notes it in the change.
///
/// # Errors
/// When it makes no sense, or a store can't be written.
pub(crate) async fn vote(
    context: &Context,
    production: &Production,
    tracker: &Tracker,
    change: &ChangeRecord,
    vote: Vote<'_>,
) -> Result<Digest, Failure> {
    let policy = production.policy().await?;
    let policy = policy.policy();
    let public = vote.key.public();
    if policy.person_of(&public).is_none() && !policy.bot_keys().contains(&public) {
        context.out.warn(format!("{} may not approve: the trust policy gives this key to nobody", public.id()));
    }
    let rules = policy.environments.get(&change.request.environment);
    let validity = rules.map_or(3600, |environment| environment.approval.validity_seconds);
    let now = context.ambient.now();
    let Vote { decision, rollback, emergency, comment, key } = vote;
    let ballot = Ballot { about: change.about(), decision, rollback, emergency, comment };
    let signed = key.sign(&ballot.statement(now, validity)?).await?;
    let (Creation::Created | Creation::Exists) =
        attestations::add(&production.artifacts, change.request.manifest, AttestationKind::Approval, &signed.envelope)
            .await?;
    let copy = ApprovalCopy { statement: signed.statement, decision, key: public.id().to_string(), at: now };
    tracker.note_approval(&change.id, copy)?;
    Ok(signed.statement)
}

/// What people here call themselves: git's user, or the system's.
pub(crate) fn whoami() -> String {
    let git = Repository::discover(Path::new(".")).ok().and_then(|repository| repository.setting("user.name").ok()?);
    git.or_else(|| std::env::var("USER").ok()).unwrap_or_else(|| "somebody".to_owned())
}
