//! Task definitions: what runs, as whom, with which arguments and environment.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::{Ecs, may, only};
use crate::http::Refusal;
use crate::people::Caller;
use crate::{REGION, State};

/// What a definition may say; the second half makes no difference here.
const FIELDS: [&str; 16] = [
    "family",
    "taskRoleArn",
    "executionRoleArn",
    "networkMode",
    "containerDefinitions",
    "requiresCompatibilities",
    "cpu",
    "memory",
    "tags",
    "ephemeralStorage",
    "runtimePlatform",
    "volumes",
    "placementConstraints",
    "pidMode",
    "ipcMode",
    "enableFaultInjection",
];

/// What its container may say; the second half makes no difference here.
const CONTAINER_FIELDS: [&str; 27] = [
    "name",
    "image",
    "essential",
    "entryPoint",
    "command",
    "environment",
    "stopTimeout",
    "cpu",
    "memory",
    "memoryReservation",
    "dockerLabels",
    "healthCheck",
    "interactive",
    "linuxParameters",
    "logConfiguration",
    "mountPoints",
    "portMappings",
    "privileged",
    "pseudoTerminal",
    "readonlyRootFilesystem",
    "startTimeout",
    "systemControls",
    "ulimits",
    "user",
    "versionConsistency",
    "volumesFrom",
    "dockerSecurityOptions",
];

/// A revision of a family.
#[derive(Debug, Clone)]
pub(super) struct Definition {
    pub(super) arn: String,
    pub(super) family: String,
    pub(super) revision: usize,
    pub(super) task_role: Option<String>,
    pub(super) execution_role: Option<String>,
    pub(super) cpu: String,
    pub(super) memory: String,
    pub(super) fargate: bool,
    pub(super) container: Container,
    /// As it is described.
    described: Value,
}

/// Its container.
#[derive(Debug, Clone)]
pub(super) struct Container {
    pub(super) name: String,
    pub(super) image: String,
    pub(super) entry_point: Vec<String>,
    pub(super) command: Vec<String>,
    pub(super) environment: BTreeMap<String, String>,
    /// Between SIGTERM and SIGKILL.
    pub(super) stop_timeout: Duration,
}

/// A list of texts.
pub(super) fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// `[{"name": …, "value": …}]`.
pub(super) fn environment(value: &Value) -> BTreeMap<String, String> {
    let pair = |pair: &Value| Some((pair["name"].as_str()?.to_owned(), pair["value"].as_str()?.to_owned()));
    value.as_array().into_iter().flatten().filter_map(pair).collect()
}

fn client(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "ClientException", message)
}

impl Container {
    fn read(container: &Value) -> Result<Self, Refusal> {
        only(container, "a container definition", &CONTAINER_FIELDS)?;
        let (Some(name), Some(image)) = (container["name"].as_str(), container["image"].as_str()) else {
            return Err(client("Container.name and Container.image should not be null or empty."));
        };
        let stop_timeout = container["stopTimeout"].as_u64().unwrap_or(30);
        if stop_timeout > 120 {
            return Err(client("The stopTimeout parameter must be between 2 and 120 seconds on Fargate."));
        }
        Ok(Self {
            name: name.to_owned(),
            image: image.to_owned(),
            entry_point: texts(&container["entryPoint"]),
            command: texts(&container["command"]),
            environment: environment(&container["environment"]),
            stop_timeout: Duration::from_secs(stop_timeout),
        })
    }
}

