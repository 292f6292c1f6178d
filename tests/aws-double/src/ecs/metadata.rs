//! What ECS offers to the programs in its containers: the task's role, and what the task is.

use std::time::SystemTime;

use serde_json::{Value, json};

use super::task::{Task, TaskContainer};
use crate::State;
use crate::http::{Response, response};
use crate::sts::written;

/// `/v2/credentials/…` and `/v4/…`; `None` if no task has such an address.
pub(super) fn serve(state: &mut State, path: &str) -> Option<Response> {
    let answer = match path.strip_prefix("/v2/credentials/") {
        Some(secret) => credentials(state, secret)?,
        None => {
            let (id, about) = path.strip_prefix("/v4/")?.split_once('/').unwrap_or((path.strip_prefix("/v4/")?, ""));
            let task = state.ecs.tasks.values().find(|task| task.id() == id)?;
            match about {
                // The address doesn't tell the containers of a task apart.
                "" => container(task, task.containers.first()?),
                "task" => about_task(task),
                _ => return None,
            }
        }
    };
    Some(response(200, "application/json", answer.to_string()))
}

/// A session of the task's role; a new one when half of the last one's time is over.
fn credentials(state: &mut State, secret: &str) -> Option<Value> {
    let now = SystemTime::now();
    let task = state.ecs.tasks.values_mut().find(|task| task.secret == secret)?;
    let role = task.role.clone()?;
    if !task.session_is_fresh(now) {
        let (keys, expires) = state.people.open_session(&role, task.id(), None, crate::people::Given::default())?;
        task.session = Some((keys, now, expires));
    }
    let (keys, _, expires) = task.session.as_ref()?;
    Some(json!({
        "RoleArn": role, "AccessKeyId": keys.access_key, "SecretAccessKey": keys.secret_key,
        "Token": keys.session_token, "Expiration": written(*expires),
    }))
}

fn container(task: &Task, container: &TaskContainer) -> Value {
    let container = &container.definition;
    json!({
        "DockerId": format!("{}-1", task.id()), "Name": container.name, "DockerName": container.name,
        "Image": container.image, "DesiredStatus": task.desired.name(), "KnownStatus": task.last.name(),
        "Type": "NORMAL", "Labels": {
            "com.amazonaws.ecs.cluster": task.cluster, "com.amazonaws.ecs.container-name": container.name,
            "com.amazonaws.ecs.task-arn": task.arn, "com.amazonaws.ecs.task-definition-family": task.family,
            "com.amazonaws.ecs.task-definition-version": task.revision.to_string(),
        },
    })
}

fn about_task(task: &Task) -> Value {
    let containers: Vec<_> = task.containers.iter().map(|one| container(task, one)).collect();
    json!({
        "Cluster": task.cluster, "TaskARN": task.arn, "Family": task.family, "Revision": task.revision.to_string(),
        "DesiredStatus": task.desired.name(), "KnownStatus": task.last.name(), "LaunchType": "FARGATE",
        "AvailabilityZone": "eu-central-1a", "PullStartedAt": written(task.created),
        "PullStoppedAt": written(task.created), "Containers": containers,
    })
}
