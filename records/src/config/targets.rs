//! Which services, functions, schedules, rules and places in buckets are a project's. A manifest names what it deploys to;
//! whether that is its own to change is said here, where no build can change it.

use std::collections::BTreeMap;

use manifest_schema::manifest::{FilesStep, Trigger};
use manifest_schema::names::{
    BucketName, ClusterName, EnvironmentName, EventBusName, FunctionName, NameError, ProjectName, RelativePath,
    ScheduleName, ServiceName,
};
use serde::{Deserialize, Serialize};

use super::is_default;

/// What projects may deploy to. What isn't named here is nobody's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked", deny_unknown_fields)]
pub struct TargetsConfig {
    /// Of every project: each pattern has `{project}` in it, once.
    #[serde(skip_serializing_if = "is_default")]
    pub each: Patterns,
    /// Of single projects, whatever [`Self::each`] says of others.
    #[serde(skip_serializing_if = "is_default")]
    pub projects: BTreeMap<ProjectName, Patterns>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    #[serde(default)]
    each: Patterns,
    #[serde(default)]
    projects: BTreeMap<ProjectName, Patterns>,
}

/// Targets by kind. A pattern is a name, of which a `*` at its end stands for any rest, and before it, with a `/` between,
/// what the name is in, if that isn't the default. `{project}` and `{environment}` in it are the job's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Patterns {
    /// Services of ECS, and one-off tasks that run like them: `[CLUSTER/]SERVICE`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub services: Vec<String>,
    /// Functions of Lambda.
    #[serde(default, skip_serializing_if = "is_default")]
    pub functions: Vec<String>,
    /// Schedules of EventBridge Scheduler: `[GROUP/]SCHEDULE`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub schedules: Vec<String>,
    /// Rules of EventBridge: `[BUS/]RULE`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub rules: Vec<String>,
    /// Places for files: `BUCKET` or `BUCKET/PREFIX`, and everything below them. They have no `*`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub files: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Service,
    Function,
    Schedule,
    Rule,
    Files,
}

impl Kind {
    const ALL: [Self; 5] = [Self::Service, Self::Function, Self::Schedule, Self::Rule, Self::Files];

    /// As the configuration calls them.
    fn plural(self) -> &'static str {
        match self {
            Self::Service => "services",
            Self::Function => "functions",
            Self::Schedule => "schedules",
            Self::Rule => "rules",
            Self::Files => "files",
        }
    }

    /// Whether a pattern without placeholders and `*` could be a target's.
    fn takes(self, pattern: &str) -> bool {
        let (place, name) = match (self, pattern.rsplit_once('/'), pattern.split_once('/')) {
            (Self::Files, _, Some((bucket, prefix))) => return bucket_at(bucket, Some(prefix)),
            (Self::Files, _, None) => return bucket_at(pattern, None),
            (_, Some((place, name)), _) => (Some(place), name),
            (_, None, _) => (None, pattern),
        };
        let place_fits = place.is_none_or(|place| match self {
            Self::Service => place.parse::<ClusterName>().is_ok(),
            Self::Schedule => place.parse::<ScheduleName>().is_ok(),
            Self::Rule => place.parse::<EventBusName>().is_ok(),
            Self::Function | Self::Files => false,
        });
        place_fits
            && match self {
                Self::Service => name.parse::<ServiceName>().is_ok(),
                Self::Function => name.parse::<FunctionName>().is_ok(),
                Self::Schedule | Self::Rule => name.parse::<ScheduleName>().is_ok(),
                Self::Files => false,
            }
    }
}

fn bucket_at(bucket: &str, prefix: Option<&str>) -> bool {
    // They could be in keys, but nobody means them so.
    let plain = |prefix: &str| !prefix.contains(['*', '{', '}']) && RelativePath::new(prefix).is_ok();
    bucket.parse::<BucketName>().is_ok() && prefix.is_none_or(plain)
}

const PROJECT: &str = "{project}";
const ENVIRONMENT: &str = "{environment}";

impl TryFrom<Unchecked> for TargetsConfig {
    type Error = NameError;

    fn try_from(Unchecked { each, projects }: Unchecked) -> Result<Self, NameError> {
        let of_each = Kind::ALL.into_iter().flat_map(|kind| each.of(kind).iter().map(move |pattern| (kind, pattern)));
        for (kind, pattern) in of_each {
            if pattern.matches(PROJECT).count() != 1 {
                let rule = "name {project} in it once, or list it under a project's own name in `projects`";
                return Err(NameError { kind: "pattern of every project's targets", value: pattern.clone(), rule });
            }
            expect_sound(kind, pattern)?;
        }
        for own in projects.values() {
            for kind in Kind::ALL {
                own.of(kind).iter().try_for_each(|pattern| expect_sound(kind, pattern))?;
            }
        }
        Ok(Self { each, projects })
    }
}

/// Refuses a pattern that no target could have.
fn expect_sound(kind: Kind, pattern: &str) -> Result<(), NameError> {
    let filled = pattern.replace(PROJECT, "p").replace(ENVIRONMENT, "e");
    // What stands for any rest may stand for a letter.
    let sample = match filled.strip_suffix('*') {
        Some(beginning) if kind != Kind::Files => format!("{beginning}a"),
        Some(_) | None => filled,
    };
    if kind.takes(&sample) {
        return Ok(());
    }
    let rule = match kind {
        Kind::Service => "use [CLUSTER/]SERVICE, such as {project} or apps/{project}-*",
        Kind::Function => "use a function's name, such as {project}-*",
        Kind::Schedule => "use [GROUP/]SCHEDULE, such as {project}/*",
        Kind::Rule => "use [BUS/]RULE, such as orders/{project}-*",
        Kind::Files => "use BUCKET or BUCKET/PREFIX, such as {project}-site or assets/{project}",
    };
    Err(NameError { kind: "pattern of targets", value: pattern.to_owned(), rule })
}

