//! cancel-deploy-job.

use manifest_schema::Document;
use manifest_schema::gateway::{CancelRequest, CancelResponse, Cancelled};
use manifest_schema::job::{Happening, JobId, StepState, WriterKind};
use records::Journal;

use crate::{Gateway, GatewayError};

/// A worker that was not heard of for this long, six heartbeats, won't see that it is to stop.
const LOST_SECONDS: u64 = 60;
/// What ECS is told why it is to end a task.
const STOPPED_BY: &str = "cancel-deploy-job";

impl Gateway {
    /// cancel-deploy-job: tells the worker to stop as soon as it safely can. A job that no worker has taken is over at
    /// once.
    ///
    /// # Errors
    /// When the request can't be read, or the store can't be read or written.
    pub async fn cancel(&self, request: &[u8]) -> Result<CancelResponse, GatewayError> {
        let request = CancelRequest::from_bytes(request).map_err(GatewayError::Request)?;
        Ok(CancelResponse { schema: Default::default(), result: self.cancel_job(request.job).await? })
    }

    async fn cancel_job(&self, job: JobId) -> Result<Cancelled, GatewayError> {
        crate::log_job(job);
        let journal = Journal::open(&self.sides.production, &self.ambient, WriterKind::Gateway, job).await?;
        let Some(mut journal) = journal else { return Ok(Cancelled::UnknownJob) };
        self.close_if_dead(&mut journal).await?;
        // Whoever appends `requested` starts the worker: doing it here keeps a launch that is under way from it.
        journal.append_if(Happening::Requested, |job| job.number() == 0).await?;
        journal.append_if(Happening::CancelRequested, |job| job.ended().is_none() && !job.is_cancelling()).await?;
        if journal.job().ended().is_some() {
            return Ok(Cancelled::AlreadyEnded);
        }
        self.settle(&mut journal).await?;
        self.stop_task(&journal).await?;
        Ok(Cancelled::Requested)
    }

    /// Has the task ended from outside if nobody in it will do it: its worker has not begun, or is not heard of. Never
    /// while a step is open: Terraform would lose what it was doing.
    async fn stop_task(&self, journal: &Journal) -> Result<(), GatewayError> {
        let job = journal.job();
        let Some(task) = job.task() else { return Ok(()) };
        let in_step = job.steps().iter().any(|(_, state)| *state == StepState::Open);
        if job.worker().is_none() {
            // The job is over. A task that runs all the same finds that out by itself.
            if let Err(error) = self.launcher.stop(task, STOPPED_BY).await {
                tracing::warn!(%error, "a task that has nothing left to do could not be stopped");
            }
        } else if !in_step && self.silence(journal).await? >= LOST_SECONDS {
            self.launcher.stop(task, STOPPED_BY).await?;
        }
        Ok(())
    }
}
