//! `airlock deploy`: the whole way from a build to production, as one command.
//!
//! It keeps no state of its own. Every step finds what an earlier run has done (the same build has the same manifest,
//! the same request the same job, the same plan the same change), so a run that was stopped anywhere is continued by
//! running it again.

use std::time::Duration;

use change::record::{Ending, Note, Status};
use change::{ChangeRecord, Tracker};
use manifest_schema::Digest;
use manifest_schema::gateway::JobStatus;
use manifest_schema::job::{Action, Asked};
use manifest_schema::keys::PublicKey;
use manifest_schema::manifest::BuildManifest;
use manifest_schema::names::ChangeId;
use manifest_schema::statement::{self, Decision, Outcome, Verified, subject};
use manifest_schema::storage::AttestationKind;
use records::attestations;
use serde_json::json;
use signing::KeySource;
use store::Store;

use crate::build::make::{self, Options};
use crate::build::named::{BuildName, NamedBuild};
use crate::build::publish::{self, Happened};
use crate::config::{Environment, EnvironmentArgs, WhenBusy};
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::gateway_client::GatewayClient;
use crate::keys::{PassphraseArgs, signer};
use crate::pipeline::changes::{self, Texts, Vote, whoami};
use crate::pipeline::follow::{Follow, verdict};
use crate::pipeline::rollback::RollbackTo;
use crate::pipeline::waiting::Question;
use crate::pipeline::{busy, copies, launch, links, summary};
use crate::production::{self, Production};
use crate::purpose::Purpose;
use crate::trusted::{self, RootArgs};

/// Builds, signs, publishes, plans, asks for approval, waits for it, applies, and closes the change.
#[derive(clap::Args)]
#[command(after_help = "Stopped anywhere and run again, it continues where it was. Exit codes: 3 refused, 4 not \
                        approved, 5 the job failed, 6 waited long enough (the job or the change goes on), 7 try again.")]
pub(crate) struct Args {
    /// A published build instead of building: its digest, PROJECT#NUMBER, or EPOCH.NUMBER.
    #[arg(long, value_name = "BUILD")]
    build: Option<BuildName>,
    /// Go back to this build instead of building: previous (what was deployed before), a number, or EPOCH.NUMBER. The
    /// approval must say rollback.
    #[arg(long, value_name = "BUILD", conflicts_with = "build")]
    rollback_to: Option<RollbackTo>,
    /// The builder's private key, a file or awskms:///alias/NAME; without it, .airlock/keys/builder.pem beside
    /// airlock.toml.
    #[arg(long, value_name = "KEY")]
    builder_key: Option<KeySource>,
    /// Approve with this private key, too, instead of waiting for a person: for trying it out alone.
    #[arg(long, value_name = "KEY")]
    approve_with: Option<KeySource>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    /// Take a working tree with changes that are not committed.
    #[arg(long)]
    allow_dirty: bool,
    /// Deploy even if exactly this build runs already.
    #[arg(long)]
    again: bool,
    /// What to do while another build is being applied, instead of what airlock.toml says (`when-busy`).
    #[arg(long, value_name = "WHAT")]
    when_busy: Option<WhenBusy>,
    /// Give up waiting, for approval and for each job, after so many seconds.
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    #[command(flatten)]
    texts: Texts,
    #[command(flatten)]
    environment: EnvironmentArgs,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result<Exit, Failure> {
        let build = match (&self.build, &self.rollback_to) {
            (Some(name), _) => NamedBuild::find(context, &self.environment, name)?,
            (None, Some(older)) => older.find(context, &self.environment)?,
            (None, None) => self.build_and_publish(context)?,
        };
        context.block_on(self.deploy(context, &build))
    }

    /// Describes, signs and publishes what is in the working directory, as far as that isn't done.
    fn build_and_publish(&self, context: &Context) -> Result<NamedBuild, Failure> {
        let project = context.project()?;
        let environment = context.environment(&self.environment)?;
        let location = environment.artifacts()?;
        context.block_on(async {
            let client = GatewayClient::open(context, &environment, &Purpose::default()).await?;
            client.expect_readers(environment.name()?, &project.config.project).await
        })?;
        let options = Options { allow_dirty: self.allow_dirty, ..Options::default() };
        let build = make::make(context, &project, &options, || Ok(environment.clone()))?;
        let BuildManifest { project: name, build: number, .. } = &build.manifest;
        context.out.say(format!("build {} of {name}: manifest {}", number.number(), build.digest.short()));
        let local = || KeySource::File(project.resolve(".airlock/keys/builder.pem".as_ref()));
        let source = self.builder_key.clone().unwrap_or_else(local);
        let purpose = Purpose::of_build(number.number());
        context.block_on(async {
            let key = signer(&source, &self.passphrase, context, || Ok(environment.clone()), &purpose).await;
            let key = key.map_err(|failure| match &source {
                KeySource::File(_) => failure.hint("name the builder's key with --builder-key, or run `airlock init`"),
                KeySource::Kms(_) => failure,
            })?;
            let store = store::Store::open_or_create(location, &environment.access(&purpose)).await?;
            warn_unless_builder(context, &environment, &store, &key.public()).await;
            let known = attestations::list(&store, build.digest, AttestationKind::Build).await?;
            let ours = [key.public()];
            let signed = known.into_iter().find(|envelope| {
                Verified::<statement::Build>::open(envelope, &ours)
                    .is_ok_and(|opened| opened.subject(subject::MANIFEST) == Some(build.digest))
            });
            let envelope = match signed {
                Some(envelope) => envelope,
                None => make::sign(&build, &key, context.ambient.now()).await?.envelope,
            };
            let published = publish::publish(context, &store, &build, &[envelope], publish::Care::Believe).await?;
            let publish::Sent { sent, present, repaired: _ } = &published.blobs;
            let verb = match published.happened {
                Happened::Published => "published",
                Happened::Restored => "restored after it had been collected",
                Happened::Nothing => "was published before",
            };
            context.out.say(format!("{verb}: sent {sent}; already there: {present}"));
            Ok(())
        })?;
        Ok(build)
    }

