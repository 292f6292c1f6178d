//! `airlock init`: everything that a first deploy on this machine needs.
//!
//! One person owns both sides of the gap here, so nothing is separated from anything; the code and the documents are
//! the same as in production. Run again, it makes what is missing and touches nothing that is there.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use manifest_schema::Document as _;
use manifest_schema::gates::Place;
use manifest_schema::json::to_bytes;
use manifest_schema::keys::PublicKey;
use manifest_schema::names::{EnvironmentName, PersonName, ProjectName};
use manifest_schema::trust::{PinnedRoots, SignedPolicy};
use records::config::{
    ClusterConfig, FilesConfig, GatewayConfig, LauncherConfig, STOP_TIMEOUT, StateBucket, TERRAFORM_MEMORY,
    TargetsConfig, WorkerConfig, WorkerRole,
};
use records::place::StatedPlace;
use signing::Signer;
use store::{Access, BucketRules, Location, Store};

use super::key::KeyPair;
use super::trust;
use crate::config::{self, FILE_NAME};
use crate::context::Context;
use crate::exit::{Exit, Failure, OrFail as _};
use crate::files;
use crate::git::Repository;
use crate::keys::{PassphraseArgs, read_private};
use crate::starting_policy::{self, Keys};

/// The directory of a local set-up.
const HOME: &str = ".airlock";
/// A job may take this long, in seconds.
const DEADLINE: u64 = 4 * 3600;

/// Sets a repository up.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The project's name; without it, what airlock.toml says, or else the repository's directory.
    #[arg(long, value_name = "NAME")]
    project: Option<ProjectName>,
    /// The environment.
    #[arg(long, value_name = "NAME", default_value = "production")]
    environment: EnvironmentName,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result<Exit, Failure> {
        let here = std::env::current_dir().context("can't tell the current directory")?;
        let none = "a build names the commit that it was made from: run `git init`, commit, and try again";
        let found = Repository::discover(&here).map_err(|problem| (problem.hint(none), problem));
        let repository = found.map_err(|(hint, problem)| Failure::from(problem).hint(hint))?;
        let root = repository.toplevel.clone();
        let toml = root.join(FILE_NAME);
        let project = self.project(&root, &toml)?;
        let mut done = Done(context, false);

        done.step(ignore(&root)?, "made .airlock/ and told git to ignore it");
        let home = root.join(HOME);
        files::create_private_directory(&home.join("keys"))?;
        let keys = LocalKeys::make(context, &home, &mut done)?;
        let setup = Setup { environment: self.environment.clone(), home, keys, person: person(&repository) };
        setup.stores(context, &project, &mut done)?;
        done.step(write_toml(&toml, &project, &self.environment)?, "wrote airlock.toml");
        done.finish(&self.environment);
        Ok(Exit::Done)
    }

    fn project(&self, root: &Path, toml: &Path) -> Result<ProjectName, Failure> {
        if toml.is_file() {
            let named = config::read(toml)?.config.project;
            return match &self.project {
                Some(wanted) if *wanted != named => {
                    Err(Failure::usage(format!("{FILE_NAME} says that the project is {named}, not {wanted}")))
                }
                Some(_) | None => Ok(named),
            };
        }
        if let Some(wanted) = &self.project {
            return Ok(wanted.clone());
        }
        let directory = root.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
        let clean = directory.replace(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')), "-");
        ProjectName::new(clean.trim_matches(['-', '.', '_'])).or_hint("name the project with --project")
    }
}

/// Tells what was made, and whether anything was.
struct Done<'a>(&'a Context, bool);

impl Done<'_> {
    fn step(&mut self, made: bool, what: &str) {
        if made {
            self.1 = true;
            self.0.out.say(what);
        }
    }

    fn finish(&self, environment: &EnvironmentName) {
        let out = &self.0.out;
        if !self.1 {
            out.say("everything is there already; nothing was changed");
        }
        out.say("this is local mode: one user owns both sides of the gap, so it separates nobody from anything");
        out.say("next: name artifacts and steps in airlock.toml, commit it, then");
        out.say(format!("  airlock deploy --environment {environment} --approve-with {HOME}/keys/approver.pem"));
    }
}

