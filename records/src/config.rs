//! The configuration of the gateway and of the worker: behind the gap, where no request can change it. On one machine it
//! is in files; a function has it in its environment, a task in its task definition.
//!
//! Paths in a file are relative to the directory that holds it, so that a local set-up can be moved as a whole.

mod cluster;
mod ecs;
mod files;
mod registry;
mod stand_in;
mod targets;
mod terraform;

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use manifest_schema::trust::PinnedRoots;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use store::{Access, BucketRules, Location, LocationError, Store, StoreError};

use crate::Sides;
use crate::place::StatedPlace;

pub use cluster::{ClusterConfig, EcsServices};
pub use ecs::{EcsConfig, TaskDefinition};
pub use files::{Buckets, FilesConfig};
pub use registry::{RegistryConfig, RegistryLogin, RepositoryTemplate};
pub use targets::{Deployable, Patterns, Target, TargetsConfig, Whose};
pub use terraform::{RoleArn, StateBucket};

/// What the gateway knows of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct GatewayConfig {
    /// The artifacts store: a path, or `s3://…`.
    pub artifacts: String,
    /// The production store.
    pub production: String,
    /// How AWS is reached.
    #[serde(default, skip_serializing_if = "is_default")]
    pub aws: aws::Settings,
    /// What the owner of the artifacts bucket asks for.
    #[serde(default, skip_serializing_if = "is_default")]
    pub artifacts_bucket: BucketRules,
    /// What the owner of the production bucket asks for.
    #[serde(default, skip_serializing_if = "is_default")]
    pub production_bucket: BucketRules,
    /// The roots that sign the first trust policy.
    pub roots: PinnedRoots,
    /// The account and region that this is: this machine, or whatever AWS says.
    pub place: StatedPlace,
    /// How workers are started.
    pub launcher: LauncherConfig,
}

/// How workers are started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum LauncherConfig {
    /// As processes on this machine.
    Local {
        /// Configuration of workers that plan.
        planner: PathBuf,
        /// Configuration of workers that apply.
        deployer: PathBuf,
        /// Where each worker's own log goes.
        logs: PathBuf,
    },
    /// As tasks of Amazon ECS.
    Ecs(EcsConfig),
}

/// What a worker knows of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct WorkerConfig {
    /// Which statements it signs, and so which jobs it takes.
    pub role: WorkerRole,
    /// The artifacts store.
    pub artifacts: String,
    /// The production store.
    pub production: String,
    /// How AWS is reached.
    #[serde(default, skip_serializing_if = "is_default")]
    pub aws: aws::Settings,
    /// What the owner of the artifacts bucket asks for.
    #[serde(default, skip_serializing_if = "is_default")]
    pub artifacts_bucket: BucketRules,
    /// What the owner of the production bucket asks for.
    #[serde(default, skip_serializing_if = "is_default")]
    pub production_bucket: BucketRules,
    /// The roots that sign the first trust policy.
    pub roots: PinnedRoots,
    /// The account and region that this is: this machine, or whatever AWS says.
    pub place: StatedPlace,
    /// Its private key: a file with PKCS#8 PEM, or `awskms:///alias/NAME`.
    pub key: String,
    /// Where bundles are extracted and Terraform runs: private to the worker.
    pub work: PathBuf,
    /// Where Terraform's states are, one per environment and project: a directory, or a place in a bucket, which is reached
    /// as [`Self::terraform_role`].
    pub state: Location,
    /// What the owner of the states' bucket asks for.
    #[serde(default, skip_serializing_if = "is_default")]
    pub state_bucket: StateBucket,
    /// Where services run: the directory that stands in for a cluster, or Amazon ECS.
    pub cluster: ClusterConfig,
    /// The registry that images are pushed into; without one they stay in the artifacts store.
    #[serde(default, deserialize_with = "registry::sound", skip_serializing_if = "Option::is_none")]
    pub registry: Option<RegistryConfig>,
    /// Where files are put: the directory that stands in for S3, or Amazon S3; without it nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<FilesConfig>,
    /// What in AWS is which project's to change. Directories that stand in for AWS are everybody's.
    #[serde(default, skip_serializing_if = "is_default")]
    pub targets: TargetsConfig,
    /// A mirror of Terraform providers; without one, only the built-in provider can be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_mirror: Option<PathBuf>,
    /// What runs as Terraform, by its path; without it, what `PATH` has. On a machine of one's own `AIRLOCK_TERRAFORM` is
    /// over it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terraform: Option<PathBuf>,
    /// The role of this account that Terraform acts as in AWS; without one it has no credentials there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terraform_role: Option<RoleArn>,
    /// How much memory each process of Terraform may have while it plans, in MiB. An apply has no limit but the task's:
    /// it must not end for want of memory that the plan had.
    #[serde(default = "terraform_memory", skip_serializing_if = "is_terraform_memory")]
    pub terraform_memory: u64,
    /// A job may take this long, in seconds.
    pub deadline_seconds: u64,
    /// How long a worker that is told to end (SIGTERM) has, in seconds: no longer than the task definition's
    /// `stopTimeout`, after which it is killed. Fargate allows 120.
    #[serde(default = "stop_timeout", skip_serializing_if = "is_stop_timeout")]
    pub stop_timeout_seconds: u64,
}

