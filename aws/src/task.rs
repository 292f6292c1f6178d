//! Which ECS task this is (Amazon ECS developer guide, "Task metadata endpoint version 4").

use serde::Deserialize;

use crate::get::{connector, get};

/// Set by ECS in every container: where it says which task this is.
pub const METADATA: &str = "ECS_CONTAINER_METADATA_URI_V4";

/// As much of the answer as is read.
#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "TaskARN")]
    task_arn: String,
}

/// The ARN of the task that this process runs in.
///
/// # Errors
/// In words: when this is no task, or ECS doesn't say which.
pub async fn this_task() -> Result<String, String> {
    let address = std::env::var(METADATA).map_err(|_| format!("this is no ECS task: {METADATA} isn't set"))?;
    let failed = |what: String| format!("ECS doesn't say which task this is ({METADATA}): {what}");
    let body = get(&connector(), &format!("{address}/task"), &[]).await.map_err(failed)?;
    let answer: Result<Answer, _> = serde_json::from_slice(&body);
    let Answer { task_arn } = answer.map_err(|_| failed("the answer holds no task".to_owned()))?;
    // arn:PARTITION:ecs:REGION:ACCOUNT:task/CLUSTER/ID
    let parts: Vec<&str> = task_arn.split(':').collect();
    match parts.as_slice() {
        ["arn", _, "ecs", _, _, name] if name.starts_with("task/") => Ok(task_arn),
        _ => Err(failed(format!("{task_arn:?} is no task"))),
    }
}
