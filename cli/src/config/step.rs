//! The words of one `[[deploy]]` in `airlock.toml`.

use std::collections::BTreeMap;
use std::fmt;

use manifest_schema::manifest::{
    FilesStep, FunctionCode, FunctionStep, HeaderRule, HeaderValue, PathPattern, ScheduleStep, SecretReference,
    ServiceStep, TaskStep, Trigger,
};
use manifest_schema::names::{
    AlarmName, AliasName, ArtifactName, BucketName, ClusterName, EventBusName, FunctionName, GroupName, ParameterName,
    RelativePath, ScheduleName, ServiceName, TaskName, VariableName,
};
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// One `[[deploy]]`.
#[derive(Debug, Clone)]
pub(crate) enum StepConfig {
    /// Plan and apply a Terraform artifact.
    Terraform {
        /// The artifact.
        artifact: ArtifactName,
        /// Its input variables.
        variables: BTreeMap<String, VariableConfig>,
    },
    /// Make a service run images.
    Service(ServiceStep),
    /// Run something once.
    Task(TaskStep),
    /// Put files into S3.
    Files(FilesStep),
    /// Move what a schedule or a rule starts.
    Schedule(ScheduleStep),
    /// Make a function run an image or a zip archive.
    Function(FunctionStep),
}

/// A Terraform input variable: a text, or a table with one key, which names where its value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum VariableConfig {
    /// A fixed text.
    Text(String),
    /// What is named.
    Named(NamedValue),
}

/// Where a variable's value comes from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum NamedValue {
    /// `{ digest-of = "artifact" }`: the digest of an artifact.
    DigestOf(ArtifactName),
    /// `{ parameter = "name" }`: production's SSM parameter.
    Parameter(ParameterName),
    /// `{ secret = "name" }`: production's secret in Secrets Manager.
    Secret(ParameterName),
}

// Not `untagged`, whose errors don't say what is wrong with a name.
impl<'de> Deserialize<'de> for VariableConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrTable;

        impl<'de> Visitor<'de> for TextOrTable {
            type Value = VariableConfig;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a text, or one of { digest-of = \"artifact\" }, { parameter = \"name\" }, { secret = \"name\" }",
                )
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<VariableConfig, E> {
                Ok(VariableConfig::Text(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut table: A) -> Result<VariableConfig, A::Error> {
                let named = NamedValue::deserialize(MapAccessDeserializer::new(&mut table))?;
                match table.next_key::<IgnoredAny>()? {
                    None => Ok(VariableConfig::Named(named)),
                    Some(_) => Err(de::Error::custom("a variable's value comes from one place; leave one key")),
                }
            }
        }

        deserializer.deserialize_any(TextOrTable)
    }
}

/// All fields that a step of any kind can have, so that a mistake in one is told with its line.
macro_rules! step_fields {
    ($($field:ident: $type:ty,)*) => {
        #[derive(Debug, Clone, Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case")]
        pub(crate) struct StepFields {
            $($field: Option<$type>,)*
        }

        impl StepFields {
            /// The names of those that are there.
            fn present(&self) -> Vec<String> {
                let all = [$((stringify!($field), self.$field.is_some())),*];
                all.into_iter().filter(|(_, there)| *there).map(|(name, _)| name.replace('_', "-")).collect()
            }
        }
    };
}

step_fields! {
    terraform: ArtifactName,
    variables: BTreeMap<String, VariableConfig>,
    service: ServiceName,
    containers: BTreeMap<ServiceName, ArtifactName>,
    cluster: ClusterName,
    group: GroupName,
    cpu: u32,
    memory: u32,
    desired_count: u32,
    environment: BTreeMap<ServiceName, BTreeMap<VariableName, String>>,
    secrets: BTreeMap<ServiceName, BTreeMap<VariableName, SecretReference>>,
    task: TaskName,
    container: ServiceName,
    command: Vec<String>,
    timeout_seconds: u32,
    function: FunctionName,
    image: ArtifactName,
    zip: ArtifactName,
    alias: AliasName,
    alarms: Vec<AlarmName>,
    watch_seconds: u32,
    files: ArtifactName,
    bucket: BucketName,
    prefix: RelativePath,
    headers: Vec<HeaderFields>,
    delete: bool,
    schedule: ScheduleName,
    schedule_group: ScheduleName,
    rule: ScheduleName,
    event_bus: EventBusName,
    target: ScheduleName,
}

