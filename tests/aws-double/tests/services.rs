//! Rollouts of ECS's services, with boto3 as the client.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed helper is a failed test")]

mod common;

use common::services::{GOOD, NEXT, World};
use serde_json::{Value, json};

fn texts<'a>(values: &'a [Value], field: &str) -> Vec<&'a str> {
    values.iter().map(|value| value[field].as_str().unwrap_or_default()).collect()
}

#[test]
fn a_service_that_a_test_puts_there_has_been_there_for_long() {
    let mut world = World::new();
    let service = world.describe();
    assert_eq!((&service["status"], &service["taskDefinition"]), (&"ACTIVE".into(), &world.first.as_str().into()));
    assert_eq!((&service["runningCount"], &service["pendingCount"]), (&2.into(), &0.into()), "{service}");
    let [deployment] = &service["deployments"].as_array().unwrap()[..] else { panic!("{service}") };
    assert_eq!(
        (&deployment["status"], &deployment["rolloutState"], &deployment["failedTasks"]),
        (&"PRIMARY".into(), &"COMPLETED".into(), &0.into())
    );
    let id = deployment["id"].as_str().unwrap();
    assert_eq!(deployment["rolloutStateReason"], format!("ECS deployment {id} completed."));
    assert_eq!(service["tags"], json!([{ "key": "team", "value": "web" }]));
    let tasks = world.tasks("RUNNING");
    assert_eq!(texts(&tasks, "startedBy"), [id, id]);
    assert_eq!(texts(&tasks, "group"), ["service:web", "service:web"]);
    assert_eq!(texts(&tasks, "healthStatus"), ["HEALTHY", "HEALTHY"]);
    let app = &tasks[0]["containers"][0];
    assert_eq!((&app["name"], &app["image"]), (&"app".into(), &GOOD.into()));
    assert_eq!(app["imageDigest"], GOOD.split_once('@').unwrap().1);
}

#[test]
fn a_rollout_that_goes_well_replaces_every_task_and_is_completed() {
    let mut world = World::new();
    let old = world.describe()["deployments"][0]["id"].as_str().unwrap().to_owned();
    let (ours, definition) = world.deploy();
    let begun = world.wait(|service| service.deployments.len() == 2);
    assert_eq!((begun.deployments[1].id.as_str(), begun.deployments[1].rollout), (old.as_str(), "COMPLETED"));
    let view = world.over();
    let [only] = &view.deployments[..] else { panic!("{view:#?}") };
    assert_eq!((only.id.as_str(), only.rollout, only.running, only.failed), (ours.as_str(), "COMPLETED", 2, 0));
    assert_eq!(only.definition, definition);
    let tasks = world.tasks("RUNNING");
    assert_eq!(texts(&tasks, "taskDefinitionArn"), [definition.as_str(), &definition]);
    assert_eq!(tasks[0]["containers"][0]["imageDigest"], NEXT);
    let stopped = world.tasks("STOPPED");
    assert_eq!(texts(&stopped, "stopCode"), ["ServiceSchedulerInitiated"; 2]);
    let reason = format!("Scaling activity initiated by (deployment {ours})");
    assert_eq!(texts(&stopped, "stoppedReason"), [reason.as_str(), &reason]);
    let events: Vec<_> = view.events.iter().rev().skip_while(|event| !event.contains("steady state")).skip(1).collect();
    let starts = |number: usize, start: &str| assert!(events[number].starts_with(start), "{events:#?}");
    starts(0, "(service web) has started 2 tasks: (task ");
    assert_eq!(*events[events.len() - 2], format!("(service web) (deployment {ours}) deployment completed."));
    assert_eq!(*events[events.len() - 1], "(service web) has reached a steady state.");
    assert!(events.iter().any(|event| event.starts_with("(service web) has stopped 2 running tasks: (task ")));
}
