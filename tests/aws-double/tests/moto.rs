//! The same calls to the double and to moto, where moto is right: what both say must be the same.
//!
//! moto is wrong, or has nothing, where these tests don't go: client tokens, a task's states and end, tasks that it doesn't know (it
//! says nothing of them), what a function answers, most conditions of IAM, and the codes of many refusals.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed helper is a failed test")]

mod common;

use std::collections::BTreeSet;

use aws_double::{ACCOUNT, Double, Role};
use common::{Boto, policy, program};
use emulators::Moto;
use serde_json::{Value, json};

/// boto3 before the double and before moto, which gets an account like the double's.
struct Both {
    double: Double,
    ours: Boto,
    _moto: Moto,
    theirs: Boto,
}

impl Both {
    fn new() -> Self {
        let (double, moto) = (Double::start(), Moto::start());
        let ours = Boto::new(double.environment());
        let environment = double.environment().into_iter().map(|(name, value)| match name {
            "AWS_ENDPOINT_URL" => (name, moto.endpoint()),
            _ => (name, value),
        });
        // moto's own way to be another account than 123456789012.
        let theirs = Boto::new(environment.chain([("MOTO_ACCOUNT_ID", ACCOUNT.to_owned())]));
        Self { double, ours, _moto: moto, theirs }
    }

    fn call(&mut self, service: &str, operation: &str, parameters: &Value) -> [Value; 2] {
        let ours = self.ours.call(service, operation, parameters.clone());
        [ours, self.theirs.call(service, operation, parameters.clone())]
    }

    /// A network that moto knows.
    fn network(&mut self) -> Value {
        let subnet = self.theirs.call("ec2", "describe_subnets", json!({}))["Subnets"][0]["SubnetId"].clone();
        let groups = self.theirs.call("ec2", "describe_security_groups", json!({}));
        let group = groups["SecurityGroups"][0]["GroupId"].clone();
        json!({ "awsvpcConfiguration": { "subnets": [subnet], "securityGroups": [group] } })
    }

    /// Both answers, which must be the same but for these fields, and for the account, which moto chooses itself.
    fn same(&mut self, service: &str, operation: &str, parameters: &Value, but: &[&str]) {
        let answers = self.call(service, operation, parameters);
        let [ours, theirs] = answers.map(|answer| {
            let text = answer.to_string().replace("123456789012", ACCOUNT);
            without(serde_json::from_str(&text).unwrap(), but)
        });
        assert_eq!(ours, theirs, "{service} {operation} {parameters}: ours, and moto's");
    }
}

/// Without these fields, however deep, and without empty lists, which services leave out at will.
fn without(value: Value, but: &[&str]) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.into_iter().filter(|(name, _)| !but.contains(&name.as_str()));
            let kept = kept.map(|(name, value)| (name, without(value, but)));
            kept.filter(|(_, value)| *value != json!([]) && *value != json!({})).collect()
        }
        Value::Array(values) => values.into_iter().map(|value| without(value, but)).collect(),
        plain @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => plain,
    }
}

fn definition() -> Value {
    json!({
        "family": "deployer", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256",
        "memory": "512", "containerDefinitions": [{
            "name": "worker", "image": "worker@sha256:0000", "entryPoint": ["/worker", "--"], "command": ["none"],
            "environment": [{ "name": "A", "value": "1" }], "memory": 256,
        }],
    })
}

#[test]
fn task_definitions_are_registered_and_described_as_moto_does() {
    let mut both = Both::new();
    both.double.account(ACCOUNT).cluster("airlock");
    both.theirs.call("ecs", "create_cluster", json!({ "clusterName": "airlock" }));
    // moto counts the containers' CPU, and says who registered it.
    let but = ["registeredAt", "registeredBy", "requiresAttributes"];
    both.same("ecs", "register_task_definition", &definition(), &[&but[..], &["cpu"]].concat());
    both.same("ecs", "register_task_definition", &definition(), &[&but[..], &["cpu"]].concat());
    for named in ["deployer", "deployer:1", "arn:aws:ecs:eu-central-1:111111111111:task-definition/deployer:2"] {
        let asked = json!({ "taskDefinition": named.replace("111111111111", ACCOUNT) });
        if named.starts_with("arn:") {
            let ours = both.ours.call("ecs", "describe_task_definition", asked);
            assert_eq!(ours["taskDefinition"]["revision"], 2, "{ours}");
        } else {
            both.same("ecs", "describe_task_definition", &asked, &[&but[..], &["cpu"]].concat());
        }
    }
    both.same("ecs", "describe_task_definition", &json!({ "taskDefinition": "other" }), &["more"]);
    both.same("ecs", "describe_task_definition", &json!({ "taskDefinition": "deployer:9" }), &["more", "message"]);
}

