//! Where a person looks on: links made of what a job's events and a build's manifest say.

use manifest_schema::job::TaskId;
use manifest_schema::manifest::BuildManifest;

/// The page of a task in the console of AWS, or its ARN where the console is another; nothing for a process, which is
/// gone when its job is over.
pub(crate) fn task(task: &TaskId) -> Option<String> {
    match task {
        TaskId::Ecs { arn } => Some(format!("task: {}", console(arn).unwrap_or_else(|| arn.clone()))),
        TaskId::Process { .. } => None,
    }
}

/// The CI job that made a build, if it has a page.
pub(crate) fn built_by(build: &BuildManifest) -> Option<String> {
    build.build.url.as_ref().map(|url| format!("  built by: {url}"))
}

/// The console's page of a task, from its ARN (`arn:aws:ecs:REGION:ACCOUNT:task/CLUSTER/ID`). Nothing else than such an
/// ARN becomes a link.
fn console(arn: &str) -> Option<String> {
    let [_, "aws", "ecs", region, _, resource] = arn.split(':').collect::<Vec<_>>()[..] else { return None };
    let ["task", cluster, id] = resource.split('/').collect::<Vec<_>>()[..] else { return None };
    let is_name = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    let url = format!("https://{region}.console.aws.amazon.com/ecs/v2/clusters/{cluster}/tasks/{id}?region={region}");
    [region, cluster, id].into_iter().all(is_name).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_linked_where_its_console_is_known() {
        for (arn, expected) in [
            (
                "arn:aws:ecs:eu-central-1:222222222222:task/air_lock/0123abcd",
                "task: https://eu-central-1.console.aws.amazon.com/ecs/v2/clusters/air_lock/tasks/0123abcd?region=eu-central-1",
            ),
            (
                "arn:aws-cn:ecs:cn-north-1:222222222222:task/airlock/0123",
                "task: arn:aws-cn:ecs:cn-north-1:222222222222:task/airlock/0123",
            ),
            ("arn:aws:ecs:example.com/?:2:task/a/b", "task: arn:aws:ecs:example.com/?:2:task/a/b"),
            ("arn:aws:ecs:eu-central-1:2:task/a/../b", "task: arn:aws:ecs:eu-central-1:2:task/a/../b"),
            ("arn:aws:ecs:eu-central-1:2:task/b", "task: arn:aws:ecs:eu-central-1:2:task/b"),
        ] {
            assert_eq!(task(&TaskId::Ecs { arn: arn.to_owned() }).as_deref(), Some(expected));
        }
        let process = TaskId::Process { pid: 1, started: 2, boot: "b".to_owned(), namespace: 3 };
        assert_eq!(task(&process), None);
    }
}
