//! Writes `manifest-schema/fixtures/v1/`: every document of version 1 as today's programs write it, from a deploy that is
//! cancelled in Terraform and one that succeeds. `make freeze` runs it.
//!
//! What was released is never written again: whoever needs other documents then needs a new version of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed helper fails")]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use flows::{Scratch, wait_until};
use gateway::{Function, Gateway};
use manifest_schema::Document as _;
use manifest_schema::gateway::{CancelRequest, Query, StatusRequest};
use manifest_schema::job::{JobId, JobRequest, LaunchRequest};
use records::Ambient;
use serde_json::Value;

const LEASE: &str = "environments/production/hello/lease.json";

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifest-schema/fixtures/v1");
    let _ = fs::remove_dir_all(&fixtures);
    fs::create_dir_all(&fixtures).unwrap();
    let frozen = Frozen { scratch: Scratch::new(), fixtures };
    let cancelled = frozen.deploy_cancelled();
    frozen.scratch.deploy().exits(0);
    frozen.artifacts();
    frozen.production(&cancelled);
    frozen.requests_and_answers(&cancelled).await;
    // Last: it changes what is built.
    frozen.manifest_of_everything();
}

struct Frozen {
    scratch: Scratch,
    fixtures: PathBuf,
}

impl Frozen {
    fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.fixtures.join(format!("{name}.json"));
        assert!(!path.exists(), "{} twice", path.display());
        fs::write(path, bytes).unwrap();
    }

    /// Keeps the first file in a folder.
    fn first_of(&self, name: &str, folder: PathBuf) {
        let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        self.write(name, &fs::read(files.first().unwrap_or_else(|| panic!("{folder:?} is empty"))).unwrap());
    }

    /// An apply with everything that can happen to a job: it is cancelled while Terraform works.
    fn deploy_cancelled(&self) -> String {
        let scratch = &self.scratch;
        scratch.slow_infrastructure();
        let deploy = scratch.start_deploy();
        let job = scratch.job("apply", 1);
        let first_is_made =
            || scratch.progress(&job).iter().any(|line| line.contains("first: create done")).then_some(());
        wait_until("the first resource", first_is_made);
        self.write("lease.held", &fs::read(scratch.production(LEASE)).unwrap());
        scratch.ok(&["cancel-deploy-job", &job]);
        deploy.end().exits(5);
        job
    }

    fn artifacts(&self) {
        let pointer = fs::read(self.scratch.artifacts("builds/hello/0.1.json")).unwrap();
        let named: Value = serde_json::from_slice(&pointer).unwrap();
        let hex = named["manifest"].as_str().unwrap().trim_start_matches("sha256:").to_owned();
        self.write("build-pointer", &pointer);
        self.write("build-manifest", &fs::read(self.scratch.artifacts(&format!("blobs/sha256/{hex}"))).unwrap());
        for kind in ["build", "plan", "approval", "deployment"] {
            self.first_of(&format!("{kind}-statement"), self.scratch.artifacts(&format!("attestations/{hex}/{kind}")));
        }
        let policy = self.scratch.artifacts("trust/000001");
        self.write("trust-policy", &fs::read(policy.join("policy.json")).unwrap());
        let envelope = fs::read_dir(&policy).unwrap().map(|entry| entry.unwrap().path());
        let envelope = envelope.into_iter().find(|path| path.to_string_lossy().ends_with(".dsse.json")).unwrap();
        self.write("trust-policy-statement", &fs::read(envelope).unwrap());
    }

    /// What the example has not: modules and a provider that the build brings, links, a single file, variables of every kind.
    fn manifest_of_everything(&self) {
        let scratch = &self.scratch;
        let program = scratch.outside("mirror/example.com/test/fake/1.0.0/linux_amd64/terraform-provider-fake_v1.0.0");
        fs::create_dir_all(program.parent().unwrap()).unwrap();
        fs::write(&program, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        std::os::unix::fs::symlink("index.html", scratch.path("public/latest.html")).unwrap();
        scratch.write(".gitignore", "build/\n*.pem\n*.json\n.terraform/\n");
        scratch.write("shared/beside/main.tf", "resource \"terraform_data\" \"beside\" {}\n");
        scratch.write(
            "infra/everything.tf",
            "terraform {\n  required_providers {\n    fake = { source = \"example.com/test/fake\" }\n  }\n}\n\
             module \"beside\" {\n  source = \"../shared/beside\"\n}\n\
             variable \"password\" {\n  sensitive = true\n}\nvariable \"token\" {\n  sensitive = true\n}\n",
        );
        let references = "password = { parameter = \"db/password\" }, token = { secret = \"token\" }, greeting";
        scratch.replace(&scratch.path("airlock.toml"), "greeting", references);
        let file = "[artifacts.config]\nkind = \"file\"\npath = \"build-image.sh\"\n\n[artifacts.site]";
        scratch.replace(&scratch.path("airlock.toml"), "[artifacts.site]", file);
        let mirror = format!("-plugin-dir={}", scratch.outside("mirror").display());
        scratch.terraform(&["-chdir=infra", "init", "-input=false", "-backend=false", &mirror]).exits(0);
        scratch.commit("Use everything");
        scratch.build();
        self.write("build-manifest.everything", &fs::read(scratch.path("build-manifest.json")).unwrap());
    }

    fn production(&self, apply: &str) {
        let scratch = &self.scratch;
        let read = |inside: &str| fs::read(scratch.production(inside)).unwrap();
        let plan = scratch.jobs("plan").remove(0);
        let statement = scratch.json(&["get-deploy-job-status", &plan]).exits(0).json()["plan"]["statement"].clone();
        let statement = statement.as_str().unwrap().trim_start_matches("sha256:").to_owned();
        self.first_of("launch-pointer", scratch.production("launches"));
        self.write("job-request", &read(&format!("jobs/{apply}/request.json")));
        self.write("heartbeat", &read(&format!("jobs/{apply}/heartbeat.json")));
        self.write("plan-summary", &read(&format!("jobs/{plan}/plan/summary.json")));
        self.write("plan-pointer", &read(&format!("plans/{statement}/job.json")));
        self.first_of("claim", scratch.production(&format!("plans/{statement}/claims")));
        let place = "environments/production/hello";
        self.write("deployment-record.cancelled", &read(&format!("{place}/deployed/000001.json")));
        self.write("deployment-record.succeeded", &read(&format!("{place}/deployed/000002.json")));
        self.write("lease.free", &read(LEASE));
        self.write("trust-record", &read("trust/000001.json"));
        self.one_event_of_each_kind(&[apply, &plan, &scratch.job("apply", 2)]);
    }

    fn one_event_of_each_kind(&self, jobs: &[&str]) {
        let mut kinds = BTreeSet::new();
        for job in jobs {
            for number in 1..=self.scratch.events(job).len() {
                let bytes = fs::read(self.scratch.event_path(job, number)).unwrap();
                let event: Value = serde_json::from_slice(&bytes).unwrap();
                let kind = event["event"]["type"].as_str().unwrap().to_owned();
                if kinds.insert(kind.clone()) {
                    self.write(&format!("job-event.{kind}"), &bytes);
                }
            }
        }
    }

    /// What crosses the gateway, answered by the gateway that the CLI calls in local mode.
    async fn requests_and_answers(&self, apply: &str) {
        let gateway = Gateway::open(&self.scratch.production("config/gateway.json"), Ambient::system()).await.unwrap();
        let stored = fs::read(self.scratch.production(&format!("jobs/{apply}/request.json"))).unwrap();
        let request = JobRequest::from_bytes(&stored).unwrap().request;
        let (environment, project) = (request.environment.clone(), request.project.clone());
        let [apply, plan]: [JobId; 2] = [apply, &self.scratch.jobs("plan")[0]].map(|id| id.parse().unwrap());
        let unknown: JobId = "019abcde-f012-7345-8abc-123456789abc".parse().unwrap();
        let elsewhere = LaunchRequest { environment: "elsewhere".parse().unwrap(), ..request.clone() };
        let elsewhere = LaunchRequest { key: "elsewhere".to_owned(), ..elsewhere };
        let ask = |query| StatusRequest { schema: Default::default(), query }.to_bytes();
        let cancel = |job| CancelRequest { schema: Default::default(), job }.to_bytes();
        for (what, function, request) in [
            ("accepted", Function::LaunchDeployJob, request.to_bytes()),
            ("refused", Function::LaunchDeployJob, elsewhere.to_bytes()),
            ("apply", Function::GetDeployJobStatus, ask(Query::Job { job: apply, after: 0 })),
            ("plan", Function::GetDeployJobStatus, ask(Query::Job { job: plan, after: 0 })),
            ("unknown-job", Function::GetDeployJobStatus, ask(Query::Job { job: unknown, after: 0 })),
            ("deployed", Function::GetDeployJobStatus, ask(Query::Deployed { environment, project, after: 0 })),
            ("jobs", Function::GetDeployJobStatus, ask(Query::Jobs { after: None })),
            ("already-ended", Function::CancelDeployJob, cancel(apply)),
            ("unknown-job", Function::CancelDeployJob, cancel(unknown)),
        ] {
            let kind = match function {
                Function::LaunchDeployJob => "launch",
                Function::GetDeployJobStatus => "status",
                Function::CancelDeployJob => "cancel",
            };
            self.write(&format!("{kind}-request.{what}"), &request);
            self.write(&format!("{kind}-response.{what}"), &gateway.handle(function, &request).await.unwrap());
        }
    }
}
