//! An environment, as flags, variables and `airlock.toml` mean it together.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use manifest_schema::names::{EnvironmentName, ProjectName};
use serde::Deserialize;
use store::{Access, BucketRules, Location};

use super::gateway::{Gateway, LAMBDA, LambdaGateway};
use super::{EnvironmentConfig, FILE_NAME, Project};
use crate::env;
use crate::exit::{Failure, OrFail as _};
use crate::purpose::Purpose;

/// Which environment, and what of it is elsewhere than `airlock.toml` says.
#[derive(Debug, Default, Args)]
pub(crate) struct EnvironmentArgs {
    /// The environment; needed if airlock.toml names several.
    #[arg(long, value_name = "NAME", env = env::ENVIRONMENT, hide_env_values = true)]
    pub(crate) environment: Option<EnvironmentName>,
    /// The artifacts store: a directory, file:///path or s3://bucket/prefix.
    #[arg(long, value_name = "STORE", env = env::ARTIFACTS, hide_env_values = true)]
    pub(crate) store: Option<Location>,
}

/// What a deploy does while another build is being applied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum WhenBusy {
    /// End with code 7 (`lease.held`).
    #[default]
    Refuse,
    /// Wait until that is over, then plan.
    Wait,
}

/// Where builds go.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment {
    project: Option<ProjectName>,
    name: Option<EnvironmentName>,
    artifacts: Option<Location>,
    gateway: Option<String>,
    production: Option<PathBuf>,
    changes: Option<PathBuf>,
    when_busy: WhenBusy,
    roots: Vec<PathBuf>,
    root_threshold: u32,
    aws: aws::Settings,
    s3: BucketRules,
}

impl Environment {
    /// Puts flags over variables over the file.
    ///
    /// # Errors
    /// When an environment is named that the file doesn't have, or none is named and there are several.
    pub(crate) fn resolve(project: Option<&Project>, arguments: &EnvironmentArgs) -> Result<Self, Failure> {
        let (name, found) = match project {
            Some(project) => choose(project, arguments.environment.as_ref())?,
            None => (arguments.environment.clone(), EnvironmentConfig::default()),
        };
        let path = |variable: &str, configured: Option<PathBuf>| -> anyhow::Result<Option<PathBuf>> {
            Ok(env::get(variable)?.map(PathBuf::from).or(configured))
        };
        Ok(Self {
            project: project.map(|project| project.config.project.clone()),
            name,
            artifacts: arguments.store.clone().or(found.artifacts),
            gateway: env::get(env::GATEWAY)?.or(found.gateway),
            production: path(env::PRODUCTION, found.production)?,
            changes: path(env::CHANGES, found.changes)?,
            when_busy: found.when_busy.unwrap_or_default(),
            roots: found.roots,
            root_threshold: found.root_threshold.unwrap_or(1),
            aws: found.aws,
            s3: rules(found.s3)?,
        })
    }

    /// None of those that the file has.
    pub(crate) fn without_settings(project: Option<&Project>) -> Self {
        Self { project: project.map(|project| project.config.project.clone()), ..Self::default() }
    }

    /// The project, if there is a file that says which.
    pub(crate) fn project(&self) -> Option<&ProjectName> {
        self.project.as_ref()
    }

    /// The same, reached in another region.
    pub(crate) fn in_region(&self, region: &str) -> Self {
        let aws = aws::Settings { region: Some(region.to_owned()), ..self.aws.clone() };
        Self { aws, ..self.clone() }
    }

    /// How AWS is reached.
    pub(crate) fn aws(&self) -> &aws::Settings {
        &self.aws
    }

    /// How the artifacts store is reached.
    pub(crate) fn access(&self, purpose: &Purpose) -> Access {
        Access { aws: self.aws.clone(), tags: purpose.tags(self.project()), bucket: self.s3.clone() }
    }

    /// What a deploy does while another build is being applied.
    pub(crate) fn when_busy(&self) -> WhenBusy {
        self.when_busy
    }

