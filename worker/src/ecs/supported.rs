//! Which services can be deployed to at all: what isn't supported is refused while planning, before anything begins.

use manifest_schema::manifest::ServiceStep;

use super::view::ServiceView;

/// Every reason for which a step can't be done to a service, each the end of a sentence that starts with its name.
pub(super) fn problems(service: &ServiceView, step: &ServiceStep) -> Vec<String> {
    let mut problems = Vec::new();
    if !service.is_active() {
        problems.push(format!("is {}: wait until it is gone, and make it anew", service.status));
    }
    match service.deployment_controller.kind.as_deref() {
        None | Some("ECS") => {}
        Some(other) => problems.push(format!(
            "is deployed by {other} (its deployment controller); only services that ECS itself deploys can be updated"
        )),
    }
    if !service.task_sets.is_empty() {
        problems.push("has task sets, which are another controller's".to_owned());
    }
    match service.deployment_configuration.strategy.as_deref() {
        None | Some("ROLLING") => {}
        Some(other) => {
            problems.push(format!("has the deployment strategy {other}; only ROLLING is followed to its end"))
        }
    }
    if service.scheduling_strategy == "DAEMON" && step.desired_count.is_some() {
        problems.push("runs a task on each machine (DAEMON): leave desired-count out".to_owned());
    }
    problems
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_followed_to_its_end_is_refused() {
        let mut step = ServiceStep::new("web".parse().unwrap(), Default::default());
        for (case, service, count, expected) in [
            ("the usual", json!({"status": "ACTIVE"}), Some(2), vec![]),
            (
                "said in full",
                json!({"status": "ACTIVE", "deploymentController": {"type": "ECS"}, "taskSets": [],
                       "deploymentConfiguration": {"strategy": "ROLLING"}, "schedulingStrategy": "REPLICA"}),
                Some(2),
                vec![],
            ),
            (
                "CodeDeploy",
                json!({"status": "ACTIVE", "deploymentController": {"type": "CODE_DEPLOY"}, "taskSets": [{}]}),
                None,
                vec!["deployed by CODE_DEPLOY", "task sets"],
            ),
            (
                "external",
                json!({"status": "ACTIVE", "deploymentController": {"type": "EXTERNAL"}}),
                None,
                vec!["deployed by EXTERNAL"],
            ),
            (
                "blue/green",
                json!({"status": "ACTIVE", "deploymentConfiguration": {"strategy": "BLUE_GREEN"}}),
                None,
                vec!["strategy BLUE_GREEN"],
            ),
            ("a daemon", json!({"status": "ACTIVE", "schedulingStrategy": "DAEMON"}), None, vec![]),
            (
                "a daemon with a count",
                json!({"status": "ACTIVE", "schedulingStrategy": "DAEMON"}),
                Some(1),
                vec!["leave desired-count out"],
            ),
            ("being deleted", json!({"status": "DRAINING"}), None, vec!["is DRAINING"]),
        ] {
            step.desired_count = count;
            let found = problems(&serde_json::from_value(service).unwrap(), &step);
            assert_eq!(found.len(), expected.len(), "{case}: {found:?}");
            for (problem, words) in found.iter().zip(expected) {
                assert!(problem.contains(words), "{case}: {problem}");
            }
        }
    }
}