/// The public keys of a local set-up.
struct LocalKeys {
    root: PublicKey,
    builder: PublicKey,
    approver: PublicKey,
    planner: PublicKey,
    deployer: PublicKey,
}

impl LocalKeys {
    fn make(context: &Context, home: &Path, done: &mut Done<'_>) -> Result<Self, Failure> {
        let mut made = false;
        let mut key = |name: &str| -> Result<PublicKey, Failure> {
            let at = |suffix: &str| home.join("keys").join(format!("{name}{suffix}"));
            let pair = KeyPair { private: at(".pem"), public: at(".pub.pem") };
            if pair.private.exists() {
                let public = read_private(&pair.private, &PassphraseArgs::default(), &context.out)?.public();
                // The run that made it may have been stopped between the two files.
                if !pair.public.exists() {
                    files::create(&pair.public, public.to_pem().as_bytes(), false)?;
                }
                return Ok(public);
            }
            made = true;
            pair.generate(context, None)
        };
        let keys = Self {
            root: key("root")?,
            builder: key("builder")?,
            approver: key("approver")?,
            planner: key("planner")?,
            deployer: key("deployer")?,
        };
        done.step(made, "made keys in .airlock/keys: root, builder, approver, planner, deployer");
        Ok(keys)
    }
}

/// What is set up.
struct Setup {
    environment: EnvironmentName,
    home: PathBuf,
    keys: LocalKeys,
    person: PersonName,
}

impl Setup {
    /// Both stores, the configuration behind the gap, and trust policy version 1.
    fn stores(&self, context: &Context, project: &ProjectName, done: &mut Done<'_>) -> Result<(), Failure> {
        let production = self.home.join("production");
        let place = Place { account: "local".to_owned(), region: "local".to_owned() };
        let published = context.block_on(async {
            let artifacts =
                Store::open_or_create(&Location::Directory(self.home.join("artifacts")), &Access::default()).await?;
            Store::open_or_create(&Location::Directory(production.clone()), &Access::default()).await?;
            if !records::trust::published(&artifacts).await?.is_empty() {
                return Ok(false);
            }
            let signed = self.policy(context, project, place.clone()).await?;
            records::trust::publish(&artifacts, &signed).await?;
            Ok(true)
        })?;
        let configured = self.configure(&production.join("config"), &place)?;
        done.step(configured, "made both stores and the configuration behind the gap");
        done.step(published, "signed and published trust policy version 1: one person approves, no review required");
        Ok(())
    }

    async fn policy(&self, context: &Context, project: &ProjectName, place: Place) -> Result<SignedPolicy, Failure> {
        let keys = Keys {
            roots: vec![self.keys.root],
            builders: vec![self.keys.builder],
            planners: vec![self.keys.planner],
            deployers: vec![self.keys.deployer],
            approvers: vec![(self.person.clone(), self.keys.approver)],
        };
        let subject =
            starting_policy::Subject { environment: self.environment.clone(), place, project: project.clone() };
        let policy = starting_policy::make(subject, &keys, context.ambient.now())?;
        let bytes = policy.to_bytes();
        let root = read_private(&self.home.join("keys/root.pem"), &PassphraseArgs::default(), &context.out)?;
        let envelope = trust::sign(&bytes, &policy, &Signer::File(root)).await?;
        Ok(SignedPolicy { version: policy.version, policy: bytes, envelopes: vec![envelope] })
    }