/// One rule of a files step's headers.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct HeaderFields {
    path: PathPattern,
    content_type: Option<HeaderValue>,
    cache_control: Option<HeaderValue>,
    content_disposition: Option<HeaderValue>,
    content_encoding: Option<HeaderValue>,
    content_language: Option<HeaderValue>,
}

impl From<HeaderFields> for HeaderRule {
    fn from(fields: HeaderFields) -> Self {
        let HeaderFields { path, content_type, cache_control, content_disposition, .. } = fields;
        let HeaderFields { content_encoding, content_language, .. } = fields;
        Self { path, content_type, cache_control, content_disposition, content_encoding, content_language }
    }
}

/// A kind of step: the field that it is known by, which others it needs, and which it may have.
struct Kind {
    name: &'static str,
    needs: &'static [&'static str],
    may_have: &'static [&'static str],
    /// What that field says.
    named: fn(&StepFields) -> Option<String>,
    /// The step, if it has what it needs.
    step: fn(StepFields) -> Option<StepConfig>,
}

/// Of several that fit, the first: a task names a service, too.
const KINDS: &[Kind] = &[
    Kind {
        name: "terraform",
        named: |fields| fields.terraform.as_ref().map(ToString::to_string),
        needs: &[],
        may_have: &["variables"],
        step: |fields| {
            let variables = fields.variables.unwrap_or_default();
            Some(StepConfig::Terraform { artifact: fields.terraform?, variables })
        },
    },
    Kind {
        name: "task",
        named: |fields| fields.task.as_ref().map(ToString::to_string),
        needs: &["service", "containers", "command"],
        may_have: &["cluster", "container", "timeout-seconds", "environment", "secrets"],
        step: |fields| {
            Some(StepConfig::Task(TaskStep {
                task: fields.task?,
                service: fields.service?,
                cluster: fields.cluster,
                containers: fields.containers?,
                container: fields.container,
                command: fields.command?,
                timeout_seconds: fields.timeout_seconds,
                environment: fields.environment.unwrap_or_default(),
                secrets: fields.secrets.unwrap_or_default(),
            }))
        },
    },
    Kind {
        name: "service",
        named: |fields| fields.service.as_ref().map(ToString::to_string),
        needs: &["containers"],
        may_have: &["cluster", "group", "cpu", "memory", "desired-count", "environment", "secrets"],
        step: |fields| {
            Some(StepConfig::Service(ServiceStep {
                service: fields.service?,
                cluster: fields.cluster,
                group: fields.group,
                containers: fields.containers?,
                cpu: fields.cpu,
                memory: fields.memory,
                desired_count: fields.desired_count,
                environment: fields.environment.unwrap_or_default(),
                secrets: fields.secrets.unwrap_or_default(),
            }))
        },
    },
    Kind {
        name: "files",
        named: |fields| fields.files.as_ref().map(ToString::to_string),
        needs: &["bucket"],
        may_have: &["prefix", "headers", "delete"],
        step: |fields| {
            Some(StepConfig::Files(FilesStep {
                artifact: fields.files?,
                bucket: fields.bucket?,
                prefix: fields.prefix,
                headers: fields.headers.unwrap_or_default().into_iter().map(HeaderRule::from).collect(),
                delete: fields.delete.unwrap_or_default(),
            }))
        },
    },
    Kind {
        name: "schedule",
        named: |fields| fields.schedule.as_ref().map(ToString::to_string),
        needs: &["containers"],
        may_have: &["schedule-group", "cpu", "memory", "environment", "secrets"],
        step: |mut fields| {
            let trigger = Trigger::Schedule { name: fields.schedule.take()?, group: fields.schedule_group.take() };
            fields.scheduled(trigger)
        },
    },
    Kind {
        name: "rule",
        named: |fields| fields.rule.as_ref().map(ToString::to_string),
        needs: &["containers"],
        may_have: &["event-bus", "target", "cpu", "memory", "environment", "secrets"],
        step: |mut fields| {
            let (event_bus, target) = (fields.event_bus.take(), fields.target.take());
            let trigger = Trigger::Rule { name: fields.rule.take()?, event_bus, target };
            fields.scheduled(trigger)
        },
    },
    Kind {
        name: "function",
        named: |fields| fields.function.as_ref().map(ToString::to_string),
        needs: &["alias"],
        may_have: &["image", "zip", "alarms", "watch-seconds"],
        step: |fields| {
            let code = match (fields.image, fields.zip) {
                (Some(image), None) => FunctionCode::Image(image),
                (None, Some(zip)) => FunctionCode::Zip(zip),
                (Some(_), Some(_)) | (None, None) => return None,
            };
            Some(StepConfig::Function(FunctionStep {
                function: fields.function?,
                code,
                alias: fields.alias?,
                alarms: fields.alarms.unwrap_or_default(),
                watch_seconds: fields.watch_seconds,
            }))
        },
    },
];