#[test]
fn tasks_are_described_with_the_fields_that_moto_knows() {
    let mut both = Both::new();
    both.double.account(ACCOUNT).cluster("airlock");
    both.double.image("worker@sha256:0000", "/worker", program("task.sh"));
    both.theirs.call("ecs", "create_cluster", json!({ "clusterName": "airlock" }));
    both.call("ecs", "register_task_definition", &definition());
    let network = both.network();
    let run = json!({
        "cluster": "airlock", "taskDefinition": "deployer", "launchType": "FARGATE", "startedBy": "airlock",
        "networkConfiguration": network, "overrides": { "containerOverrides": [{ "name": "worker", "command": ["x"] }] },
    });
    let [ours, theirs] = both.call("ecs", "run_task", &run);
    let names = |answer: &Value| -> BTreeSet<String> {
        let task = answer["tasks"][0].as_object().unwrap_or_else(|| panic!("{answer}"));
        task.keys().cloned().collect()
    };
    // What a task has only later, only when asked for, or only on EC2.
    let later = ["startedAt", "stoppedReason", "containerInstanceArn", "pullStartedAt", "connectivity"];
    let missing: Vec<_> =
        names(&theirs).difference(&names(&ours)).filter(|name| !later.contains(&name.as_str())).cloned().collect();
    assert!(missing.is_empty(), "moto also says {missing:?}: {theirs}");
    for field in ["launchType", "startedBy", "desiredStatus", "overrides"] {
        assert_eq!(
            without(ours["tasks"][0][field].clone(), &["inferenceAcceleratorOverrides"]),
            without(theirs["tasks"][0][field].clone(), &["inferenceAcceleratorOverrides"]),
            "{field}"
        );
    }
    let [(ours, id), (theirs, _)] = [&ours, &theirs].map(|answer| {
        let (start, id) = answer["tasks"][0]["taskArn"].as_str().unwrap().rsplit_once('/').unwrap();
        (start.replace("123456789012", ACCOUNT), id.to_owned())
    });
    assert_eq!(ours, theirs);
    // moto's ids have dashes, AWS's have not had them since ARNs have the cluster's name.
    assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    both.same(
        "ecs",
        "run_task",
        &json!({ "cluster": "none", "taskDefinition": "deployer", "launchType": "FARGATE" }),
        &["more"],
    );
    both.same("ecs", "describe_tasks", &json!({ "cluster": "none", "tasks": ["x"] }), &["more"]);
}

#[test]
fn services_are_made_described_and_refused_as_moto_does() {
    let mut both = Both::new();
    both.double.account(ACCOUNT).cluster("airlock");
    both.theirs.call("ecs", "create_cluster", json!({ "clusterName": "airlock" }));
    both.call("ecs", "register_task_definition", &definition());
    let network = both.network();
    let create = json!({
        "cluster": "airlock", "serviceName": "web", "taskDefinition": "deployer", "desiredCount": 2,
        "launchType": "FARGATE", "networkConfiguration": network, "tags": [{ "key": "team", "value": "web" }],
        "deploymentConfiguration": { "maximumPercent": 150, "minimumHealthyPercent": 50 },
    });
    // moto's tasks start and stay as they are; what else it leaves out, real services have; AWS says who controls
    // deployments only where that was said.
    let but = [
        "createdAt",
        "updatedAt",
        "createdBy",
        "deployments",
        "events",
        "runningCount",
        "pendingCount",
        "deploymentConfiguration",
        "deploymentController",
        "platformFamily",
        "platformVersion",
        "availabilityZoneRebalancing",
        "propagateTags",
        "enableExecuteCommand",
        "enableECSManagedTags",
        "tags",
        "networkConfiguration",
    ];
    both.same("ecs", "create_service", &create, &but);
    let asked = json!({ "cluster": "airlock", "services": ["web"], "include": ["TAGS"] });
    both.same("ecs", "describe_services", &asked, &but);
    let [ours, theirs] = both.call("ecs", "describe_services", &asked);
    let [ours, theirs] = [&ours["services"][0], &theirs["services"][0]];
    for field in ["tags", "networkConfiguration"] {
        assert_eq!(ours[field], theirs[field], "{field}");
    }
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let missing: Vec<_> = names(theirs).difference(&names(ours)).cloned().collect();
    assert_eq!(missing, ["deploymentController", "taskSets"], "moto says them even of services that have none");
    let [ours, theirs] = [ours, theirs].map(|service| &service["deployments"][0]);
    let missing: Vec<_> = names(theirs).difference(&names(ours)).cloned().collect();
    assert_eq!(missing, Vec::<String>::new(), "{theirs}");
    assert_eq!((&ours["status"], &ours["desiredCount"]), (&theirs["status"], &theirs["desiredCount"]));
    for (operation, parameters) in [
        ("update_service", json!({ "cluster": "airlock", "service": "none", "desiredCount": 1 })),
        ("delete_service", json!({ "cluster": "airlock", "service": "none" })),
        ("delete_service", json!({ "cluster": "airlock", "service": "web" })),
        ("describe_services", json!({ "cluster": "none", "services": ["web"] })),
    ] {
        both.same("ecs", operation, &parameters, &["more"]);
    }
}

