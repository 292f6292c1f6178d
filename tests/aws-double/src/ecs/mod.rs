//! ECS on Fargate: task definitions, tasks that are the real programs on this machine, and services.
//!
//! True to AWS: the calls' shapes and errors, `clientToken`, the order of a task's states, what its programs get as
//! arguments and environment, stop codes and reasons, SIGTERM and SIGKILL a stop timeout apart, that everything in a
//! task ends with an essential container, PassRole and the role's trust, secrets that the execution role may read; that
//! a definition is described with every field that it was registered with, and that tagging it needs a permission. Not
//! doubled: containers that wait for others, capacity providers but Fargate's two, networks (any subnet is there), the
//! container's file system and its PID 1 (which ignores signals that it doesn't handle). `services` says what services
//! are here.

mod definition;
mod describe;
mod life;
mod metadata;
mod run;
mod script;
mod services;
mod task;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use task::{Order, Task};

pub use script::{Fate, HealthCheck, Script};
pub(crate) use services::live;
pub use services::{DeploymentView, ServiceView};
pub use task::{TaskStatus, TaskView};

use crate::http::{self, Refusal, Request, Response};
use crate::people::Caller;
use crate::{Core, REGION};

/// What goes wrong with a task that RunTask starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskFailure {
    /// RunTask answers with `failures` and starts nothing.
    Capacity,
    /// It stays in PROVISIONING for so long.
    SlowStart(Duration),
    /// Its image can't be pulled.
    Image,
    /// It is killed so long after its program started; zero is before the program did anything.
    Killed(Duration),
    /// Its memory is used up so long after its program started.
    OutOfMemory(Duration),
}

/// An image: where its programs are on this machine.
#[derive(Debug, Clone)]
struct Image {
    /// By the path inside.
    programs: BTreeMap<String, PathBuf>,
}

/// All of ECS.
#[derive(Debug)]
pub(crate) struct Ecs {
    /// ARNs.
    clusters: BTreeSet<String>,
    definitions: Vec<definition::Definition>,
    /// By ARN.
    tasks: BTreeMap<String, Task>,
    /// What a client token of a cluster was used for: the request, and the tasks.
    tokens: BTreeMap<(String, String), (Value, Vec<String>)>,
    images: BTreeMap<String, Image>,
    scripts: script::Scripts,
    /// By ARN.
    services: BTreeMap<String, services::Service>,
    /// How many deployments there have been.
    deployed: usize,
    /// How many events of services there have been.
    events: usize,
    /// How long each state of a task takes that isn't RUNNING.
    pub(crate) pace: Duration,
    started: usize,
}

impl Default for Ecs {
    fn default() -> Self {
        Self {
            clusters: BTreeSet::new(),
            definitions: Vec::new(),
            tasks: BTreeMap::new(),
            tokens: BTreeMap::new(),
            images: BTreeMap::new(),
            scripts: script::Scripts::default(),
            services: BTreeMap::new(),
            deployed: 0,
            events: 0,
            pace: Duration::from_millis(10),
            started: 0,
        }
    }
}

impl Ecs {
    pub(crate) fn add_cluster(&mut self, account: &str, name: &str) -> String {
        let arn = format!("arn:aws:ecs:{REGION}:{account}:cluster/{name}");
        self.clusters.insert(arn.clone());
        arn
    }

    pub(crate) fn add_image(&mut self, name: &str, inside: &str, program: PathBuf) {
        let image = self.images.entry(name.to_owned()).or_insert_with(|| Image { programs: BTreeMap::new() });
        image.programs.insert(inside.to_owned(), program);
    }

    /// The image that a container names: by the name that it was given, or by its digest.
    fn image(&self, named: &str) -> Option<&Image> {
        let digest = named.split_once('@').map(|(_, digest)| digest);
        self.images.get(named).or_else(|| self.images.get(digest?))
    }

    pub(crate) fn remove_image(&mut self, name: &str) {
        self.images.remove(name);
    }

    /// All tasks, the oldest first.
    pub(crate) fn views(&self) -> Vec<TaskView> {
        let mut tasks: Vec<_> = self.tasks.values().collect();
        tasks.sort_by_key(|task| task.id());
        tasks.into_iter().map(Task::view).collect()
    }

    /// Kills a task, which says this about its end.
    pub(crate) fn kill(&mut self, arn: &str, reason: Option<&str>) {
        let Some(task) = self.tasks.get_mut(arn) else { return };
        reason.into_iter().for_each(|reason| task.says(reason));
        if task.serves.is_some() {
            task.container_ended(0, 137);
        }
        task.orders.send_replace(Order::Die);
    }