    /// Its name.
    ///
    /// # Errors
    /// When none was chosen.
    pub(crate) fn name(&self) -> Result<&EnvironmentName, Failure> {
        let missing = format!("no environment is named: {FILE_NAME} has no [environments.NAME]");
        self.name.as_ref().context(missing).or_hint("run `airlock init`, or name one with --environment")
    }

    /// The artifacts store.
    ///
    /// # Errors
    /// When nothing names it.
    pub(crate) fn artifacts(&self) -> Result<&Location, Failure> {
        self.artifacts_if_any().context("no artifacts store is named").or_hint(format!(
            "name one with --store or {}, or as `artifacts` of the environment in {FILE_NAME}",
            env::ARTIFACTS
        ))
    }

    /// The artifacts store, if something names it.
    pub(crate) fn artifacts_if_any(&self) -> Option<&Location> {
        self.artifacts.as_ref()
    }

    /// The way into production.
    ///
    /// # Errors
    /// When nothing names it, or what does is no gateway.
    pub(crate) fn gateway(&self) -> Result<Gateway, Failure> {
        let stated = self.gateway.as_deref().context("no gateway is named").or_hint(format!(
            "name it with {} or as `gateway` of the environment in {FILE_NAME}; `airlock init` sets up a local one",
            env::GATEWAY
        ))?;
        if let Some(functions) = stated.strip_prefix(LAMBDA) {
            return Ok(Gateway::Lambda(functions.parse::<LambdaGateway>()?));
        } else if stated != "local" {
            let problem = anyhow::anyhow!("{stated:?} is not a gateway: expected \"local\" or \"lambda:…\"");
            return Err(problem.into());
        }
        let production = self.production.clone().context("the local gateway needs a production directory");
        let production = production.or_hint(format!(
            "name it with {} or as `production` of the environment in {FILE_NAME}",
            env::PRODUCTION
        ))?;
        Ok(Gateway::Local { production })
    }

    /// The way into production as it is written, if it is.
    pub(crate) fn gateway_if_any(&self) -> Option<&str> {
        self.gateway.as_deref()
    }

    /// The public keys of the trust policy's roots, and how many of them must have signed version 1; none if the file
    /// pins none.
    pub(crate) fn roots(&self) -> (&[PathBuf], u32) {
        (&self.roots, self.root_threshold)
    }

    /// Where changes are kept without a tracker.
    ///
    /// # Errors
    /// When nothing names it.
    pub(crate) fn changes(&self) -> Result<&Path, Failure> {
        self.changes
            .as_deref()
            .context("no directory for changes is named")
            .or_hint(format!("name it with {} or as `changes` of the environment in {FILE_NAME}", env::CHANGES))
    }
}

/// Puts variables over what the file says about the bucket.
fn rules(mut rules: BucketRules) -> anyhow::Result<BucketRules> {
    if let Some(owner) = env::get(env::S3_OWNER)? {
        rules.owner = Some(owner.parse().with_context(|| format!("{} can't be used", env::S3_OWNER))?);
    }
    if let Some(stated) = env::get(env::S3_PATH_STYLE)? {
        let refused = || format!("{} is {stated:?}: expected true or false", env::S3_PATH_STYLE);
        rules.path_style = stated.parse().with_context(refused)?;
    }
    rules.kms_key = env::get(env::S3_KMS_KEY)?.or(rules.kms_key);
    Ok(rules)
}

