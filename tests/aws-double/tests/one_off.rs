//! Tasks of ordinary definitions that are run once, such as migrations, with boto3 as the client.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed helper is a failed test")]

mod common;

use aws_double::{Double, Fate, PRODUCTION, Role, Script, TaskStatus};
use common::ecs::TASKS;
use common::{Boto, allow, program, service_role};
use serde_json::{Value, json};

const APP: &str = "registry.example/app@sha256:1111111111111111111111111111111111111111111111111111111111111111";
const DIGEST: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";

struct World {
    double: Double,
    boto: Boto,
}

impl World {
    /// A definition with an application, its secret, and a proxy beside it; the execution role may read these.
    fn new(readable: Value) -> Self {
        let double = Double::start();
        let account = double.account(PRODUCTION);
        let execution = service_role(&double, "execution", TASKS, readable);
        let caller = account.role(Role::open("deployer"));
        account.cluster("airlock");
        let logs = |name: &str| json!({ "logDriver": "awslogs", "options": { "awslogs-group": "/app", "awslogs-stream-prefix": name } });
        account.task_definition(&json!({
            "family": "app", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256",
            "memory": "512", "executionRoleArn": execution, "containerDefinitions": [
                {
                    "name": "app", "image": APP, "entryPoint": ["/app"], "command": ["wait"], "secrets": [
                        { "name": "PASSWORD", "valueFrom": "/airlock/production/app/password" },
                        { "name": "TOKEN", "valueFrom": format!(
                            "arn:aws:secretsmanager:eu-central-1:{PRODUCTION}:secret:airlock/production/app/token-a1B2c3"
                        ) },
                    ],
                    "logConfiguration": logs("migrations"),
                },
                {
                    "name": "proxy", "image": "proxy:1", "entryPoint": ["/proxy", "polite"], "essential": false,
                    "logConfiguration": logs("proxies"),
                },
            ],
        }));
        account.parameter("/airlock/production/app/password", "never-printed-p");
        account.secret("airlock/production/app/token", "never-printed-t");
        double.image(DIGEST, "/app", program("task.sh"));
        double.image("proxy:1", "/proxy", program("task.sh"));
        let boto = Boto::new(double.environment_of(&double.session(&caller, std::time::Duration::from_secs(900))));
        Self { double, boto }
    }

    /// Who may read both secrets.
    fn readable() -> Value {
        let parameters = format!("arn:aws:ssm:eu-central-1:{PRODUCTION}:parameter/airlock/production/app/*");
        let secrets = format!("arn:aws:secretsmanager:eu-central-1:{PRODUCTION}:secret:airlock/production/app/*");
        json!([
            allow(json!("ssm:GetParameters"), json!(parameters)),
            allow(json!("secretsmanager:GetSecretValue"), json!(secrets)),
        ])
    }

    /// Runs it with this command, and waits for its end; how it is described then.
    fn run(&mut self, command: &[&str]) -> Value {
        let request = json!({
            "cluster": "airlock", "taskDefinition": "app", "clientToken": command.join("-"),
            "capacityProviderStrategy": [{ "capacityProvider": "FARGATE", "weight": 1 }],
            "networkConfiguration": { "awsvpcConfiguration": { "subnets": ["subnet-1"] } },
            "overrides": { "containerOverrides": [{ "name": "app", "command": command }] },
        });
        let answer = self.boto.call("ecs", "run_task", request);
        let arn = answer["tasks"][0]["taskArn"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
        self.double.wait_for(&arn, |task| task.status == TaskStatus::Stopped);
        let mut described = self.boto.call("ecs", "describe_tasks", json!({ "cluster": "airlock", "tasks": [arn] }));
        described["tasks"][0].take()
    }

    /// What a container of a task wrote to CloudWatch Logs.
    fn log(&mut self, prefix: &str, task: &Value) -> Vec<String> {
        let id = task["taskArn"].as_str().unwrap().rsplit('/').next().unwrap();
        let request =
            json!({ "logGroupName": "/app", "logStreamName": format!("{prefix}/{id}"), "startFromHead": true });
        let answer = self.boto.call("logs", "get_log_events", request);
        let events = answer["events"].as_array().unwrap_or_else(|| panic!("{answer}"));
        events.iter().map(|event| event["message"].as_str().unwrap().to_owned()).collect()
    }
}

#[test]
fn a_task_that_runs_once_ends_with_its_essential_container_and_says_how() {
    let mut world = World::new(World::readable());
    for (code, family) in [("0", "well"), ("7", "badly")] {
        let task = world.run(&["exit", code, family]);
        let [app, proxy] = &task["containers"].as_array().unwrap()[..] else { panic!("{task}") };
        assert_eq!(
            (&task["stopCode"], &app["exitCode"]),
            (&"EssentialContainerExited".into(), &code.parse::<i64>().unwrap().into())
        );
        assert_eq!(app["imageDigest"], DIGEST);
        // It may not have come to its trap yet.
        assert!([Some(7), Some(143)].contains(&proxy["exitCode"].as_i64()), "{proxy}");
        assert_eq!((&task["capacityProviderName"], &task["launchType"]), (&"FARGATE".into(), &"FARGATE".into()));
        let log = world.log("migrations/app", &task);
        assert!(log.contains(&format!("argument={family}")), "{log:?}");
        for variable in ["PASSWORD=never-printed-p", "TOKEN=never-printed-t"] {
            assert!(log.contains(&format!("environment {variable}")), "{log:?}");
        }
        let beside = world.log("proxies/proxy", &task);
        assert!(!beside.iter().any(|line| line.contains("never-printed")), "{beside:?}");
    }
}

#[test]
fn a_task_whose_image_is_bad_fares_as_a_service_with_it_does() {
    let mut world = World::new(World::readable());
    world.double.script_image(DIGEST, Script::new(Fate::Crash(3)).saying(["it's broken", "100% sure"]));
    let task = world.run(&["migrate"]);
    assert_eq!(
        (&task["stopCode"], &task["containers"][0]["exitCode"]),
        (&"EssentialContainerExited".into(), &3.into())
    );
    assert_eq!(world.log("migrations/app", &task), ["it's broken", "100% sure"]);
    world.double.script_image(DIGEST, Script::new(Fate::ImageMissing));
    let task = world.run(&["migrate", "again"]);
    assert_eq!(task["stopCode"], "TaskFailedToStart");
    assert!(task["stoppedReason"].as_str().unwrap().starts_with("CannotPullContainerError"), "{task}");
}

#[test]
fn a_task_whose_secrets_cannot_be_read_does_not_start() {
    let [parameters, secrets] = [0, 1].map(|number| json!([World::readable()[number]]));
    for readable in [parameters, secrets, json!([])] {
        let task = World::new(readable).run(&["exit", "0"]);
        assert_eq!(task["stopCode"], "TaskFailedToStart");
        let reason = task["stoppedReason"].as_str().unwrap();
        assert!(reason.starts_with("ResourceInitializationError: unable to pull secrets or registry auth"), "{reason}");
    }
    let mut world = World::new(World::readable());
    let without = json!({
        "family": "app", "containerDefinitions": [{
            "name": "app", "image": "app", "memory": 128, "secrets": [{ "name": "PASSWORD", "valueFrom": "password" }],
        }],
    });
    let refused = world.boto.call("ecs", "register_task_definition", without);
    assert!(refused["message"].as_str().unwrap().contains("'executionRoleArn'"), "{refused}");
}
