//! `airlock drift`

use std::time::Duration;

use manifest_schema::names::{EnvironmentName, ProjectName};
use serde_json::json;

use crate::config::EnvironmentArgs;
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::gateway_client::ago;
use crate::pipeline::drift::{self, Found};
use crate::pipeline::summary;
use crate::production::{self, Production};
use crate::purpose::Purpose;

/// Says whether reality still matches what was deployed: plans the build that runs, with the right to read and nothing
/// else, and shows what differs. Nothing is changed.
#[derive(clap::Args)]
#[command(after_help = "Exits with 0 when everything is as deployed, and with 4 when something differs and a person \
                        has to look. Each call looks anew.")]
pub(crate) struct Args {
    /// Where to look.
    #[arg(value_name = "ENVIRONMENT")]
    environment: EnvironmentName,
    /// The project, instead of the one that airlock.toml names.
    #[arg(value_name = "PROJECT")]
    project: Option<ProjectName>,
    /// Stop looking after so many seconds; the job goes on.
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result<Exit, Failure> {
        context.block_on(self.drift(context))
    }

    async fn drift(self, context: &Context) -> Result<Exit, Failure> {
        let named = EnvironmentArgs { environment: Some(self.environment), ..EnvironmentArgs::default() };
        let production = Production::open(context, &named, &Purpose::default()).await?;
        let project = production::project(context, self.project.as_ref())?;
        let (client, environment) = (&production.client, &production.name);
        let latest = client.latest(environment, &project).await?;
        let Some(runs) = latest.as_ref().and_then(|record| record.complete) else {
            let problem = anyhow::anyhow!("no deployment of {project} to {environment} was ever complete");
            return Err(Failure::from(problem).hint("there is nothing yet that reality should match"));
        };
        let timeout = self.timeout.map(Duration::from_secs);
        let Found { job, summary: found } = drift::look(context, &production, &project, runs, timeout).await?;
        let matches = found.matches_reality();
        if context.out.is_json() {
            context.out.json(&json!({
                "environment": environment, "project": project, "build": runs.build, "manifest": runs.manifest,
                "job": job, "matches": matches, "summary": found,
            }))?;
        } else {
            let since = latest.map_or_else(String::new, |record| {
                format!(" (deployed {})", ago(context.ambient.now(), record.finished_at))
            });
            let verb = if matches { "is as" } else { "is not as" };
            let head = format!("{project} in {environment} {verb} build {} wants it{since}\n", runs.build);
            let rest = if matches { String::new() } else { summary::text(&found, context.out.paint_out()) };
            context.out.data(head + &rest)?;
        }
        Ok(if matches { Exit::Done } else { Exit::NotApproved })
    }
}
