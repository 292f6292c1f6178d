//! Another build that is being applied. Whatever were planned meanwhile would be stale as soon as that job has recorded
//! what it did, so a deploy waits before it plans, or is refused before.

use std::time::Duration;

use manifest_schema::gateway::JobStatus;
use manifest_schema::names::ProjectName;
use manifest_schema::{Code, Reason};
use tokio::time::Instant;

use crate::config::WhenBusy;
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::production::Production;

/// How often a job that is waited for is looked at.
const LOOK: Duration = Duration::from_secs(2);

/// The apply job of a project that goes on, if there is one.
///
/// # Errors
/// When the gateway can't answer.
pub(crate) async fn applying(production: &Production, project: &ProjectName) -> Result<Option<JobStatus>, Failure> {
    let Some(job) = production.client.applying(&production.name, project).await? else { return Ok(None) };
    // Who asks has a job closed whose worker died.
    let status = production.client.job(job, u32::MAX).await?;
    Ok(status.outcome.is_none().then_some(status))
}

/// Returns once nothing is being applied.
///
/// # Errors
/// When something is and that is to be refused, when it takes longer than `timeout`, or when the gateway can't answer.
pub(crate) async fn give_way(
    context: &Context,
    production: &Production,
    project: &ProjectName,
    (when_busy, timeout): (WhenBusy, Option<Duration>),
) -> Result<(), Failure> {
    let begun = Instant::now();
    let mut told = None;
    while let Some(status) = applying(production, project).await? {
        let job = status.job;
        let held = format!("job {job} is applying {project} in {} ({})", production.name, status.phase);
        if when_busy == WhenBusy::Refuse {
            return Err(Failure::refused("another build is being applied", vec![Reason::new(Code::LeaseHeld, held)])
                .hint("run this again when it has ended, or wait for it with --when-busy wait"));
        }
        if timeout.is_some_and(|timeout| begun.elapsed() >= timeout) {
            let problem = anyhow::anyhow!("waited long enough; {held}");
            return Err(Failure::new(Exit::TimedOut, problem).hint("run this again to wait on; nothing was planned"));
        }
        if told != Some(job) {
            context.out.say(format!("waiting: {held}"));
            told = Some(job);
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}
