//! From a task definition to its next revision: images pinned by digest, what the step says, and nothing else. Pure.

use std::collections::BTreeMap;

use manifest_schema::Digest;
use manifest_schema::manifest::{Revision, SecretReference, environment_path, secret_path};
use manifest_schema::names::{ServiceName, VariableName};
use manifest_schema::plan::{ImageChange, ValueChange};
use serde_json::{Map, Value, json};

/// What ECS says about a definition that isn't part of it (ECS API reference, `TaskDefinition`; none of them is among the
/// parameters of `RegisterTaskDefinition`).
const SAID: [&str; 8] = [
    "taskDefinitionArn",
    "revision",
    "status",
    "requiresAttributes",
    "compatibilities",
    "registeredAt",
    "registeredBy",
    "deregisteredAt",
];

/// An image that a container is to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pinned {
    /// Registry and repository.
    pub(crate) place: String,
    /// Its digest.
    pub(crate) digest: Digest,
}

/// What a step asks of a task definition, with everything that only production knows.
#[derive(Debug, Clone)]
pub(crate) struct Wanted<'a> {
    pub(crate) revision: Revision<'a>,
    /// By container.
    pub(crate) images: BTreeMap<&'a ServiceName, Pinned>,
    /// The repositories of this build's images.
    pub(crate) own: Vec<String>,
    /// Where production's secrets are; unknown as long as what runs isn't there.
    pub(crate) secrets: Option<SecretPlace>,
}

/// The account, region and prefix of secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SecretPlace {
    /// Such as `aws`.
    pub(super) partition: String,
    /// Such as `eu-central-1`.
    pub(super) region: String,
    /// The account's number.
    pub(super) account: String,
    /// `airlock/ENVIRONMENT/PROJECT`.
    pub(super) prefix: String,
}

impl SecretPlace {
    /// What ECS is told to read when it starts a container. A secret's ARN is whole without the six characters that
    /// Secrets Manager appends to it (Secrets Manager user guide, "Find a secret from a partial ARN").
    pub(super) fn arn(&self, reference: &SecretReference) -> String {
        let Self { partition, region, account, prefix } = self;
        match reference {
            SecretReference::Parameter(name) => {
                format!("arn:{partition}:ssm:{region}:{account}:parameter/{prefix}/{name}")
            }
            SecretReference::Secret(name) => {
                format!("arn:{partition}:secretsmanager:{region}:{account}:secret:{prefix}/{name}")
            }
        }
    }

    /// Whether ECS is told to read this already, maybe by the secret's whole ARN.
    fn is_read(&self, reference: &SecretReference, now: &str) -> bool {
        let suffixed = |rest: &str| {
            let suffix = rest.strip_prefix('-').unwrap_or_default();
            suffix.len() == 6 && suffix.bytes().all(|byte| byte.is_ascii_alphanumeric())
        };
        match now.strip_prefix(&self.arn(reference)) {
            Some("") => true,
            Some(rest) => matches!(reference, SecretReference::Secret(_)) && suffixed(rest),
            None => false,
        }
    }
}

/// The parts of a definition without what ECS only says about it: what `RegisterTaskDefinition` takes.
pub(crate) fn registrable(definition: &Value) -> Value {
    let mut definition = definition.clone();
    if let Value::Object(fields) = &mut definition {
        SAID.iter().for_each(|field| drop(fields.remove(*field)));
    }
    definition
}

/// The next revision of a definition, which is the same if nothing would change.
///
/// # Errors
/// With every reason for which there can be none.
pub(crate) fn revise(definition: &Value, wanted: &Wanted<'_>) -> Result<Value, Vec<String>> {
    let obstacles = obstacles(definition, wanted.revision);
    if !obstacles.is_empty() {
        return Err(obstacles);
    }
    let mut next = registrable(definition);
    for (field, size) in [("cpu", wanted.revision.cpu), ("memory", wanted.revision.memory)] {
        if let Some(size) = size.filter(|size| number(&next[field]) != Some(*size)) {
            next[field] = size.to_string().into();
        }
    }
    for container in next["containerDefinitions"].as_array_mut().into_iter().flatten() {
        let Some(name) = container["name"].as_str().and_then(|name| name.parse::<ServiceName>().ok()) else { continue };
        if let Some(pinned) = wanted.images.get(&name) {
            let (place, digest) = image(container);
            if (place, digest) != (pinned.place.as_str(), Some(pinned.digest)) {
                container["image"] = format!("{}@{}", pinned.place, pinned.digest).into();
            }
        }
        for (variable, text) in wanted.revision.environment.get(&name).into_iter().flatten() {
            remove(container, "secrets", variable);
            set(container, "environment", variable, "value", text);
        }
        for (variable, reference) in wanted.revision.secrets.get(&name).into_iter().flatten() {
            let Some(place) = &wanted.secrets else { continue };
            remove(container, "environment", variable);
            if !named(container, "secrets", variable, "valueFrom").is_some_and(|now| place.is_read(reference, now)) {
                set(container, "secrets", variable, "valueFrom", &place.arn(reference));
            }
        }
    }
    Ok(next)
}

