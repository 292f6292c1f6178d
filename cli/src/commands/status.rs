//! `airlock get-deploy-job-status`

use std::fmt::Write as _;
use std::time::Duration;

use manifest_schema::Document as _;
use manifest_schema::gateway::JobStatus;
use manifest_schema::job::JobId;
use manifest_schema::plan::PlanSummary;

use crate::config::EnvironmentArgs;
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::gateway_client::ago;
use crate::pipeline::follow::{Follow, verdict};
use crate::pipeline::{copies, events, summary};
use crate::production::Production;
use crate::purpose::Purpose;

/// Says how a job is.
#[derive(clap::Args)]
#[command(
    after_help = "Exits with 0 while the job goes on or when it succeeded, and otherwise as the job ended: 3 or 4 \
                        refused, 5 failed, cancelled or rolled back, 7 only because another job was applying."
)]
pub(crate) struct Args {
    /// The job.
    job: JobId,
    #[command(flatten)]
    environment: EnvironmentArgs,
    /// Print its events as they come, until it has ended.
    #[arg(long)]
    follow: bool,
    /// Only events after this number.
    #[arg(long, value_name = "N", default_value_t = 0)]
    after: u32,
    /// With --follow: stop looking after so many seconds; the job goes on.
    #[arg(long, value_name = "SECONDS", requires = "follow")]
    timeout: Option<u64>,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result<Exit, Failure> {
        context.block_on(self.status(context))
    }

    async fn status(self, context: &Context) -> Result<Exit, Failure> {
        let production = Production::open(context, &self.environment, &Purpose::default()).await?;
        let client = &production.client;
        let status = if self.follow {
            let timeout = self.timeout.map(Duration::from_secs);
            Follow { context, client, timeout }.to_end(self.job, self.after).await?
        } else {
            client.job(self.job, self.after).await?
        };
        copies::keep(&context.out, &production.artifacts, &status).await?;
        if context.out.is_json() {
            // A program that followed gets every event, not only the last look's.
            let whole = if self.follow { client.job(self.job, self.after).await? } else { status.clone() };
            context.out.json(&whole)?;
        } else {
            context.out.data(text(&status, context, !self.follow)?)?;
        }
        match status.outcome {
            Some(_) => verdict(&status).map(|()| Exit::Done),
            None => Ok(Exit::Done),
        }
    }
}

/// What the job is, how far it has come, what it did, and why it ended.
fn text(status: &JobStatus, context: &Context, with_events: bool) -> Result<String, Failure> {
    let now = context.ambient.now();
    let request = &status.request;
    let paint = context.out.paint_out();
    let mut text = format!("{} {} in {} (job {})\n", request.action, request.project, request.environment, status.job);
    let state = match status.outcome {
        Some(outcome) => outcome.to_string(),
        None => status.phase.to_string(),
    };
    let cancelling = if status.cancelling && status.outcome.is_none() { ", cancelling" } else { "" };
    let _ = writeln!(text, "  {}{cancelling} since {} ({})", paint.bold(&state), status.since, ago(now, status.since));
    let _ = writeln!(text, "  manifest {}, attempt {}", request.manifest.short(), request.attempt);
    if let (Some(task), None) = (&status.task, status.outcome) {
        let alive = status.heartbeat_at.map_or_else(String::new, |at| format!(", last heard of {}", ago(now, at)));
        let _ = writeln!(text, "  {task}{alive}");
    }
    for reason in &status.reasons {
        let _ = writeln!(text, "  {}", paint.red(&crate::output::plain(&reason.to_string())));
    }
    if with_events {
        for line in status.events.iter().flat_map(events::lines) {
            let _ = writeln!(text, "  {}", crate::output::plain(&line));
        }
    }
    if let Some(plan) = &status.plan {
        let _ = writeln!(text, "\nplan {}", plan.statement);
        if let Some(spent) = &plan.spent {
            let _ = writeln!(text, "  can't be applied any more: {spent}");
        }
        text.push_str(&summary::text(&PlanSummary::from_bytes(&plan.summary.0)?, paint));
    }
    if let Some(deployment) = &status.deployment {
        let record = &deployment.record;
        let outcome = events::outcome_text(record.outcome);
        let _ = writeln!(text, "\ndeployment {}: build {} {outcome}", record.sequence, record.build);
    }
    Ok(text)
}
