//! `DescribeTasks`, `ListTasks` and `StopTask`.

use serde_json::{Value, json};

use super::definition::{LogTarget, texts};
use super::task::{Order, Task, TaskContainer, TaskStatus};
use super::{Ecs, may, only};
use crate::State;
use crate::http::Refusal;
use crate::logs::Line;
use crate::people::Caller;

/// What ListTasks may say.
const LIST_TASKS: [&str; 8] =
    ["cluster", "family", "serviceName", "startedBy", "desiredStatus", "launchType", "maxResults", "nextToken"];

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

    /// What the tasks of an account have written to CloudWatch Logs: group, stream and lines of each container.
    pub(crate) fn log_streams(&self, account: &str) -> Vec<(String, String, Vec<Line>)> {
        let of_account = self.tasks.values().filter(|task| task.cluster.split(':').nth(4) == Some(account));
        let stream = |task: &Task, container: &TaskContainer| {
            let LogTarget { group, prefix } = container.definition.log.clone()?;
            let stream = format!("{prefix}/{}/{}", container.definition.name, task.id());
            task.started.map(|_| (group, stream, container.log.lines()))
        };
        of_account.flat_map(|task| task.containers.iter().filter_map(move |one| stream(task, one))).collect()
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

/// `ListTasks`: up to 100 at a time.
pub(super) fn list_tasks(state: &State, body: &Value, caller: &Caller) -> Result<Value, Refusal> {
    only(body, "ecs:ListTasks", &LIST_TASKS)?;
    let cluster = state.ecs.cluster(&body["cluster"], caller.account())?;
    may(caller, "ecs:ListTasks", "*", &caller.context([("ecs:cluster", cluster.clone())]))?;
    let desired = body["desiredStatus"].as_str().unwrap_or("RUNNING");
    let wanted = |field: &str, have: &str| body[field].as_str().is_none_or(|wanted| wanted == have);
    let service = body["serviceName"].as_str().map(|named| Ecs::service_arn(&cluster, named));
    if service.as_ref().is_some_and(|arn| !state.ecs.services.contains_key(arn)) {
        return Err(Refusal::new(400, "ServiceNotFoundException", "Service not found."));
    }
    let fits = |task: &&Task| {
        task.cluster == cluster
            && task.desired.name() == desired
            && wanted("family", &task.family)
            && wanted("startedBy", task.started_by.as_deref().unwrap_or_default())
            && service.as_ref().is_none_or(|arn| task.serves.as_ref().is_some_and(|serves| serves.service == *arn))
    };
    let page = body["maxResults"].as_u64().and_then(|most| usize::try_from(most).ok()).unwrap_or(100).min(100);
    let from = body["nextToken"].as_str().unwrap_or("0").parse::<usize>();
    let from = from.map_err(|_| Refusal::new(400, "InvalidParameterException", "Invalid token."))?;
    let arns: Vec<_> = state.ecs.tasks.values().filter(fits).map(|task| task.arn.clone()).collect();
    let mut answer = json!({ "taskArns": arns.iter().skip(from).take(page).collect::<Vec<_>>() });
    if arns.len() > from + page {
        answer["nextToken"] = (from + page).to_string().into();
    }
    Ok(answer)
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
