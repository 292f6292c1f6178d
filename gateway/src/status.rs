//! get-deploy-job-status: everything that leaves production.
//!
//! It decides nothing. Looking at a job also settles it, so that a job whose worker died is closed by whoever waits.

mod budget;
mod job;
mod lists;
mod spent;

use manifest_schema::gateway::{Query, StatusRequest, StatusResponse};
use manifest_schema::{Document, schema};

use crate::{Gateway, GatewayError};

impl Gateway {
    /// get-deploy-job-status: a job with its events, what was deployed, or which jobs there are. One page of it; `more`
    /// says whether there is another.
    ///
    /// # Errors
    /// When the request can't be read, or the store can't be read or written.
    pub async fn status(&self, request: &[u8]) -> Result<StatusResponse, GatewayError> {
        let request = StatusRequest::from_bytes(request).map_err(GatewayError::Request)?;
        let answer = match request.query {
            Query::Job { job, after } => self.job_status(job, after).await?,
            Query::Deployed { environment, project, after } => self.deployed(&environment, &project, after).await?,
            Query::Jobs { after } => self.jobs(after).await?,
        };
        let reads = schema::READS.iter().map(|name| (*name).to_owned()).collect();
        Ok(StatusResponse { schema: Default::default(), reads, answer })
    }
}
