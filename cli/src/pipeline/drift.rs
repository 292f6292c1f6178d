//! Looking whether reality is as a build wants it: a job that plans that build again, and changes nothing.

use std::time::Duration;

use manifest_schema::deployment::LiveBuild;
use manifest_schema::gateway::PlanFiles;
use manifest_schema::job::{Action, Asked, JobId, LaunchRequest};
use manifest_schema::names::ProjectName;
use manifest_schema::plan::PlanSummary;
use manifest_schema::statement::{self, Verified, subject};
use manifest_schema::{Code, Digest, Document as _, Reason};

use super::follow::{Follow, verdict};
use super::launch;
use crate::context::Context;
use crate::exit::Failure;
use crate::production::Production;

/// What such a job found.
pub(crate) struct Found {
    pub(crate) job: JobId,
    /// What deploying the build again would change.
    pub(crate) summary: PlanSummary,
}

/// Looks now, and waits for the answer.
pub(crate) async fn look(
    context: &Context,
    production: &Production,
    project: &ProjectName,
    runs: LiveBuild,
    timeout: Option<Duration>,
) -> Result<Found, Failure> {
    let (client, environment) = (&production.client, &production.name);
    client.expect_readers(environment, project).await?;
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
    let status = Follow { context, client, timeout }.to_end(launched.job, 0).await?;
    verdict(&status)?;
    let files = status.plan.ok_or_else(|| anyhow::anyhow!("drift job {} says nothing", launched.job))?;
    let summary = signed_by_planner(production, runs.manifest, &files).await?;
    Ok(Found { job: launched.job, summary })
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
