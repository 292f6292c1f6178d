//! A cluster in production whose task is a shell script.

use std::time::Duration;

use aws_double::{Double, PRODUCTION, Role, TaskStatus, TaskView};
use serde_json::{Value, json};

use super::{Boto, allow, program, service_role};

/// The image of its worker.
pub const IMAGE: &str = "222222222222.dkr.ecr.eu-central-1.amazonaws.com/worker@sha256:0000";
/// The service that runs tasks.
pub const TASKS: &str = "ecs-tasks.amazonaws.com";
/// Where the image has its program.
pub const INSIDE: &str = "/usr/local/bin/worker";

/// A cluster with a task definition, and somebody who may run it.
pub struct World {
    /// Where it is.
    pub double: Double,
    /// boto3 as a role that may do everything.
    pub boto: Boto,
    /// The ARN of the task definition.
    pub definition: String,
}

fn definition(role: &str) -> Value {
    json!({
        "family": "deployer", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256",
        "memory": "512", "taskRoleArn": role, "containerDefinitions": [{
            "name": "worker", "image": IMAGE, "entryPoint": [INSIDE, "--task"], "command": ["none"],
            "environment": [{ "name": "DECLARED", "value": "1" }, { "name": "TWICE", "value": "definition" }],
            "stopTimeout": 2,
        }],
    })
}

impl World {
    /// Whose task does nothing, well.
    pub fn new() -> Self {
        Self::of(&["exit", "0"])
    }

    /// Whose task gets these first arguments.
    pub fn of(arguments: &[&str]) -> Self {
        let double = Double::start();
        let role = service_role(&double, "deployer", TASKS, allow(json!("*"), json!("*")));
        let caller = double.account(PRODUCTION).role(Role::open("gateway"));
        let mut definition = definition(&role);
        let entry: Vec<_> = [INSIDE].iter().chain(arguments).collect();
        definition["containerDefinitions"][0]["entryPoint"] = json!(entry);
        double.account(PRODUCTION).cluster("airlock");
        let definition = double.account(PRODUCTION).task_definition(&definition);
        double.image(IMAGE, INSIDE, program("task.sh"));
        let boto = Boto::new(double.environment_of(&double.session(&caller, Duration::from_secs(900))));
        Self { double, boto, definition }
    }

    /// What RunTask is asked for.
    pub fn request(&self, token: &str) -> Value {
        json!({
            "cluster": "airlock", "taskDefinition": self.definition, "launchType": "FARGATE", "startedBy": "airlock",
            "clientToken": token,
            "networkConfiguration": { "awsvpcConfiguration": { "subnets": ["subnet-1"] } },
            "overrides": { "containerOverrides": [{ "name": "worker", "command": [token] }] },
        })
    }

    /// `RunTask`.
    pub fn run(&mut self, request: Value) -> Value {
        self.boto.call("ecs", "run_task", request)
    }

    /// Runs one task; its ARN.
    pub fn start(&mut self) -> String {
        let answer = self.run(self.request("job-1"));
        answer["tasks"][0]["taskArn"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// `DescribeTasks` of one.
    pub fn describe(&mut self, arn: &str) -> Value {
        self.boto.call("ecs", "describe_tasks", json!({ "cluster": "airlock", "tasks": [arn] }))
    }

    /// Waits until it has stopped.
    pub fn stopped(&self, arn: &str) -> TaskView {
        self.double.wait_for(arn, |task| task.status == TaskStatus::Stopped)
    }

    /// Waits until its program has said this.
    pub fn said(&self, arn: &str, text: &str) -> TaskView {
        self.double.wait_for(arn, |task| task.log.contains(text))
    }
}
