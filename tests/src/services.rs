//! A project whose service runs on production's ECS.

use std::ops::Deref;

use aws_double::{DeploymentView, Fate, PRODUCTION, Role, Script, ServiceView, TaskView};
use emulators::DockerRegistry;
use serde_json::{Value, json};

use crate::cloud::{allow, statements};
use crate::{Background, Cloud};

/// The cluster of the project's services.
const CLUSTER: &str = "apps";
/// The digest of what ran before anything was deployed.
const BEFORE: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";

/// The example project, whose service `hello` is there and runs what somebody put there by hand.
pub struct Services {
    /// Everything else.
    pub cloud: Cloud,
    /// Where production has images.
    pub registry: DockerRegistry,
    /// The service's ARN.
    pub service: String,
    /// The ARN of the definition that it began with.
    pub first: String,
}

impl Deref for Services {
    type Target = Cloud;

    fn deref(&self) -> &Cloud {
        &self.cloud
    }
}

impl Services {
    /// With an image of the project's own repository.
    pub fn new() -> Self {
        Self::running(&format!("hello/web@{BEFORE}"))
    }

    /// With this image of production's registry.
    pub fn running(image: &str) -> Self {
        let (cloud, registry) = (Cloud::new(), DockerRegistry::start());
        let production = cloud.double.account(PRODUCTION);
        production.cluster(CLUSTER);
        let role = Role::new("hello-execution", &json!({"Service": "ecs-tasks.amazonaws.com"}), Vec::new());
        let first =
            production.task_definition(&definition(&format!("{}/{image}", registry.address()), &production.role(role)));
        let service = production.service(CLUSTER, &service("hello", &first));
        let services = Self { cloud, registry, service, first };
        services.configure(|_, _| {});
        services
    }

    /// Gives both workers another configuration.
    pub fn configure(&self, change: impl Fn(&str, &mut Value)) {
        self.configure_with(&[], change);
    }

    /// The same, and their roles more policies.
    pub fn configure_with(&self, policies: &[Value], change: impl Fn(&str, &mut Value)) {
        self.cloud.reconfigure(&[&[may()], policies].concat(), |name, config| {
            config["cluster"] = json!({"ecs": {"cluster": CLUSTER}});
            config["registry"] = json!({"address": self.registry.address()});
            config["targets"]["projects"]["hello"] = json!({
                "services": ["*"], "schedules": ["*", "jobs/*"], "rules": ["*"],
            });
            change(name, config);
        });
    }

    /// Has this in the service's step from now on.
    pub fn step(&self, settings: &str) {
        let toml = self.path("airlock.toml");
        self.replace(&toml, "containers = { web = \"web\" }", &format!("containers = {{ web = \"web\" }}\n{settings}"));
        self.commit("Change the service's step");
    }

    /// Another service like it, an image of its name, and a step for it with these settings; its ARN.
    pub fn another(&self, name: &str, settings: &str) -> String {
        self.write("public/index.html", name);
        self.image();
        self.run("cp", &["-R", "build/image", &format!("build/{name}")]).exits(0);
        self.git(&["checkout", "public"]);
        self.image();
        let toml = self.path("airlock.toml");
        let text = std::fs::read_to_string(&toml).expect("the project has a configuration");
        let image = format!("[artifacts.{name}]\nkind = \"image\"\npath = \"build/{name}\"\n");
        let step = format!("[[deploy]]\nservice = \"{name}\"\ncontainers = {{ web = \"{name}\" }}\n{settings}\n");
        std::fs::write(&toml, format!("{text}\n{image}\n{step}")).expect("it can be written");
        self.commit("Another service");
        self.double.account(PRODUCTION).service(CLUSTER, &service(name, &self.first))
    }

    /// Runs this program of the image as a task before the service from now on, and says so in the step.
    pub fn task(&self, command: &[&str], settings: &str) {
        let toml = self.path("airlock.toml");
        let step = format!(
            "[[deploy]]\ntask = \"migrate\"\nservice = \"hello\"\ncontainers = {{ web = \"web\" }}\ncommand = {command:?}\n\
             {settings}\n\n"
        );
        self.replace(&toml, "[[deploy]]\nservice =", &format!("{step}[[deploy]]\nservice ="));
        self.commit("Migrate before the service changes");
    }

    /// Has the image that would be deployed bring a program, and the one beside it one that does nothing.
    pub fn program(&self, inside: &str, program: &str) {
        self.double.image(&self.image_digest(), inside, program);
        self.double.image("public.ecr.aws/router:2", "", "/bin/true");
    }

    /// The tasks that were run once, oldest first.
    pub fn tasks(&self) -> Vec<TaskView> {
        let mut tasks = self.double.tasks();
        tasks.retain(|task| task.definition.contains("task-definition/hello-airlock-migrate:"));
        tasks
    }