/// The environment that is meant, with its paths as seen from the current directory.
fn choose(
    project: &Project,
    wanted: Option<&EnvironmentName>,
) -> Result<(Option<EnvironmentName>, EnvironmentConfig), Failure> {
    let environments = &project.config.environments;
    let known = environments.keys().map(EnvironmentName::as_str).collect::<Vec<_>>().join(", ");
    let name = match (wanted, environments.len()) {
        (Some(name), _) => name,
        (None, 0) => return Ok((None, EnvironmentConfig::default())),
        (None, 1) => environments.keys().next().context("there is one environment")?,
        (None, _) => {
            let problem = format!("{} names several environments: {known}", project.path.display());
            return Err(Failure::usage(problem).hint(format!("choose one with --environment or {}", env::ENVIRONMENT)));
        }
    };
    let Some(found) = environments.get(name) else {
        if environments.is_empty() {
            return Ok((Some(name.clone()), EnvironmentConfig::default()));
        }
        return Err(Failure::from(anyhow::anyhow!("{} has no environment {name}", project.path.display()))
            .hint(format!("it has: {known}")));
    };
    let relative = |path: &PathBuf| project.resolve(path);
    let artifacts = found.artifacts.as_ref().map(|location| match location {
        Location::Directory(path) => Location::Directory(project.resolve(path)),
        Location::S3(_) => location.clone(),
    });
    let resolved = EnvironmentConfig {
        artifacts,
        gateway: found.gateway.clone(),
        production: found.production.as_ref().map(relative),
        changes: found.changes.as_ref().map(relative),
        roots: found.roots.iter().map(relative).collect(),
        when_busy: found.when_busy,
        root_threshold: found.root_threshold,
        aws: found.aws.clone(),
        s3: found.s3.clone(),
    };
    Ok((Some(name.clone()), resolved))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn project(text: &str) -> Project {
        let config = Config::parse(&format!("project = \"hello\"\n{text}")).unwrap();
        Project { path: "sub/airlock.toml".into(), directory: "sub".into(), config }
    }

    fn resolve(text: &str, name: Option<&str>) -> Result<Environment, Failure> {
        let environment = name.map(|name| name.parse().unwrap());
        Environment::resolve(Some(&project(text)), &EnvironmentArgs { environment, store: None })
    }

    const LOCAL: &str = "[environments.a]\nartifacts = \"store\"\ngateway = \"local\"\nproduction = \"production\"\n";

    #[test]
    fn paths_are_relative_to_the_file() {
        let environment = resolve(LOCAL, None).unwrap();
        assert_eq!(environment.name().unwrap().as_str(), "a");
        assert_eq!(environment.artifacts().unwrap().to_string(), "sub/store");
        assert_eq!(environment.gateway().unwrap(), Gateway::Local { production: "sub/production".into() });
    }

    #[test]
    fn a_bucket_is_reached_as_the_file_says() {
        let text = "[environments.a]\nartifacts = \"s3://bucket/x\"\n[environments.a.aws]\nregion = \"eu-central-1\"\n\
                    [environments.a.s3]\nowner = \"111122223333\"\npath-style = true\n\
                    retention = { mode = \"compliance\", days = 90 }\n";
        let access = resolve(text, None).unwrap().access(&Purpose::default());
        assert_eq!(access.aws.region.as_deref(), Some("eu-central-1"));
        assert_eq!(access.bucket.owner.map(String::from).as_deref(), Some("111122223333"));
        assert!(access.bucket.path_style && access.bucket.retention.is_some());
    }

    #[test]
    fn a_flag_is_over_the_file() {
        let store = Some("elsewhere".parse().unwrap());
        let environment =
            Environment::resolve(Some(&project(LOCAL)), &EnvironmentArgs { environment: None, store }).unwrap();
        assert_eq!(environment.artifacts().unwrap().to_string(), "elsewhere");
    }

    #[test]
    fn what_is_missing_or_ambiguous_is_told() {
        let two = "[environments.a]\n[environments.b]\n";
        assert!(resolve(two, None).unwrap_err().message().contains("a, b"));
        assert!(resolve(two, Some("c")).unwrap_err().message().contains("no environment c"));
        assert!(resolve("", None).unwrap().name().is_err());
        assert!(resolve(two, Some("a")).unwrap().artifacts().unwrap_err().message().contains("no artifacts store"));
        let lambda = "[environments.a]\ngateway = \"lambda:arn:x\"\n";
        assert!(resolve(lambda, None).unwrap().gateway().unwrap_err().message().contains("names no functions"));
        let typo = "[environments.a]\ngateway = \"locl\"\n";
        assert!(resolve(typo, None).unwrap().gateway().unwrap_err().message().contains("not a gateway"));
    }
}
