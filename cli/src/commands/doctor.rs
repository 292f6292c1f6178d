//! `airlock doctor`: looks at everything that a deploy from here would need, and says what to do about what is wrong.
//!
//! It changes nothing, and one problem doesn't keep it from looking for the next.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use manifest_schema::keys::{KeyError, SecretKey};
use manifest_schema::trust::TrustedPolicy;
use records::config::{ConfigError, GatewayConfig, LauncherConfig, RegistryConfig, WorkerConfig, WorkerRole};
use serde::Serialize;
use signing::{KeySource, KmsKey};
use store::{Access, Location, Store};

use crate::config::{Environment, EnvironmentArgs, Gateway, LambdaGateway};
use crate::context::Context;
use crate::env;
use crate::exit::{Exit, Failure};
use crate::files;
use crate::gateway_client::GatewayClient;
use crate::output::{count, duration, plain, wrap};
use crate::purpose::Purpose;
use crate::trusted::{self, RootArgs};

/// A trust policy that expires sooner is worth a word.
const SOON: u64 = 30 * 86_400;
/// Largest key file that is read, in bytes.
const KEY_LIMIT: usize = 64 << 10;
/// Most bytes of a password.
const PASSWORD_LIMIT: usize = 4 << 10;

/// Where to look.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    place: EnvironmentArgs,
}

/// One thing that was looked at.
#[derive(Serialize)]
struct Check {
    name: &'static str,
    ok: bool,
    found: String,
    /// What to do about a problem.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, ok: true, found: found.into(), next: None }
    }

    fn problem(name: &'static str, found: impl Into<String>, next: impl Into<String>) -> Self {
        Self { name, ok: false, found: found.into(), next: Some(next.into()) }
    }

    fn failed(name: &'static str, failure: &Failure, next: &str) -> Self {
        let next = failure.own_hint().unwrap_or(next);
        Self::problem(name, failure.messages().join(": "), next)
    }
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result<Exit, Failure> {
        let checks = self.checks(context)?;
        let problems = checks.iter().filter(|check| !check.ok).count();
        if context.out.is_json() {
            context.out.json(&serde_json::json!({ "ok": problems == 0, "checks": checks }))?;
        } else {
            context.out.data(checks.iter().map(|check| line(context, check)).collect::<String>())?;
            context.out.say(match problems {
                0 => "everything is in order".to_owned(),
                _ => format!("{} found", count(problems, "problem")),
            });
        }
        Ok(if problems == 0 { Exit::Done } else { Exit::Failed })
    }

    fn checks(&self, context: &Context) -> Result<Vec<Check>, Failure> {
        let mut checks = vec![git(), terraform()?];
        match context.project_if_any() {
            Ok(Some(project)) => {
                let found = format!("{}: project {}", project.path.display(), project.config.project);
                checks.push(Check::ok("configuration", found));
            }
            Ok(None) => {
                let next = "run `airlock init` in a git repository";
                checks.push(Check::problem("configuration", "there is no airlock.toml here or above", next));
                return Ok(checks);
            }
            Err(failure) => {
                checks.push(Check::failed("configuration", &failure, "correct the line that is named"));
                return Ok(checks);
            }
        }
        match context.environment(&self.place) {
            Ok(environment) => checks.extend(self.of_environment(context, &environment)?),
            Err(failure) => checks.push(Check::failed("environment", &failure, "name one with --environment")),
        }
        Ok(checks)
    }

    fn of_environment(&self, context: &Context, environment: &Environment) -> Result<Vec<Check>, Failure> {
        let mut checks = Vec::new();
        match environment.artifacts() {
            Ok(location) => {
                let store = store(context, "artifacts store", location, &environment.access(&Purpose::default()));
                // Without the store there is no policy to look at, and one problem is enough.
                let trust = store.ok.then(|| trust(context, environment, location));
                checks.extend(std::iter::once(store).chain(trust));
            }
            Err(failure) => checks.push(Check::failed("artifacts store", &failure, "name one with --store")),
        }
        match environment.gateway() {
            Ok(Gateway::Local { production }) => checks.extend(local(context, &production)?),
            Ok(Gateway::Lambda(gateway)) => checks.push(functions(context, environment, &gateway)),
            Err(failure) => checks.push(Check::failed("gateway", &failure, "run `airlock init`")),
        }
        Ok(checks)
    }
}