/// [`WorkerConfig::terraform_memory`] unless it is stated: several times what large providers need.
pub const TERRAFORM_MEMORY: u64 = 4096;

fn terraform_memory() -> u64 {
    TERRAFORM_MEMORY
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_terraform_memory(mebibytes: &u64) -> bool {
    *mebibytes == TERRAFORM_MEMORY
}

/// [`WorkerConfig::stop_timeout_seconds`] unless it is stated: leaves Fargate's longest stop timeout some room.
pub const STOP_TIMEOUT: u64 = 100;

fn stop_timeout() -> u64 {
    STOP_TIMEOUT
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_stop_timeout(seconds: &u64) -> bool {
    *seconds == STOP_TIMEOUT
}

/// The two kinds of worker. Their keys, and in AWS their roles, are apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WorkerRole {
    /// Takes plan and drift jobs, signs plan statements.
    Planner,
    /// Takes apply jobs, signs deployment statements.
    Deployer,
}

/// A configuration that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It can't be read.
    #[error("can't read the configuration {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is not such a configuration.
    #[error("the configuration {path} can't be used: {source}")]
    Malformed {
        /// The file, or what else holds it.
        path: PathBuf,
        /// What the parser said.
        source: serde_json::Error,
    },
}

impl ConfigError {
    /// What a person can do about it.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "run `airlock init`, which writes what is missing",
            Self::Malformed { .. } => "correct that file; docs/operations.md says what is in it",
        }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Why a store of a configuration can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It is no store's location.
    #[error(transparent)]
    Location(#[from] LocationError),
    /// It isn't there, or doesn't answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Opens the artifacts store and the production store: where each is, and what the owner of its bucket asks for.
async fn open(
    aws: &aws::Settings,
    artifacts: (&str, &BucketRules),
    production: (&str, &BucketRules),
) -> Result<Sides, OpenError> {
    let store = async |(location, bucket): (&str, &BucketRules)| {
        let access = Access { aws: aws.clone(), bucket: bucket.clone(), ..Access::default() };
        Ok::<Store, OpenError>(Store::open(&location.parse::<Location>()?, &access).await?)
    };
    Ok(Sides { artifacts: store(artifacts).await?, production: store(production).await? })
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<(T, PathBuf), ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
    let bytes = fs::read(path).map_err(unreadable)?;
    let base = fs::canonicalize(path).map_err(unreadable)?.parent().map(Path::to_owned).unwrap_or_default();
    let config = serde_json::from_slice(&bytes);
    Ok((config.map_err(|source| ConfigError::Malformed { path: path.to_owned(), source })?, base))
}

/// A configuration that is no file; `holder` names what has it, in messages.
fn parse<T: DeserializeOwned>(text: &str, holder: &str) -> Result<T, ConfigError> {
    serde_json::from_str(text).map_err(|source| ConfigError::Malformed { path: holder.into(), source })
}

/// A path made absolute, without `.` and `..`: `base` is canonical, so leaving them out changes nothing but messages.
fn inside(base: &Path, path: &Path) -> PathBuf {
    let mut whole = PathBuf::new();
    for part in base.join(path).components() {
        match part {
            Component::ParentDir => {
                whole.pop();
            }
            Component::CurDir => {}
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => whole.push(part),
        }
    }
    whole
}

/// A store's location or a key's name, made absolute if it is a path.
fn locate(base: &Path, location: &mut String) {
    if !location.contains("://") {
        *location = inside(base, Path::new(&*location)).display().to_string();
    }
}

impl GatewayConfig {
    /// Reads a configuration file and makes its paths absolute.
    ///
    /// # Errors
    /// When it can't be read, or is no such configuration.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let (mut config, base) = read::<Self>(path)?;
        locate(&base, &mut config.artifacts);
        locate(&base, &mut config.production);
        match &mut config.launcher {
            LauncherConfig::Local { planner, deployer, logs } => {
                for path in [planner, deployer, logs] {
                    *path = inside(&base, path);
                }
            }
            LauncherConfig::Ecs(_) => {}
        }
        Ok(config)
    }

    /// A configuration that is no file; its paths are absolute. `holder` names what has it, in messages.
    ///
    /// # Errors
    /// When it is no such configuration.
    pub fn parse(text: &str, holder: &str) -> Result<Self, ConfigError> {
        parse(text, holder)
    }

    /// Opens both stores.
    ///
    /// # Errors
    /// When one can't be opened.
    pub async fn open_stores(&self) -> Result<Sides, OpenError> {
        let artifacts = (self.artifacts.as_str(), &self.artifacts_bucket);
        open(&self.aws, artifacts, (&self.production, &self.production_bucket)).await
    }
}