    async fn deploy(self, context: &Context, build: &NamedBuild) -> Result<Exit, Failure> {
        let production =
            Production::open(context, &self.environment, &Purpose::of_build(build.manifest.build.number())).await?;
        if self.build.is_some() || self.rollback_to.is_some() {
            // One that is made here was preceded by this.
            production.client.expect_readers(&production.name, &build.manifest.project).await?;
        }
        let tracker = production::tracker(&production.environment)?;
        if let Some(status) = self.already_applying(context, &production, build).await? {
            let change = status.request.change.clone();
            return finish(context, &production, &tracker, build, change.as_ref(), &status);
        }
        if !self.again && runs_already(context, &production, &tracker, build).await? {
            return Ok(Exit::Done);
        }
        let when_busy = self.when_busy.unwrap_or(production.environment.when_busy());
        let patience = (when_busy, self.timeout.map(Duration::from_secs));
        busy::give_way(context, &production, &build.manifest.project, patience).await?;
        let planned = self.plan(context, &production, build).await?;
        let policy = production.policy().await?;
        let plan = changes::plan_copy(&production.artifacts, policy.policy(), build.digest, planned).await?;
        context.out.raw_error(&summary_for_people(context, &plan.summary));

        let opened = changes::open(context, &tracker, build, &plan, self.texts.clone())?;
        let change = opened.record;
        let id = change.id.clone();
        context.out.say(format!("change {id} {}", if opened.is_new { "opened" } else { "is open" }));
        let approvals = self.approvals(context, &production, &change).await?;
        let status = self.apply(context, &production, build, (planned, &id, approvals)).await?;
        finish(context, &production, &tracker, build, Some(&id), &status)
    }

    /// The apply job of this very build that an earlier run had launched and that still goes on, followed to its end.
    async fn already_applying(
        &self,
        context: &Context,
        production: &Production,
        build: &NamedBuild,
    ) -> Result<Option<JobStatus>, Failure> {
        let found = busy::applying(production, &build.manifest.project).await?;
        let Some(job) = found.filter(|status| status.request.manifest == build.digest).map(|status| status.job) else {
            return Ok(None);
        };
        context.out.say(format!("apply job {job} goes on (launched before)"));
        let status = self.follow(context, production).to_end(job, 0).await?;
        copies::keep(&context.out, &production.artifacts, &status).await?;
        Ok(Some(status))
    }

    fn follow<'a>(&self, context: &'a Context, production: &'a Production) -> Follow<'a> {
        Follow { context, client: &production.client, timeout: self.timeout.map(Duration::from_secs) }
    }

    /// The plan statement of this build here, as it is now.
    async fn plan(&self, context: &Context, production: &Production, build: &NamedBuild) -> Result<Digest, Failure> {
        let asked = asked(production, build, Action::Plan);
        let attached = launch::or_attach(&production.client, asked).await?;
        let again = if attached.existing { " (launched before)" } else { "" };
        context.out.say(format!("plan job {}{again}", attached.job));
        let status = self.follow(context, production).to_end(attached.job, 0).await?;
        copies::keep(&context.out, &production.artifacts, &status).await?;
        verdict(&status)?;
        let plan = status.plan.ok_or_else(|| anyhow::anyhow!("plan job {} succeeded without a plan", attached.job))?;
        Ok(plan.statement)
    }