impl Ecs {
    /// Registers a definition as `RegisterTaskDefinition` describes it.
    pub(crate) fn add_definition(&mut self, account: &str, body: &Value) -> Result<Value, Refusal> {
        only(body, "a task definition", &FIELDS)?;
        let Some(family) = body["family"].as_str() else { return Err(client("Family should not be null or empty.")) };
        let containers = body["containerDefinitions"].as_array().map(Vec::as_slice).unwrap_or_default();
        let [container] = containers else {
            return Err(match containers.len() {
                0 => client("Container definitions should not be null or empty."),
                _ => Refusal::not_doubled("a task definition with several containers"),
            });
        };
        let container = Container::read(container)?;
        let fargate = texts(&body["requiresCompatibilities"]).iter().any(|name| name == "FARGATE");
        if fargate && body["networkMode"] != "awsvpc" {
            return Err(client("Fargate only supports network mode ‘awsvpc’."));
        }
        for size in ["cpu", "memory"] {
            if fargate && body[size].as_str().is_none() {
                return Err(client(format!("Fargate requires that '{size}' be defined at the task level.")));
            }
        }
        let revision = 1 + self.family(account, family).map(|definition| definition.revision).max().unwrap_or(0);
        let arn = format!("arn:aws:ecs:{REGION}:{account}:task-definition/{family}:{revision}");
        let mut described = body.clone();
        described["containerDefinitions"][0]["essential"] = true.into();
        for list in ["environment", "mountPoints", "volumesFrom", "portMappings"] {
            let list = &mut described["containerDefinitions"][0][list];
            if list.is_null() {
                *list = json!([]);
            }
        }
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        for (name, value) in [
            ("taskDefinitionArn", Value::from(arn.as_str())),
            ("revision", revision.into()),
            ("status", "ACTIVE".into()),
            ("compatibilities", json!(["EC2", "FARGATE"])),
            ("registeredAt", at.into()),
        ] {
            described[name] = value;
        }
        let text = |name: &str| body[name].as_str().map(str::to_owned);
        self.definitions.push(Definition {
            arn,
            family: family.to_owned(),
            revision,
            task_role: text("taskRoleArn"),
            execution_role: text("executionRoleArn"),
            cpu: text("cpu").unwrap_or_default(),
            memory: text("memory").unwrap_or_default(),
            fargate,
            container,
            described: described.clone(),
        });
        Ok(described)
    }

    fn family(&self, account: &str, family: &str) -> impl Iterator<Item = &Definition> + use<'_> {
        let prefix = format!("arn:aws:ecs:{REGION}:{account}:task-definition/{family}:");
        self.definitions.iter().filter(move |definition| definition.arn.starts_with(&prefix))
    }

    /// The definition that `family`, `family:revision` or an ARN names.
    pub(super) fn definition(&self, named: &str, account: &str) -> Option<&Definition> {
        let name = named.split_once(":task-definition/").map_or(named, |(_, name)| name);
        match name.split_once(':') {
            Some(_) => {
                let arn = format!("arn:aws:ecs:{REGION}:{account}:task-definition/{name}");
                let fits =
                    |definition: &&Definition| definition.arn == arn && (named == name || named == definition.arn);
                self.definitions.iter().find(fits)
            }
            None => self.family(account, name).last(),
        }
    }
}

/// `RegisterTaskDefinition`.
pub(super) fn register(state: &mut State, body: &Value, caller: &Caller) -> Result<Value, Refusal> {
    let family = body["family"].as_str().unwrap_or_default();
    let resource = format!("arn:aws:ecs:{REGION}:{}:task-definition/{family}:*", caller.account());
    may(caller, "ecs:RegisterTaskDefinition", &resource, &caller.context([]))?;
    for role in ["taskRoleArn", "executionRoleArn"].into_iter().filter_map(|name| body[name].as_str()) {
        super::run::may_pass(caller, role)?;
    }
    Ok(json!({ "taskDefinition": state.ecs.add_definition(caller.account(), body)? }))
}

/// `DescribeTaskDefinition`.
pub(super) fn describe(state: &State, body: &Value, caller: &Caller) -> Result<Value, Refusal> {
    may(caller, "ecs:DescribeTaskDefinition", "*", &caller.context([]))?;
    let named = body["taskDefinition"].as_str().unwrap_or_default();
    let definition = state.ecs.definition(named, caller.account());
    let definition = definition.ok_or_else(|| client("Unable to describe task definition."))?;
    Ok(
        json!({ "taskDefinition": definition.described, "tags": definition.described["tags"].as_array().unwrap_or(&Vec::new()) }),
    )
}
