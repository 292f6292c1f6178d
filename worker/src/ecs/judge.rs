//! How a rollout goes, decided from what ECS says: pure, so that every turn it can take is in a table.
//!
//! A rollout is *our* deployment id. That a service is stable says nothing: it is stable after ECS went back, too.

use super::view::{DeploymentView, RolloutState, ServiceView};

/// A deployment that this worker began, or found unfinished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rollout {
    /// As ECS calls it, `ecs-svc/…`.
    pub(super) id: String,
    /// ARN of the task definition that it brings.
    pub(super) definition: String,
    /// ARN of what had proved to run before.
    pub(super) previous: String,
    /// Whether the number of tasks of a deployment changes that is there already: ECS may call it complete all the time.
    pub(super) scales: bool,
}

/// How a rollout goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Progress {
    /// It goes on.
    Rolling,
    /// ECS gave it up for this reason, and is about to go back by itself.
    GivenUp(String),
    /// It is over.
    Over(End),
}

/// How a rollout ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// Its tasks, and only they, run.
    Completed,
    /// ECS gave it up for this reason, and leaves it at that.
    Stuck(String),
    /// ECS, or somebody, goes back to what ran before.
    GoingBack {
        /// The deployment that does it.
        id: String,
        /// The task definition that it brings.
        definition: String,
        /// What ECS says about the rollout, or about going back.
        said: String,
    },
    /// Somebody deployed something else.
    Replaced {
        /// The task definition that it brings.
        definition: String,
    },
    /// The service is no more, or is being deleted.
    Gone,
}

/// What ECS begins the reason of a deployment with that it made to go back: "ECS deployment circuit breaker: rolling back
/// to deploymentId ecs-svc/1.".
const GOING_BACK: &str = "rolling back";

/// How `ours` goes.
pub(super) fn judge(ours: &Rollout, seen: &ServiceView) -> Progress {
    if !seen.is_active() {
        return Progress::Over(End::Gone);
    }
    let own = seen.deployment(&ours.id);
    match (own, seen.primary()) {
        (Some(own), Some(primary)) if primary.id == own.id => newest(ours, own, seen),
        (own, Some(primary)) => Progress::Over(overtaken(ours, own, primary, seen)),
        // Between two deployments, for a moment, none may be the newest.
        (Some(_), None) => Progress::Rolling,
        (None, None) => Progress::Over(End::Gone),
    }
}

/// Nothing came after it.
fn newest(ours: &Rollout, own: &DeploymentView, seen: &ServiceView) -> Progress {
    let breaker = seen.deployment_configuration.deployment_circuit_breaker;
    match own.rollout_state {
        RolloutState::InProgress | RolloutState::Unsaid => Progress::Rolling,
        RolloutState::Completed if ours.scales && own.running_count != own.desired_count => Progress::Rolling,
        RolloutState::Completed => Progress::Over(End::Completed),
        RolloutState::Failed if breaker.enable && breaker.rollback => Progress::GivenUp(said(own)),
        RolloutState::Failed => Progress::Over(End::Stuck(said(own))),
    }
}

/// Another deployment came after it.
fn overtaken(ours: &Rollout, own: Option<&DeploymentView>, primary: &DeploymentView, seen: &ServiceView) -> End {
    let definition = primary.task_definition.clone();
    let by_ecs = primary.rollout_state_reason.contains(GOING_BACK);
    if definition == ours.definition || !(by_ecs || definition == ours.previous) {
        return End::Replaced { definition };
    }
    let failed = own.filter(|own| own.rollout_state == RolloutState::Failed).map(said);
    let told = || seen.failure_of(&ours.id).map(|message| format!("ECS says: {message}"));
    let said = failed.or_else(told).unwrap_or_else(|| match by_ecs {
        true => said(primary),
        false => "it was taken back before its end".to_owned(),
    });
    End::GoingBack { id: primary.id.clone(), definition, said }
}

