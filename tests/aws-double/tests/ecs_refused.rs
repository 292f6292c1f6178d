//! What ECS and IAM refuse, with boto3 as the client.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed helper is a failed test")]

mod common;

use aws_double::PRODUCTION;
use common::ecs::{TASKS, World};
use common::{Boto, allow, policy, service_role};
use serde_json::{Value, json};

#[test]
fn requests_that_ecs_refuses_start_nothing() {
    let mut world = World::new();
    let with = |field: &str, value: Value| {
        let mut request = world.request("job-1");
        request[field] = value;
        request
    };
    let override_of = |name: &str| json!({ "containerOverrides": [{ "name": name, "command": ["x"] }] });
    let cases = [
        (with("cluster", json!("other")), "ClusterNotFoundException", "Cluster not found."),
        (with("taskDefinition", json!("other")), "ClientException", "TaskDefinition not found."),
        (with("taskDefinition", json!("deployer:2")), "ClientException", "TaskDefinition not found."),
        (
            with("networkConfiguration", json!({})),
            "InvalidParameterException",
            "Network Configuration must be provided",
        ),
        (with("overrides", override_of("other")), "InvalidParameterException", "other is not a container"),
        (
            with("overrides", json!({ "taskRoleArn": "arn:aws:iam::222222222222:role/none" })),
            "ClientException",
            "ECS was unable to assume the role",
        ),
    ];
    for (request, code, message) in cases {
        let refused = world.run(request);
        assert_eq!((&refused["error"], &refused["status"]), (&code.into(), &400.into()), "{refused}");
        assert!(refused["message"].as_str().unwrap().contains(message), "{refused}");
    }
    let elsewhere = world.double.environment().into_iter().map(|(name, value)| match name {
        "AWS_REGION" => (name, "us-east-1".to_owned()),
        _ => (name, value),
    });
    let refused = Boto::new(elsewhere).call("ecs", "run_task", world.request("job-1"));
    assert_eq!(refused["error"], "ClusterNotFoundException", "another region has none of it");
    assert_eq!(world.double.tasks(), []);
}

/// The way that `terraform/` gives the gateway: RunTask on one definition in one cluster, and PassRole of its roles.
#[test]
fn only_who_may_run_a_definition_and_pass_its_role_starts_a_task() {
    let world = World::new();
    let definition = &world.definition;
    let role = "arn:aws:iam::222222222222:role/deployer";
    let cluster = "arn:aws:ecs:eu-central-1:222222222222:cluster/airlock";
    let run = |cluster: &str| {
        let mut statement = allow(json!("ecs:RunTask"), json!(definition));
        statement["Condition"] = json!({ "ArnEquals": { "ecs:cluster": cluster } });
        statement
    };
    let pass = |role: &str, service: &str| {
        let mut statement = allow(json!("iam:PassRole"), json!(role));
        statement["Condition"] = json!({ "StringEquals": { "iam:PassedToService": service } });
        statement
    };
    for (name, statements, missing) in [
        ("good", json!([run(cluster), pass(role, TASKS)]), None),
        ("nothing", json!([]), Some("ecs:RunTask")),
        ("other-cluster", json!([run(&format!("{cluster}2")), pass(role, TASKS)]), Some("ecs:RunTask")),
        ("no-pass", json!([run(cluster)]), Some("iam:PassRole")),
        ("other-role", json!([run(cluster), pass(&format!("{role}2"), TASKS)]), Some("iam:PassRole")),
        ("other-service", json!([run(cluster), pass(role, "lambda.amazonaws.com")]), Some("iam:PassRole")),
    ] {
        let keys = world.double.account(PRODUCTION).user(name, &[policy(statements)]);
        let mut boto = Boto::new(world.double.environment_of(&keys));
        let answer = boto.call("ecs", "run_task", world.request(name));
        let Some(missing) = missing else {
            assert!(answer["error"].is_null(), "{answer}");
            continue;
        };
        let said = answer["message"].as_str().unwrap();
        assert_eq!((&answer["error"], &answer["status"]), (&"AccessDeniedException".into(), &400.into()), "{name}");
        let expected =
            format!("User: arn:aws:iam::222222222222:user/{name} is not authorized to perform: {missing} on");
        assert!(said.starts_with(&expected), "{said}");
        assert!(said.ends_with(&format!("because no identity-based policy allows the {missing} action")), "{said}");
        let others = boto.call("ecs", "describe_tasks", json!({ "cluster": "airlock", "tasks": ["x"] }));
        assert_eq!(others["error"], "AccessDeniedException");
    }
    assert_eq!(world.double.tasks().len(), 1);
    let mut open = World::new();
    service_role(&open.double, "untrusting", "lambda.amazonaws.com", json!([]));
    let mut request = open.request("job-1");
    request["overrides"]["taskRoleArn"] = json!("arn:aws:iam::222222222222:role/untrusting");
    let refused = open.run(request);
    assert!(refused["message"].as_str().unwrap().contains("proper trust relationship"), "{refused}");
}

#[test]
fn what_is_not_doubled_is_told_loudly() {
    let mut world = World::new();
    let answer = world.boto.call("ecs", "list_services", json!({ "cluster": "airlock" }));
    assert_eq!((&answer["error"], &answer["status"]), (&"NotDoubled".into(), &501.into()));
    let mut request = world.request("job-1");
    request["placementStrategy"] = json!([{ "type": "random" }]);
    assert_eq!(world.run(request)["status"], 501);
    let complaints = world.double.take_complaints();
    assert_eq!(complaints.len(), 2);
    assert!(
        complaints[0].contains("ecs:ListServices") && complaints[1].contains("placementStrategy"),
        "{complaints:?}"
    );

    world.boto.call("ecs", "list_services", json!({ "cluster": "airlock" }));
    let World { double, boto, .. } = world;
    drop(boto);
    let ended = std::thread::spawn(move || drop(double)).join().unwrap_err();
    assert!(ended.downcast_ref::<String>().unwrap().contains("ecs:ListServices"));
}
