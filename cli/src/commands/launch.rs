//! `airlock launch-deploy-job`

use std::time::Duration;

use manifest_schema::Digest;
use manifest_schema::job::{Action, Asked, LaunchRequest};
use manifest_schema::names::ChangeId;
use serde_json::json;

use crate::build::named::{BuildName, NamedBuild};
use crate::config::EnvironmentArgs;
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::pipeline::follow::{Follow, verdict};
use crate::pipeline::{copies, launch, links, waiting};
use crate::production::{self, Production};
use crate::purpose::Purpose;

/// Asks production for a deploy job.
#[derive(clap::Args)]
#[command(
    after_help = "Without --attempt and --key, a launch finds the live or successful job for the same request, or \
                        tries again after one that failed. Prints the job's id."
)]
pub(crate) struct Args {
    /// The build: a manifest file, its digest, PROJECT#NUMBER, or EPOCH.NUMBER.
    build: BuildName,
    /// What to do: plan or apply.
    #[arg(long, value_name = "ACTION")]
    action: Action,
    #[command(flatten)]
    environment: EnvironmentArgs,
    /// The plan statement to apply; without it, the one that the change is for.
    #[arg(long, value_name = "DIGEST")]
    plan: Option<Digest>,
    /// The change that asks for it.
    #[arg(long, value_name = "ID")]
    change: Option<ChangeId>,
    /// An approval statement that says yes; may be given several times. Without it, all of the change that count.
    #[arg(long, value_name = "DIGEST")]
    approval: Vec<Digest>,
    /// Which try this is, from 1, instead of finding out.
    #[arg(long, value_name = "N")]
    attempt: Option<u32>,
    /// The idempotency key, instead of one made of the request.
    #[arg(long = "idempotency-key", value_name = "KEY")]
    key: Option<String>,
    /// Follow the job to its end.
    #[arg(long)]
    follow: bool,
    /// With --follow: stop looking after so many seconds; the job goes on.
    #[arg(long, value_name = "SECONDS", requires = "follow")]
    timeout: Option<u64>,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result<Exit, Failure> {
        if self.action == Action::Drift {
            return Err(Failure::usage("`airlock drift ENVIRONMENT` launches drift jobs, of the build that runs"));
        }
        if self.action == Action::Apply && self.change.is_none() {
            return Err(Failure::usage("an apply needs the change that asks for it: --change ID")
                .hint("`airlock change open` opens one for a plan"));
        }
        let build = NamedBuild::find(context, &self.environment, &self.build)?;
        context.block_on(self.launch(context, &build))
    }

    /// Plan and approvals of an apply: those stated, or else those of the change.
    async fn plan_and_approvals(
        &self,
        context: &Context,
        production: &Production,
    ) -> Result<(Option<Digest>, Vec<Digest>), Failure> {
        let stated = (self.plan, self.approval.clone());
        let (Action::Apply, Some(id)) = (self.action, &self.change) else { return Ok(stated) };
        if self.plan.is_some() && !self.approval.is_empty() {
            return Ok(stated);
        }
        let change = production::tracker(&production.environment)?.get(id)?;
        let plan = self.plan.or(Some(change.request.plan));
        if !self.approval.is_empty() {
            return Ok((plan, stated.1));
        }
        let view = waiting::view(context, production, &change).await?;
        Ok((plan, view.standing.to_name(view.lifts)))
    }

    async fn launch(self, context: &Context, build: &NamedBuild) -> Result<Exit, Failure> {
        let purpose = Purpose { build: Some(build.manifest.build.number()), change: self.change.clone() };
        let production = Production::open(context, &self.environment, &purpose).await?;
        let (plan, approvals) = self.plan_and_approvals(context, &production).await?;
        let asked = Asked {
            action: self.action,
            environment: production.name.clone(),
            project: build.manifest.project.clone(),
            manifest: build.digest,
            plan,
            change: self.change,
            approvals,
            attempt: self.attempt.unwrap_or(1),
        };
        let client = &production.client;
        client.expect_readers(&production.name, &build.manifest.project).await?;
        let attached = if self.attempt.is_some() || self.key.is_some() {
            launch::once(client, &LaunchRequest::new(asked, self.key)).await?
        } else {
            launch::or_attach(client, asked).await?
        };
        if attached.existing {
            context.out.say(format!("job {} had been launched before", attached.job));
        }
        if context.out.is_json() {
            context.out.json(&json!({ "job": attached.job, "existing": attached.existing }))?;
        } else {
            context.out.data(format!("{}\n", attached.job))?;
        }
        if self.follow {
            let timeout = self.timeout.map(Duration::from_secs);
            let status = Follow { context, client, timeout }.to_end(attached.job, 0).await?;
            copies::keep(&context.out, &production.artifacts, &status).await?;
            links::built_by(&build.manifest).iter().for_each(|link| context.out.say(link));
            verdict(&status)?;
        }
        Ok(Exit::Done)
    }
}
