//! The double as a program of its own, as scripts use it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed helper is a failed test")]

mod common;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{Boto, allow, policy, program};
use serde_json::{Value, json};

fn world(task: &Path) -> Value {
    let trust = |service: &str| {
        policy(json!({ "Effect": "Allow", "Principal": { "Service": service }, "Action": "sts:AssumeRole" }))
    };
    let may = allow(json!(["lambda:InvokeFunction", "ecs:*"]), json!("*"));
    json!({
        "pace": 5,
        "images": { "worker": { "/worker": task } },
        "accounts": {
            "222222222222": {
                "users": { "ops": [policy(may)] },
                "roles": [{ "name": "gateway", "trust": trust("lambda.amazonaws.com") }],
                "keys": [{ "alias": "deployer", "seed": 3 }],
                "buckets": { "records": null },
                "clusters": ["airlock"],
                "functions": [{
                    "name": "launch", "handler": "launch", "role": "arn:aws:iam::222222222222:role/gateway",
                    "program": program("function.py"), "environment": { "A": "1" }, "timeout": 20,
                }],
                "taskDefinitions": [{
                    "family": "deployer", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256",
                    "memory": "512",
                    "containerDefinitions": [{ "name": "worker", "image": "worker", "entryPoint": ["/worker", "family"] }],
                }],
                "services": { "airlock": [{ "serviceName": "web", "taskDefinition": "deployer", "desiredCount": 2 }] },
            },
        },
    })
}

#[test]
fn a_script_gets_its_world_and_nothing_of_it_outlives_the_program() {
    let scratch = tempfile::TempDir::new().unwrap();
    let file = scratch.path().join("world.json");
    // A copy of its own, so that its processes can be told from other tests'.
    let task = scratch.path().join("task.sh");
    std::fs::copy(program("task.sh"), &task).unwrap();
    std::fs::write(&file, world(&task).to_string()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_aws-double"));
    let mut double = command.arg(&file).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(double.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let told: Value = serde_json::from_str(&line).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{told}")).to_owned();
    let keys = &told["users"]["arn:aws:iam::222222222222:user/ops"];
    let mut boto = Boto::new([
        ("AWS_ENDPOINT_URL", text(&told["url"])),
        ("AWS_REGION", "eu-central-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", text(&keys["accessKey"])),
        ("AWS_SECRET_ACCESS_KEY", text(&keys["secretKey"])),
    ]);
    let answer = boto.call("lambda", "invoke", json!({ "FunctionName": "launch", "Payload": "{}" }));
    let payload: Value =
        serde_json::from_str(answer["Payload"].as_str().unwrap_or_else(|| panic!("{answer}"))).unwrap();
    assert_eq!(payload["environment"]["A"], "1");
    let service = json!({ "cluster": "airlock", "services": [told["services"]["web"]] });
    assert_eq!(boto.call("ecs", "describe_services", service)["services"][0]["runningCount"], 2);
    let run = json!({
        "cluster": "airlock", "taskDefinition": told["taskDefinitions"]["deployer"], "launchType": "FARGATE",
        "networkConfiguration": { "awsvpcConfiguration": { "subnets": ["subnet-1"] } },
    });
    boto.call("ecs", "run_task", run);
    let scripts = || processes_with(&task);
    let begun = Instant::now();
    while scripts() == 0 {
        assert!(begun.elapsed() < Duration::from_secs(20), "the task never starts");
        std::thread::sleep(Duration::from_millis(10));
    }
    double.kill().unwrap();
    double.wait().unwrap();
    while scripts() > 0 {
        assert!(begun.elapsed() < Duration::from_secs(20), "the task outlives the double");
        std::thread::sleep(Duration::from_millis(10));
    }

    let wrong = scratch.path().join("wrong.json");
    std::fs::write(&wrong, "{\"acounts\": {}}").unwrap();
    let ran = Command::new(env!("CARGO_BIN_EXE_aws-double")).arg(&wrong).output().unwrap();
    assert!(String::from_utf8_lossy(&ran.stderr).contains("unknown field `acounts`"));
}

/// How many processes run this script.
fn processes_with(script: &Path) -> usize {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let fits = |path: &Path| {
        let arguments = std::fs::read_to_string(path.join("cmdline")).unwrap_or_default();
        arguments.contains(script.to_str().unwrap()) && arguments.contains("family")
    };
    entries.filter(|entry| fits(&entry.path())).count()
}
