//! One job: its events page by page, and with the last of them what it made.

use manifest_schema::deployment::{DeploymentRecord, Heartbeat};
use manifest_schema::dsse::MAX_ENVELOPE;
use manifest_schema::gateway::{Answer, Bytes, DeploymentFiles, JobStatus, MAX_ANSWER, PlanFiles};
use manifest_schema::job::{JobId, WriterKind};
use manifest_schema::storage::Key;
use manifest_schema::{Digest, Document as _};
use records::{Journal, deployments, load, plans};
use serde::Serialize;

use super::budget::Budget;
use crate::{Gateway, GatewayError};

impl Gateway {
    pub(super) async fn job_status(&self, job: JobId, after: u32) -> Result<Answer, GatewayError> {
        crate::log_job(job);
        let production = &self.sides.production;
        let journal = Journal::open(production, &self.ambient, WriterKind::Gateway, job).await?;
        let Some(mut journal) = journal else { return Ok(Answer::UnknownJob) };
        self.settle(&mut journal).await?;

        let heartbeat: Option<Heartbeat> = load(production, &Key::JobHeartbeat(job)).await?;
        let mut status = bare(&journal, heartbeat.as_ref());
        let mut page = Page::around(&status);
        for event in journal.events().iter().filter(|event| event.number > after) {
            status.events.extend(page.keep(Some(event.clone()), || format!("event {} of job {job}", event.number))?);
        }
        status.plan = page.keep(self.plan_files(&journal).await?, || format!("the plan of job {job}"))?;
        let deployment = self.deployment_files_of(&journal).await?;
        status.deployment = page.keep(deployment, || format!("the deployment of job {job}"))?;
        status.more = page.full;
        Ok(Answer::Job(Box::new(status)))
    }

    async fn plan_files(&self, journal: &Journal) -> Result<Option<PlanFiles>, GatewayError> {
        let Some(statement) = journal.job().plan() else { return Ok(None) };
        let Some(stored) = plans::read(&self.sides.production, journal.job().id()).await? else { return Ok(None) };
        let spent = self.spent(journal, statement, &stored.envelope).await?;
        let (envelope, summary) = (Bytes(stored.envelope), Bytes(stored.summary));
        Ok(Some(PlanFiles { statement, envelope, summary, spent }))
    }

    async fn deployment_files_of(&self, journal: &Journal) -> Result<Option<DeploymentFiles>, GatewayError> {
        let Some((sequence, _)) = journal.job().recorded() else { return Ok(None) };
        let request = &journal.request().request;
        let production = &self.sides.production;
        let record = deployments::get(production, &request.environment, &request.project, sequence).await?;
        match record {
            Some(record) => Ok(Some(self.deployment_files(record).await?)),
            None => Ok(None),
        }
    }

    pub(super) async fn deployment_files(&self, record: DeploymentRecord) -> Result<DeploymentFiles, GatewayError> {
        let key = Key::JobDeployment(record.job, Digest::of(&record.to_bytes()));
        let envelope = self.sides.production.get(&key, MAX_ENVELOPE).await?;
        Ok(DeploymentFiles { record, envelope: envelope.map(|object| Bytes(object.bytes)) })
    }
}

/// The job without what comes in pages.
fn bare(journal: &Journal, heartbeat: Option<&Heartbeat>) -> JobStatus {
    let (job, asked) = (journal.job(), journal.request());
    let ended = job.ended();
    JobStatus {
        job: job.id(),
        request: asked.request.clone(),
        requested_at: asked.requested_at,
        phase: job.phase(),
        since: job.since().unwrap_or(asked.requested_at),
        task: job.task().map(ToString::to_string),
        heartbeat_at: heartbeat.map(|heartbeat| heartbeat.at),
        cancelling: job.is_cancelling(),
        outcome: ended.map(|(outcome, _)| outcome),
        reasons: ended.map(|(_, reasons)| reasons.to_vec()).unwrap_or_default(),
        events: Vec::new(),
        more: false,
        plan: None,
        deployment: None,
    }
}

/// One page, filled in order: what no longer fits, and all after it, is for the next. (A job makes a plan or a
/// deployment, never both: each fits the page after the last event.)
struct Page {
    budget: Budget,
    empty: bool,
    full: bool,
}

impl Page {
    fn around(status: &JobStatus) -> Self {
        let mut budget = Budget::new();
        // A request and the reasons of an end are far smaller than an answer.
        budget.take(status);
        Self { budget, empty: true, full: false }
    }

    /// The item, if it fits this page; an error if it fits no page at all.
    fn keep<T: Serialize>(
        &mut self,
        item: Option<T>,
        what: impl FnOnce() -> String,
    ) -> Result<Option<T>, GatewayError> {
        let Some(item) = item.filter(|_| !self.full) else { return Ok(None) };
        if self.budget.take(&item) {
            self.empty = false;
            return Ok(Some(item));
        }
        if self.empty {
            return Err(GatewayError::TooLarge { what: what(), limit: MAX_ANSWER });
        }
        self.full = true;
        Ok(None)
    }
}