    /// Lets the tasks of the image that would be deployed fare like this.
    pub fn next_image(&self, script: Script) {
        self.double.script_image(&self.image_digest(), script);
    }

    /// Starts a deploy whose tasks never start, and waits until it rolls out; it and the job.
    pub fn stuck(&self) -> (Background, String) {
        self.next_image(Script::new(Fate::Stuck));
        let jobs = self.jobs("apply").len();
        let deploy = self.start_deploy();
        let job = self.job("apply", jobs + 1);
        self.double.wait_for_service(&self.service, |service| service.deployments.len() == 2);
        crate::wait_until("a line about the rollout", || {
            self.progress(&job).iter().any(|line| line.contains("rolls out as")).then_some(())
        });
        (deploy, job)
    }

    /// What the service is like.
    pub fn now(&self) -> ServiceView {
        self.double.service(&self.service)
    }

    /// The newest deployment.
    pub fn newest(&self) -> DeploymentView {
        self.now().deployments.remove(0)
    }

    /// The definition that the service runs.
    pub fn definition(&self) -> Value {
        self.double.definition(&self.newest().definition)
    }

    /// Expects that the service runs what it ran before anything was deployed.
    #[track_caller]
    pub fn expect_as_before(&self) {
        self.expect_first(&self.service);
    }

    /// Expects the same of another one.
    #[track_caller]
    pub fn expect_first(&self, service: &str) {
        let now = self.double.service(service);
        assert_eq!((now.deployments.len(), now.desired), (1, 2), "{now:#?}");
        let only = &now.deployments[0];
        assert_eq!((only.definition.as_str(), only.rollout, only.running), (self.first.as_str(), "COMPLETED", 2));
    }

    /// The summary of the newest plan.
    pub fn planned_change(&self) -> Value {
        let job = self.jobs("plan").pop().expect("a plan job");
        self.read(&self.production(&format!("jobs/{job}/plan/summary.json")))
    }
}

impl Default for Services {
    fn default() -> Self {
        Self::new()
    }
}

fn service(name: &str, definition: &str) -> Value {
    json!({
        "serviceName": name, "taskDefinition": definition, "desiredCount": 2, "launchType": "FARGATE",
        "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"], "securityGroups": ["sg-1"]}},
        "deploymentConfiguration": {"maximumPercent": 150, "minimumHealthyPercent": 50},
    })
}

/// With what nobody has heard of yet, and what Airlock says nothing about.
fn definition(image: &str, role: &str) -> Value {
    json!({
        "family": "hello", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512",
        "executionRoleArn": role, "unheardOf": {"deeply": [{"nested": 1.5}, "x"]}, "tags": [{"key": "team", "value": "a"}],
        "containerDefinitions": [
            {
                "name": "web", "image": image, "environment": [{"name": "PASSWORD", "value": "hunter2"}],
                "unheardOf": {"newer": ["than this"]}, "logConfiguration": {"logDriver": "awslogs", "options": {
                    "awslogs-group": "/hello", "awslogs-region": "eu-central-1", "awslogs-stream-prefix": "hello",
                }},
            },
            {"name": "router", "image": "public.ecr.aws/router:2", "essential": false, "dockerLabels": {"a": "b"}},
        ],
    })
}

/// What docs/operations.md lets a worker do to services.
fn may() -> Value {
    let services = "arn:aws:ecs:eu-central-1:222222222222:service/apps/*";
    let definitions = "arn:aws:ecs:eu-central-1:222222222222:task-definition/*";
    let tasks = "arn:aws:ecs:eu-central-1:222222222222:task/apps/*";
    statements(&json!([
        allow(&["ecs:DescribeServices", "ecs:UpdateService"], services),
        allow(&["ecs:RegisterTaskDefinition", "ecs:TagResource"], definitions),
        allow(&["ecs:DescribeTaskDefinition"], "*"),
        {"Effect": "Allow", "Action": "ecs:RunTask",
         "Resource": "arn:aws:ecs:eu-central-1:222222222222:task-definition/*-airlock-*:*",
         "Condition": {"ArnEquals": {"ecs:cluster": "arn:aws:ecs:eu-central-1:222222222222:cluster/apps"}}},
        {"Effect": "Allow", "Action": "ecs:ListTasks", "Resource": "*",
         "Condition": {"ArnEquals": {"ecs:cluster": "arn:aws:ecs:eu-central-1:222222222222:cluster/apps"}}},
        allow(&["ecs:DescribeTasks", "ecs:StopTask"], tasks),
        allow(&["logs:GetLogEvents"], "arn:aws:logs:eu-central-1:222222222222:log-group:/hello:log-stream:*"),
        {"Effect": "Allow", "Action": "iam:PassRole", "Resource": "arn:aws:iam::222222222222:role/hello-execution",
         "Condition": {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}}},
    ]))
}