    /// Three files, with paths relative to their directory so that `.airlock/` can be moved.
    fn configure(&self, directory: &Path, place: &Place) -> Result<bool, Failure> {
        files::create_private_directory(directory)?;
        let roots = PinnedRoots { threshold: 1, keys: vec![self.keys.root] };
        let gateway = GatewayConfig {
            artifacts: "../../artifacts".to_owned(),
            production: "..".to_owned(),
            aws: aws::Settings::default(),
            artifacts_bucket: BucketRules::default(),
            production_bucket: BucketRules::default(),
            roots: roots.clone(),
            place: StatedPlace::Fixed(place.clone()),
            launcher: LauncherConfig::Local {
                planner: "planner.json".into(),
                deployer: "deployer.json".into(),
                logs: "../logs".into(),
            },
        };
        let worker = |role: WorkerRole, key: &str| WorkerConfig {
            role,
            artifacts: "../../artifacts".to_owned(),
            production: "..".to_owned(),
            aws: aws::Settings::default(),
            artifacts_bucket: BucketRules::default(),
            production_bucket: BucketRules::default(),
            roots: roots.clone(),
            place: StatedPlace::Fixed(place.clone()),
            key: format!("../../keys/{key}.pem"),
            work: "../work".into(),
            state: Location::Directory("../state".into()),
            state_bucket: StateBucket::default(),
            cluster: ClusterConfig::Local("../cluster".into()),
            registry: None,
            files: Some(FilesConfig::Local("../files".into())),
            targets: TargetsConfig::default(),
            provider_mirror: None,
            terraform: None,
            terraform_role: None,
            terraform_memory: TERRAFORM_MEMORY,
            deadline_seconds: DEADLINE,
            stop_timeout_seconds: STOP_TIMEOUT,
        };
        let mut made = false;
        for (name, bytes) in [
            ("gateway.json", to_bytes(&gateway)),
            ("planner.json", to_bytes(&worker(WorkerRole::Planner, "planner"))),
            ("deployer.json", to_bytes(&worker(WorkerRole::Deployer, "deployer"))),
        ] {
            let path = directory.join(name);
            if !path.exists() {
                files::create(&path, &bytes, true)?;
                made = true;
            }
        }
        Ok(made)
    }
}

/// Makes `.airlock/`, and a line in `.gitignore` if it has none.
fn ignore(root: &Path) -> Result<bool, Failure> {
    files::create_private_directory(&root.join(HOME))?;
    let path = root.join(".gitignore");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(anyhow::Error::new(error).context(format!("can't read {}", path.display())).into()),
    };
    let names = [".airlock", ".airlock/", "/.airlock", "/.airlock/"];
    if text.lines().any(|line| names.contains(&line.trim())) {
        return Ok(false);
    }
    let newline = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    files::write(&path, format!("{text}{newline}/{HOME}/\n").as_bytes())?;
    Ok(true)
}

/// Who approves: git's user, as far as the name fits.
fn person(repository: &Repository) -> PersonName {
    let name =
        repository.setting("user.name").ok().flatten().or_else(|| std::env::var("USER").ok()).unwrap_or_default();
    let clean: String =
        name.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(40).collect();
    let clean = clean.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-");
    #[expect(clippy::expect_used, reason = "the word is a person's name by the rules of names")]
    PersonName::new(clean).unwrap_or_else(|_| PersonName::new("me").expect("`me` is a name"))
}

/// Writes airlock.toml, or adds the environment to the one that is there.
fn write_toml(path: &Path, project: &ProjectName, environment: &EnvironmentName) -> Result<bool, Failure> {
    let block = format!(
        "\n# Made by `airlock init`: both sides of the gap on this machine.\n[environments.{environment}]\n\
         artifacts = \"{HOME}/artifacts\"\ngateway = \"local\"\nproduction = \"{HOME}/production\"\n\
         changes = \"{HOME}/changes\"\n"
    );
    let text = if path.is_file() {
        if config::read(path)?.config.environments.contains_key(environment) {
            return Ok(false);
        }
        let text = fs::read_to_string(path).with_context(|| format!("can't read {}", path.display()))?;
        let newline = if text.ends_with('\n') { "" } else { "\n" };
        format!("{text}{newline}{block}")
    } else {
        format!("project = \"{project}\"\n{EXAMPLE}{block}")
    };
    files::write(path, text.as_bytes())?;
    Ok(true)
}

const EXAMPLE: &str = r#"
# What a build makes. Kinds: file, directory, image (an OCI layout or archive, or what docker save wrote),
# terraform (a root module).
# [artifacts.site]
# kind = "directory"
# path = "public"
#
# [artifacts.infra]
# kind = "terraform"
# path = "infra"
#
# What is done with it, in order.
# [[deploy]]
# terraform = "infra"
# variables = { site = { digest-of = "site" } }
"#;
