//! Launching a job, or finding the one that an earlier launch made.

use std::time::Duration;

use manifest_schema::gateway::{JobStatus, Launched};
use manifest_schema::job::{Asked, JobId, JobOutcome, LaunchRequest};

use crate::exit::Failure;
use crate::gateway_client::GatewayClient;

/// A job, and whether it was there before.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attached {
    /// The job.
    pub(crate) job: JobId,
    /// Whether an earlier launch had made it.
    pub(crate) existing: bool,
}

/// For how long a gateway may not answer: whoever launches has waited for nothing yet.
const PATIENCE: Duration = Duration::from_secs(3 * 60);

/// Launches exactly this request. One whose answer was lost, or for which no worker could be started just now, is launched
/// again: its key makes it the same job.
///
/// # Errors
/// When it is refused, or the gateway can't answer for a while.
pub(crate) async fn once(client: &GatewayClient, request: &LaunchRequest) -> Result<Attached, Failure> {
    match client.patient(PATIENCE).launch(request).await? {
        Launched::Accepted { job, existing } => Ok(Attached { job, existing }),
        Launched::Refused { reasons } => {
            Err(Failure::refused(format!("production refused to launch the {} job", request.action), reasons))
        }
    }
}

/// Finds the live or successful job for what is asked, or launches a new attempt after those that ended otherwise.
///
/// # Errors
/// When it is refused, or the gateway can't answer.
pub(crate) async fn or_attach(client: &GatewayClient, asked: Asked) -> Result<Attached, Failure> {
    let mut asked = asked;
    loop {
        let attached = once(client, &LaunchRequest::new(asked.clone(), None)).await?;
        if !attached.existing || !is_spent(&client.job(attached.job, u32::MAX).await?) {
            return Ok(attached);
        }
        asked.attempt += 1;
    }
}

/// Whether nothing more can come of a job: it ended without success, or its plan can't be applied any more.
fn is_spent(status: &JobStatus) -> bool {
    let unsuccessful = status.outcome.is_some_and(|outcome| outcome != JobOutcome::Succeeded);
    unsuccessful || status.plan.as_ref().is_some_and(|plan| plan.spent.is_some())
}
