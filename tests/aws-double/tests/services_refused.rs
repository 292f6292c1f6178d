//! What ECS, CloudWatch Logs and IAM refuse around services, and how calls of theirs fail, with boto3 as the client.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed helper is a failed test")]

mod common;

use aws_double::{Failure, Fate, PRODUCTION, Script};
use common::services::{NEXT, World, definition};
use common::{Boto, allow, policy};
use serde_json::{Value, json};

#[test]
fn calls_are_throttled_and_fail_as_often_as_a_test_says() {
    let mut world = World::new();
    for failure in [Failure::Throttled, Failure::Broken, Failure::Throttled] {
        world.double.fail("ecs:DescribeServices", failure);
    }
    let mut code = || {
        let answer = world.ecs("describe_services", json!({ "services": ["web"] }));
        answer["error"].as_str().unwrap_or("none").to_owned()
    };
    assert_eq!(
        [code(), code(), code(), code()],
        ["ThrottlingException", "ServerException", "ThrottlingException", "none"]
    );
}

#[test]
fn each_call_needs_a_permission_for_what_it_is_about() {
    let mut world = World::new();
    let cluster = "arn:aws:ecs:eu-central-1:222222222222:cluster/airlock";
    let service = world.service.clone();
    let next = world.register(&format!("registry.example/web@{NEXT}"));
    let task = world.double.tasks()[0].arn.clone();
    let within = |action: &str, resource: &str, cluster: &str| {
        let mut statement = allow(json!(action), json!(resource));
        statement["Condition"] = json!({ "ArnEquals": { "ecs:cluster": cluster } });
        statement
    };
    let mut tagged = definition("registry.example/web:1");
    tagged["tags"] = json!([{ "key": "team", "value": "web" }]);
    let family = "arn:aws:ecs:eu-central-1:222222222222:task-definition/web:*";
    let register = allow(json!("ecs:RegisterTaskDefinition"), json!(family));
    let update = json!({ "cluster": "airlock", "service": "web", "taskDefinition": next });
    let read = json!({ "cluster": "airlock", "services": ["web"] });
    let tasks = json!({ "cluster": "airlock", "tasks": [task] });
    let list = json!({ "cluster": "airlock", "serviceName": "web" });
    let mut of_definition = allow(json!("ecs:UpdateService"), json!(service));
    of_definition["Condition"] = json!({ "StringEquals": { "ecs:task-definition": next } });
    let mut of_other = of_definition.clone();
    of_other["Condition"]["StringEquals"]["ecs:task-definition"] = json!(format!("{next}1"));
    let cases = [
        ("describe", "describe_services", &read, within("ecs:DescribeServices", &service, cluster), None),
        (
            "cluster",
            "describe_services",
            &read,
            within("ecs:DescribeServices", &service, "arn:aws:ecs:::x"),
            Some("DescribeServices"),
        ),
        (
            "service",
            "describe_services",
            &read,
            within("ecs:DescribeServices", &format!("{service}2"), cluster),
            Some("DescribeServices"),
        ),
        ("other", "update_service", &update, of_other, Some("UpdateService")),
        ("read", "update_service", &update, within("ecs:DescribeServices", "*", cluster), Some("UpdateService")),
        ("update", "update_service", &update, of_definition, None),
        ("tag", "register_task_definition", &tagged, register.clone(), Some("TagResource")),
        ("list", "list_tasks", &list, within("ecs:ListTasks", "*", cluster), None),
        ("list-service", "list_tasks", &list, within("ecs:ListTasks", &service, cluster), Some("ListTasks")),
        ("task", "describe_tasks", &tasks, within("ecs:DescribeTasks", &task, cluster), None),
        ("task-of", "describe_tasks", &tasks, within("ecs:DescribeTasks", &service, cluster), Some("DescribeTasks")),
    ];
    for (name, operation, parameters, statement, missing) in cases {
        let keys = world.double.account(PRODUCTION).user(name, &[policy(json!([statement]))]);
        let mut boto = Boto::new(world.double.environment_of(&keys));
        let answer = boto.call("ecs", operation, parameters.clone());
        let Some(missing) = missing else {
            assert!(answer["error"].is_null(), "{name}: {answer}");
            continue;
        };
        assert_eq!(answer["error"], "AccessDeniedException", "{name}: {answer}");
        let said = answer["message"].as_str().unwrap();
        assert!(said.contains(&format!("is not authorized to perform: ecs:{missing} on")), "{name}: {said}");
    }
}

#[test]
fn what_ecs_refuses_of_a_service_changes_nothing() {
    let mut world = World::new();
    let before = world.describe();
    let cases = [
        ("update_service", json!({ "service": "web", "taskDefinition": "web:9" }), "ClientException"),
        ("update_service", json!({ "service": "web", "desiredCount": -1 }), "InvalidParameterException"),
        ("update_service", json!({ "service": "none", "desiredCount": 1 }), "ServiceNotFoundException"),
        ("create_service", json!({ "serviceName": "web", "taskDefinition": "web" }), "InvalidParameterException"),
        ("create_service", json!({ "serviceName": "new" }), "InvalidParameterException"),
        ("delete_service", json!({ "service": "none" }), "ServiceNotFoundException"),
        ("describe_services", json!({ "services": [] }), "InvalidParameterException"),
        ("list_tasks", json!({ "serviceName": "none" }), "ServiceNotFoundException"),
    ];
    for (operation, parameters, code) in cases {
        let answer = world.ecs(operation, parameters.clone());
        assert_eq!(
            (&answer["error"], &answer["status"]),
            (&code.into(), &400.into()),
            "{operation} {parameters}: {answer}"
        );
    }
    let elsewhere = world.boto.call("ecs", "describe_services", json!({ "cluster": "none", "services": ["web"] }));
    assert_eq!(elsewhere["error"], "ClusterNotFoundException");
    assert_eq!(world.describe(), before);
}

