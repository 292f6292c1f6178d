//! The last lines that containers wrote before they stopped: only for environments whose trust policy lets them leave
//! production, and only of what writes to CloudWatch Logs (`awslogs`) in the worker's region.

use aws::{AwsError, Call, Connection};
use aws_sdk_cloudwatchlogs::Client;
use serde_json::Value;

use super::told::clip;
use super::view::TaskView;

/// Most lines of one container.
const LINES: i32 = 20;
/// Most tasks of a rollout whose lines are told: they fail in the same way.
const TASKS: usize = 3;

/// What the tasks of a rollout wrote.
pub(super) struct Logs<'a> {
    /// `None` where lines stay in production.
    client: Option<Client>,
    /// Of the tasks that the rollout brings.
    definition: &'a Value,
    region: Option<String>,
    told: usize,
}

/// A stream of CloudWatch Logs.
#[derive(Debug, PartialEq, Eq)]
struct Stream {
    container: String,
    group: String,
    name: String,
}

impl<'a> Logs<'a> {
    /// Asks nothing over the network.
    pub(super) fn new(connection: &Connection, may_leave: bool, definition: &'a Value) -> Self {
        let client = may_leave.then(|| Client::new(connection.config()));
        Self { client, definition, region: connection.region().map(str::to_owned), told: 0 }
    }

    /// The last lines of a task that stopped. What can't be read is told only to the worker's own log.
    pub(super) async fn last_lines(&mut self, task: &TaskView) -> Vec<String> {
        let mut lines = Vec::new();
        let Some(client) = self.client.as_ref().filter(|_| self.told < TASKS) else { return lines };
        for stream in streams(self.definition, self.region.as_deref(), task.id()) {
            match read(client, &stream).await {
                Ok(found) => {
                    lines.extend(found.iter().map(|line| format!("  {} wrote: {}", stream.container, clip(line))));
                }
                Err(error) => tracing::warn!(%error, "log lines can't be read"),
            }
        }
        self.told += usize::from(!lines.is_empty());
        lines
    }
}

/// Where the containers of a task write (Amazon ECS developer guide, "Send Amazon ECS logs to CloudWatch": the stream is
/// `PREFIX/CONTAINER/TASK`).
fn streams(definition: &Value, region: Option<&str>, task: &str) -> Vec<Stream> {
    let stream = |container: &Value| {
        let log = &container["logConfiguration"];
        let option = |name: &str| log["options"][name].as_str();
        let is_here =
            log["logDriver"] == "awslogs" && option("awslogs-region").is_none_or(|named| Some(named) == region);
        let (container, group) = (container["name"].as_str()?, option("awslogs-group").filter(|_| is_here)?);
        let name = format!("{}/{container}/{task}", option("awslogs-stream-prefix")?);
        Some(Stream { container: container.to_owned(), group: group.to_owned(), name })
    };
    definition["containerDefinitions"].as_array().into_iter().flatten().filter_map(stream).collect()
}

async fn read(client: &Client, stream: &Stream) -> Result<Vec<String>, AwsError> {
    let Stream { group, name, .. } = stream;
    let call = Call { action: "logs:GetLogEvents", resource: format!("{group}:{name}") };
    let asked = client.get_log_events().log_group_name(group).log_stream_name(name).limit(LINES).start_from_head(false);
    let answer = asked.send().await.map_err(|error| AwsError::new(call, error))?;
    Ok(answer.events.unwrap_or_default().into_iter().filter_map(|event| event.message).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_writes_to_cloudwatch_here_has_lines() {
        let container = |name: &str, driver: &str, region: Option<&str>, prefix: Option<&str>| {
            json!({"name": name, "logConfiguration": {"logDriver": driver, "options": {
                "awslogs-group": "/web", "awslogs-region": region, "awslogs-stream-prefix": prefix,
            }}})
        };
        let definition = json!({"containerDefinitions": [
            container("app", "awslogs", Some("eu-central-1"), Some("web")),
            container("elsewhere", "awslogs", Some("us-east-1"), Some("web")),
            container("unnamed", "awslogs", Some("eu-central-1"), None),
            container("router", "awsfirelens", None, Some("web")),
            json!({"name": "silent"}),
        ]});
        let found = streams(&definition, Some("eu-central-1"), "0123");
        let (container, group, name) = ("app".to_owned(), "/web".to_owned(), "web/app/0123".to_owned());
        assert_eq!(found, [Stream { container, group, name }]);
    }
}
