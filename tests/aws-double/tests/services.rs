//! Rollouts of ECS's services that go well or badly, with boto3 as the client.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed helper is a failed test")]

mod common;

use std::process::Command;
use std::time::Duration;

use aws_double::{Fate, HealthCheck, Script, ServiceView};
use common::program;
use common::services::{GOOD, NEXT, World};
use emulators::DockerRegistry;
use serde_json::{Value, json};

const NOT_STARTED: &str = "ECS deployment circuit breaker: tasks failed to start.";

fn texts<'a>(values: &'a [Value], field: &str) -> Vec<&'a str> {
    values.iter().map(|value| value[field].as_str().unwrap_or_default()).collect()
}

/// How each deployment of a service is: PRIMARY first.
fn rollouts(view: &ServiceView) -> Vec<(&str, &str)> {
    view.deployments.iter().map(|deployment| (deployment.id.as_str(), deployment.rollout)).collect()
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
    world.double.resolve_image(NEXT, "sha256:of-the-platform");
    let old = world.double.service(&world.service).deployments[0].id.clone();
    world.double.script_image(NEXT, Script::new(Fate::Stuck));
    let (ours, definition) = world.deploy();
    let begun = world.double.service(&world.service);
    assert_eq!(rollouts(&begun), [(ours.as_str(), "IN_PROGRESS"), (&old, "COMPLETED")]);
    world.double.script_image(NEXT, Script::new(Fate::Healthy));
    let view = world.over();
    assert_eq!(rollouts(&view), [(ours.as_str(), "COMPLETED")]);
    assert_eq!((view.deployments[0].running, view.deployments[0].failed), (2, 0));
    assert_eq!(view.deployments[0].definition, definition);
    let tasks = world.tasks("RUNNING");
    assert_eq!(texts(&tasks, "taskDefinitionArn"), [definition.as_str(), &definition]);
    assert_eq!(tasks[0]["containers"][0]["imageDigest"], "sha256:of-the-platform");
    let stopped = world.tasks("STOPPED");
    assert_eq!(texts(&stopped, "stopCode"), ["ServiceSchedulerInitiated"; 2]);
    let reason = format!("Scaling activity initiated by (deployment {ours})");
    assert_eq!(texts(&stopped, "stoppedReason"), [reason.as_str(), &reason]);
    let events: Vec<_> = view.events.iter().rev().map(String::as_str).collect();
    let [.., started, stopped, completed, steady] = events[..] else { panic!("{events:#?}") };
    assert!(started.starts_with("(service web) has started 2 tasks: (task "), "{started}");
    assert!(stopped.starts_with("(service web) has stopped 2 running tasks: (task "), "{stopped}");
    assert_eq!(completed, format!("(service web) (deployment {ours}) deployment completed."));
    assert_eq!(steady, "(service web) has reached a steady state.");
}

/// What a bad build's tasks say: stop code, stopped reason, the container's exit code and reason; and an event.
type Ends = (&'static str, &'static str, Option<i64>, Option<&'static str>, &'static str);