    /// The approvals to name: signed here if asked to, and in any case enough.
    async fn approvals(
        &self,
        context: &Context,
        production: &Production,
        change: &ChangeRecord,
    ) -> Result<Vec<Digest>, Failure> {
        let policy = production.policy().await?;
        let request = &change.request;
        let deployed = production.client.latest(&request.environment, &request.project).await?;
        let question =
            Question { artifacts: &production.artifacts, change, policy: policy.policy(), deployed: deployed.as_ref() };
        let view = question.look(context.ambient.now()).await?;
        if let (Some(source), false) = (&self.approve_with, view.is_enough()) {
            let purpose = Purpose { build: Some(request.build.number), change: Some(change.id.clone()) };
            let environment = || Ok(production.environment.clone());
            let key = signer(source, &self.passphrase, context, environment, &purpose).await?;
            let (rollback, emergency) = (view.lifts.rollback, view.lifts.emergency);
            let vote = Vote { decision: Decision::Approve, rollback, emergency, comment: None, key: &key };
            let tracker = production::tracker(&production.environment)?;
            changes::vote(context, production, &tracker, change, vote).await?;
            context.out.say(format!("approved with {}", key.public().id()));
        } else if !view.is_enough() {
            context.out.say(format!("a person approves with: airlock change approve {} --key KEY.pem", change.id));
        }
        let named = question.wait(context, self.timeout.map(Duration::from_secs)).await?;
        context.out.say(format!("approved by {} statement{}", named.len(), if named.len() == 1 { "" } else { "s" }));
        Ok(named)
    }

    async fn apply(
        &self,
        context: &Context,
        production: &Production,
        build: &NamedBuild,
        (plan, change, approvals): (Digest, &ChangeId, Vec<Digest>),
    ) -> Result<JobStatus, Failure> {
        let asked = Asked {
            plan: Some(plan),
            change: Some(change.clone()),
            approvals,
            ..asked(production, build, Action::Apply)
        };
        let attached = launch::or_attach(&production.client, asked).await?;
        let again = if attached.existing { " (launched before)" } else { "" };
        context.out.say(format!("apply job {}{again}", attached.job));
        let status = self.follow(context, production).to_end(attached.job, 0).await?;
        copies::keep(&context.out, &production.artifacts, &status).await?;
        Ok(status)
    }
}

/// Says before anything is published that nobody will believe it, if a policy can be read that says so. The gates decide.
async fn warn_unless_builder(context: &Context, environment: &Environment, store: &Store, key: &PublicKey) {
    let Ok(roots) = RootArgs::default().pinned(environment) else { return };
    let Ok(policy) = trusted::newest(store, &roots).await else { return };
    let policy = policy.policy();
    if !policy.keys_of(&policy.roles.builder).contains(key) {
        context.out.warn(format!("{} is no builder of trust policy version {}", key.id(), policy.version));
    }
}

/// Whether exactly this build is what runs, after a complete deployment. Changes for it that an earlier run left open
/// are resolved.
async fn runs_already(
    context: &Context,
    production: &Production,
    tracker: &Tracker,
    build: &NamedBuild,
) -> Result<bool, Failure> {
    let project = &build.manifest.project;
    let latest = production.client.latest(&production.name, project).await?;
    let Some(record) = latest.filter(|r| r.outcome == Outcome::Succeeded && r.manifest == build.digest) else {
        return Ok(false);
    };
    let open = |change: &ChangeRecord| change.status == Status::Open && change.id == record.change;
    for change in tracker.list()?.iter().filter(|change| open(change)) {
        let note = note(context, format!("deployed by job {}", record.job));
        tracker.close(&change.id, Ending::Resolved, note)?;
    }
    let number = build.manifest.build.number();
    context.out.say(format!(
        "build {number} of {project} runs in {} already (deployment {}); --again deploys it once more",
        production.name, record.sequence
    ));
    if context.out.is_json() {
        context.out.json(&json!({
            "project": project, "build": number, "manifest": build.digest, "environment": production.name,
            "plan": record.plan, "change": record.change, "job": record.job, "deployment": record.sequence,
        }))?;
    }
    Ok(true)
}

/// Resolves the change of a deploy that succeeded, and says so.
fn finish(
    context: &Context,
    production: &Production,
    tracker: &Tracker,
    build: &NamedBuild,
    change: Option<&ChangeId>,
    status: &JobStatus,
) -> Result<Exit, Failure> {
    links::built_by(&build.manifest).iter().for_each(|link| context.out.say(link));
    verdict(status)?;
    if let Some(change) = change {
        tracker.close(change, Ending::Resolved, note(context, format!("deployed by job {}", status.job)))?;
        context.out.say(format!("change {change} is resolved"));
    }
    let (project, number) = (&build.manifest.project, build.manifest.build.number());
    context.out.say(format!("deployed build {number} of {project} to {}", production.name));
    if context.out.is_json() {
        context.out.json(&json!({
            "project": project, "build": number, "manifest": build.digest, "environment": production.name,
            "plan": status.request.plan, "change": change, "job": status.job,
            "deployment": status.deployment.as_ref().map(|files| files.record.sequence),
        }))?;
    }
    Ok(Exit::Done)
}

fn note(context: &Context, text: String) -> Note {
    Note { at: context.ambient.now(), by: whoami(), text }
}

fn asked(production: &Production, build: &NamedBuild, action: Action) -> Asked {
    Asked {
        action,
        environment: production.name.clone(),
        project: build.manifest.project.clone(),
        manifest: build.digest,
        plan: None,
        change: None,
        approvals: Vec::new(),
        attempt: 1,
    }
}

fn summary_for_people(context: &Context, plan: &manifest_schema::plan::PlanSummary) -> String {
    if context.out.is_quiet() { String::new() } else { summary::text(plan, context.out.paint_err()) }
}
