//! Plans in the production store, and the claims on them.

use manifest_schema::Digest;
use manifest_schema::deployment::Claim;
use manifest_schema::dsse::MAX_ENVELOPE;
use manifest_schema::gates::StoredPlan;
use manifest_schema::job::{JobId, WriterKind};
use manifest_schema::plan::PlanSummary;
use manifest_schema::pointer::PlanPointer;
use manifest_schema::storage::{Key, PlanFile, prefix};
use manifest_schema::{Document, Timestamp};
use store::{Creation, Replacement, Store};

use crate::{Ambient, Journal, MOST_SECRET, RecordError, create, empty, load};

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

/// For how long after it expired a saved plan is looked for, in seconds: many plan jobs.
const LOOK_BACK: u64 = 30 * 24 * 3600;
/// Saved plans that are looked at together.
const PAGE: usize = 1000;

/// Keeps the plan that Terraform saved in a plan job. Under object lock, too, it is not locked.
///
/// # Errors
/// When the store can't be written.
pub async fn keep_saved(production: &Store, job: JobId, bytes: &[u8]) -> Result<Creation, RecordError> {
    Ok(match production.replace(&Key::SavedPlan(job), bytes, None).await? {
        Replacement::Replaced(_) => Creation::Created,
        Replacement::Conflict => Creation::Exists,
    })
}

/// The plan that Terraform saved in a plan job, as it was kept; `None` once it was emptied. Whoever uses it compares its
/// digest with the signed one.
///
/// # Errors
/// When the store can't be read.
pub async fn saved(production: &Store, job: JobId) -> Result<Option<Vec<u8>>, RecordError> {
    let object = production.get(&Key::SavedPlan(job), MOST_SECRET).await?;
    Ok(object.map(|object| object.bytes).filter(|bytes| !bytes.is_empty()))
}

/// Empties a saved plan, if there is one: nobody can apply it any more.
///
/// # Errors
/// When the store can't be read or written.
pub async fn empty_saved(production: &Store, job: JobId) -> Result<(), RecordError> {
    empty(production, &Key::SavedPlan(job)).await
}

/// Empties the saved plans of jobs that were launched more than `validity` seconds before `now`.
///
/// # Errors
/// When the store can't be read or written.
pub async fn empty_expired(production: &Store, now: Timestamp, validity: u64) -> Result<(), RecordError> {
    let before = |seconds: u64| JobId::new(now.minus_seconds(seconds), [0; 10]);
    let (first, end) =
        (Key::SavedPlan(before(validity.saturating_add(LOOK_BACK))), Key::SavedPlan(before(validity)).to_string());
    let mut after = first.to_string();
    loop {
        let page = production.list(prefix::SAVED_PLANS, Some(&after), PAGE).await?;
        for listed in &page {
            if listed.key >= end {
                return Ok(());
            }
            if let Some(job) = Key::saved_by(&listed.key).filter(|_| listed.size > 0) {
                empty_saved(production, job).await?;
            }
        }
        match page.last() {
            Some(last) if page.len() == PAGE => after.clone_from(&last.key),
            Some(_) | None => return Ok(()),
        }
    }
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