#[test]
fn a_bad_build_goes_back_to_the_last_good_one_with_a_new_deployment() {
    let scheduler = "ServiceSchedulerInitiated";
    let pull = "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref";
    let cases: [(Fate, Ends); 4] = [
        (
            Fate::Crash(3),
            ("EssentialContainerExited", "Essential container in task exited", Some(3), None, "has started 2 tasks"),
        ),
        (
            Fate::Unhealthy(HealthCheck::Container),
            (scheduler, "Task failed container health checks", Some(0), None, "failed container health checks."),
        ),
        (
            Fate::Unhealthy(HealthCheck::LoadBalancer),
            (
                scheduler,
                "Task failed ELB health checks in (target-group ",
                Some(0),
                None,
                "is unhealthy in (target-group",
            ),
        ),
        (Fate::ImageMissing, ("TaskFailedToStart", pull, None, Some(pull), "has started 2 tasks")),
    ];
    for (fate, (code, reason, exit_code, container, event)) in cases {
        let mut world = World::new();
        let before = world.double.service(&world.service).deployments[0].id.clone();
        world.double.script_image(NEXT, Script::new(fate));
        // Going back doesn't end before the test has looked at it.
        world.double.script_image(GOOD, Script::new(Fate::Stuck));
        let (ours, _) = world.deploy();
        let back = world.wait(|service| service.deployments[0].id != ours);
        let [primary, failed, old] = &back.deployments[..] else { panic!("{fate:?}: {back:#?}") };
        assert_eq!(primary.reason, format!("ECS deployment circuit breaker: rolling back to deploymentId {before}."));
        assert_eq!(
            (failed.id.as_str(), failed.rollout, failed.reason.as_str()),
            (ours.as_str(), "FAILED", NOT_STARTED)
        );
        assert!((3..=4).contains(&failed.failed), "{failed:?}");
        assert_eq!((old.id.as_str(), old.running), (before.as_str(), 2), "the old tasks go on meanwhile");
        world.double.script_image(GOOD, Script::new(Fate::Healthy));
        let end = world.over();
        assert_eq!(rollouts(&end), [(primary.id.as_str(), "COMPLETED")]);
        assert_eq!(end.deployments[0].definition, world.first);
        assert_ne!(primary.id, before);

        let events = end.events.join("\n");
        let failed = format!("(service web) (deployment {ours}) deployment failed: tasks failed to start.");
        let rolls = format!("(service web) rolling back to deployment {before}.");
        assert!(events.contains(&format!("{rolls}\n{failed}")), "the newest first: {events}");
        assert!(events.contains(event), "{event}: {events}");
        let stopped = world.tasks("STOPPED");
        let task = stopped.iter().find(|task| task["startedBy"] == ours).unwrap();
        let app = &task["containers"][0];
        assert_eq!((&task["stopCode"], app["exitCode"].as_i64()), (&code.into(), exit_code), "{task}");
        assert!(task["stoppedReason"].as_str().unwrap().starts_with(reason), "{task}");
        assert!(app["reason"].as_str().unwrap_or_default().starts_with(container.unwrap_or_default()), "{task}");
        assert_eq!(app["imageDigest"].is_null(), fate == Fate::ImageMissing);
    }
}

#[test]
fn without_a_way_back_a_failed_deployment_stays_and_starts_nothing() {
    let mut world = World::with(json!({ "deploymentCircuitBreaker": { "enable": true, "rollback": false } }));
    world.double.script_service("web", Script::new(Fate::Crash(1)));
    let (ours, _) = world.deploy();
    let old = world.wait(|service| service.deployments.len() == 2).deployments[1].id.clone();
    let view = world.over();
    assert_eq!(rollouts(&view), [(ours.as_str(), "FAILED"), (&old, "COMPLETED")]);
    let tasks = world.double.tasks().len();
    std::thread::sleep(Duration::from_millis(100));
    let later = world.describe();
    let [primary, active] = &later["deployments"].as_array().unwrap()[..] else { panic!("{later}") };
    assert_eq!((&primary["status"], &primary["rolloutStateReason"]), (&"PRIMARY".into(), &NOT_STARTED.into()));
    assert_eq!((&active["status"], &active["runningCount"]), (&"ACTIVE".into(), &2.into()));
    assert_eq!(world.double.tasks().len(), tasks, "nothing is started any more");
    // Whoever goes back by hand ends that.
    world.double.script_service("web", Script::new(Fate::Healthy));
    world.double.update_service(&world.service, &world.first);
    let view = world.wait(|service| service.deployments.len() == 1);
    assert_eq!((view.deployments[0].rollout, &view.deployments[0].definition), ("COMPLETED", &world.first));
}

#[test]
fn without_a_circuit_breaker_a_crash_loop_never_ends() {
    let mut world = World::with(json!({}));
    world.double.script_image(NEXT, Script::new(Fate::Crash(1)));
    let (ours, _) = world.deploy();
    let view = world.wait(|service| service.deployments[0].failed > 8);
    assert_eq!((view.deployments[0].id.as_str(), view.deployments[0].rollout), (ours.as_str(), "IN_PROGRESS"));
    let impaired =
        view.events.iter().filter(|event| event.contains("is unable to consistently start tasks successfully"));
    assert_eq!(impaired.count(), 1);
    assert_eq!(view.deployments[1].running, 2);
}