fn line(context: &Context, check: &Check) -> String {
    let label = if check.ok { "ok" } else { "problem" };
    let next = check.next.iter().map(|next| format!("\n  next: {}", plain(next))).collect::<String>();
    // Continuation lines are wrapped one by one, so that `next` starts its own.
    let text = format!("{label}: {}: {}", check.name, plain(&check.found).replace('\n', " "));
    let wrapped = wrap(&text, context.out.width(), 0, 2);
    let next = next.strip_prefix('\n').map(|next| format!("\n{}", wrap(next.trim(), context.out.width(), 2, 4)));
    format!("{}{}\n", wrapped.replacen(label, &context.out.paint_out().label(label), 1), next.unwrap_or_default())
}

fn git() -> Check {
    match first_line("git", "--version") {
        Some(version) => Check::ok("git", version),
        None => Check::problem("git", "the program git can't be run", "install git"),
    }
}

/// The program that a worker on this machine would choose.
fn terraform() -> Result<Check, Failure> {
    let stated = env::get(env::TERRAFORM)?;
    let candidates = stated.as_deref().map_or_else(|| vec!["terraform", "tofu"], |program| vec![program]);
    let found = candidates.iter().find_map(|program| Some((program, first_line(program, "version")?)));
    Ok(match found {
        Some((program, version)) => Check::ok("terraform", format!("{version} ({program})")),
        None => Check::problem(
            "terraform",
            format!("{} can't be run", candidates.join(" and ")),
            format!("install Terraform 1.4 or newer or OpenTofu, or name it with {}", env::TERRAFORM),
        ),
    })
}

/// What a program says first; `None` if it can't be run or fails.
fn first_line(program: &str, argument: &str) -> Option<String> {
    let mut command = Command::new(program);
    command.arg(argument).env("LC_ALL", "C").env("CHECKPOINT_DISABLE", "1").stdin(Stdio::null());
    let output = command.output().ok().filter(|output| output.status.success())?;
    String::from_utf8_lossy(&output.stdout).lines().next().map(str::to_owned)
}

fn store(context: &Context, name: &'static str, location: &Location, access: &Access) -> Check {
    match context.block_on(async { Ok(Store::open(location, access).await?) }) {
        Ok(_) => Check::ok(name, location.to_string()),
        Err(failure) => Check::failed(name, &failure, "check the path; `airlock init` makes local stores"),
    }
}

/// Whether the published chain holds, from the roots that the local gateway pins.
fn trust(context: &Context, environment: &Environment, location: &Location) -> Check {
    let name = "trust policy";
    let established = RootArgs::default().pinned(environment).and_then(|roots| {
        let versions = context.block_on(async {
            Ok(records::trust::published(&Store::open(location, &environment.access(&Purpose::default())).await?)
                .await?)
        })?;
        TrustedPolicy::establish(&roots, &versions, 0, context.ambient.now()).map_err(trusted::refused)
    });
    let policy = match established {
        Ok(policy) => policy,
        Err(failure) => return Check::failed(name, &failure, "look at it with `airlock trust verify`"),
    };
    let (version, expires_at) = (policy.policy().version, policy.policy().expires_at);
    let left = expires_at.seconds_since(context.ambient.now());
    let found = format!("version {version} is valid until {expires_at}");
    if left < SOON {
        let next = format!("sign and publish a new version within {}", duration(left));
        return Check::problem(name, found, next);
    }
    Check::ok(name, found)
}

/// Whether a gateway in AWS answers, and reads what this CLI writes. Nothing is launched for it.
fn functions(context: &Context, environment: &Environment, gateway: &LambdaGateway) -> Check {
    let name = "gateway";
    let asked = context.block_on(async {
        let project = environment.project().ok_or_else(|| anyhow::anyhow!("airlock.toml names no project"))?;
        let client = GatewayClient::open(context, environment, &Purpose::default()).await?;
        client.expect_readers(environment.name()?, project).await
    });
    match asked {
        Ok(()) => Check::ok(name, format!("{gateway} answers, and reads what this CLI writes")),
        Err(failure) => {
            let next = failure.own_hint().unwrap_or("look at the functions and their log groups");
            Check::problem(name, format!("{gateway}: {}", failure.messages().join(": ")), next)
        }
    }
}

