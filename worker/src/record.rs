//! Deployment records: what an apply did, written once, signed by the deployer.

use manifest_schema::deployment::{DeploymentRecord, LiveBuild, StepOutcome};
use manifest_schema::gates::Admission;
use manifest_schema::job::{Happening, Job, StepState, WriterKind};
use manifest_schema::manifest::BuildManifest;
use manifest_schema::statement::{Deployment, Outcome, Statement, Subject, subject};
use manifest_schema::storage::Key;
use manifest_schema::{Digest, Document};
use records::{Journal, lease};
use store::Creation;

use crate::session::Session;
use crate::steps::Done;
use crate::stop::Stop;
use crate::terraform;

/// Writes this job's record.
pub(crate) async fn write(session: &Session, admission: &Admission, done: &Done) -> Result<(), Stop> {
    let request = session.request();
    let production = &session.sides().production;
    let latest = records::deployments::latest(production, &request.environment, &request.project).await?;
    let manifest = admission.manifest().manifest();
    let new = LiveBuild { build: manifest.build.number(), manifest: request.manifest };
    let record = DeploymentRecord {
        approved_by: admission.approved_by().to_vec(),
        builders: admission.manifest().builders().to_vec(),
        outcome: done.outcome,
        started_at: done.started_at,
        steps: step_records(manifest, new, &done.steps, latest.as_ref()),
        complete: complete(done.outcome, new, latest.as_ref()),
        ..outline(session, session.request().plan, new, latest.as_ref(), session.job())?
    };
    put(session, &record).await?;
    session.say(Happening::Recorded { sequence: record.sequence, outcome: record.outcome }).await
}

/// Removes the state locks that dead jobs left, and writes the records that they left unwritten, before anything else is
/// done: what they had begun may be live. Each job stays noted in the lease until its record is there.
pub(crate) async fn write_missing(session: &Session, held: &mut lease::Held) -> Result<(), Stop> {
    let production = &session.sides().production;
    while let Some(job) = held.unrecorded() {
        if let Some(dead) = Journal::open(production, session.ambient(), WriterKind::Worker, job).await? {
            terraform::lock::remove(session, &dead).await?;
            write_for(session, &dead).await?;
        }
        held.recorded(production, job).await?;
    }
    Ok(())
}

async fn write_for(session: &Session, dead: &Journal) -> Result<(), Stop> {
    let job = dead.job();
    let request = session.request();
    let production = &session.sides().production;
    let latest = records::deployments::latest(production, &request.environment, &request.project).await?;
    if !records::deployments::is_missing(job, latest.as_ref()) {
        return Ok(());
    }
    let asked = &dead.request().request;
    let bytes = session.sides().artifacts.fetch(&asked.manifest, BuildManifest::LIMIT).await?;
    let manifest = BuildManifest::from_bytes(&bytes).map_err(Stop::failed)?;
    let new = LiveBuild { build: manifest.build.number(), manifest: asked.manifest };
    let steps: Vec<_> = (1..).zip(&manifest.deploy).map(|(number, _)| outcome_of(job, number)).collect();
    let outline = outline(session, asked.plan, new, latest.as_ref(), job.id())?;
    let record = DeploymentRecord {
        change: asked.change.clone().unwrap_or(outline.change),
        outcome: Outcome::Interrupted,
        started_at: dead.request().requested_at,
        steps: step_records(&manifest, new, &steps, latest.as_ref()),
        complete: complete(Outcome::Interrupted, new, latest.as_ref()),
        ..outline
    };
    put(session, &record).await?;
    let open = if steps.contains(&StepOutcome::Unknown) { ", how far its last step came is unknown" } else { "" };
    session.tell(format!("job {} died: recorded as deployment {}{open}", job.id(), record.sequence)).await
}

fn outcome_of(job: &Job, step: u32) -> StepOutcome {
    match job.steps().iter().find(|(number, _)| *number == step) {
        Some((_, StepState::Done)) => StepOutcome::Done,
        Some((_, StepState::Failed(_))) => StepOutcome::Failed,
        Some((_, StepState::RolledBack(_))) => StepOutcome::RolledBack,
        Some((_, StepState::Open)) => StepOutcome::Unknown,
        None => StepOutcome::NotBegun,
    }
}

fn step_records(
    manifest: &BuildManifest,
    new: LiveBuild,
    outcomes: &[StepOutcome],
    latest: Option<&DeploymentRecord>,
) -> Vec<manifest_schema::deployment::StepRecord> {
    let names: Vec<_> = manifest.deploy.iter().map(ToString::to_string).collect();
    let outcome = |index: usize| outcomes.get(index).copied().unwrap_or(StepOutcome::NotBegun);
    DeploymentRecord::steps(&names, outcome, new, latest)
}

fn complete(outcome: Outcome, new: LiveBuild, latest: Option<&DeploymentRecord>) -> Option<LiveBuild> {
    match outcome {
        Outcome::Succeeded => Some(new),
        Outcome::Failed | Outcome::RolledBack | Outcome::Cancelled | Outcome::Interrupted => {
            latest.and_then(|record| record.complete)
        }
    }
}

/// What every record holds; what differs is filled in over it.
fn outline(
    session: &Session,
    plan: Option<Digest>,
    new: LiveBuild,
    latest: Option<&DeploymentRecord>,
    job: manifest_schema::job::JobId,
) -> Result<DeploymentRecord, Stop> {
    let request = session.request();
    let now = session.ambient().now();
    let missing = |what: &str| Stop::failed(format!("the request names no {what}"));
    Ok(DeploymentRecord {
        schema: Default::default(),
        environment: request.environment.clone(),
        project: request.project.clone(),
        sequence: latest.map_or(0, |record| record.sequence) + 1,
        job,
        build: new.build,
        manifest: new.manifest,
        plan: plan.ok_or_else(|| missing("plan"))?,
        change: request.change.clone().ok_or_else(|| missing("change"))?,
        approved_by: Vec::new(),
        builders: Vec::new(),
        outcome: Outcome::Interrupted,
        started_at: now,
        finished_at: now,
        steps: Vec::new(),
        complete: None,
    })
}

/// Signs a record and creates it: the statement first, so that a record that is there is signed. The statement of a
/// worker that died between the two is about a record that never was, and in nobody's way: each is under the digest of its
/// record.
async fn put(session: &Session, record: &DeploymentRecord) -> Result<(), Stop> {
    let digest = Digest::of(&record.to_bytes());
    let said = Deployment {
        project: record.project.clone(),
        environment: record.environment.clone(),
        change: record.change.clone(),
        plan: record.plan,
        job: record.job,
        outcome: record.outcome,
        sequence: record.sequence,
        record: digest,
        finished_at: record.finished_at,
    };
    let subjects = vec![Subject::new(subject::MANIFEST, record.manifest)];
    let signed = session.sign(&Statement::new(subjects, said)).await?;
    let production = &session.sides().production;
    let (Creation::Created | Creation::Exists) =
        production.create(&Key::JobDeployment(record.job, digest), &signed.envelope).await?;
    let key = Key::Deployed(record.environment.clone(), record.project.clone(), record.sequence);
    match records::create(production, &key, record).await? {
        Creation::Created => Ok(()),
        Creation::Exists => {
            Err(Stop::failed(format!("{key} is there already: somebody else records for this project")))
        }
    }
}
