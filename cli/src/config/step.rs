//! The words of one `[[deploy]]` in `airlock.toml`.

use std::collections::BTreeMap;
use std::fmt;

use manifest_schema::manifest::{SecretReference, ServiceStep, TaskStep};
use manifest_schema::names::{
    ArtifactName, ClusterName, GroupName, ParameterName, ServiceName, TaskName, VariableName,
};
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// One `[[deploy]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "StepFields")]
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct StepFields {
    terraform: Option<ArtifactName>,
    variables: Option<BTreeMap<String, VariableConfig>>,
    service: Option<ServiceName>,
    containers: Option<BTreeMap<ServiceName, ArtifactName>>,
    cluster: Option<ClusterName>,
    group: Option<GroupName>,
    cpu: Option<u32>,
    memory: Option<u32>,
    desired_count: Option<u32>,
    environment: Option<BTreeMap<ServiceName, BTreeMap<VariableName, String>>>,
    secrets: Option<BTreeMap<ServiceName, BTreeMap<VariableName, SecretReference>>>,
    task: Option<TaskName>,
    container: Option<ServiceName>,
    command: Option<Vec<String>>,
    timeout_seconds: Option<u32>,
}

/// What a step can be.
const KINDS: &str = "a step is terraform = \"artifact\" with variables; or service = \"name\" with containers and, if it sets \
                     them, cluster, group, cpu, memory, desired-count, environment and secrets; or task = \"name\" with service, \
                     containers, command and, if it sets them, cluster, container, timeout-seconds, environment and secrets";

impl TryFrom<StepFields> for StepConfig {
    type Error = &'static str;

    fn try_from(fields: StepFields) -> Result<Self, Self::Error> {
        let StepFields {
            terraform, variables, service, containers, cluster, group, cpu, memory, desired_count, ..
        } = fields;
        let StepFields { environment, secrets, task, container, command, timeout_seconds, .. } = fields;
        let of_service = group.is_some() || cpu.is_some() || memory.is_some() || desired_count.is_some();
        let runs_once = container.is_some() || command.is_some() || timeout_seconds.is_some();
        let sets = cluster.is_some() || environment.is_some() || secrets.is_some();
        let (environment, secrets) = (environment.unwrap_or_default(), secrets.unwrap_or_default());
        match (terraform, task, service, containers, command) {
            (Some(artifact), None, None, None, None) if !of_service && !runs_once && !sets => {
                Ok(Self::Terraform { artifact, variables: variables.unwrap_or_default() })
            }
            (None, None, Some(service), Some(containers), None) if variables.is_none() && !runs_once => {
                Ok(Self::Service(ServiceStep {
                    service,
                    cluster,
                    group,
                    containers,
                    cpu,
                    memory,
                    desired_count,
                    environment,
                    secrets,
                }))
            }
            (None, Some(task), Some(service), Some(containers), Some(command))
                if variables.is_none() && !of_service =>
            {
                Ok(Self::Task(TaskStep {
                    task,
                    service,
                    cluster,
                    containers,
                    container,
                    command,
                    timeout_seconds,
                    environment,
                    secrets,
                }))
            }
            _ => Err(KINDS),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    #[test]
    fn a_variable_is_a_text_or_names_where_its_value_comes_from() {
        let text = "project = \"a\"\n[[deploy]]\nterraform = \"t\"\n[deploy.variables]\nplain = \"p\"\n\
                    site.digest-of = \"s\"\npassword = { parameter = \"db/password\" }\nkey = { secret = \"key\" }\n";
        let config = Config::parse(text).unwrap();
        let [StepConfig::Terraform { variables, .. }] = config.deploy.as_slice() else { panic!("{config:?}") };
        let expected = [
            ("key", VariableConfig::Named(NamedValue::Secret("key".parse().unwrap()))),
            ("password", VariableConfig::Named(NamedValue::Parameter("db/password".parse().unwrap()))),
            ("plain", VariableConfig::Text("p".to_owned())),
            ("site", VariableConfig::Named(NamedValue::DigestOf("s".parse().unwrap()))),
        ];
        assert_eq!(*variables, expected.map(|(name, value)| (name.to_owned(), value)).into());
    }

    #[test]
    fn a_service_step_says_what_else_it_changes() {
        let text = "project = \"a\"\n[[deploy]]\nservice = \"s\"\ncontainers = { app = \"web\" }\ncluster = \"main\"\n\
                    cpu = 512\nmemory = 1024\ndesired-count = 0\n[deploy.environment.app]\nLOG_LEVEL = \"debug\"\n\
                    [deploy.secrets.log-router]\nTOKEN = { secret = \"token\" }\nDB = { parameter = \"db/url\" }\n";
        let config = Config::parse(text).unwrap();
        let [StepConfig::Service(step)] = config.deploy.as_slice() else { panic!("{config:?}") };
        let settings = step.settings();
        let settings: Vec<_> = settings.iter().map(|(path, value)| format!("{path} = {value}")).collect();
        assert_eq!(
            settings,
            [
                "cluster = main",
                "containers.app.environment.LOG_LEVEL = \"debug\"",
                "containers.log-router.secrets.DB = parameter db/url",
                "containers.log-router.secrets.TOKEN = secret token",
                "cpu = 512",
                "desiredCount = 0",
                "memory = 1024",
            ]
        );
    }

    #[test]
    fn a_task_says_what_it_runs_and_like_which_service() {
        let text = "project = \"a\"\n[[deploy]]\ntask = \"migrate\"\nservice = \"web\"\ncontainers = { app = \"web\" }\n\
                    command = [\"migrate\", \"--all\"]\ncluster = \"main\"\ncontainer = \"app\"\ntimeout-seconds = 60\n\
                    environment = { app = { STEPS = \"all\" } }\nsecrets = { app = { OWNER = { secret = \"db/owner\" } } }\n";
        let config = Config::parse(text).unwrap();
        let [StepConfig::Task(step)] = config.deploy.as_slice() else { panic!("{config:?}") };
        let settings: Vec<_> = step.settings().into_iter().map(|(path, value)| format!("{path} = {value}")).collect();
        assert_eq!(
            settings,
            [
                "cluster = main",
                "command = [\"migrate\", \"--all\"]",
                "container = app",
                "containers.app.environment.STEPS = \"all\"",
                "containers.app.secrets.OWNER = secret db/owner",
                "service = web",
                "timeoutSeconds = 60",
            ]
        );
    }
}