/// What only a gateway on this machine needs.
fn local(context: &Context, production: &Path) -> Result<Vec<Check>, Failure> {
    let location = Location::Directory(production.to_owned());
    let mut checks = vec![store(context, "production store", &location, &Access::default()), worker()?];
    match GatewayConfig::read(&production.join("config").join("gateway.json")) {
        Err(error) => checks.push(unusable("gateway", error)),
        Ok(config) => {
            checks.push(Check::ok("gateway", format!("local, in {}", production.display())));
            let workers = match config.launcher {
                LauncherConfig::Local { planner, deployer, .. } => vec![("planner", planner), ("deployer", deployer)],
                // Their configurations are in the task definitions.
                LauncherConfig::Ecs(_) => Vec::new(),
            };
            for (name, path) in workers {
                match WorkerConfig::read(&path) {
                    Ok(config) => {
                        checks.push(key(context, name, &config));
                        let pushes = config.role == WorkerRole::Deployer;
                        checks.extend(config.registry.as_ref().filter(|_| pushes).map(registry));
                    }
                    Err(error) => checks.push(unusable(name, error)),
                }
            }
        }
    }
    Ok(checks)
}

/// A configuration that isn't there, or isn't one.
fn unusable(name: &'static str, error: ConfigError) -> Check {
    let next = error.advice();
    Check::failed(name, &error.into(), next)
}

/// Where the deployer pushes images, and whether it has the password. The registry is not asked: this user is nobody there.
fn registry(config: &RegistryConfig) -> Check {
    let name = "registry";
    let RegistryConfig { address, repository, login, .. } = config;
    let place = format!("images go to {address}/{repository}");
    let Some(login) = login else { return Check::ok(name, place) };
    match files::read_secret(&login.password_file, PASSWORD_LIMIT) {
        Ok(_) => Check::ok(name, format!("{place}, as {}", login.user)),
        Err(error) => {
            let next = "put the password there, or correct `passwordFile` in the deployer's configuration";
            Check::problem(name, Failure::from(error).messages().join(": "), next)
        }
    }
}

/// The worker's program, where the gateway looks for it.
fn worker() -> Result<Check, Failure> {
    let stated = env::get(env::WORKER)?.map(PathBuf::from);
    let beside = std::env::current_exe().ok().map(|program| program.with_file_name("airlock-worker"));
    let on_path = std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect::<Vec<_>>());
    let on_path = on_path.unwrap_or_default().into_iter().map(|directory| directory.join("airlock-worker"));
    let candidates: Vec<PathBuf> = match stated {
        Some(stated) => vec![stated],
        None => beside.into_iter().chain(on_path).collect(),
    };
    let next = format!("install it beside airlock, or name it with {}", env::WORKER);
    Ok(match candidates.iter().find(|path| path.is_file()) {
        Some(path) => Check::ok("worker", path.display().to_string()),
        None => Check::problem("worker", "the program airlock-worker is not here", next),
    })
}

fn key(context: &Context, name: &'static str, config: &WorkerConfig) -> Check {
    let stated = &config.key;
    let next = "put the key back, or correct `key` in its configuration";
    let problem = |found: String| Check::problem(name, found, next);
    match stated.parse() {
        Ok(KeySource::File(path)) => key_file(name, &path),
        Ok(KeySource::Kms(key)) => {
            // Asked as this user, who may not be whom the worker runs as.
            let asked = context.block_on(async {
                let connection = aws::Connection::new(&config.aws, &[]).await;
                Ok(KmsKey::open(&connection, &key).await?)
            });
            match asked {
                Ok(key) => Check::ok(name, format!("signs with {} in KMS ({stated})", key.public().id())),
                Err(failure) => Check::failed(name, &failure, next),
            }
        }
        Err(error) => problem(error.to_string()),
    }
}

fn key_file(name: &'static str, path: &Path) -> Check {
    let problem =
        |found: String| Check::problem(name, found, "put the key back, or correct `key` in its configuration");
    let bytes = match files::read_secret(path, KEY_LIMIT) {
        Ok(bytes) => bytes,
        Err(error) => return problem(Failure::from(error).messages().join(": ")),
    };
    let text = std::str::from_utf8(&bytes).unwrap_or_default();
    match SecretKey::from_pem(text, None) {
        Ok(key) => Check::ok(name, format!("signs with {}", key.public().id())),
        Err(error @ KeyError::PassphraseNeeded) => {
            let next = "workers have nobody to ask: give them a key without a passphrase";
            Check::problem(name, format!("{}: {error}", path.display()), next)
        }
        Err(error) => problem(format!("{}: {error}", path.display())),
    }
}