#[test]
fn tasks_that_fail_a_few_times_are_no_failed_deployment() {
    let mut world = World::new();
    world.double.script_image(NEXT, Script::new(Fate::Crash(1)).times(2));
    let (ours, _) = world.deploy();
    let view = world.over();
    assert_eq!(rollouts(&view), [(ours.as_str(), "COMPLETED")]);
    assert_eq!(world.tasks("STOPPED").iter().filter(|task| task["startedBy"] == ours).count(), 2);
}

#[test]
fn a_deployment_whose_tasks_are_stuck_goes_on_when_they_are_let() {
    let mut world = World::new();
    world.double.script_image(NEXT, Script::new(Fate::Stuck));
    let (ours, _) = world.deploy();
    world.wait(|service| service.events[0].contains("has started 2 tasks"));
    std::thread::sleep(Duration::from_millis(100));
    let service = world.describe();
    let primary = &service["deployments"][0];
    assert_eq!((&primary["id"], &primary["rolloutState"]), (&ours.as_str().into(), &"IN_PROGRESS".into()));
    assert_eq!(
        (&primary["pendingCount"], &primary["runningCount"], &primary["failedTasks"]),
        (&2.into(), &0.into(), &0.into())
    );
    let pending = world.tasks("RUNNING").into_iter().filter(|task| task["lastStatus"] == "PENDING").count();
    assert_eq!(pending, 2);
    world.double.script_image(NEXT, Script::new(Fate::Healthy));
    assert_eq!(rollouts(&world.over()), [(ours.as_str(), "COMPLETED")]);
}

#[test]
fn a_deployment_is_completed_only_when_the_last_old_task_is_gone() {
    let mut world = World::new();
    world.double.script_service("web", Script::new(Fate::Healthy).lingering(Duration::from_secs(3)));
    let (first, _) = world.deploy();
    world.over();
    let image = "registry.example/web@sha256:3333333333333333333333333333333333333333333333333333333333333333";
    let definition = world.register(image);
    world.ecs("update_service", json!({ "service": "web", "taskDefinition": definition }));
    let view = world.wait(|service| {
        let new = &service.deployments[0];
        service.deployments.len() == 2 && new.running == 2 && service.events[0].contains("has started 2 tasks")
    });
    assert_eq!((view.deployments[0].rollout, view.deployments[1].running), ("IN_PROGRESS", 2), "{view:#?}");
    let lingering =
        world.wait_for_tasks("STOPPED", |task| task["startedBy"] == first && task["lastStatus"] == "DEACTIVATING");
    assert_eq!(lingering[0]["containers"][0]["lastStatus"], "RUNNING");
    let view = world.over();
    assert_eq!((view.deployments.len(), view.deployments[0].rollout), (1, "COMPLETED"));
}

#[test]
fn a_deployment_that_is_replaced_is_active_and_then_gone() {
    let mut world = World::new();
    world.double.script_image(NEXT, Script::new(Fate::Stuck));
    let (ours, _) = world.deploy();
    world.wait(|service| service.events[0].contains("has started 2 tasks"));
    world.double.script_image(GOOD, Script::new(Fate::Stuck));
    world.double.update_service(&world.service, &world.first);
    let view = world.double.service(&world.service);
    assert_eq!(rollouts(&view)[1], (ours.as_str(), "IN_PROGRESS"));
    let theirs = view.deployments[0].id.clone();
    world.double.script_image(GOOD, Script::new(Fate::Healthy));
    let view = world.over();
    assert_eq!(rollouts(&view), [(theirs.as_str(), "COMPLETED")]);
    let stopped = world.tasks("STOPPED");
    let of_ours = stopped.iter().filter(|task| task["startedBy"] == ours);
    assert_eq!(of_ours.filter(|task| task["stopCode"] == "ServiceSchedulerInitiated").count(), 2, "{stopped:#?}");
}