fn obstacles(definition: &Value, revision: Revision<'_>) -> Vec<String> {
    let containers = definition["containerDefinitions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let there: Vec<&str> = containers.iter().filter_map(|container| container["name"].as_str()).collect();
    let arn = definition["taskDefinitionArn"].as_str().unwrap_or("its task definition");
    let missing = revision.named_containers().into_iter().filter(|name| !there.contains(&name.as_str()));
    let mut obstacles: Vec<String> =
        missing.map(|name| format!("{arn} has no container {name}; it has {}", there.join(", "))).collect();
    if !revision.secrets.is_empty() && definition["executionRoleArn"].is_null() {
        obstacles.push(format!("{arn} has no execution role (executionRoleArn), as which ECS reads secrets"));
    }
    obstacles
}

/// Which images and settings the step changes, for people. `definition` is of what runs; nothing is there yet if there is
/// none.
pub(crate) fn differences(
    definition: Option<&Value>,
    wanted: &Wanted<'_>,
) -> (BTreeMap<ServiceName, ImageChange>, BTreeMap<String, ValueChange>) {
    let containers = |name: &ServiceName| {
        let containers = definition?["containerDefinitions"].as_array()?;
        containers.iter().find(|container| container["name"] == name.as_str())
    };
    let images = wanted.images.iter().map(|(name, pinned)| {
        let (place, before) = containers(name).map_or(("", None), image);
        let foreign = !place.is_empty() && !wanted.own.iter().any(|own| own == place);
        let elsewhere = foreign.then(|| place.to_owned());
        ((*name).clone(), ImageChange { before, elsewhere, after: pinned.digest })
    });
    let mut settings = BTreeMap::new();
    let sizes = [
        ("cpu", definition.and_then(|definition| number(&definition["cpu"])), wanted.revision.cpu),
        ("memory", definition.and_then(|definition| number(&definition["memory"])), wanted.revision.memory),
    ];
    for (path, before, after) in sizes {
        settings.extend(size(path, before, after));
    }
    let gone = |container: Option<&Value>, list: &str, variable: &VariableName, value: &str| {
        Some(json!(named(container?, list, variable, value)?).to_string())
    };
    for (name, variables) in wanted.revision.environment {
        let container = containers(name);
        for (variable, text) in variables {
            let now = container.and_then(|container| named(container, "environment", variable, "value"));
            if now != Some(text) {
                let after = Some(json!(text).to_string());
                settings.insert(environment_path(name, variable), ValueChange { before: None, after });
            }
            if let before @ Some(_) = gone(container, "secrets", variable, "valueFrom") {
                settings.insert(secret_path(name, variable), ValueChange { before, after: None });
            }
        }
    }
    for (name, variables) in wanted.revision.secrets {
        let container = containers(name);
        for (variable, reference) in variables {
            let now = container.and_then(|container| named(container, "secrets", variable, "valueFrom"));
            let is_read = |now| wanted.secrets.as_ref().is_some_and(|place| place.is_read(reference, now));
            if !now.is_some_and(is_read) {
                let after = Some(json!(reference.to_string()).to_string());
                let before = now.map(|now| json!(now).to_string());
                settings.insert(secret_path(name, variable), ValueChange { before, after });
            }
            if container.is_some_and(|container| named(container, "environment", variable, "value").is_some()) {
                settings.insert(environment_path(name, variable), ValueChange { before: None, after: None });
            }
        }
    }
    (images.collect(), settings)
}

/// A number that a step sets to another, by its path.
pub(super) fn size(path: &str, before: Option<u32>, after: Option<u32>) -> Option<(String, ValueChange)> {
    let text = |number: Option<u32>| number.map(|number| number.to_string());
    let changes = after.is_some() && before != after;
    changes.then(|| (path.to_owned(), ValueChange { before: text(before), after: text(after) }))
}

/// Where a container's image is from, without its tag, and its digest if it has one.
fn image(container: &Value) -> (&str, Option<Digest>) {
    let reference = container["image"].as_str().unwrap_or_default();
    let (name, digest) = match reference.split_once('@') {
        Some((name, digest)) => (name, digest.parse().ok()),
        None => (reference, None),
    };
    // A colon before the last slash is a port's.
    let tagged = name.rfind(':').filter(|colon| name.rfind('/').is_none_or(|slash| slash < *colon));
    (tagged.map_or(name, |colon| &name[..colon]), digest)
}

/// ECS writes numbers as texts here, and reads either.
fn number(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|number| number.try_into().ok()).or_else(|| value.as_str()?.parse().ok())
}

/// The value of a variable in one of a container's lists.
fn named<'a>(container: &'a Value, list: &str, variable: &VariableName, value: &str) -> Option<&'a str> {
    let entries = container[list].as_array()?;
    entries.iter().find(|entry| entry["name"] == variable.as_str())?[value].as_str()
}

fn set(container: &mut Value, list: &str, variable: &VariableName, value: &str, text: &str) {
    if !container[list].is_array() {
        container[list] = json!([]);
    }
    let Some(entries) = container[list].as_array_mut() else { return };
    match entries.iter_mut().find(|entry| entry["name"] == variable.as_str()) {
        Some(entry) => entry[value] = text.into(),
        None => {
            let fields = [("name", variable.as_str()), (value, text)];
            let entry: Map<String, Value> =
                fields.into_iter().map(|(name, text)| (name.to_owned(), text.into())).collect();
            entries.push(entry.into());
        }
    }
}

fn remove(container: &mut Value, list: &str, variable: &VariableName) {
    // Not by index, which would add a null where there is no list.
    if let Some(entries) = container.get_mut(list).and_then(Value::as_array_mut) {
        entries.retain(|entry| entry["name"] != variable.as_str());
    }
}

#[cfg(test)]
mod tests;
