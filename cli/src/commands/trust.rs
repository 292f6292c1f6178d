//! `airlock trust`

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Subcommand;
use manifest_schema::gates::Place;
use manifest_schema::names::{EnvironmentName, PersonName, ProjectName};
use manifest_schema::statement::{self, Statement, Subject, subject};
use manifest_schema::trust::{SignedPolicy, TrustPolicy, TrustedPolicy};
use manifest_schema::{Code, Digest, Document as _};
use serde_json::json;
use signing::Signer;
use store::Store;

use crate::cloud;
use crate::config::EnvironmentArgs;
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::files;
use crate::keys::SigningKeyArgs;
use crate::output::{Table, plain};
use crate::purpose::Purpose;
use crate::starting_policy::{self, Keys};
use crate::statements::EnvelopeFile;
use crate::trusted::{self, RootArgs};

/// What to do with trust policies.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Write a trust policy to start from, version 1.
    Init(Init),
    /// Sign a trust policy with a root key.
    Sign(Sign),
    /// Follow the published versions from the pinned roots to the newest.
    Verify(Verify),
    /// Show the newest published policy, or a file.
    Show(Show),
    /// Publish a signed version into the artifacts store.
    Publish(Publish),
}

impl Command {
    pub(crate) fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self {
            Self::Init(arguments) => arguments.run(context),
            Self::Sign(arguments) => arguments.run(context),
            Self::Verify(arguments) => arguments.run(context),
            Self::Show(arguments) => arguments.run(context),
            Self::Publish(arguments) => arguments.run(context),
        }
    }
}

/// Writes a starting policy.
#[derive(clap::Args)]
pub(crate) struct Init {
    /// Where the policy is written.
    #[arg(long, value_name = "FILE", default_value = "trust-policy.json")]
    output: PathBuf,
    /// A root's public key; may be given several times.
    #[arg(long, value_name = "FILE", required = true)]
    root: Vec<PathBuf>,
    /// A builder's public key; may be given several times.
    #[arg(long, value_name = "FILE", required = true)]
    builder: Vec<PathBuf>,
    /// The planner's public key.
    #[arg(long, value_name = "FILE", required = true)]
    planner: Vec<PathBuf>,
    /// The deployer's public key.
    #[arg(long, value_name = "FILE", required = true)]
    deployer: Vec<PathBuf>,
    /// A person who may approve, and their public key; may be given several times.
    #[arg(long, value_name = "PERSON=FILE", required = true, value_parser = approver)]
    approver: Vec<(PersonName, PathBuf)>,
    /// The environment.
    #[arg(long, value_name = "NAME")]
    environment: EnvironmentName,
    /// The project that may be deployed there.
    #[arg(long, value_name = "NAME")]
    project: ProjectName,
    /// The AWS account's id, or local.
    #[arg(long, value_name = "ID", default_value = "local")]
    account: String,
    /// The AWS region, or local.
    #[arg(long, value_name = "REGION", default_value = "local")]
    region: String,
}

fn approver(text: &str) -> Result<(PersonName, PathBuf), String> {
    let (person, path) = text.split_once('=').ok_or("expected PERSON=FILE, such as alice=alice.pub.pem")?;
    Ok((person.parse().map_err(|error: manifest_schema::names::NameError| error.to_string())?, path.into()))
}

impl Init {
    fn run(self, context: &Context) -> Result<Exit, Failure> {
        let read = |paths: &[PathBuf]| paths.iter().map(|path| trusted::public(path)).collect::<Result<Vec<_>, _>>();
        let keys = Keys {
            roots: read(&self.root)?,
            builders: read(&self.builder)?,
            planners: read(&self.planner)?,
            deployers: read(&self.deployer)?,
            approvers: self
                .approver
                .iter()
                .map(|(person, path)| Ok((person.clone(), trusted::public(path)?)))
                .collect::<Result<_, Failure>>()?,
        };
        let place = Place { account: self.account, region: self.region };
        let subject = starting_policy::Subject { environment: self.environment, place, project: self.project };
        let policy = starting_policy::make(subject, &keys, context.ambient.now())?;
        files::create(&self.output, &policy.to_bytes(), false)?;
        let path = self.output.display();
        context.out.say(format!("wrote {path}: read it, change what you need, then sign it"));
        context.out.say(format!("next: airlock trust sign {path} --key ROOT.pem --output trust.dsse.json"));
        Ok(Exit::Done)
    }
}

/// Signs a policy.
#[derive(clap::Args)]
pub(crate) struct Sign {
    /// The policy.
    policy: PathBuf,
    /// Where the envelope is written.
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    key: SigningKeyArgs,
}

impl Sign {
    fn run(self, context: &Context) -> Result<Exit, Failure> {
        let (bytes, policy) = read_policy(&self.policy)?;
        context.block_on(async {
            let key = self.key.load(context, || cloud::environment(context), &Purpose::default()).await?;
            if policy.describe(&key.public()).is_none_or(|role| !role.starts_with("root")) {
                context.out.warn("this key is not a root of the policy that it signs");
            }
            let signed = sign(&bytes, &policy, &key).await?;
            files::write(&self.output, &signed)?;
            context.out.say(format!("signed version {} with {}", policy.version, key.public().id()));
            Ok(Exit::Done)
        })
    }
}

/// A root's envelope about a policy's exact bytes.
///
/// # Errors
/// When the key can't sign.
pub(crate) async fn sign(bytes: &[u8], policy: &TrustPolicy, key: &Signer) -> Result<Vec<u8>, Failure> {
    let subjects = vec![Subject::new(subject::TRUST_POLICY, Digest::of(bytes))];
    let said = statement::TrustPolicy { version: policy.version };
    Ok(key.sign(&Statement::new(subjects, said)).await?.envelope)
}

