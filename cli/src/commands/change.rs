//! `airlock change`

mod show;

use std::time::Duration;

use change::record::{Ending, Note};
use change::{ChangeRecord, Standing};
use clap::Subcommand;
use manifest_schema::Digest;
use manifest_schema::job::JobId;
use manifest_schema::names::ChangeId;
use manifest_schema::statement::Decision;
use serde_json::json;
use signing::Signer;

use crate::build::named::{BuildName, NamedBuild};
use crate::config::EnvironmentArgs;
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::keys::SigningKeyArgs;
use crate::pipeline::changes::{self, Texts, Vote, whoami};
use crate::pipeline::copies;
use crate::pipeline::waiting::{self, Question};
use crate::production::{self, Production};
use crate::purpose::Purpose;

/// What to do with changes.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Ask for a deploy: open a change for a plan of a build, or find the open one.
    Open(Open),
    /// Say yes: sign an approval of exactly this plan of this build.
    Approve(Approve),
    /// Say no: it stands for this build in this environment until you revoke it.
    Reject(Reject),
    /// Take your own yes or no back.
    Revoke(Revoke),
    /// Show a change, who said what, and what is missing; without an id, list all changes.
    Show(show::Show),
    /// Wait until enough people have approved.
    Wait(Wait),
    /// Close a change.
    Close(Close),
}

impl Command {
    pub(crate) fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self {
            Self::Open(arguments) => arguments.run(context),
            Self::Approve(arguments) => arguments.run(context),
            Self::Reject(arguments) => arguments.run(context),
            Self::Revoke(arguments) => arguments.run(context),
            Self::Show(arguments) => arguments.run(context),
            Self::Wait(arguments) => arguments.run(context),
            Self::Close(arguments) => arguments.run(context),
        }
    }
}

/// Opens a change.
#[derive(clap::Args)]
pub(crate) struct Open {
    /// The build: a manifest file, its digest, PROJECT#NUMBER, or EPOCH.NUMBER.
    build: BuildName,
    /// The plan job that planned it.
    #[arg(long, value_name = "JOB", required_unless_present = "plan", conflicts_with = "plan")]
    plan_job: Option<JobId>,
    /// The plan statement, instead of the job that made it.
    #[arg(long, value_name = "DIGEST")]
    plan: Option<Digest>,
    #[command(flatten)]
    texts: Texts,
    #[command(flatten)]
    environment: EnvironmentArgs,
}

impl Open {
    fn run(self, context: &Context) -> Result<Exit, Failure> {
        let build = NamedBuild::find(context, &self.environment, &self.build)?;
        let purpose = Purpose::of_build(build.manifest.build.number());
        context.block_on(async {
            let production = Production::open(context, &self.environment, &purpose).await?;
            let policy = production.policy().await?;
            let plan = match (self.plan, self.plan_job) {
                (Some(plan), _) => plan,
                (None, Some(job)) => planned_by(context, &production, job).await?,
                (None, None) => return Err(Failure::usage("name the plan with --plan-job or --plan")),
            };
            let plan = changes::plan_copy(&production.artifacts, policy.policy(), build.digest, plan).await?;
            let tracker = production::tracker(&production.environment)?;
            let opened = changes::open(context, &tracker, &build, &plan, self.texts)?;
            let id = &opened.record.id;
            context.out.say(if opened.is_new { format!("opened change {id}") } else { format!("change {id} is open") });
            context.out.say(format!("next: a person approves with `airlock change approve {id} --key KEY.pem`"));
            answer(context, &opened.record, || format!("{id}\n"))
        })
    }
}

/// The plan that a job made; a copy of it is kept.
async fn planned_by(context: &Context, production: &Production, job: JobId) -> Result<Digest, Failure> {
    let status = production.client.job(job, u32::MAX).await?;
    copies::keep(&context.out, &production.artifacts, &status).await?;
    let plan = status.plan.ok_or_else(|| Failure::from(anyhow::anyhow!("job {job} has made no plan")));
    plan.map(|plan| plan.statement)
        .map_err(|failure| failure.hint(format!("look at it with `airlock get-deploy-job-status {job}`")))
}

fn answer(context: &Context, record: &ChangeRecord, text: impl FnOnce() -> String) -> Result<Exit, Failure> {
    if context.out.is_json() {
        context.out.json(record)?;
    } else {
        context.out.data(text())?;
    }
    Ok(Exit::Done)
}

/// Says yes.
#[derive(clap::Args)]
pub(crate) struct Approve {
    /// The change.
    change: ChangeId,
    #[command(flatten)]
    key: SigningKeyArgs,
    /// Also let an older or aged build through.
    #[arg(long)]
    rollback: bool,
    /// Also hold in a freeze window.
    #[arg(long)]
    emergency: bool,
    /// What others should know.
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
    #[command(flatten)]
    environment: EnvironmentArgs,
}

impl Approve {
    fn run(self, context: &Context) -> Result<Exit, Failure> {
        context.block_on(async {
            let key = load(context, &self.key, &self.environment, &self.change).await?;
            let Self { rollback, emergency, comment, .. } = self;
            let vote = Vote { decision: Decision::Approve, rollback, emergency, comment, key: &key };
            cast(context, &self.environment, &self.change, "approved", vote).await
        })
    }
}

/// The voter's key. A session of a role that is taken on for it names the change.
async fn load(
    context: &Context,
    key: &SigningKeyArgs,
    environment: &EnvironmentArgs,
    change: &ChangeId,
) -> Result<Signer, Failure> {
    key.load(context, || context.environment(environment), &Purpose::of_change(change)).await
}