impl WorkerConfig {
    /// Reads a configuration file and makes its paths absolute.
    ///
    /// # Errors
    /// When it can't be read, or is no such configuration.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let (mut config, base) = read::<Self>(path)?;
        locate(&base, &mut config.artifacts);
        locate(&base, &mut config.production);
        locate(&base, &mut config.key);
        if let Location::Directory(state) = &mut config.state {
            *state = inside(&base, state);
        }
        let cluster = match &mut config.cluster {
            ClusterConfig::Local(path) => Some(path),
            ClusterConfig::Ecs(_) => None,
        };
        let files = match &mut config.files {
            Some(FilesConfig::Local(path)) => Some(path),
            Some(FilesConfig::S3(_)) | None => None,
        };
        let login = config.registry.as_mut().and_then(|registry| registry.login.as_mut());
        let login = login.map(|login| &mut login.password_file);
        let others = [cluster, files, config.provider_mirror.as_mut(), config.terraform.as_mut(), login];
        for path in others.into_iter().flatten().chain([&mut config.work]) {
            *path = inside(&base, path);
        }
        Ok(config)
    }

    /// A configuration that is no file; its paths are absolute. `holder` names what has it, in messages.
    ///
    /// # Errors
    /// When it is no such configuration.
    pub fn parse(text: &str, holder: &str) -> Result<Self, ConfigError> {
        parse(text, holder)
    }

    /// Opens both stores.
    ///
    /// # Errors
    /// When one can't be opened.
    pub async fn open_stores(&self) -> Result<Sides, OpenError> {
        let artifacts = (self.artifacts.as_str(), &self.artifacts_bucket);
        open(&self.aws, artifacts, (&self.production, &self.production_bucket)).await
    }
}