fn read_policy(path: &std::path::Path) -> Result<(Vec<u8>, TrustPolicy), Failure> {
    let bytes = files::read(path, TrustPolicy::LIMIT)?;
    let policy = TrustPolicy::from_bytes(&bytes).with_context(|| format!("can't use {}", path.display()))?;
    Ok((bytes, policy))
}

/// Verifies the published chain.
#[derive(clap::Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    environment: EnvironmentArgs,
    #[command(flatten)]
    roots: RootArgs,
}

impl Verify {
    fn run(self, context: &Context) -> Result<Exit, Failure> {
        let environment = context.environment(&self.environment)?;
        let roots = self.roots.pinned(&environment)?;
        let versions = context.block_on(async {
            let artifacts = Store::open(environment.artifacts()?, &environment.access(&Purpose::default())).await?;
            Ok(records::trust::published(&artifacts).await?)
        })?;
        let newest = TrustedPolicy::establish(&roots, &versions, 0, context.ambient.now()).map_err(trusted::refused)?;
        let policy = newest.policy();
        if context.out.is_json() {
            context.out.json(&json!({
                "version": policy.version, "digest": newest.digest(), "expiresAt": policy.expires_at,
            }))?;
        } else {
            context.out.data(format!(
                "version {} is in force until {} ({} version{}, unbroken from the pinned roots)\n",
                policy.version,
                policy.expires_at,
                versions.len(),
                if versions.len() == 1 { "" } else { "s" },
            ))?;
        }
        Ok(Exit::Done)
    }
}

/// Shows a policy.
#[derive(clap::Args)]
pub(crate) struct Show {
    /// A file, instead of what is published.
    policy: Option<PathBuf>,
    #[command(flatten)]
    environment: EnvironmentArgs,
    #[command(flatten)]
    roots: RootArgs,
}

impl Show {
    fn run(self, context: &Context) -> Result<Exit, Failure> {
        let policy = match &self.policy {
            Some(path) => read_policy(path)?.1,
            None => {
                let environment = context.environment(&self.environment)?;
                let roots = self.roots.pinned(&environment)?;
                context.block_on(async {
                    let artifacts =
                        Store::open(environment.artifacts()?, &environment.access(&Purpose::default())).await?;
                    Ok(trusted::newest(&artifacts, &roots).await?.policy().clone())
                })?
            }
        };
        if context.out.is_json() {
            context.out.json(&policy)?;
        } else {
            context.out.data(text(&policy, context))?;
        }
        Ok(Exit::Done)
    }
}

fn text(policy: &TrustPolicy, context: &Context) -> String {
    let mut text = format!("trust policy version {}, valid until {}\n\n", policy.version, policy.expires_at);
    let mut keys = Table::new(["key", "is", "id"]);
    for (name, key) in &policy.keys {
        keys.row([name.to_string(), policy.describe(key).unwrap_or_default(), key.id().to_string()]);
    }
    text.push_str(&keys.render(context.out.width()));
    for (name, environment) in &policy.environments {
        let rules = &environment.approval;
        let projects: Vec<_> = environment.projects.keys().map(ToString::to_string).collect();
        text.push_str(&format!(
            "\nenvironment {name}: account {}, region {}\n  projects: {}\n  approval: {} {}, {} when risk is found{}\n",
            plain(&environment.account),
            plain(&environment.region),
            projects.join(", "),
            rules.people,
            if rules.people == 1 { "person" } else { "people" },
            rules.people_for_risk,
            match (rules.review_required, rules.bot_alone) {
                (false, false) => "",
                (true, false) => "; the bot must review",
                (false, true) => "; the bot may approve alone when nothing demands a person",
                (true, true) => "; the bot must review, and may approve alone when nothing demands a person",
            },
        ));
        for freeze in &environment.freezes {
            text.push_str(&format!("  frozen {} to {}: {}\n", freeze.from, freeze.until, plain(&freeze.reason)));
        }
    }
    text
}

/// Publishes a policy.
#[derive(clap::Args)]
pub(crate) struct Publish {
    /// The policy.
    policy: PathBuf,
    /// A root's envelope about it; may be given several times.
    #[arg(long, value_name = "FILE", required = true)]
    envelope: Vec<PathBuf>,
    #[command(flatten)]
    environment: EnvironmentArgs,
}

impl Publish {
    fn run(self, context: &Context) -> Result<Exit, Failure> {
        let (bytes, policy) = read_policy(&self.policy)?;
        // Whether it is signed by the right roots is judged along the whole chain, by `verify`. What claims to be about
        // something else can never count, and would stay in the store for ever.
        let mut envelopes = Vec::new();
        for path in &self.envelope {
            let envelope = EnvelopeFile::read(path, Code::TrustBroken)?;
            let digest = Digest::of(&bytes);
            envelope.expect_about::<statement::TrustPolicy>(subject::TRUST_POLICY, digest, Code::TrustBroken)?;
            envelopes.push(envelope.bytes);
        }
        let environment = context.environment(&self.environment)?;
        let signed = SignedPolicy { version: policy.version, policy: bytes, envelopes };
        context.block_on(async {
            let artifacts =
                Store::open_or_create(environment.artifacts()?, &environment.access(&Purpose::default())).await?;
            Ok(records::trust::publish(&artifacts, &signed).await?)
        })?;
        context.out.say(format!(
            "published trust policy version {}; the next launch takes it over into production if the chain holds",
            policy.version
        ));
        Ok(Exit::Done)
    }
}