async fn cast(
    context: &Context,
    environment: &EnvironmentArgs,
    id: &ChangeId,
    verb: &str,
    vote: Vote<'_>,
) -> Result<Exit, Failure> {
    let production = Production::open(context, environment, &Purpose::of_change(id)).await?;
    let tracker = production::tracker(&production.environment)?;
    let change = tracker.get(id)?;
    let statement = changes::vote(context, &production, &tracker, &change, vote).await?;
    let request = &change.request;
    context.out.say(format!(
        "{verb} {} {} in {} (change {id}, plan {})",
        request.project,
        request.build.number,
        request.environment,
        request.plan.short()
    ));
    if context.out.is_json() {
        context.out.json(&json!({ "change": id, "statement": statement }))?;
    } else {
        context.out.data(format!("{statement}\n"))?;
    }
    Ok(Exit::Done)
}

/// Says no.
#[derive(clap::Args)]
pub(crate) struct Reject {
    /// The change.
    change: ChangeId,
    #[command(flatten)]
    key: SigningKeyArgs,
    /// Why.
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
    #[command(flatten)]
    environment: EnvironmentArgs,
}

impl Reject {
    fn run(self, context: &Context) -> Result<Exit, Failure> {
        context.block_on(async {
            let key = load(context, &self.key, &self.environment, &self.change).await?;
            let (decision, comment) = (Decision::Reject, self.comment);
            let vote = Vote { decision, rollback: false, emergency: false, comment, key: &key };
            cast(context, &self.environment, &self.change, "rejected", vote).await
        })
    }
}

/// Takes a statement back.
#[derive(clap::Args)]
pub(crate) struct Revoke {
    /// The change.
    change: ChangeId,
    #[command(flatten)]
    key: SigningKeyArgs,
    /// The statement to take back; without it, your newest that stands.
    #[arg(long, value_name = "DIGEST")]
    statement: Option<Digest>,
    /// Why.
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
    #[command(flatten)]
    environment: EnvironmentArgs,
}

impl Revoke {
    fn run(self, context: &Context) -> Result<Exit, Failure> {
        context.block_on(async {
            let key = load(context, &self.key, &self.environment, &self.change).await?;
            let statement = match self.statement {
                Some(statement) => statement,
                None => self.newest(context, &key).await?,
            };
            let (decision, comment) = (Decision::Revoke { statement }, self.comment);
            let vote = Vote { decision, rollback: false, emergency: false, comment, key: &key };
            cast(context, &self.environment, &self.change, "took back a word on", vote).await
        })
    }

    async fn newest(&self, context: &Context, key: &Signer) -> Result<Digest, Failure> {
        let production = Production::open(context, &self.environment, &Purpose::of_change(&self.change)).await?;
        let change = production::tracker(&production.environment)?.get(&self.change)?;
        let policy = production.policy().await?;
        let person = policy.policy().person_of(&key.public()).cloned();
        let view = waiting::view(context, &production, &change).await?;
        let Standing { voices, .. } = view.standing;
        let own = voices.into_iter().filter(|voice| {
            voice.voter.person() == person.as_ref()
                && person.is_some()
                && voice.state == change::standing::State::Counts
        });
        // Statements tell their time in seconds. Of a yes and a no in the same one, the no is what holds the deploy up.
        let newest = own.max_by_key(|voice| (voice.issued_at, voice.decision == Decision::Reject));
        newest.map(|voice| voice.statement).ok_or_else(|| {
            Failure::from(anyhow::anyhow!("nothing that this key's person said about {} stands", self.change))
                .hint(format!("`airlock change show {}` lists who said what", self.change))
        })
    }
}

/// Waits for approval.
#[derive(clap::Args)]
pub(crate) struct Wait {
    /// The change.
    change: ChangeId,
    /// Give up after so many seconds.
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    #[command(flatten)]
    environment: EnvironmentArgs,
}

impl Wait {
    fn run(self, context: &Context) -> Result<Exit, Failure> {
        context.block_on(async {
            let production = Production::open(context, &self.environment, &Purpose::of_change(&self.change)).await?;
            let change = production::tracker(&production.environment)?.get(&self.change)?;
            let policy = production.policy().await?;
            let request = &change.request;
            let deployed = production.client.latest(&request.environment, &request.project).await?;
            let question = Question {
                artifacts: &production.artifacts,
                change: &change,
                policy: policy.policy(),
                deployed: deployed.as_ref(),
            };
            let named = question.wait(context, self.timeout.map(Duration::from_secs)).await?;
            context.out.say(format!("change {} is approved", self.change));
            if context.out.is_json() {
                context.out.json(&json!({ "change": self.change, "approvals": named }))?;
            } else {
                let lines: String = named.iter().map(|statement| format!("{statement}\n")).collect();
                context.out.data(lines)?;
            }
            Ok(Exit::Done)
        })
    }
}

/// Closes a change.
#[derive(clap::Args)]
pub(crate) struct Close {
    /// The change.
    change: ChangeId,
    /// How it came to its end.
    #[arg(long, value_name = "TEXT", default_value = "closed by hand")]
    resolution: String,
    /// It is not wanted.
    #[arg(long)]
    rejected: bool,
    #[command(flatten)]
    environment: EnvironmentArgs,
}

impl Close {
    fn run(self, context: &Context) -> Result<Exit, Failure> {
        let tracker = production::tracker(&context.environment(&self.environment)?)?;
        let ending = if self.rejected { Ending::Rejected } else { Ending::Closed };
        let note = Note { at: context.ambient.now(), by: whoami(), text: self.resolution };
        let record = tracker.close(&self.change, ending, note)?;
        context.out.say(format!("change {} is {}", record.id, record.status));
        answer(context, &record, String::new)
    }
}
