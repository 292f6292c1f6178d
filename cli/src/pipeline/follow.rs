//! Following a job to its end.

use std::time::Duration;

use manifest_schema::gateway::JobStatus;
use manifest_schema::job::{JobId, JobOutcome};
use tokio::time::Instant;

use super::events;
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::gateway_client::GatewayClient;

/// First and longest pause between two looks: quick jobs are noticed quickly, long ones cost little.
const FIRST_PAUSE: Duration = Duration::from_millis(25);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Without anything new, people hear this often that it still goes on.
const STILL: Duration = Duration::from_secs(15);

/// How to say again what is followed, in hints.
pub(crate) struct Follow<'a> {
    /// The context of the command.
    pub(crate) context: &'a Context,
    /// The gateway.
    pub(crate) client: &'a GatewayClient,
    /// Give up after this long; the job goes on.
    pub(crate) timeout: Option<Duration>,
}

impl Follow<'_> {
    /// Prints a job's events after a number as they come, until it has ended.
    ///
    /// # Errors
    /// When the time is up, the person wants to look no longer, or the gateway can't answer.
    pub(crate) async fn to_end(&self, job: JobId, after: u32) -> Result<JobStatus, Failure> {
        tokio::select! {
            status = self.look(job, after) => status,
            _ = tokio::signal::ctrl_c() => Err(self.leave(job, "detached")),
        }
    }

    async fn look(&self, job: JobId, mut after: u32) -> Result<JobStatus, Failure> {
        let begun = Instant::now();
        let mut news = Instant::now();
        let mut quiet = Instant::now();
        loop {
            let status = self.client.job(job, after).await?;
            for event in &status.events {
                events::lines(event).iter().for_each(|line| self.context.out.say(line));
                after = event.number;
                news = Instant::now();
                quiet = Instant::now();
            }
            if status.more {
                continue;
            }
            if status.outcome.is_some() {
                return Ok(status);
            }
            if self.timeout.is_some_and(|timeout| begun.elapsed() >= timeout) {
                return Err(self.leave(job, "waited long enough"));
            }
            if news.elapsed() >= STILL {
                self.context.out.say(format!("          still {} (since {})", status.phase, status.since));
                news = Instant::now();
            }
            // The longer nothing has happened, the longer nothing will: a fifth of that is never noticed.
            tokio::time::sleep((quiet.elapsed() / 5).clamp(FIRST_PAUSE, LONGEST_PAUSE)).await;
        }
    }

    fn leave(&self, job: JobId, why: &str) -> Failure {
        let failure = Failure::new(Exit::TimedOut, anyhow::anyhow!("{why}; job {job} goes on"));
        failure.hint(format!(
            "look again with `airlock get-deploy-job-status {job} --follow`, or stop it with `airlock cancel-deploy-job {job}`"
        ))
    }
}

/// A job's end as the command's end.
///
/// # Errors
/// Unless it succeeded.
pub(crate) fn verdict(status: &JobStatus) -> Result<(), Failure> {
    let job = status.job;
    let reasons = status.reasons.clone();
    match status.outcome {
        Some(JobOutcome::Succeeded) => Ok(()),
        Some(JobOutcome::Refused) => Err(Failure::refused(format!("job {job} was refused"), reasons)),
        Some(outcome) => Err(Failure::job_failed(format!("job {job} {}", past(outcome)), reasons)),
        None => Err(Failure::new(Exit::TimedOut, anyhow::anyhow!("job {job} has not ended"))),
    }
}

fn past(outcome: JobOutcome) -> &'static str {
    match outcome {
        JobOutcome::Succeeded => "succeeded",
        JobOutcome::Refused => "was refused",
        JobOutcome::Failed => "failed",
        JobOutcome::RolledBack => "failed and was rolled back",
        JobOutcome::Cancelled => "was cancelled",
        JobOutcome::Interrupted => "was interrupted: its worker died",
    }
}