impl Patterns {
    fn of(&self, kind: Kind) -> &[String] {
        match kind {
            Kind::Service => &self.services,
            Kind::Function => &self.functions,
            Kind::Schedule => &self.schedules,
            Kind::Rule => &self.rules,
            Kind::Files => &self.files,
        }
    }
}

/// What a step deploys to, as far as it matters for whose that is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    kind: Kind,
    /// What it is in, if a pattern doesn't say; of some kinds nothing is.
    default: Option<String>,
    /// `PLACE/NAME`, or a name alone; of files, all keys start with it.
    key: String,
}

/// Whose a target is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// The project's that asks.
    Own,
    /// As far as the configuration says, not the project's that asks.
    Nobodys,
    /// Listed for another.
    Others(ProjectName),
    /// By what every project has, the project's and that of this one in this environment, so that it is neither's.
    Shared(EnvironmentName, ProjectName),
}

impl Target {
    /// A service; `default` is the cluster of services that name none.
    pub fn service(default: &ClusterName, cluster: Option<&ClusterName>, service: &ServiceName) -> Self {
        let key = format!("{}/{service}", cluster.unwrap_or(default));
        Self { kind: Kind::Service, default: Some(default.to_string()), key }
    }

    /// A function.
    pub fn function(function: &FunctionName) -> Self {
        Self { kind: Kind::Function, default: None, key: function.to_string() }
    }

    /// A schedule, or a rule, whichever of its targets is meant.
    pub fn trigger(trigger: &Trigger) -> Self {
        let (kind, name) = match trigger {
            Trigger::Schedule { name, .. } => (Kind::Schedule, name),
            Trigger::Rule { name, .. } => (Kind::Rule, name),
        };
        Self { kind, default: Some(Trigger::DEFAULT.to_owned()), key: format!("{}/{name}", trigger.place()) }
    }

    /// A place in a bucket.
    pub fn files(step: &FilesStep) -> Self {
        Self { kind: Kind::Files, default: None, key: format!("{}/{}", step.bucket, step.key_prefix()) }
    }

    /// How it would be listed in the configuration, and where.
    pub fn entry(&self) -> String {
        let short = match &self.default {
            Some(default) => self.key.strip_prefix(&format!("{default}/")).unwrap_or(&self.key),
            None => self.key.trim_end_matches('/'),
        };
        format!("`{short}` under `{}`", self.kind.plural())
    }

    /// What a pattern means, without placeholders.
    fn whole(&self, pattern: String) -> String {
        match (self.kind, &self.default) {
            (Kind::Files, _) => format!("{pattern}/"),
            (_, Some(default)) if !pattern.contains('/') => format!("{default}/{pattern}"),
            (_, _) => pattern,
        }
    }

    /// Whether all of the target is what a pattern means.
    fn is_of(&self, pattern: &str) -> bool {
        match (self.kind, pattern.strip_suffix('*')) {
            (Kind::Files, _) => self.key.starts_with(pattern),
            (_, Some(beginning)) => self.key.strip_prefix(beginning).is_some_and(|rest| !rest.contains('/')),
            (_, None) => self.key == pattern,
        }
    }

    /// Whether any of it is.
    fn meets(&self, pattern: &str) -> bool {
        self.is_of(pattern) || (self.kind == Kind::Files && pattern.starts_with(&self.key))
    }
}

/// A project in an environment.
pub type Deployable<'a> = (&'a EnvironmentName, &'a ProjectName);

impl TargetsConfig {
    /// Whose a target is, if `asks` asks, and `all` may be deployed in the same account and region. What is listed for single
    /// projects comes before what every project has; of that, nothing may be two projects' at the same time. Another
    /// environment matters only to patterns that name it: without that, it may have a configuration of its own.
    pub fn whose(&self, target: &Target, asks: Deployable<'_>, all: &[Deployable<'_>]) -> Whose {
        let (environment, project) = asks;
        let any = |patterns: &Patterns, (of, whose): Deployable<'_>, fits: fn(&Target, &str) -> bool| {
            patterns.of(target.kind).iter().any(|pattern| {
                // Names hold no braces.
                let filled = pattern.replace(PROJECT, whose.as_str()).replace(ENVIRONMENT, of.as_str());
                (of == environment || pattern.contains(ENVIRONMENT)) && fits(target, &target.whole(filled))
            })
        };
        if self.projects.get(project).is_some_and(|own| any(own, asks, Target::is_of)) {
            return Whose::Own;
        }
        for (other, own) in self.projects.iter().filter(|(other, _)| *other != project) {
            let mut environments = all.iter().map(|(of, _)| *of).chain([environment]);
            if environments.any(|of| any(own, (of, other), Target::meets)) {
                return Whose::Others(other.clone());
            }
        }
        if !any(&self.each, asks, Target::is_of) {
            return Whose::Nobodys;
        }
        let mut others = all.iter().filter(|other| **other != asks);
        let shared = others.find(|other| any(&self.each, **other, Target::meets));
        shared.map_or(Whose::Own, |(of, other)| Whose::Shared((*of).clone(), (*other).clone()))
    }
}

#[cfg(test)]
mod tests;