#[test]
fn sts_and_lambda_answer_and_refuse_as_moto_does() {
    let mut both = Both::new();
    let identity = ["Arn", "UserId"];
    both.same("sts", "get_caller_identity", &json!({}), &identity);
    let trust = policy(json!({ "Effect": "Allow", "Principal": { "AWS": "*" }, "Action": "sts:AssumeRole" }));
    both.double.account(ACCOUNT).role(Role { trust: trust.clone(), ..Role::open("deploy") });
    let made = json!({ "RoleName": "deploy", "AssumeRolePolicyDocument": trust.to_string() });
    both.theirs.call("iam", "create_role", made);
    let asked = json!({ "RoleArn": format!("arn:aws:iam::{ACCOUNT}:role/deploy"), "RoleSessionName": "job-1" });
    let [ours, theirs] = both.call("sts", "assume_role", &asked);
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(names(&ours["Credentials"]), names(&theirs["Credentials"]), "{ours} {theirs}");
    assert_eq!(ours["AssumedRoleUser"]["Arn"], theirs["AssumedRoleUser"]["Arn"]);
    both.same("lambda", "invoke", &json!({ "FunctionName": "none", "Payload": "{}" }), &["more"]);
}

#[test]
fn parameters_and_secrets_are_read_as_moto_does() {
    let mut both = Both::new();
    both.double.account(ACCOUNT).parameter("/airlock/production/hello/password", "p");
    both.double.account(ACCOUNT).secret("airlock/production/hello/token", "t");
    let parameter = json!({ "Name": "/airlock/production/hello/password", "Value": "p", "Type": "SecureString" });
    both.theirs.call("ssm", "put_parameter", parameter);
    let secret = json!({ "Name": "airlock/production/hello/token", "SecretString": "t" });
    both.theirs.call("secretsmanager", "create_secret", secret);
    // Of a parameter that isn't there AWS has no message.
    let but = ["LastModifiedDate", "SourceResult", "message", "ResponseMetadata"];
    for name in ["/airlock/production/hello/password", "/airlock/production/hello/gone"] {
        both.same("ssm", "get_parameter", &json!({ "Name": name, "WithDecryption": true }), &but);
    }
    for name in ["token", "gone"] {
        let name = format!("/aws/reference/secretsmanager/airlock/production/hello/{name}");
        both.same("ssm", "get_parameter", &json!({ "Name": name, "WithDecryption": true }), &but);
    }
}

#[test]
fn rules_and_their_targets_are_put_and_said_as_moto_does() {
    let mut both = Both::new();
    let rule = json!({ "Name": "nightly", "ScheduleExpression": "rate(1 day)", "Description": "Every night" });
    both.same("events", "put_rule", &rule, &[]);
    both.same("events", "describe_rule", &json!({ "Name": "nightly" }), &["CreatedBy"]);
    both.same("events", "describe_rule", &json!({ "Name": "none" }), &["more", "message"]);
    let target = |count: u32| {
        let target = json!({
            "Id": "report", "Arn": "arn:aws:ecs:eu-central-1:111111111111:cluster/apps", "Input": "{}",
            "RoleArn": "arn:aws:iam::111111111111:role/events", "EcsParameters": {
                "TaskDefinitionArn": "arn:aws:ecs:eu-central-1:111111111111:task-definition/x:1", "TaskCount": count,
            },
        });
        json!({ "Rule": "nightly", "Targets": [target] })
    };
    for put in [target(1), target(2)] {
        both.same("events", "put_targets", &put, &[]);
        both.same("events", "list_targets_by_rule", &json!({ "Rule": "nightly" }), &[]);
    }
    both.same("events", "list_targets_by_rule", &json!({ "Rule": "none" }), &["more", "message"]);
    both.same(
        "events",
        "put_targets",
        &json!({ "Rule": "none", "Targets": target(1)["Targets"] }),
        &["more", "message"],
    );
}

#[test]
fn schedules_are_made_changed_and_said_as_moto_does() {
    let mut both = Both::new();
    both.theirs.call("scheduler", "create_schedule_group", json!({ "Name": "jobs" }));
    let schedule = |expression: &str| {
        json!({
            "Name": "nightly", "GroupName": "jobs", "ScheduleExpression": expression, "State": "DISABLED",
            "FlexibleTimeWindow": { "Mode": "OFF" }, "Target": {
                "Arn": "arn:aws:ecs:eu-central-1:111111111111:cluster/apps", "Input": "{}",
                "RoleArn": "arn:aws:iam::111111111111:role/scheduler", "EcsParameters": {
                    "TaskDefinitionArn": "arn:aws:ecs:eu-central-1:111111111111:task-definition/x:1", "TaskCount": 1,
                },
            },
        })
    };
    // moto doesn't know what becomes of a schedule that is over.
    let dates =
        ["ActionAfterCompletion", "CreationDate", "LastModificationDate", "ResponseMetadata", "more", "message"];
    let asked = json!({ "Name": "nightly", "GroupName": "jobs" });
    both.same("scheduler", "create_schedule", &schedule("rate(1 day)"), &dates);
    both.same("scheduler", "get_schedule", &asked, &dates);
    both.same("scheduler", "update_schedule", &schedule("rate(2 days)"), &dates);
    both.same("scheduler", "get_schedule", &asked, &dates);
    both.same("scheduler", "get_schedule", &json!({ "Name": "none", "GroupName": "jobs" }), &dates);
}
