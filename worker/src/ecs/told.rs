//! What people are told while a service rolls out: counts when they change, what the service says about itself, and why
//! tasks stopped. Pure, but for remembering what was told already.

use std::collections::{BTreeMap, BTreeSet};

use super::view::{DeploymentView, ServiceView, TaskView};

/// Most lines about stopped tasks that differ; a crash loop says the same again and again.
const MOST_ENDS: usize = 20;
/// Longest line, in characters.
const LONGEST: usize = 600;

/// What was told so far.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Ids of the service's events.
    events: BTreeSet<String>,
    /// The line about counts.
    counts: String,
    /// ARNs of stopped tasks.
    stopped: BTreeSet<String>,
    /// How often tasks stopped in this way.
    ends: BTreeMap<String, usize>,
}

impl Told {
    /// Nothing of what is there already is news.
    pub(super) fn starting_from(seen: &ServiceView) -> Self {
        Self { events: seen.events.iter().map(|event| event.id.clone()).collect(), ..Self::default() }
    }

    /// What is new about a service and one of its deployments.
    pub(super) fn news(&mut self, service: &str, deployment: &str, seen: &ServiceView) -> Vec<String> {
        let mut lines = Vec::new();
        for event in seen.events.iter().rev() {
            if self.events.insert(event.id.clone()) {
                lines.push(clip(&event.message));
            }
        }
        if let Some(deployment) = seen.deployment(deployment) {
            let counts = counts(service, deployment);
            if self.counts != counts {
                lines.push(counts.clone());
                self.counts = counts;
            }
        }
        lines
    }

    /// Of these tasks, the stopped ones of a deployment that weren't known yet: lines for people, and the tasks
    /// themselves.
    pub(super) fn ended<'a>(&mut self, deployment: &str, tasks: &'a [TaskView]) -> Vec<(String, &'a TaskView)> {
        let mut news = Vec::new();
        for task in tasks.iter().filter(|task| task.started_by == deployment && task.last_status == "STOPPED") {
            if !self.stopped.insert(task.task_arn.clone()) {
                continue;
            }
            let line = why(task);
            let known = self.ends.len();
            let times = self.ends.entry(line.clone()).or_default();
            *times += 1;
            if *times == 1 && known < MOST_ENDS {
                news.push((format!("task {}: {line}", task.id()), task));
            }
        }
        news
    }

    /// The ways in which tasks stopped, the most frequent first.
    pub(super) fn ends(&self) -> Option<String> {
        let (line, times) = self.ends.iter().max_by_key(|(_, times)| **times)?;
        let tasks: usize = self.ends.values().sum();
        let often = if tasks > 1 { format!(" ({times} of {tasks} tasks that stopped)") } else { String::new() };
        Some(format!("{line}{often}"))
    }
}

fn counts(service: &str, deployment: &DeploymentView) -> String {
    let DeploymentView { running_count, pending_count, failed_tasks, desired_count, .. } = deployment;
    format!(
        "{service}: {running_count} of {desired_count} tasks running, {pending_count} pending, {failed_tasks} failed"
    )
}

/// Why a task stopped: ECS's code and sentence, and of each container its exit code and ECS's sentence.
pub(super) fn why(task: &TaskView) -> String {
    let mut text = task.stop_code.clone().unwrap_or_else(|| "stopped".to_owned());
    if let Some(reason) = task.stopped_reason.as_ref().filter(|reason| !reason.is_empty()) {
        text.push_str(&format!(": {reason}"));
    }
    for container in &task.containers {
        if let Some(code) = container.exit_code {
            text.push_str(&format!("; {} exited with {code}", container.name));
        }
        if let Some(reason) = container.reason.as_ref().filter(|reason| !reason.is_empty()) {
            text.push_str(&format!("; {}: {reason}", container.name));
        }
    }
    clip(&text)
}

/// One line of bounded length.
pub(super) fn clip(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= LONGEST { line } else { line.chars().take(LONGEST - 1).chain(['…']).collect() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn service(events: &[&str], running: u32) -> ServiceView {
        let events: Vec<_> =
            events.iter().map(|text| json!({"id": text, "message": format!("(service web) {text}\n")})).collect();
        let deployment =
            json!({"id": "d", "runningCount": running, "desiredCount": 3, "failedTasks": 1, "pendingCount": 1});
        serde_json::from_value(json!({"events": events, "deployments": [deployment]})).unwrap()
    }

    #[test]
    fn only_news_is_told_and_in_the_order_in_which_it_happened() {
        let mut told = Told::starting_from(&service(&["old"], 0));
        let counts = |running| format!("web: {running} of 3 tasks running, 1 pending, 1 failed");
        for (seen, expected) in [
            (service(&["old"], 1), vec![counts(1)]),
            (service(&["old"], 1), vec![]),
            (service(&["c", "b", "old"], 1), vec!["(service web) b".to_owned(), "(service web) c".to_owned()]),
            (service(&["c", "b"], 2), vec![counts(2)]),
            (service(&[], 1), vec![counts(1)]),
        ] {
            assert_eq!(told.news("web", "d", &seen), expected);
        }
        assert_eq!(told.news("web", "another", &service(&[], 0)), Vec::<String>::new());
    }

    fn task(number: u32, deployment: &str, code: i32) -> TaskView {
        serde_json::from_value(json!({
            "taskArn": format!("arn:aws:ecs:eu-central-1:2:task/main/{number}"), "startedBy": deployment,
            "lastStatus": "STOPPED", "stopCode": "EssentialContainerExited", "stoppedReason": "Essential container in task exited",
            "containers": [{"name": "app", "exitCode": code}, {"name": "log", "reason": "OutOfMemoryError: …"}],
        }))
        .unwrap()
    }

    #[test]
    fn each_end_is_told_once_and_only_of_our_tasks() {
        let mut told = Told::default();
        assert_eq!(told.ends(), None);
        let tasks = [task(1, "ours", 1), task(2, "ours", 1), task(3, "other", 7), task(4, "ours", 2)];
        let line = |code| {
            format!(
                "EssentialContainerExited: Essential container in task exited; app exited with {code}; log: OutOfMemoryError: …"
            )
        };
        let lines: Vec<_> = told.ended("ours", &tasks).into_iter().map(|(line, _)| line).collect();
        assert_eq!(lines, [format!("task 1: {}", line(1)), format!("task 4: {}", line(2))]);
        assert!(told.ended("ours", &tasks).is_empty());
        assert_eq!(told.ends(), Some(format!("{} (2 of 3 tasks that stopped)", line(1))));
    }

    #[test]
    fn nothing_is_endless() {
        let mut told = Told::default();
        let tasks: Vec<_> = (0..1000).map(|number| task(number, "ours", i32::try_from(number).unwrap())).collect();
        assert_eq!(told.ended("ours", &tasks).len(), MOST_ENDS);
        assert_eq!(clip(&"x ".repeat(5000)).chars().count(), LONGEST);
    }
}
