//! Task definitions: what runs, as whom, with which arguments and environment.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::{Ecs, may, may_tag, only};
use crate::http::Refusal;
use crate::people::Caller;
use crate::{REGION, State};

/// A field that tests invent, of definitions and containers, to see that nobody loses it. It makes no difference.
const UNHEARD_OF: &str = "unheardOf";

/// What a definition may say to be run as a program; the second half makes no difference here.
const FIELDS: [&str; 17] = [
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
    UNHEARD_OF,
];

/// What its containers may say to be run as programs; the second half makes no difference here.
const CONTAINER_FIELDS: [&str; 29] = [
    "name",
    "image",
    "essential",
    "entryPoint",
    "command",
    "environment",
    "secrets",
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
    UNHEARD_OF,
];

/// What only ECS says of a definition.
const READ_ONLY: [&str; 8] = [
    "taskDefinitionArn",
    "revision",
    "status",
    "requiresAttributes",
    "compatibilities",
    "registeredAt",
    "registeredBy",
    "deregisteredAt",
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
    pub(super) containers: Vec<Container>,
    /// As it is described.
    described: Value,
    tags: Value,
}

/// One of its containers.
#[derive(Debug, Clone)]
pub(super) struct Container {
    pub(super) name: String,
    pub(super) image: String,
    /// Whether the task ends with it.
    pub(super) essential: bool,
    /// Whether ECS looks after its health.
    pub(super) health_check: bool,
    /// Where its output goes in CloudWatch Logs.
    pub(super) log: Option<LogTarget>,
    pub(super) entry_point: Vec<String>,
    pub(super) command: Vec<String>,
    pub(super) environment: BTreeMap<String, String>,
    /// Names of variables, and where their values are: ARNs, or names of parameters.
    pub(super) secrets: BTreeMap<String, String>,
    /// Between SIGTERM and SIGKILL.
    pub(super) stop_timeout: Duration,
}

/// Where CloudWatch Logs has a container's output: the stream is `PREFIX/CONTAINER/TASK`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LogTarget {
    pub(super) group: String,
    pub(super) prefix: String,
}

/// A list of texts.
pub(super) fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// `[{"name": …, "value": …}]`, or another word for `value`.
pub(super) fn pairs(list: &Value, value: &str) -> BTreeMap<String, String> {
    let pair = |pair: &Value| Some((pair["name"].as_str()?.to_owned(), pair[value].as_str()?.to_owned()));
    list.as_array().into_iter().flatten().filter_map(pair).collect()
}

fn client(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "ClientException", message)
}

impl Container {
    fn read(container: &Value) -> Result<Self, Refusal> {
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
            essential: container["essential"].as_bool().unwrap_or(true),
            health_check: !container["healthCheck"].is_null(),
            log: LogTarget::read(&container["logConfiguration"]),
            entry_point: texts(&container["entryPoint"]),
            command: texts(&container["command"]),
            environment: pairs(&container["environment"], "value"),
            secrets: pairs(&container["secrets"], "valueFrom"),
            stop_timeout: Duration::from_secs(stop_timeout),
        })
    }
}

impl LogTarget {
    fn read(configuration: &Value) -> Option<Self> {
        let option = |name: &str| configuration["options"][name].as_str().map(str::to_owned);
        let of_aws = configuration["logDriver"] == "awslogs";
        Some(Self { group: option("awslogs-group").filter(|_| of_aws)?, prefix: option("awslogs-stream-prefix")? })
    }
}

impl Definition {
    /// It without what only ECS says of it, and without its tags.
    fn could_be_registered(&self) -> Value {
        let mut fields = self.described.clone();
        READ_ONLY.iter().for_each(|field| drop(fields.as_object_mut().and_then(|fields| fields.remove(*field))));
        fields
    }

    /// Refuses what matters to a program and isn't doubled.
    pub(super) fn check_runnable(&self) -> Result<(), Refusal> {
        let said = self.could_be_registered();
        only(&said, "ecs:RunTask of a task definition", &FIELDS)?;
        let containers = said["containerDefinitions"].as_array().into_iter().flatten();
        containers.into_iter().try_for_each(|one| only(one, "ecs:RunTask of a container definition", &CONTAINER_FIELDS))
    }
}

