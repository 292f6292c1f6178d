//! `airlock cancel-deploy-job`

use manifest_schema::gateway::Cancelled;
use manifest_schema::job::JobId;
use serde_json::json;

use crate::config::EnvironmentArgs;
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::production::Production;
use crate::purpose::Purpose;

/// Asks a job to stop as soon as it safely can.
#[derive(clap::Args)]
#[command(
    after_help = "While Terraform applies, it is interrupted once and saves its state; what was done stays done."
)]
pub(crate) struct Args {
    /// The job.
    job: JobId,
    #[command(flatten)]
    environment: EnvironmentArgs,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result<Exit, Failure> {
        context.block_on(async {
            let production = Production::open(context, &self.environment, &Purpose::default()).await?;
            let result = production.client.cancel(self.job).await?;
            if context.out.is_json() {
                context.out.json(&json!({ "job": self.job, "result": result }))?;
                return Ok(Exit::Done);
            }
            context.out.say(match result {
                Cancelled::Requested => format!(
                    "asked job {} to stop; `airlock get-deploy-job-status {} --follow` shows how it ends",
                    self.job, self.job
                ),
                Cancelled::AlreadyEnded | Cancelled::UnknownJob => format!("job {} is over already", self.job),
            });
            Ok(Exit::Done)
        })
    }
}
