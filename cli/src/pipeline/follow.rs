//! Following a job to its end.

use std::time::Duration;

use manifest_schema::gateway::JobStatus;
use manifest_schema::job::{JobId, JobOutcome};
use tokio::time::Instant;

use super::events;
use super::live::Live;
use super::story::Story;
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::gateway_client::GatewayClient;

/// First pause between two looks: quick jobs are noticed quickly.
const FIRST_PAUSE: Duration = Duration::from_millis(25);
/// The longest: long jobs cost little.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// For how long a gateway may not answer before nobody believes that it will.
const PATIENCE: Duration = Duration::from_secs(15 * 60);
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
    /// Prints a job's events after a number as they come, until it has ended; then, if that was all of them, what it did
    /// and how long it took.
    ///
    /// # Errors
    /// When the time is up, the person wants to look no longer, or the gateway can't answer for a long time.
    pub(crate) async fn to_end(&self, job: JobId, after: u32) -> Result<JobStatus, Failure> {
        tokio::select! {
            status = self.look(job, after) => status,
            _ = tokio::signal::ctrl_c() => Err(self.leave(job, "detached")),
        }
    }

    async fn look(&self, job: JobId, mut after: u32) -> Result<JobStatus, Failure> {
        let begun = Instant::now();
        let (mut news, mut quiet) = (Instant::now(), Instant::now());
        let (mut story, mut live) = (Story::new(), Live::new(&self.context.out));
        let out = &self.context.out;
        loop {
            let left = self.timeout.map(|timeout| timeout.saturating_sub(begun.elapsed()));
            let patient = self.client.patient(left.unwrap_or(PATIENCE).min(PATIENCE));
            let is_over = || self.timeout.is_some_and(|timeout| begun.elapsed() >= timeout);
            let status = match patient.job(job, after).await {
                Ok(status) => status,
                Err(failure) if failure.passes() && is_over() => return Err(self.leave(job, "waited long enough")),
                Err(failure) => return Err(failure.hint_if_none(again(job))),
            };
            for event in &status.events {
                events::lines(event).iter().for_each(|line| out.say(line));
                story.take(&status, event);
                after = event.number;
                (news, quiet) = (Instant::now(), Instant::now());
            }
            if status.more {
                continue;
            }
            if status.outcome.is_some() {
                story.lines(&status).iter().for_each(|line| out.say(line));
                return Ok(status);
            }
            if is_over() {
                return Err(self.leave(job, "waited long enough"));
            }
            live.show(&status, self.context.ambient.now());
            if !live.is_shown() && news.elapsed() >= STILL {
                out.say(format!("          still {} (since {})", status.phase, status.since));
                news = Instant::now();
            }
            // The longer nothing has happened, the longer nothing will: a fifth of that is never noticed.
            tokio::time::sleep((quiet.elapsed() / 5).clamp(FIRST_PAUSE, LONGEST_PAUSE)).await;
        }
    }

    fn leave(&self, job: JobId, why: &str) -> Failure {
        let failure = Failure::new(Exit::TimedOut, anyhow::anyhow!("{why}; job {job} goes on"));
        failure.hint(again(job))
    }
}

/// How to go on with a job that nobody looks at any more.
fn again(job: JobId) -> String {
    format!(
        "look again with `airlock get-deploy-job-status {job} --follow`, or stop it with `airlock cancel-deploy-job {job}`"
    )
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
