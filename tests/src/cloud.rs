//! A scratch repository whose production is an account of its own: the real functions and the real worker, run by the
//! double's Lambda and ECS. Stores stay directories, which all of them reach.

use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_double::{Double, Function, Keys, PRODUCTION, REGION, Role, USER};
use manifest_schema::Document as _;
use manifest_schema::gateway::StatusResponse;
use manifest_schema::job::TaskId;
use serde_json::{Value, json};

use crate::{Scratch, programs, wait_until};

/// The worker's image, by digest.
const IMAGE: &str = "222222222222.dkr.ecr.eu-central-1.amazonaws.com/airlock-worker@sha256:0000";
/// The worker in it.
const WORKER: &str = "/usr/local/bin/airlock-worker";
/// What the functions' names begin with.
const PREFIX: &str = "arn:aws:lambda:eu-central-1:222222222222:function:airlock";
/// What all of a task's states but RUNNING take together is a few of these.
const PACE: Duration = Duration::from_millis(20);

/// A scratch repository, and production's account.
#[derive(Debug)]
pub struct Cloud {
    /// The repository. Nothing in it leads to production but the gateway's functions.
    pub scratch: Scratch,
    /// Everything of AWS.
    pub double: Double,
}

impl Deref for Cloud {
    type Target = Scratch;

    fn deref(&self) -> &Scratch {
        &self.scratch
    }
}