impl StepFields {
    /// What people call the step.
    fn name(&self) -> Option<String> {
        KINDS.iter().find_map(|kind| Some(format!("{} {}", kind.name, (kind.named)(self)?)))
    }

    /// The step of what starts tasks.
    fn scheduled(self, trigger: Trigger) -> Option<StepConfig> {
        Some(StepConfig::Schedule(ScheduleStep {
            trigger,
            containers: self.containers?,
            cpu: self.cpu,
            memory: self.memory,
            environment: self.environment.unwrap_or_default(),
            secrets: self.secrets.unwrap_or_default(),
        }))
    }
}

/// Kinds that need one of two fields.
const EITHER: &[(&str, [&str; 2])] = &[("function", ["image", "zip"])];

impl Kind {
    /// The kind of a step that has these fields, and no others than it may have.
    fn of(present: &[String]) -> Result<&'static Self, String> {
        let has = |name: &str| present.iter().any(|field| field == name);
        let Some(kind) = KINDS.iter().find(|kind| has(kind.name)) else {
            let names: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
            return Err(format!("a step names one of {}: this one names none", names.join(", ")));
        };
        let Self { name, needs, may_have, .. } = kind;
        let known = |field: &str| [*name].iter().chain(*needs).chain(*may_have).any(|known| *known == field);
        if let Some(other) = present.iter().find(|field| !known(field)) {
            let fields: Vec<&str> = needs.iter().chain(*may_have).copied().collect();
            return Err(format!("a {name} step has no {other}; it has {}", fields.join(", ")));
        }
        if let Some(missing) = needs.iter().find(|field| !has(field)) {
            return Err(format!("a {name} step needs {}: {missing} is missing", needs.join(", ")));
        }
        match EITHER.iter().find(|(of, _)| of == name) {
            Some((_, [one, other])) if has(one) == has(other) => {
                Err(format!("a {name} step needs {one} or {other}, and not both"))
            }
            Some(_) | None => Ok(kind),
        }
    }
}

impl TryFrom<StepFields> for StepConfig {
    type Error = String;

    fn try_from(fields: StepFields) -> Result<Self, String> {
        let name = fields.name().map(|name| format!("{name}: ")).unwrap_or_default();
        let kind = Kind::of(&fields.present()).map_err(|problem| format!("{name}{problem}"))?;
        (kind.step)(fields).ok_or_else(|| format!("{name}a {} step is not complete", kind.name))
    }
}

#[cfg(test)]
mod tests;
