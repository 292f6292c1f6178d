//! An apply job: does what an approved plan says, exactly that, and records what it did.

use std::path::PathBuf;

use manifest_schema::deployment::LeaseHolder;
use manifest_schema::gates::{Admission, AdmittedPlan};
use manifest_schema::job::{Happening, JobOutcome};
use manifest_schema::{Code, Digest, Document};
use records::lease::{self, Taking};
use records::plans::{self, ClaimState};
use store::Creation;

use crate::fetch::{self, Bundle};
use crate::images::Images;
use crate::plan::summary;
use crate::record;
use crate::session::Session;
use crate::steps;
use crate::stop::Stop;
use crate::targets::{Changes, Targets};
use crate::terraform::{Redaction, SavedPlan, StatePlace, Terraform};
use crate::work::WorkDir;
use crate::written;

/// Everything that the steps need, checked.
pub(crate) struct Prepared<'a> {
    pub(crate) terraform: Option<(Terraform<'a>, SavedPlan)>,
    pub(crate) images: Images<'a>,
    pub(crate) targets: Targets<'a>,
    /// A directory for this worker alone, in which nothing is.
    pub(crate) scratch: PathBuf,
}

/// Verifies, fetches, checks, claims, applies, records.
pub(crate) async fn run(session: &Session) -> Result<JobOutcome, Stop> {
    let admission = session.decide().await?;
    let (policy, warnings) = (admission.policy().policy().version, admission.warnings().to_vec());
    session.say(Happening::Verified { policy, warnings }).await?;

    let work = WorkDir::take(session).await?;
    let images = match session.config().registry {
        Some(_) => fetch::Images::Present,
        None => fetch::Images::Streamed,
    };
    let fetched = fetch::run(session, &admission, &work, images).await?;
    let mut prepared = check(session, &admission, &work, fetched.bundle).await?;
    session.say(Happening::Checked).await?;
    session.may_go_on()?;

    let mut held = take_lease(session).await?;
    let claimed = async {
        record::write_missing(session, &mut held).await?;
        push(&admission, &mut prepared).await?;
        claim(session, &prepared).await
    };
    let admission = match claimed.await {
        Ok(admission) => admission,
        // A job that another has closed must not touch what may be another's by now.
        Err(Stop::Lost(why)) => return Err(Stop::Lost(why)),
        Err(stop) => {
            give_back(session, *held).await;
            return Err(stop);
        }
    };
    // From here on the lease is given back only once the record is written: if that fails, whoever takes the lease over
    // writes it first.
    let done = steps::run(session, &admission, &mut prepared).await?;
    let begun = done.any_begun();
    if begun {
        record::write(session, &admission, &done).await?;
    }
    give_back(session, *held).await;
    // Nobody can use it again.
    if begun
        && let Some(plan) = admission.plan()
        && let Err(error) = plans::empty_saved(&session.sides().production, plan.statement().predicate().job).await
    {
        tracing::warn!(%error, "the saved plan could not be emptied; a plan job does it once it has expired");
    }
    match done.stop {
        Some(stop) => Err(stop),
        None => Ok(crate::job_outcome(done.outcome)),
    }
}

/// Gate 14: the saved plan is the approved one byte for byte, what it would do, derived again, is what was approved,
/// and it still starts from what runs.
async fn check<'a>(
    session: &'a Session,
    admission: &'a Admission,
    work: &WorkDir,
    bundle: Option<Bundle>,
) -> Result<Prepared<'a>, Stop> {
    let plan = planned(admission)?;
    let approved = plan.summary();
    if approved.rules != policy::plan::RULES {
        let message = format!("planned under rules {}, this worker has {}", approved.rules, policy::plan::RULES);
        return Err(Stop::refused(Code::PlanStale, message));
    }
    still_starts_from_what_runs(session, plan).await?;
    let targets = Targets::open(session, admission).await?;
    let of_targets = unchanged(&targets, admission, plan).await?;
    let images = Images::open(session, admission.manifest().manifest()).await?;
    let mut prepared = Prepared { terraform: None, images, targets, scratch: work.scratch()? };
    let mut changes = None;
    if let Some(bundle) = bundle {
        let saved = saved_plan(session, plan).await?;
        let mut terraform = Terraform::init(session, work, bundle.root, &admission.environment().terraform).await?;
        let shown = approved.terraform.as_ref().map_or(&[][..], |terraform| &terraform.shown);
        let planned = terraform.show(&saved).await?;
        let manifest = admission.manifest().manifest();
        let written = written::by_authors(session, manifest, bundle.written, shown).await?;
        changes = Some(planned.changes(shown, &written)?);
        if let Some((_, variables)) = manifest.terraform() {
            terraform.conceal(Redaction::of_plan(planned.json(), variables)?);
        }
        prepared.terraform = Some((terraform, saved));
    }
    let derived = summary(admission, changes, of_targets);
    if Digest::of(&derived.to_bytes()) != plan.summary_digest() {
        return Err(Stop::refused(Code::PlanEdited, "the saved plan does something else than what was approved"));
    }
    Ok(prepared)
}

