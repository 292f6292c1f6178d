//! cancel-deploy-job.

use manifest_schema::Document;
use manifest_schema::gateway::{CancelRequest, CancelResponse, Cancelled};
use manifest_schema::job::{Happening, JobId, WriterKind};
use records::Journal;

use crate::{Gateway, GatewayError};

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
        Ok(Cancelled::Requested)
    }
}
