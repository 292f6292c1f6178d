//! A whole world from one JSON document, for scripts.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Double, Function, KeyState, Role};

/// What there is in the double's world, as JSON says it. Accounts refer to each other's roles by ARN, which follows from
/// account and name; functions come after all roles.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Description {
    /// The S3 server behind the double.
    s3: Option<String>,
    /// How long each state of a task takes that isn't RUNNING, in milliseconds.
    pace: Option<u64>,
    /// For each image the paths inside and what they are on this machine.
    #[serde(default)]
    images: BTreeMap<String, BTreeMap<String, PathBuf>>,
    /// By number.
    #[serde(default)]
    accounts: BTreeMap<String, AccountDescription>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AccountDescription {
    /// The policies of each.
    #[serde(default)]
    users: BTreeMap<String, Vec<Value>>,
    #[serde(default)]
    roles: Vec<RoleDescription>,
    #[serde(default)]
    keys: Vec<KeyDescription>,
    /// The policy of each, or null.
    #[serde(default)]
    buckets: BTreeMap<String, Option<Value>>,
    #[serde(default)]
    clusters: Vec<String>,
    #[serde(default)]
    functions: Vec<FunctionDescription>,
    /// As `RegisterTaskDefinition` takes them.
    #[serde(default)]
    task_definitions: Vec<Value>,
    /// By cluster, as `CreateService` takes them; they have been there for long.
    #[serde(default)]
    services: BTreeMap<String, Vec<Value>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RoleDescription {
    name: String,
    trust: Value,
    #[serde(default)]
    policies: Vec<Value>,
    /// In seconds.
    lasts: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct KeyDescription {
    alias: String,
    seed: u8,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct FunctionDescription {
    name: String,
    handler: String,
    role: String,
    program: PathBuf,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    /// In seconds.
    timeout: Option<u64>,
    memory: Option<u32>,
    policy: Option<Value>,
}

impl Description {
    /// Fills a double with it; what a script needs to go on: the address, and what the users sign with.
    ///
    /// # Panics
    /// When something in it is refused.
    pub fn fill(self, double: &Double) -> Value {
        if let Some(endpoint) = &self.s3 {
            double.s3(endpoint);
        }
        if let Some(pace) = self.pace {
            double.pace(Duration::from_millis(pace));
        }
        for (image, programs) in self.images {
            programs.into_iter().for_each(|(inside, program)| double.image(&image, &inside, program));
        }
        let (mut users, mut definitions, mut services) = (json!({}), json!({}), json!({}));
        for (id, described) in &self.accounts {
            let account = double.account(id);
            for role in &described.roles {
                account.role(role.role());
            }
            for (name, policies) in &described.users {
                let keys = account.user(name, policies);
                let arn = format!("arn:aws:iam::{id}:user/{name}");
                users[arn] = json!({ "accessKey": keys.access_key, "secretKey": keys.secret_key });
            }
            for key in &described.keys {
                account.key(&key.alias, key.seed, KeyState::Enabled);
            }
            for (name, policy) in &described.buckets {
                account.bucket(name, policy.as_ref());
            }
            for name in &described.clusters {
                account.cluster(name);
            }
            for definition in &described.task_definitions {
                let arn = account.task_definition(definition);
                definitions[definition["family"].as_str().unwrap_or_default()] = arn.into();
            }
            for (cluster, service) in
                described.services.iter().flat_map(|(name, all)| all.iter().map(move |one| (name, one)))
            {
                services[service["serviceName"].as_str().unwrap_or_default()] =
                    account.service(cluster, service).into();
            }
        }
        for (id, described) in self.accounts {
            for function in described.functions {
                double.account(&id).function(function.function());
            }
        }
        json!({ "url": double.url(), "users": users, "taskDefinitions": definitions, "services": services })
    }
}

impl RoleDescription {
    fn role(&self) -> Role {
        let (trust, policies) = (self.trust.clone(), self.policies.clone());
        let role = Role { trust, policies, ..Role::open(&self.name) };
        Role { lasts: self.lasts.map_or(role.lasts, Duration::from_secs), ..role }
    }
}

impl FunctionDescription {
    fn function(self) -> Function {
        let function = Function::new(&self.name, &self.handler, &self.role, self.program);
        Function {
            environment: self.environment.into_iter().collect(),
            timeout: self.timeout.map_or(function.timeout, Duration::from_secs),
            memory: self.memory.unwrap_or(function.memory),
            policy: self.policy,
            ..function
        }
    }
}