fn said(deployment: &DeploymentView) -> String {
    let said = deployment.rollout_state_reason.trim();
    if said.is_empty() { "ECS doesn't say why".to_owned() } else { format!("ECS says: {said}") }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn ours() -> Rollout {
        Rollout {
            id: "ecs-svc/2".to_owned(),
            definition: "web:2".to_owned(),
            previous: "web:1".to_owned(),
            scales: false,
        }
    }

    fn deployment(id: u32, status: &str, definition: &str, state: &str, reason: &str) -> Value {
        json!({
            "id": format!("ecs-svc/{id}"), "status": status, "taskDefinition": definition, "rolloutState": state,
            "rolloutStateReason": reason, "runningCount": 1,
        })
    }

    fn service(status: &str, rollback: bool, deployments: &[Value]) -> ServiceView {
        serde_json::from_value(json!({
            "status": status, "deployments": deployments, "taskDefinition": "web:9",
            "deploymentConfiguration": {"deploymentCircuitBreaker": {"enable": true, "rollback": rollback}},
        }))
        .unwrap()
    }

    /// Whose deployment `ecs-svc/2` is listed no more.
    fn service_that_says(message: &str) -> ServiceView {
        let mut service = service("ACTIVE", true, &[deployment(3, "PRIMARY", "web:1", "COMPLETED", "done")]);
        let event = |text: &str| super::super::view::ServiceEvent { id: text.to_owned(), message: text.to_owned() };
        service.events = vec![event("(service web) (deployment ecs-svc/3) deployment completed."), event(message)];
        service
    }

    const BREAKER: &str = "ECS deployment circuit breaker: tasks failed to start.";
    const BACK: &str = "ECS deployment circuit breaker: rolling back to deploymentId ecs-svc/1.";

    #[test]
    fn every_turn_that_a_rollout_can_take() {
        let own = |status: &str, state: &str| {
            deployment(2, status, "web:2", state, if state == "FAILED" { BREAKER } else { "" })
        };
        let old = deployment(1, "ACTIVE", "web:1", "COMPLETED", "");
        let back = |id, said: &str| deployment(id, "PRIMARY", "web:1", "IN_PROGRESS", said);
        let said = format!("ECS says: {BREAKER}");
        let going = |id: u32, definition: &str, said: &str| {
            let (definition, said) = (definition.to_owned(), said.to_owned());
            Progress::Over(End::GoingBack { id: format!("ecs-svc/{id}"), definition, said })
        };
        let replaced = |definition: &str| Progress::Over(End::Replaced { definition: definition.to_owned() });
        let table: Vec<(&str, ServiceView, Progress)> = vec![
            ("it goes on", service("ACTIVE", true, &[own("PRIMARY", "IN_PROGRESS"), old.clone()]), Progress::Rolling),
            ("it is complete", service("ACTIVE", true, &[own("PRIMARY", "COMPLETED")]), Progress::Over(End::Completed)),
            (
                "it is complete while old tasks linger",
                service("ACTIVE", true, &[own("PRIMARY", "COMPLETED"), old.clone()]),
                Progress::Over(End::Completed),
            ),
            (
                "a state that is newer than this",
                service("ACTIVE", true, &[own("PRIMARY", "PAUSED")]),
                Progress::Rolling,
            ),
            (
                "failed, and ECS is about to go back",
                service("ACTIVE", true, &[own("PRIMARY", "FAILED"), old.clone()]),
                Progress::GivenUp(said.clone()),
            ),
            (
                "failed, and somebody told ECS not to go back",
                service("ACTIVE", false, &[own("PRIMARY", "FAILED"), old.clone()]),
                Progress::Over(End::Stuck(said.clone())),
            ),
            (
                "ECS goes back with a new deployment",
                service("ACTIVE", true, &[back(3, BACK), own("ACTIVE", "FAILED")]),
                going(3, "web:1", &said),
            ),
            (
                "ECS goes back with the old deployment",
                service("ACTIVE", true, &[back(1, BACK), own("DRAINING", "FAILED")]),
                going(1, "web:1", &said),
            ),
            (
                "ECS has gone back, and ours is listed no more",
                service("ACTIVE", true, &[deployment(3, "PRIMARY", "web:1", "COMPLETED", "ECS deployment completed.")]),
                going(3, "web:1", "it was taken back before its end"),
            ),
            (
                "the same, and the service remembers why",
                service_that_says("(service web) (deployment ecs-svc/2) deployment failed: tasks failed to start."),
                going(
                    3,
                    "web:1",
                    "ECS says: (service web) (deployment ecs-svc/2) deployment failed: tasks failed to start.",
                ),
            ),
            (
                "ECS goes back to what was complete before the one before",
                service(
                    "ACTIVE",
                    true,
                    &[deployment(3, "PRIMARY", "web:0", "IN_PROGRESS", BACK), own("ACTIVE", "FAILED")],
                ),
                going(3, "web:0", &said),
            ),
            (
                "somebody goes back by hand",
                service("ACTIVE", true, &[back(3, ""), own("ACTIVE", "IN_PROGRESS")]),
                going(3, "web:1", "it was taken back before its end"),
            ),
            (
                "somebody deploys something else",
                service(
                    "ACTIVE",
                    true,
                    &[deployment(3, "PRIMARY", "web:3", "IN_PROGRESS", ""), own("ACTIVE", "IN_PROGRESS")],
                ),
                replaced("web:3"),
            ),
            (
                "something else is complete, and ours is listed no more",
                service("ACTIVE", true, &[deployment(3, "PRIMARY", "web:3", "COMPLETED", "")]),
                replaced("web:3"),
            ),
            (
                "somebody starts the same definition again",
                service("ACTIVE", true, &[deployment(3, "PRIMARY", "web:2", "COMPLETED", "")]),
                replaced("web:2"),
            ),
            ("none is the newest", service("ACTIVE", true, &[own("ACTIVE", "IN_PROGRESS")]), Progress::Rolling),
            ("there is none", service("ACTIVE", true, &[]), Progress::Over(End::Gone)),
            (
                "it is being deleted",
                service("DRAINING", true, &[own("PRIMARY", "IN_PROGRESS")]),
                Progress::Over(End::Gone),
            ),
            ("it is deleted", service("INACTIVE", true, &[]), Progress::Over(End::Gone)),
        ];
        for (case, seen, expected) in table {
            assert_eq!(judge(&ours(), &seen), expected, "{case}");
        }
    }

    /// A service that is back where it was is stable; its deployment failed all the same.
    #[test]
    fn a_stable_service_is_no_success() {
        let stable = deployment(1, "PRIMARY", "web:1", "COMPLETED", "");
        for deployments in [vec![stable.clone()], vec![stable, deployment(2, "INACTIVE", "web:2", "COMPLETED", "")]] {
            assert_ne!(judge(&ours(), &service("ACTIVE", true, &deployments)), Progress::Over(End::Completed));
        }
    }

    #[test]
    fn another_number_of_tasks_is_there_once_they_run() {
        let ours = Rollout { scales: true, ..ours() };
        for (running, desired, expected) in
            [(1, 3, Progress::Rolling), (4, 3, Progress::Rolling), (3, 3, Progress::Over(End::Completed))]
        {
            let mut own = deployment(2, "PRIMARY", "web:2", "COMPLETED", "");
            (own["runningCount"], own["desiredCount"]) = (running.into(), desired.into());
            assert_eq!(judge(&ours, &service("ACTIVE", true, &[own])), expected, "{running} of {desired}");
        }
    }

    #[test]
    fn what_had_proved_to_run_is_what_is_gone_back_to() {
        for (case, deployments, expected) in [
            ("complete", vec![deployment(9, "PRIMARY", "web:9", "COMPLETED", "")], "web:9"),
            ("before there were states", vec![json!({"status": "PRIMARY", "taskDefinition": "web:9"})], "web:9"),
            (
                "unfinished",
                vec![
                    deployment(9, "PRIMARY", "web:9", "IN_PROGRESS", ""),
                    deployment(8, "ACTIVE", "web:8", "COMPLETED", ""),
                ],
                "web:8",
            ),
            ("the first, unfinished", vec![deployment(9, "PRIMARY", "web:9", "FAILED", "")], "web:9"),
            ("none", vec![], "web:9"),
        ] {
            assert_eq!(service("ACTIVE", true, &deployments).proven(), expected, "{case}");
        }
    }
}