impl Cloud {
    /// After `airlock init`, with production moved into AWS.
    pub fn new() -> Self {
        let double = Double::start();
        double.pace(PACE);
        let mut scratch = Scratch::new();
        for (name, value) in double.environment() {
            scratch.set(name, value);
        }
        scratch.next_policy(|policy| {
            policy["environments"]["production"]["account"] = PRODUCTION.into();
            policy["environments"]["production"]["region"] = REGION.into();
        });
        let cloud = Self { scratch, double };
        cloud.push_image();
        cloud.reconfigure(&[], |_, _| {});
        cloud.scratch.write("root.pub", fs::read(cloud.path(".airlock/keys/root.pub.pem")).unwrap());
        let file = cloud.path("airlock.toml");
        let text = fs::read_to_string(&file).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with("production = ")).map(|line| {
            if line.starts_with("gateway = ") {
                format!("gateway = \"lambda:{PREFIX}\"\nroots = [\"root.pub\"]")
            } else {
                line.to_owned()
            }
        });
        fs::write(&file, lines.collect::<Vec<_>>().join("\n") + "\n").unwrap();
        cloud.commit("Production is in AWS");
        cloud
    }

    /// Gives production workers whose roles may do what these policies say, and whose configuration is what `change`,
    /// which gets each worker's name, makes of it.
    pub fn reconfigure(&self, policies: &[Value], change: impl Fn(&str, &mut Value)) {
        let account = self.double.account(PRODUCTION);
        let cluster = account.cluster("airlock");
        let trusted = json!({"Service": "ecs-tasks.amazonaws.com"});
        let definitions = ["planner", "deployer"].map(|name| {
            let role = account.role(Role::new(name, &trusted, policies.to_vec()));
            let mut config = self.worker_config(name);
            change(name, &mut config);
            (account.task_definition(&task_definition(name, &role, &config)), role)
        });
        let [(planner, planner_role), (deployer, deployer_role)] = &definitions;
        let role = account.role(Role::new(
            "gateway",
            &json!({"Service": "lambda.amazonaws.com"}),
            vec![statements(&json!([
                {"Effect": "Allow", "Action": "ecs:RunTask", "Resource": [planner, deployer]},
                {"Effect": "Allow", "Action": ["ecs:DescribeTasks", "ecs:StopTask"], "Resource": "*"},
                {"Effect": "Allow", "Action": "iam:PassRole", "Resource": [planner_role, deployer_role],
                 "Condition": {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}}},
            ]))],
        ));
        let mut config = self.read(&self.production("config/gateway.json"));
        config["artifacts"] = self.artifacts("").display().to_string().into();
        config["production"] = self.production("").display().to_string().into();
        config["place"] = "aws".into();
        config["launcher"] = json!({"ecs": {
            "cluster": cluster, "planner": planner, "deployer": deployer, "container": "worker",
            "subnets": ["subnet-1"], "securityGroups": ["sg-1"],
        }});
        for name in ["launch-deploy-job", "get-deploy-job-status", "cancel-deploy-job"] {
            let environment = ("AIRLOCK_GATEWAY_CONFIG".to_owned(), config.to_string());
            self.add_function(name, &role, programs::directory().join("airlock-gateway"), environment);
        }
    }

    fn add_function(&self, name: &str, role: &str, program: PathBuf, environment: (String, String)) {
        let caller = json!({"AWS": USER});
        self.double.account(PRODUCTION).function(Function {
            environment: vec![environment],
            timeout: Duration::from_secs(15),
            policy: Some(statements(
                &json!({"Effect": "Allow", "Principal": caller, "Action": "lambda:InvokeFunction", "Resource": "*"}),
            )),
            ..Function::new(&format!("airlock-{name}"), name, role, program)
        });
    }

    /// Lets production say so, whatever get-deploy-job-status is asked for.
    pub fn always_says(&self, answer: &StatusResponse) {
        let trusted = json!({"Service": "lambda.amazonaws.com"});
        let role = self.double.account(PRODUCTION).role(Role::new("another-version", &trusted, Vec::new()));
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs/status.py");
        let answer = String::from_utf8(answer.to_bytes()).unwrap();
        self.add_function("get-deploy-job-status", &role, program, ("ANSWER".to_owned(), answer));
    }

    fn worker_config(&self, name: &str) -> Value {
        let mut config = self.read(&self.production(&format!("config/{name}.json")));
        let below = |inside: &str| -> Value { self.production(inside).display().to_string().into() };
        config["artifacts"] = self.artifacts("").display().to_string().into();
        config["production"] = below("");
        config["key"] = self.path(&format!(".airlock/keys/{name}.pem")).display().to_string().into();
        for directory in ["work", "state", "cluster"] {
            config[directory] = below(directory);
        }
        config["place"] = "aws".into();
        config["aws"] = json!({"region": REGION, "endpoint": self.double.url()});
        config["terraform"] = programs::terraform().display().to_string().into();
        config["stopTimeoutSeconds"] = 30.into();
        config
    }

    /// Calls AWS as somebody else from now on.
    pub fn become_user(&mut self, keys: &Keys) {
        for (name, value) in self.double.environment_of(keys) {
            self.scratch.set(name, value);
        }
    }

    /// Calls AWS as CI again.
    pub fn become_ci(&mut self) {
        for (name, value) in self.double.environment() {
            self.scratch.set(name, value);
        }
    }

    /// Has the worker's image, as after the set-up.
    pub fn push_image(&self) {
        self.double.image(IMAGE, WORKER, programs::directory().join("airlock-worker"));
    }

    /// Has the worker's image no more.
    pub fn delete_image(&self) {
        self.double.remove_image(IMAGE);
    }

    /// The task of a job, once its worker has said which one that is.
    ///
    /// # Panics
    /// When it doesn't in time.
    #[track_caller]
    pub fn task_of(&self, job: &str) -> String {
        match wait_until("a task", || self.scratch.task(job)) {
            TaskId::Ecs { arn } => arn,
            other @ TaskId::Process { .. } => panic!("the worker of {job} is no task: {other:?}"),
        }
    }

    /// The whole way, approved with the key that `airlock init` makes.
    pub fn deploys(&self) -> crate::Run {
        self.airlock(&["deploy", "--approve-with", crate::APPROVER])
    }

    /// The ARN of one of the functions.
    pub fn function(&self, name: &str) -> String {
        format!("{PREFIX}-{name}")
    }

    /// Where nothing of the CLI's side may look.
    pub fn gateway_config(&self) -> PathBuf {
        self.production("config/gateway.json")
    }
}

impl Default for Cloud {
    fn default() -> Self {
        Self::new()
    }
}

fn task_definition(name: &str, role: &str, config: &Value) -> Value {
    json!({
        "family": format!("airlock-{name}"), "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"],
        "cpu": "256", "memory": "512", "taskRoleArn": role,
        "containerDefinitions": [{
            "name": "worker", "image": IMAGE, "stopTimeout": 40,
            "entryPoint": [WORKER, "--task", config.to_string(), "--"],
        }],
    })
}

/// A policy of IAM.
pub fn statements(statements: &Value) -> Value {
    json!({"Version": "2012-10-17", "Statement": statements})
}

/// A statement of one that allows these actions.
pub fn allow(actions: &[&str], resources: impl Into<Value>) -> Value {
    json!({"Effect": "Allow", "Action": actions, "Resource": resources.into()})
}