/// Fills in what ECS does.
fn fill_in(described: &mut Value) {
    for list in ["volumes", "placementConstraints"] {
        default(described, list, json!([]));
    }
    for container in described["containerDefinitions"].as_array_mut().into_iter().flatten() {
        default(container, "essential", json!(true));
        default(container, "cpu", json!(0));
        for list in ["environment", "mountPoints", "volumesFrom", "portMappings", "systemControls"] {
            default(container, list, json!([]));
        }
        for port in container["portMappings"].as_array_mut().into_iter().flatten() {
            let inside = port["containerPort"].clone();
            default(port, "hostPort", inside);
            default(port, "protocol", json!("tcp"));
        }
    }
}

fn default(object: &mut Value, name: &str, value: Value) {
    if object[name].is_null() {
        object[name] = value;
    }
}

impl Ecs {
    /// Registers a definition as `RegisterTaskDefinition` describes it, with every field that it is given.
    pub(crate) fn add_definition(&mut self, account: &str, body: &Value, by: &str) -> Result<Value, Refusal> {
        if let Some(field) = READ_ONLY.into_iter().find(|field| !body[field].is_null()) {
            return Err(Refusal::not_doubled(format!("a task definition with {field}, which only ECS says")));
        }
        let Some(family) = body["family"].as_str() else { return Err(client("Family should not be null or empty.")) };
        let containers = body["containerDefinitions"].as_array().map(Vec::as_slice).unwrap_or_default();
        if containers.is_empty() {
            return Err(client("Container definitions should not be null or empty."));
        }
        let containers = containers.iter().map(Container::read).collect::<Result<Vec<_>, _>>()?;
        if !containers.iter().any(|container| container.essential) {
            return Err(client("A task definition must have at least one essential container."));
        }
        if containers.iter().any(|one| !one.secrets.is_empty()) && body["executionRoleArn"].is_null() {
            let message =
                "When you are specifying container secrets, you must also specify a value for 'executionRoleArn'.";
            return Err(client(message));
        }
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
        let tags = described.as_object_mut().and_then(|fields| fields.remove("tags"));
        fill_in(&mut described);
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        for (name, value) in [
            ("taskDefinitionArn", Value::from(arn.as_str())),
            ("revision", revision.into()),
            ("status", "ACTIVE".into()),
            ("requiresAttributes", json!([{ "name": "com.amazonaws.ecs.capability.docker-remote-api.1.18" }])),
            ("compatibilities", json!(["EC2", "FARGATE"])),
            ("registeredAt", at.into()),
            ("registeredBy", by.into()),
        ] {
            described[name] = value;
        }
        let text = |name: &str| body[name].as_str().map(str::to_owned);
        let tags = tags.filter(Value::is_array).unwrap_or_else(|| json!([]));
        let answer = json!({ "taskDefinition": described, "tags": tags });
        self.definitions.push(Definition {
            arn,
            family: family.to_owned(),
            revision,
            task_role: text("taskRoleArn"),
            execution_role: text("executionRoleArn"),
            cpu: text("cpu").unwrap_or_default(),
            memory: text("memory").unwrap_or_default(),
            fargate,
            containers,
            described,
            tags,
        });
        Ok(answer)
    }

    /// A definition by its ARN, as it could be registered once more.
    pub(crate) fn registered_definition(&self, arn: &str) -> Option<Value> {
        let definition = self.definitions.iter().find(|definition| definition.arn == arn)?;
        let mut registered = definition.could_be_registered();
        registered["tags"] = definition.tags.clone();
        Some(registered)
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
    may_tag(caller, "RegisterTaskDefinition", &resource, &body["tags"])?;
    state.ecs.add_definition(caller.account(), body, caller.arn())
}

/// `DescribeTaskDefinition`: it has tags only for who asks for them.
pub(super) fn describe(state: &State, body: &Value, caller: &Caller) -> Result<Value, Refusal> {
    only(body, "ecs:DescribeTaskDefinition", &["taskDefinition", "include"])?;
    may(caller, "ecs:DescribeTaskDefinition", "*", &caller.context([]))?;
    let named = body["taskDefinition"].as_str().unwrap_or_default();
    let definition = state.ecs.definition(named, caller.account());
    let definition = definition.ok_or_else(|| client("Unable to describe task definition."))?;
    let mut answer = json!({ "taskDefinition": definition.described });
    if texts(&body["include"]).iter().any(|what| what == "TAGS") {
        answer["tags"] = definition.tags.clone();
    }
    Ok(answer)
}
