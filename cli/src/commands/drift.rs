//! `airlock drift`

use manifest_schema::gateway::PlanFiles;
use manifest_schema::job::{Action, Asked, JobId, LaunchRequest};
use manifest_schema::names::{EnvironmentName, ProjectName};
use manifest_schema::plan::PlanSummary;
use manifest_schema::statement::{self, Verified, subject};
use manifest_schema::{Code, Digest, Document as _, Reason};
use serde_json::json;
use std::time::Duration;

use crate::config::EnvironmentArgs;
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::gateway_client::ago;
use crate::pipeline::follow::{Follow, verdict};
use crate::pipeline::{launch, summary};
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
        client.expect_readers(environment, &project).await?;
        let latest = client.latest(environment, &project).await?;
        let Some(runs) = latest.as_ref().and_then(|record| record.complete) else {
            let problem = anyhow::anyhow!("no deployment of {project} to {environment} was ever complete");
            return Err(Failure::from(problem).hint("there is nothing yet that reality should match"));
        };
        let asked = Asked {
            action: Action::Drift,
            environment: environment.clone(),
            project: project.clone(),
            manifest: runs.manifest,
            plan: None,
            change: None,
            approvals: Vec::new(),
            attempt: 1,
        };
        // A key of its own: whoever asks wants to know how it is now, and not how it was when somebody asked last.
        let key = JobId::new(context.ambient.now(), context.ambient.random()).to_string();
        let launched = launch::once(client, &LaunchRequest::new(asked, Some(key))).await?;
        context.out.say(format!("drift job {}", launched.job));
        let timeout = self.timeout.map(Duration::from_secs);
        let status = Follow { context, client, timeout }.to_end(launched.job, 0).await?;
        verdict(&status)?;
        let files = status.plan.ok_or_else(|| anyhow::anyhow!("drift job {} says nothing", launched.job))?;
        let found = signed_by_planner(&production, runs.manifest, &files).await?;
        let matches = found.matches_reality();
        if context.out.is_json() {
            context.out.json(&json!({
                "environment": environment, "project": project, "build": runs.build, "manifest": runs.manifest,
                "job": launched.job, "matches": matches, "summary": found,
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

/// What the planner found, believed for its signature only.
async fn signed_by_planner(
    production: &Production,
    manifest: Digest,
    files: &PlanFiles,
) -> Result<PlanSummary, Failure> {
    let policy = production.policy().await?;
    let keys = policy.policy().keys_of(&policy.policy().roles.planner);
    let refused = |problem: String| {
        Failure::refused("what the drift job found is refused", vec![Reason::new(Code::PlanUntrusted, problem)])
    };
    let opened =
        Verified::<statement::Plan>::open(&files.envelope.0, &keys).map_err(|error| refused(error.to_string()))?;
    let summary = Digest::of(&files.summary.0);
    if opened.subject(subject::MANIFEST) != Some(manifest) || opened.subject(subject::SUMMARY) != Some(summary) {
        return Err(refused("the planner signed something else".to_owned()));
    }
    Ok(PlanSummary::from_bytes(&files.summary.0)?)
}
