//! The real worker started as an ECS task, by somebody who chooses its command and its environment. Threat model, row 20.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed helper is a failed test")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::process::{Command, Output};

use manifest_schema::gates::Place;
use manifest_schema::job::{
    Action, Asked, Happening, JobId, JobOutcome, JobRequest, LaunchRequest, TaskId, WriterKind,
};
use manifest_schema::storage::Key;
use manifest_schema::{Code, Digest};
use records::task::exit;
use records::{Ambient, Journal, create};
use serde_json::{Value, json};
use store::{Access, Creation, Location, Store};

const TASK: &str = "arn:aws:ecs:eu-central-1:222222222222:task/airlock/0123456789abcdef";

struct World {
    directory: tempfile::TempDir,
    production: Store,
    ambient: Ambient,
    job: JobId,
}

impl World {
    /// Two stores without a trust policy, so that a worker that runs refuses, and a job.
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let open = async |name: &str| {
            Store::open_or_create(&Location::Directory(directory.path().join(name)), &Access::default()).await.unwrap()
        };
        let (production, ambient) = (open("production").await, Ambient::system());
        open("artifacts").await;
        let job = JobId::new(ambient.now(), ambient.random());
        let asked = Asked {
            action: Action::Plan,
            environment: "production".parse().unwrap(),
            project: "hello".parse().unwrap(),
            manifest: Digest::of(b"none"),
            plan: None,
            change: None,
            approvals: Vec::new(),
            attempt: 1,
        };
        let schema = Default::default();
        let request = JobRequest { schema, job, request: LaunchRequest::new(asked, None), requested_at: ambient.now() };
        assert_eq!(create(&production, &Key::JobRequest(job), &request).await.unwrap(), Creation::Created);
        let world = Self { directory, production, ambient, job };
        world.journal(WriterKind::Gateway).await.append(Happening::Requested).await.unwrap();
        world
    }

    async fn journal(&self, kind: WriterKind) -> Journal {
        Journal::open(&self.production, &self.ambient, kind, self.job).await.unwrap().unwrap()
    }

    fn config(&self) -> String {
        let path = |name: &str| self.directory.path().join(name);
        let place = Place { account: "local".to_owned(), region: "local".to_owned() };
        json!({
            "role": "planner", "artifacts": path("artifacts"), "production": path("production"),
            "roots": {"threshold": 1, "keys": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICRMQpEH1XuZ5m2FPpgSiWXGmwXLUN8AMgGYcMSKRUmr"]},
            "place": {"account": place.account, "region": place.region}, "key": path("key.pem"), "work": path("work"),
            "state": path("state"), "cluster": path("cluster"), "deadlineSeconds": 60,
        })
        .to_string()
    }

    /// Runs the task definition's entry point with this command, in a hostile environment.
    fn run(&self, metadata: &str, config: &str, command: &[&str]) -> Output {
        let evil = self.directory.path().join("evil.json");
        std::fs::write(&evil, "{}").unwrap();
        Command::new(env!("CARGO_BIN_EXE_airlock-worker"))
            .args(["--task", config, "--"])
            .args(command)
            .env_clear()
            .env("ECS_CONTAINER_METADATA_URI_V4", metadata)
            .env("AIRLOCK_LOG", "off")
            .env("AIRLOCK_WORKER_CONFIG", evil)
            .env("AIRLOCK_TERRAFORM", "/nonexistent")
            .env("HTTP_PROXY", "http://192.0.2.1:1")
            .output()
            .unwrap()
    }
}

/// The metadata endpoint of a task.
fn metadata() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/v4/1", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut line = String::new();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            while reader.read_line(&mut line).unwrap_or(0) > 2 {}
            assert!(line.starts_with("GET /v4/1/task "), "{line}");
            let body = json!({"Cluster": "airlock", "TaskARN": TASK}).to_string();
            let _ =
                write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
        }
    });
    address
}

fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}"))).collect()
}

