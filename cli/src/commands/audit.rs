//! `airlock audit`

use std::fmt::Write as _;

use clap::Subcommand;
use manifest_schema::deployment::DeploymentRecord;
use manifest_schema::gateway::{DeploymentFiles, JobStatus};
use manifest_schema::job::{Happening, JobId};
use manifest_schema::names::ProjectName;
use serde_json::json;

use crate::audit::{Auditor, Checked};
use crate::config::EnvironmentArgs;
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::output::{Table, plain};
use crate::pipeline::events::{outcome_text, plural};
use crate::production::{self, Production};
use crate::purpose::Purpose;
use crate::trusted::RootArgs;

/// What to look at.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// List all jobs and deployments, oldest first.
    Log(Log),
    /// Check every deployment again: who built, planned, approved and deployed it. Exits with 3 if anything is wrong.
    Verify(Verify),
}

impl Command {
    pub(crate) fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self {
            Self::Log(arguments) => arguments.run(context),
            Self::Verify(arguments) => arguments.run(context),
        }
    }
}

/// Lists what happened.
#[derive(clap::Args)]
pub(crate) struct Log {
    #[command(flatten)]
    environment: EnvironmentArgs,
    /// The project, instead of the one that airlock.toml names.
    #[arg(long, value_name = "NAME")]
    project: Option<ProjectName>,
}

impl Log {
    fn run(self, context: &Context) -> Result<Exit, Failure> {
        context.block_on(async {
            let production = Production::open(context, &self.environment, &Purpose::default()).await?;
            let project = production::project(context, self.project.as_ref())?;
            let mut jobs = production.client.jobs().await?;
            jobs.retain(|line| (&line.request.environment, &line.request.project) == (&production.name, &project));
            let deployments = production.client.deployments(&production.name, &project).await?;
            let records: Vec<&DeploymentRecord> = deployments.iter().map(|files| &files.record).collect();
            if context.out.is_json() {
                context.out.json(&json!({ "jobs": jobs, "deployments": records }))?;
                return Ok(Exit::Done);
            }
            let mut table = Table::new(["launched", "action", "ended", "manifest", "deployment", "approved by", "job"]);
            for line in &jobs {
                let record = records.iter().find(|record| record.job == line.job);
                let people = |record: &&&DeploymentRecord| {
                    record.approved_by.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
                };
                table.row([
                    line.requested_at.whole_seconds().to_string(),
                    line.request.action.to_string(),
                    line.outcome.map_or_else(|| format!("({})", line.phase), |outcome| outcome.to_string()),
                    line.request.manifest.short(),
                    record.map_or_else(String::new, |r| {
                        format!("{} (build {}, {})", r.sequence, r.build, outcome_text(r.outcome))
                    }),
                    record.as_ref().map(people).unwrap_or_default(),
                    line.job.to_string(),
                ]);
            }
            context.out.data(table.render(context.out.width()))?;
            Ok(Exit::Done)
        })
    }
}

/// Checks every deployment again.
#[derive(clap::Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    environment: EnvironmentArgs,
    /// The project, instead of the one that airlock.toml names.
    #[arg(long, value_name = "NAME")]
    project: Option<ProjectName>,
    #[command(flatten)]
    roots: RootArgs,
}

impl Verify {
    fn run(self, context: &Context) -> Result<Exit, Failure> {
        context.block_on(async {
            let production = Production::open(context, &self.environment, &Purpose::default()).await?;
            let project = production::project(context, self.project.as_ref())?;
            let roots = self.roots.pinned(&production.environment)?;
            let versions = records::trust::published(&production.artifacts).await?;
            let auditor = Auditor { artifacts: &production.artifacts, roots: &roots, versions: &versions };
            let deployments = production.client.deployments(&production.name, &project).await?;
            let mut checked = Vec::new();
            let mut before: Option<&DeploymentRecord> = None;
            for files in &deployments {
                let check = async {
                    let apply = whole(&production, files.record.job).await?;
                    auditor.check(files, before, &apply).await
                };
                checked.push(match check.await {
                    Ok(checked) => checked,
                    // What doesn't even add up is what is looked for, and no reason to look no further.
                    Err(failure) if failure.is_refusal() => Checked::broken(files.record.sequence, failure.message()),
                    Err(failure) => return Err(failure),
                });
                before = Some(&files.record);
            }
            if checked.iter().all(Checked::is_sound) {
                checked.extend(gone(&production, &project, &deployments).await?);
            }
            report(context, &deployments, &checked)
        })
    }
}

/// Deployments that a job's events tell of, but no record does.
async fn gone(
    production: &Production,
    project: &ProjectName,
    deployments: &[DeploymentFiles],
) -> Result<Vec<Checked>, Failure> {
    let mut missing = Vec::new();
    for line in production.client.jobs().await? {
        let here = (&line.request.environment, &line.request.project) == (&production.name, project);
        if here && !deployments.iter().any(|files| files.record.job == line.job) {
            let events = whole(production, line.job).await?.events;
            let sequence = events.iter().find_map(|event| {
                if let Happening::Recorded { sequence, .. } = event.event { Some(sequence) } else { None }
            });
            missing.extend(sequence.map(|sequence| Checked::gone(sequence, line.job)));
        }
    }
    Ok(missing)
}

/// A job with all its events.
async fn whole(production: &Production, job: JobId) -> Result<JobStatus, Failure> {
    let mut status = production.client.job(job, 0).await?;
    while status.more {
        let after = status.events.last().map_or(0, |event| event.number);
        let next = production.client.job(job, after).await?;
        let mut events = std::mem::take(&mut status.events);
        events.extend(next.events.clone());
        status = JobStatus { events, ..next };
    }
    Ok(status)
}

fn report(context: &Context, deployments: &[DeploymentFiles], checked: &[Checked]) -> Result<Exit, Failure> {
    let unsound = checked.iter().filter(|one| !one.is_sound()).count();
    if context.out.is_json() {
        context.out.json(&json!({ "sound": unsound == 0, "deployments": checked }))?;
    } else {
        let paint = context.out.paint_out();
        let mut text = String::new();
        for one in checked {
            let record = deployments.iter().map(|files| &files.record).find(|record| record.sequence == one.sequence);
            let told = record.map_or_else(String::new, |record| {
                let (outcome, at) = (outcome_text(record.outcome), record.finished_at.whole_seconds());
                format!(": build {} {outcome} at {at}", record.build)
            });
            let _ = writeln!(text, "deployment {}{told}", one.sequence);
            for check in &one.checks {
                let _ = match &check.problem {
                    None => writeln!(text, "  {}  {}", paint.green("ok     "), check.name),
                    Some(problem) => {
                        writeln!(text, "  {}  {}: {}", paint.red("problem"), check.name, plain(problem))
                    }
                };
            }
        }
        let count = checked.len();
        let _ = writeln!(text, "{count} deployment{}, {unsound} with problems", plural(count as u64));
        context.out.data(text)?;
    }
    Ok(if unsound == 0 { Exit::Done } else { Exit::Refused })
}
