//! `airlock deployed`

use std::fmt::Write as _;

use manifest_schema::deployment::{DeploymentRecord, StepOutcome};
use manifest_schema::names::ProjectName;
use serde_json::json;

use crate::config::EnvironmentArgs;
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::gateway_client::ago;
use crate::output::wrap;
use crate::pipeline::drift::{self, Found};
use crate::pipeline::events::outcome_text;
use crate::pipeline::summary;
use crate::production::{self, Production};
use crate::purpose::Purpose;

/// Says what runs where, since when, approved by whom, and with `--check` whether reality agrees.
#[derive(clap::Args)]
#[command(after_help = "With --check, exits with 4 when something differs, as `airlock drift` does.")]
pub(crate) struct Args {
    #[command(flatten)]
    environment: EnvironmentArgs,
    /// The project, instead of the one that airlock.toml names.
    #[arg(long, value_name = "NAME")]
    project: Option<ProjectName>,
    /// Look whether reality agrees: plan the build that runs, which changes nothing.
    #[arg(long)]
    check: bool,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result<Exit, Failure> {
        context.block_on(async {
            let production = Production::open(context, &self.environment, &Purpose::default()).await?;
            let project = production::project(context, self.project.as_ref())?;
            let latest = production.client.latest(&production.name, &project).await?;
            let runs = latest.as_ref().and_then(|record| record.complete);
            let found = match runs.filter(|_| self.check) {
                Some(runs) => Some(drift::look(context, &production, &project, runs, None).await?),
                None => None,
            };
            let matches = found.as_ref().is_none_or(|found| found.summary.matches_reality());
            if context.out.is_json() {
                let mut told = json!({ "environment": production.name, "project": project, "latest": latest });
                if let Some(Found { job, summary }) = &found {
                    told["check"] = json!({ "job": job, "matches": matches, "summary": summary });
                }
                context.out.json(&told)?;
            } else {
                let mut text = match &latest {
                    Some(record) => text(record, context),
                    None => format!("{project} was never deployed to {}\n", production.name),
                };
                text.extend(found.iter().map(|found| agreement(found, matches, context)));
                context.out.data(text)?;
            }
            Ok(if matches { Exit::Done } else { Exit::NotApproved })
        })
    }
}

/// Whether reality agrees, and where it doesn't.
fn agreement(found: &Found, matches: bool, context: &Context) -> String {
    let build = found.summary.build;
    if matches {
        return format!("  checked now: everything is as build {build} wants it\n");
    }
    format!("  checked now: not everything is as build {build} wants it\n")
        + &summary::text(&found.summary, context.out.paint_out())
}

fn text(record: &DeploymentRecord, context: &Context) -> String {
    let mut text = match record.complete {
        Some(live) => format!(
            "{} in {}: build {} runs (manifest {})\n",
            record.project,
            record.environment,
            live.build,
            live.manifest.short()
        ),
        None => format!("{} in {}: no deployment was ever complete\n", record.project, record.environment),
    };
    let people: Vec<_> = record.approved_by.iter().map(ToString::to_string).collect();
    let by = if people.is_empty() { "nobody".to_owned() } else { people.join(", ") };
    let _ = writeln!(
        text,
        "  last deployment: {}, build {}, {} {} ({}), change {}, approved by {by}",
        record.sequence,
        record.build,
        outcome_text(record.outcome),
        record.finished_at,
        ago(context.ambient.now(), record.finished_at),
        record.change,
    );
    for step in &record.steps {
        let builds: Vec<_> = step.live.iter().map(|live| live.build.to_string()).collect();
        let live = if builds.is_empty() { "nothing".to_owned() } else { builds.join(" or ") };
        let outcome = match step.outcome {
            StepOutcome::Done => "",
            StepOutcome::Failed => " (the last deployment failed here)",
            StepOutcome::RolledBack => " (the last deployment was rolled back here)",
            StepOutcome::Unknown => " (the last deployment died here)",
            StepOutcome::NotBegun => " (the last deployment didn't come this far)",
        };
        let _ = writeln!(text, "  {}: {live}{outcome}", step.name);
    }
    let width = context.out.width();
    text.lines().map(|line| wrap(line, width, 0, 4) + "\n").collect()
}
