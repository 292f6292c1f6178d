//! A cluster in production with a service, and boto3 to look at it.

use std::time::{Duration, Instant};

use aws_double::{Double, PRODUCTION, Role, ServiceView};
use serde_json::{Value, json};

use super::Boto;

/// The image of a build that is well.
pub const GOOD: &str = "registry.example/web@sha256:1111111111111111111111111111111111111111111111111111111111111111";
/// The digest of the next build's.
pub const NEXT: &str = "sha256:2222222222222222222222222222222222222222222222222222222222222222";

/// What a definition with this image is.
pub fn definition(image: &str) -> Value {
    json!({
        "family": "web", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512",
        "containerDefinitions": [
            {
                "name": "app", "image": image, "portMappings": [{ "containerPort": 8080 }],
                "healthCheck": { "command": ["CMD", "true"] },
                "logConfiguration": { "logDriver": "awslogs", "options": {
                    "awslogs-group": "/web", "awslogs-region": "eu-central-1", "awslogs-stream-prefix": "web",
                } },
            },
            { "name": "proxy", "image": "public.ecr.aws/proxy:1", "essential": false },
        ],
    })
}

/// A cluster with the service `web`, whose two tasks run well.
pub struct World {
    /// Where it is.
    pub double: Double,
    /// boto3 as a role that may do everything.
    pub boto: Boto,
    /// The service's ARN.
    pub service: String,
    /// The ARN of the definition that it began with.
    pub first: String,
}

impl World {
    /// With a circuit breaker that goes back.
    pub fn new() -> Self {
        Self::with(json!({ "deploymentCircuitBreaker": { "enable": true, "rollback": true } }))
    }

    /// With this deployment configuration.
    pub fn with(configuration: Value) -> Self {
        let double = Double::start();
        double.pace(Duration::from_millis(3));
        let caller = double.account(PRODUCTION).role(Role::open("deployer"));
        double.account(PRODUCTION).cluster("airlock");
        let first = double.account(PRODUCTION).task_definition(&definition(GOOD));
        let service = double.account(PRODUCTION).service("airlock", &service("web", &first, configuration));
        let boto = Boto::new(double.environment_of(&double.session(&caller, Duration::from_secs(900))));
        Self { double, boto, service, first }
    }

    /// A call of ECS in the cluster.
    pub fn ecs(&mut self, operation: &str, mut parameters: Value) -> Value {
        parameters["cluster"] = "airlock".into();
        self.boto.call("ecs", operation, parameters)
    }

    /// Registers a definition with this image; its ARN.
    pub fn register(&mut self, image: &str) -> String {
        let answer = self.boto.call("ecs", "register_task_definition", definition(image));
        answer["taskDefinition"]["taskDefinitionArn"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// Gives the service a definition with the next build's image; the new deployment's id, and the definition's ARN.
    pub fn deploy(&mut self) -> (String, String) {
        let next = self.register(&format!("registry.example/web@{NEXT}"));
        let answer = self.ecs("update_service", json!({ "service": "web", "taskDefinition": next }));
        let primary = &answer["service"]["deployments"][0];
        assert_eq!(
            (&primary["status"], &primary["rolloutState"]),
            (&"PRIMARY".into(), &"IN_PROGRESS".into()),
            "{answer}"
        );
        (primary["id"].as_str().unwrap().to_owned(), next)
    }

    /// `DescribeServices` of the service.
    pub fn describe(&mut self) -> Value {
        let mut answer = self.ecs("describe_services", json!({ "services": ["web"], "include": ["TAGS"] }));
        answer["services"][0].take()
    }

    /// `DescribeTasks` of all that `ListTasks` lists of the service with this status.
    pub fn tasks(&mut self, desired: &str) -> Vec<Value> {
        let listed = self.ecs("list_tasks", json!({ "serviceName": "web", "desiredStatus": desired }));
        if listed["taskArns"] == json!([]) {
            return Vec::new();
        }
        let described = self.ecs("describe_tasks", json!({ "tasks": listed["taskArns"] }));
        described["tasks"].as_array().unwrap_or_else(|| panic!("{described}")).clone()
    }

    /// Waits until some of its tasks with this desired status are as they should be.
    pub fn wait_for_tasks(&mut self, desired: &str, wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
        let begun = Instant::now();
        loop {
            let tasks: Vec<_> = self.tasks(desired).into_iter().filter(&wanted).collect();
            if !tasks.is_empty() {
                return tasks;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "no task is ever like that");
        }
    }

    /// Waits until the service is as it should be.
    pub fn wait(&self, wanted: impl Fn(&ServiceView) -> bool) -> ServiceView {
        self.double.wait_for_service(&self.service, wanted)
    }

    /// Waits until the PRIMARY deployment is COMPLETED or FAILED.
    pub fn over(&self) -> ServiceView {
        self.wait(|service| service.deployments[0].rollout != "IN_PROGRESS")
    }
}

/// What a service of two tasks is.
pub fn service(name: &str, definition: &str, configuration: Value) -> Value {
    json!({
        "serviceName": name, "taskDefinition": definition, "desiredCount": 2, "launchType": "FARGATE",
        "deploymentConfiguration": configuration,
        "networkConfiguration": { "awsvpcConfiguration": { "subnets": ["subnet-1"] } },
        "tags": [{ "key": "team", "value": "web" }],
    })
}
