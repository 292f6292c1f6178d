//! Plans in the production store, and the claims on them.

use manifest_schema::Digest;
use manifest_schema::deployment::Claim;
use manifest_schema::dsse::MAX_ENVELOPE;
use manifest_schema::gates::StoredPlan;
use manifest_schema::job::{JobId, WriterKind};
use manifest_schema::plan::PlanSummary;
use manifest_schema::pointer::PlanPointer;
use manifest_schema::storage::{Key, PlanFile};
use manifest_schema::{Document, Timestamp};
use store::{Creation, Store};

use crate::{Ambient, Journal, RecordError, create, load};

/// The job that made a plan; `None` if there is no such plan, or it was never finished.
///
/// # Errors
/// When the store can't be read.
pub async fn job_of(production: &Store, plan: Digest) -> Result<Option<JobId>, RecordError> {
    let pointer: Option<PlanPointer> = load(production, &Key::PlanJob(plan)).await?;
    Ok(pointer.map(|pointer| pointer.job))
}

/// Envelope and summary of the plan that a job made.
///
/// # Errors
/// When the store can't be read.
pub async fn read(production: &Store, job: JobId) -> Result<Option<StoredPlan>, RecordError> {
    let envelope = production.get(&Key::JobPlan(job, PlanFile::Envelope), MAX_ENVELOPE).await?;
    let summary = production.get(&Key::JobPlan(job, PlanFile::Summary), PlanSummary::LIMIT).await?;
    Ok(envelope.zip(summary).map(|(envelope, summary)| StoredPlan { envelope: envelope.bytes, summary: summary.bytes }))
}

/// Who has claimed a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimState {
    /// Nobody, or only jobs that ended without having begun a step: this claim comes next.
    Free(u32),
    /// A job that may yet begin a step, or has begun one.
    Taken(JobId),
}

/// Whether a plan can be claimed: each claim's job must provably have ended without an intent.
///
/// # Errors
/// When the store can't be read.
pub async fn claims(production: &Store, ambient: &Ambient, plan: Digest) -> Result<ClaimState, RecordError> {
    for number in 1.. {
        let Some(claim) = load::<Claim>(production, &Key::PlanClaim(plan, number)).await? else {
            return Ok(ClaimState::Free(number));
        };
        let journal = Journal::open(production, ambient, WriterKind::Worker, claim.job).await?;
        let harmless = journal.is_some_and(|j| j.job().ended().is_some() && j.job().steps().is_empty());
        if !harmless {
            return Ok(ClaimState::Taken(claim.job));
        }
    }
    Ok(ClaimState::Free(u32::MAX))
}

/// Claims a plan. Of any number of jobs, one gets each number.
///
/// # Errors
/// When the store can't be written.
pub async fn claim(
    production: &Store,
    plan: Digest,
    number: u32,
    job: JobId,
    now: Timestamp,
) -> Result<Creation, RecordError> {
    let claim = Claim { schema: Default::default(), job, claimed_at: now };
    create(production, &Key::PlanClaim(plan, number), &claim).await
}
