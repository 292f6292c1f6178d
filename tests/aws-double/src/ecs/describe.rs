//! `DescribeTasks`, `ListTasks` and `StopTask`.

use serde_json::{Value, json};

use super::definition::texts;
use super::task::{Order, Task, TaskStatus};
use super::{Ecs, may, only};
use crate::State;
use crate::http::Refusal;
use crate::people::Caller;

impl Ecs {
    /// The ARN of a task of a cluster that is named by id or ARN.
    fn task_arn(cluster: &str, named: &str) -> String {
        match named.starts_with("arn:") {
            true => named.to_owned(),
            false => format!("{}/{named}", cluster.replacen(":cluster/", ":task/", 1)),
        }
    }

    fn task_of(&self, cluster: &str, named: &str) -> Option<&Task> {
        self.tasks.get(&Self::task_arn(cluster, named)).filter(|task| task.cluster == cluster)
    }
}

/// `DescribeTasks`; each task is a resource of its own to IAM.
pub(super) fn describe_tasks(state: &State, body: &Value, caller: &Caller) -> Result<Value, Refusal> {
    only(body, "ecs:DescribeTasks", &["cluster", "tasks", "include"])?;
    let cluster = state.ecs.cluster(&body["cluster"], caller.account())?;
    let named = texts(&body["tasks"]);
    if named.is_empty() || named.len() > 100 {
        return Err(Refusal::new(400, "InvalidParameterException", "Tasks cannot be empty."));
    }
    let context = caller.context([("ecs:cluster", cluster.clone())]);
    let (mut tasks, mut failures) = (Vec::new(), Vec::new());
    for named in named {
        let arn = Ecs::task_arn(&cluster, &named);
        may(caller, "ecs:DescribeTasks", &arn, &context)?;
        match state.ecs.task_of(&cluster, &named) {
            Some(task) => tasks.push(task.described()),
            None => failures.push(json!({ "arn": arn, "reason": "MISSING" })),
        }
    }
    Ok(json!({ "tasks": tasks, "failures": failures }))
}

/// `ListTasks`: in one page.
pub(super) fn list_tasks(state: &State, body: &Value, caller: &Caller) -> Result<Value, Refusal> {
    only(body, "ecs:ListTasks", &["cluster", "family", "startedBy", "desiredStatus", "launchType", "maxResults"])?;
    let cluster = state.ecs.cluster(&body["cluster"], caller.account())?;
    may(caller, "ecs:ListTasks", "*", &caller.context([("ecs:cluster", cluster.clone())]))?;
    let desired = body["desiredStatus"].as_str().unwrap_or("RUNNING");
    let wanted = |field: &str, have: &str| body[field].as_str().is_none_or(|wanted| wanted == have);
    let fits = |task: &&Task| {
        task.cluster == cluster
            && task.desired.name() == desired
            && wanted("family", &task.family)
            && wanted("startedBy", task.started_by.as_deref().unwrap_or_default())
    };
    let arns: Vec<_> = state.ecs.tasks.values().filter(fits).map(|task| task.arn.clone()).collect();
    Ok(json!({ "taskArns": arns }))
}

/// `StopTask`: a task that stops or has stopped is told again, as it is.
pub(super) fn stop_task(state: &mut State, body: &Value, caller: &Caller) -> Result<Value, Refusal> {
    only(body, "ecs:StopTask", &["cluster", "task", "reason"])?;
    let cluster = state.ecs.cluster(&body["cluster"], caller.account())?;
    let arn = Ecs::task_arn(&cluster, body["task"].as_str().unwrap_or_default());
    may(caller, "ecs:StopTask", &arn, &caller.context([("ecs:cluster", cluster.clone())]))?;
    let task = state.ecs.tasks.get_mut(&arn).filter(|task| task.cluster == cluster);
    let not_found = || Refusal::new(400, "InvalidParameterException", "The referenced task was not found.");
    let task = task.ok_or_else(not_found)?;
    if task.desired != TaskStatus::Stopped {
        task.ends("UserInitiated", body["reason"].as_str().unwrap_or("Task stopped by user"));
        task.orders.send_replace(Order::Stop);
    }
    Ok(json!({ "task": task.described() }))
}