#[tokio::test]
async fn a_task_does_its_job_by_its_own_configuration_and_says_so_in_its_log() {
    let world = World::new().await;
    let output = world.run(&metadata(), &world.config(), &[&world.job.to_string()]);
    assert!(output.status.success(), "{output:?}");
    let journal = world.journal(WriterKind::Gateway).await;
    assert_eq!(journal.job().task(), Some(&TaskId::Ecs { arn: TASK.to_owned() }));
    let (outcome, reasons) = journal.job().ended().unwrap();
    assert_eq!((outcome, &reasons[0].code), (JobOutcome::Refused, &Code::TrustMissing.into()));
    // With AIRLOCK_LOG=off in force there would be none.
    let lines = lines(&output);
    let last = lines.last().unwrap();
    let span = &last["span"];
    assert_eq!((&span["job"], &span["phase"]), (&json!(world.job.to_string()), &json!("ended")), "{last}");
    assert!(last["message"].as_str().unwrap().contains("trust.missing"), "{last}");
}

#[tokio::test]
async fn a_command_that_is_no_job_id_and_an_environment_that_is_not_ecss_do_nothing() {
    let world = World::new().await;
    let (job, config) = (world.job.to_string(), world.config());
    let other = JobId::new(world.ambient.now(), [9; 10]).to_string();
    for (metadata, config, command, code, words) in [
        (metadata(), config.as_str(), &[][..], 64, "one job id"),
        (metadata(), &config, &[job.as_str(), "--config", "/tmp/evil.json"], 64, "one job id"),
        (metadata(), &config, &["--help"], 64, "one job id"),
        (metadata(), &config, &[other.as_str()], 64, "there is no job"),
        (metadata(), "{}", &[job.as_str()], 78, "task definition"),
        ("http://192.0.2.1/v4/1".to_owned(), &config, &[job.as_str()], 69, "this is no ECS task"),
    ] {
        let output = world.run(&metadata, config, command);
        assert_eq!(output.status.code(), Some(code), "{command:?}: {output:?}");
        let lines = lines(&output);
        assert!(lines.last().unwrap()["message"].as_str().unwrap().contains(words), "{command:?}: {lines:?}");
        assert_eq!(world.journal(WriterKind::Gateway).await.events().len(), 1, "{command:?}");
    }
}

#[tokio::test]
async fn a_task_that_the_gateway_did_not_start_for_the_job_does_nothing() {
    let world = World::new().await;
    let started = TaskId::Ecs { arn: format!("{TASK}0") };
    world.journal(WriterKind::Gateway).await.append(Happening::Started { task: started }).await.unwrap();
    let output = world.run(&metadata(), &world.config(), &[&world.job.to_string()]);
    assert_eq!(output.status.code(), Some(64), "{output:?}");
    let said = lines(&output).last().unwrap()["message"].as_str().unwrap().to_owned();
    assert!(said.contains("the gateway started"), "{said}");
    assert_eq!(world.journal(WriterKind::Gateway).await.events().len(), 2);
}

/// Threat model, row 42: whoever reads the job's end learns what was wrong from the exit code.
#[tokio::test]
async fn a_job_of_a_newer_version_is_left_alone_with_the_reason_in_the_log() {
    for name in ["request.json", "events/000001.json"] {
        let world = World::new().await;
        let folder = world.directory.path().join("production/jobs").join(world.job.to_string());
        let path = folder.join(name);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, text.replacen("/v1\"", "/v2\"", 1)).unwrap();
        let output = world.run(&metadata(), &world.config(), &[&world.job.to_string()]);
        assert_eq!(output.status.code(), Some(i32::from(exit::UNREADABLE)), "{output:?}");
        let said = lines(&output).last().unwrap()["message"].as_str().unwrap().to_owned();
        for words in ["the job can't be read", name, "/v2\"; this version reads \"airlock/job-", "upgrade the older"] {
            assert!(said.contains(words), "{said}");
        }
        assert_eq!(std::fs::read_dir(folder.join("events")).unwrap().count(), 1, "nothing was written");
    }
}