#[test]
fn what_of_services_is_not_doubled_is_told_loudly() {
    let mut world = World::new();
    let with = |field: &str, value: Value| {
        let mut service = json!({ "serviceName": field, "taskDefinition": "web", "desiredCount": 2 });
        service[field] = value;
        service
    };
    let code_deploy = with("deploymentController", json!({ "type": "CODE_DEPLOY" }));
    let green = with("deploymentConfiguration", json!({ "strategy": "BLUE_GREEN" }));
    let [deployed, green] = [code_deploy, green].map(|one| world.double.account(PRODUCTION).service("airlock", &one));
    world.double.amend_service(&deployed, "taskSets", json!([{ "id": "ecs-svc/1", "status": "PRIMARY" }]));
    let told = world.ecs("describe_services", json!({ "services": [deployed] }));
    assert_eq!(told["services"][0]["deploymentController"]["type"], "CODE_DEPLOY");
    assert_eq!(told["services"][0]["taskSets"][0]["status"], "PRIMARY");
    let refused = world.ecs("update_service", json!({ "service": deployed, "taskDefinition": "web" }));
    assert!(refused["message"].as_str().unwrap().contains("CODE_DEPLOY deployment controller"), "{refused}");
    for update in
        [json!({ "service": green, "taskDefinition": "web" }), json!({ "service": "web", "platformVersion": "1.4.0" })]
    {
        assert_eq!(world.ecs("update_service", update)["error"], "NotDoubled");
    }
    let mut described = world.boto.call("ecs", "describe_task_definition", json!({ "taskDefinition": "web" }));
    let mut definition = described["taskDefinition"].take();
    definition["compatibilities"].take();
    // What a revision must not repeat: boto3 doesn't send it.
    assert_eq!(world.boto.call("ecs", "register_task_definition", definition)["error"], "ParamValidationError");
    let complaints = world.double.take_complaints();
    assert!(complaints.len() == 2 && complaints[1].contains("platformVersion"), "{complaints:?}");
}

#[test]
fn logs_are_read_by_stream_in_pages_by_who_may() {
    let mut world = World::new();
    let lines = ["one", "two", "three", "migrations are missing: run them first"];
    world.double.script_image(NEXT, Script::new(Fate::Crash(1)).saying(lines));
    let (ours, _) = world.deploy();
    world.over();
    let task = world.tasks("STOPPED").into_iter().find(|task| task["startedBy"] == ours).unwrap();
    let id = task["taskArn"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    let stream = format!("web/app/{id}");
    let get = |more: Value| {
        let mut request = json!({ "logGroupName": "/web", "logStreamName": stream });
        more.as_object().into_iter().flatten().for_each(|(name, value)| request[name] = value.clone());
        request
    };
    let messages = |answer: &Value| -> Vec<String> {
        let events = answer["events"].as_array().unwrap_or_else(|| panic!("{answer}"));
        events.iter().map(|event| event["message"].as_str().unwrap().to_owned()).collect()
    };
    let last = world.boto.call("logs", "get_log_events", get(json!({ "limit": 2 })));
    assert_eq!(messages(&last), lines[2..]);
    let earlier = get(json!({ "limit": 2, "nextToken": last["nextBackwardToken"] }));
    assert_eq!(messages(&world.boto.call("logs", "get_log_events", earlier)), lines[..2]);
    let first = world.boto.call("logs", "get_log_events", get(json!({ "limit": 3, "startFromHead": true })));
    assert_eq!(messages(&first), lines[..3]);
    let rest = world.boto.call("logs", "get_log_events", get(json!({ "nextToken": first["nextForwardToken"] })));
    assert_eq!(messages(&rest), lines[3..]);
    let end = world.boto.call("logs", "get_log_events", get(json!({ "nextToken": rest["nextForwardToken"] })));
    assert_eq!(
        (messages(&end).len(), &end["nextForwardToken"]),
        (0, &rest["nextForwardToken"]),
        "the end has its own token"
    );

    for (request, message) in [
        (
            json!({ "logGroupName": "/web", "logStreamName": "web/app/none" }),
            "The specified log stream does not exist.",
        ),
        (json!({ "logGroupName": "/none", "logStreamName": stream }), "The specified log group does not exist."),
    ] {
        let answer = world.boto.call("logs", "get_log_events", request);
        assert_eq!((&answer["error"], &answer["message"]), (&"ResourceNotFoundException".into(), &message.into()));
    }
    let group = "arn:aws:logs:eu-central-1:222222222222:log-group:/web";
    for (name, resource, may) in [
        ("streams", format!("{group}:log-stream:web/app/*"), true),
        ("group", format!("{group}:*"), true),
        ("bare", group.to_owned(), false),
        ("proxy", format!("{group}:log-stream:web/proxy/*"), false),
    ] {
        let statement = allow(json!("logs:GetLogEvents"), json!(resource));
        let keys = world.double.account(PRODUCTION).user(name, &[policy(json!([statement]))]);
        let answer = Boto::new(world.double.environment_of(&keys)).call("logs", "get_log_events", get(json!({})));
        assert_eq!(answer["error"].is_null(), may, "{name}: {answer}");
    }
}