/// What would be done to the targets, which is still what was planned.
async fn unchanged(targets: &Targets<'_>, admission: &Admission, plan: &AdmittedPlan) -> Result<Changes, Stop> {
    let changes = targets.changes(admission.manifest().manifest()).await?;
    match changes.differ_in(&Changes::approved(plan.summary())) {
        None => Ok(changes),
        Some(what) => Err(Stop::refused(Code::PlanStale, format!("{what} changed since the plan was made"))),
    }
}

pub(crate) fn planned(admission: &Admission) -> Result<&AdmittedPlan, Stop> {
    admission.plan().ok_or_else(|| Stop::refused(Code::PlanMissing, "the request names no plan"))
}

/// The saved plan, if it is the signed one.
async fn saved_plan(session: &Session, plan: &AdmittedPlan) -> Result<SavedPlan, Stop> {
    let job = plan.statement().predicate().job;
    let Some(bytes) = plans::saved(&session.sides().production, job).await? else {
        let message = format!("the saved plan of job {job} is gone: it was used, or not in time; plan again");
        return Err(Stop::refused(Code::PlanMissing, message));
    };
    let saved = SavedPlan::of(&bytes)?;
    saved.expect(plan.saved_plan())?;
    Ok(saved)
}

async fn still_starts_from_what_runs(session: &Session, plan: &AdmittedPlan) -> Result<(), Stop> {
    let request = session.request();
    let production = &session.sides().production;
    let (environment, project) = (&request.environment, &request.project);
    let now = records::deployments::base(production, session.ambient(), environment, project).await?;
    let then = plan.statement().predicate().base;
    if now == then {
        return Ok(());
    }
    let message = format!("planned after deployment {}, but deployment {} is the latest", then.sequence, now.sequence);
    Err(Stop::refused(Code::PlanStale, message))
}

/// Gate 15: nothing else is deploying this project here.
async fn take_lease(session: &Session) -> Result<Box<lease::Held>, Stop> {
    let request = session.request();
    let holder = LeaseHolder {
        job: session.job(),
        task: session.task().clone(),
        state: StatePlace::of(session).to_string(),
        since: session.ambient().now(),
    };
    let production = &session.sides().production;
    match lease::take(production, session.ambient(), &request.environment, &request.project, holder).await? {
        Taking::Taken(held) => Ok(held),
        Taking::HeldBy(job) => {
            let message = format!("job {job} is applying {} in {}", request.project, request.environment);
            Err(Stop::refused(Code::LeaseHeld, message))
        }
    }
}

/// Gives the lease back. If that fails, the job is as it is, and the next one takes the lease over.
async fn give_back(session: &Session, held: lease::Held) {
    if let Err(error) = held.release(&session.sides().production).await {
        tracing::warn!(%error, "the lease could not be given back");
    }
}

/// Pushes images, but those whose repository only Terraform makes: before the gates are decided for the last time, because
/// it can take long, and whoever says no meanwhile is to be heard. Until something names them, images do nothing.
async fn push(admission: &Admission, prepared: &mut Prepared<'_>) -> Result<(), Stop> {
    match admission.manifest().manifest().terraform() {
        Some(_) => prepared.images.push_into_existing().await,
        None => prepared.images.push_rest().await,
    }
}

/// Under the lease: decide again with everything read afresh, then claim the plan.
async fn claim(session: &Session, prepared: &Prepared<'_>) -> Result<Admission, Stop> {
    session.may_go_on()?;
    let admission = session.decide().await?;
    let plan = planned(&admission)?;
    still_starts_from_what_runs(session, plan).await?;
    unchanged(&prepared.targets, &admission, plan).await?;
    let statement = plan.statement().statement();
    let production = &session.sides().production;
    loop {
        let number = match plans::claims(production, session.ambient(), statement).await? {
            ClaimState::Free(number) => number,
            ClaimState::Taken(job) => {
                return Err(Stop::refused(Code::PlanClaimed, format!("job {job} has claimed this plan")));
            }
        };
        match plans::claim(production, statement, number, session.job(), session.ambient().now()).await? {
            Creation::Created => {
                session.say(Happening::Claimed { claim: number }).await?;
                return Ok(admission);
            }
            // Somebody was quicker: look again who.
            Creation::Exists => {}
        }
    }
}