#[test]
fn a_service_that_is_deleted_drains_and_is_inactive() {
    let mut world = World::new();
    world.double.script_image(NEXT, Script::new(Fate::Stuck));
    world.deploy();
    let refused = world.ecs("delete_service", json!({ "service": "web" }));
    assert_eq!(refused["message"], "The service cannot be stopped while it is scaled above 0.");
    let answer = world.ecs("delete_service", json!({ "service": "web", "force": true }));
    assert_eq!((&answer["service"]["status"], &answer["service"]["desiredCount"]), (&"DRAINING".into(), &0.into()));
    let view = world.wait(|service| service.status == "INACTIVE");
    assert_eq!(view.deployments, []);
    assert_eq!(world.tasks("RUNNING"), Vec::<Value>::new());
    let update = json!({ "service": "web", "desiredCount": 3 });
    assert_eq!(world.ecs("update_service", update)["error"], "ServiceNotActiveException");
    assert_eq!(world.describe()["status"], "INACTIVE", "it is still described for a while");
    let answer = world.ecs("describe_services", json!({ "services": ["other"] }));
    let arn = world.service.replace("/web", "/other");
    assert_eq!(answer["failures"], json!([{ "arn": arn, "reason": "MISSING" }]));
    assert_eq!(world.ecs("update_service", json!({ "service": "other" }))["error"], "ServiceNotFoundException");
}

#[test]
fn a_service_keeps_its_tasks_and_changes_their_number_without_a_deployment() {
    let mut world = World::new();
    let tasks = world.double.tasks();
    world.double.kill(&tasks[0].arn);
    world.wait(|service| service.events.iter().filter(|event| event.contains("steady state")).count() == 2);
    assert_eq!(world.tasks("RUNNING").len(), 2, "the one that was killed is replaced");
    let answer = world.ecs("update_service", json!({ "service": "web", "desiredCount": 3 }));
    assert_eq!(answer["service"]["deployments"].as_array().unwrap().len(), 1);
    assert_eq!(answer["service"]["deployments"][0]["rolloutState"], "COMPLETED");
    world.wait(|service| service.deployments[0].running == 3);
    world.ecs("update_service", json!({ "service": "web", "desiredCount": 1 }));
    world.wait(|service| service.deployments[0].running == 1);
    let before = world.describe();
    let forced = world.ecs("update_service", json!({ "service": "web", "forceNewDeployment": true }));
    assert_ne!(forced["service"]["deployments"][0]["id"], before["deployments"][0]["id"]);
    assert_eq!(world.over().deployments[0].definition, world.first);
}

#[test]
fn an_image_of_a_registry_that_a_test_names_must_have_been_pushed() {
    let registry = DockerRegistry::start();
    let mut world = World::new();
    world.double.registry(&registry.address(), registry.blobs().parent().unwrap());
    let mut push = Command::new(emulators::tool("python3"));
    let pushed = push.arg(program("push.py")).args([registry.address().as_str(), "web"]).output().unwrap();
    let digest = String::from_utf8(pushed.stdout).unwrap();
    assert!(digest.starts_with("sha256:"), "{}", String::from_utf8_lossy(&pushed.stderr));
    for (image, rollout) in [
        (format!("{}/web@{}", registry.address(), digest.trim()), "COMPLETED"),
        (format!("{}/other@{}", registry.address(), digest.trim()), "FAILED"),
        (format!("{}/web@{NEXT}", registry.address()), "FAILED"),
        (format!("{}/web:latest", registry.address()), "FAILED"),
        ("elsewhere.example/web:1".to_owned(), "COMPLETED"),
    ] {
        let definition = world.register(&image);
        let answer = world.ecs("update_service", json!({ "service": "web", "taskDefinition": definition }));
        let ours = answer["service"]["deployments"][0]["id"].as_str().unwrap().to_owned();
        let end = world.over();
        assert_eq!(end.deployments[0].id == ours, rollout == "COMPLETED", "{image}: {end:#?}");
        let failed = end.events.iter().any(|event| event.contains(&format!("{ours}) deployment failed")));
        assert_eq!(failed, rollout == "FAILED", "{image}");
    }
}