    pub(crate) fn interrupt(&mut self, arn: &str) {
        let Some(task) = self.tasks.get_mut(arn) else { return };
        task.ends("SpotInterruption", "Your Spot Task was interrupted.");
        task.orders.send_replace(Order::Stop);
    }

    pub(crate) fn freeze(&self, arn: &str, frozen: bool) {
        let containers = self.tasks.get(arn).map(|task| task.containers.as_slice()).unwrap_or_default();
        for process in containers.iter().filter_map(|container| container.process.as_ref()) {
            if frozen {
                process.freeze();
            } else {
                process.thaw();
            }
        }
    }

    pub(crate) fn forget(&mut self, arn: &str) {
        self.kill(arn, None);
        self.tasks.remove(arn);
        self.tokens.retain(|_, (_, tasks)| !tasks.iter().any(|task| task == arn));
    }

    /// The ARN of a cluster of the caller's account that is named, or `default`.
    fn cluster(&self, named: &Value, account: &str) -> Result<String, Refusal> {
        let name = named.as_str().unwrap_or("default");
        let arn = match name.starts_with("arn:") {
            true => name.to_owned(),
            false => format!("arn:aws:ecs:{REGION}:{account}:cluster/{name}"),
        };
        if arn.split(':').nth(4) != Some(account) {
            return Err(Refusal::new(400, "InvalidParameterException", "Identifiers do not match."));
        }
        match self.clusters.contains(&arn) {
            true => Ok(arn),
            false => Err(Refusal::new(400, "ClusterNotFoundException", "Cluster not found.")),
        }
    }
}

/// Answers a call of ECS; `failure` is what goes wrong with the tasks that it starts.
pub(crate) fn answer(
    core: &Arc<Core>,
    operation: &str,
    request: &Request,
    caller: &Caller,
    failure: Option<TaskFailure>,
) -> Result<Response, Refusal> {
    let body = request.json();
    let Value::Object(_) = body else {
        return Err(Refusal::new(400, "SerializationException", "the body is no JSON object"));
    };
    let mut state = core.state();
    if request.scope().is_some_and(|scope| scope.region != REGION) {
        // Another region has neither clusters nor task definitions.
        return Err(match operation {
            "RunTask" | "DescribeTasks" | "StopTask" | "ListTasks" | "CreateService" | "DescribeServices"
            | "UpdateService" | "DeleteService" => Refusal::new(400, "ClusterNotFoundException", "Cluster not found."),
            _ => Refusal::not_doubled(format!("ecs:{operation} in another region")),
        });
    }
    let answer = match operation {
        "RunTask" => run::run_task(core, &mut state, &body, caller, failure),
        "DescribeTasks" => describe::describe_tasks(&state, &body, caller),
        "ListTasks" => describe::list_tasks(&state, &body, caller),
        "StopTask" => describe::stop_task(&mut state, &body, caller),
        "RegisterTaskDefinition" => definition::register(&mut state, &body, caller),
        "DescribeTaskDefinition" => definition::describe(&state, &body, caller),
        "CreateService" => services::create(&mut state, &body, caller),
        "DescribeServices" => services::describe(&state, &body, caller),
        "UpdateService" => services::update(&mut state, &body, caller),
        "DeleteService" => services::delete(&mut state, &body, caller),
        _ => Err(Refusal::not_doubled(format!("ecs:{operation}"))),
    }?;
    Ok(http::json(&answer))
}

/// The container's credentials and metadata.
pub(crate) fn serve_container(core: &Core, path: &str) -> Response {
    metadata::serve(&mut core.state(), path).unwrap_or_else(|| http::response(404, "text/plain", "no such task"))
}

/// Refuses a call whose object has a field that is neither used nor known to make no difference.
pub(crate) fn only(object: &Value, what: &str, known: &[&str]) -> Result<(), Refusal> {
    let fields = object.as_object().into_iter().flatten();
    match fields.filter(|(_, value)| !value.is_null()).find(|(name, _)| !known.contains(&name.as_str())) {
        Some((name, _)) => Err(Refusal::not_doubled(format!("{what} with {name}"))),
        None => Ok(()),
    }
}

/// Whether the caller may do this, or AWS's refusal.
fn may(caller: &Caller, action: &str, resource: &str, context: &crate::iam::Context) -> Result<(), Refusal> {
    caller
        .may((action, resource, caller.account()), context, crate::iam::Guard::None)
        .map_err(|message| Refusal::new(400, "AccessDeniedException", message))
}

/// Whether the caller may tag what they make, if they do.
fn may_tag(caller: &Caller, making: &str, resource: &str, tags: &Value) -> Result<(), Refusal> {
    if tags.as_array().is_none_or(Vec::is_empty) {
        return Ok(());
    }
    may(caller, "ecs:TagResource", resource, &caller.context([("ecs:CreateAction", making.to_owned())]))
}
