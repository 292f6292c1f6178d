//! A production with two directory stores, a trust policy, a published build, and a worker that only waits.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use gateway::{Gateway, Launcher, LocalLauncher, Surroundings};
use manifest_schema::gates::Place;
use manifest_schema::gateway::{
    Answer, CancelRequest, CancelResponse, Cancelled, JobStatus, Launched, Query, StatusRequest,
};
use manifest_schema::job::{Action, Asked, Happening, JobId, LaunchRequest, TaskId, WriterKind};
use manifest_schema::keys::SecretKey;
use manifest_schema::manifest::{Build, BuildManifest};
use manifest_schema::statement::{self, Statement, Subject, subject};
use manifest_schema::storage::{AttestationKind, prefix};
use manifest_schema::trust::{
    ApprovalRules, EnvironmentPolicy, PinnedRoots, Role, Roles, SignedPolicy, TerraformRules, TrustPolicy,
};
use manifest_schema::{Code, Digest, Document, Reason, Timestamp};
use records::case::Standpoint;
use records::task::{self, Liveness};
use records::{Ambient, Journal, Sides, attestations, trust};
use rustix::process::{Pid, Signal, kill_process};
use store::{Creation, Location, Store};
use tempfile::TempDir;
use zeroize::Zeroizing;

pub(crate) const ROOT: u8 = 1;
pub(crate) const OTHER_ROOT: u8 = 2;
const BUILDER: u8 = 3;
pub(crate) const PLANNER: u8 = 4;
pub(crate) const DEPLOYER: u8 = 5;
pub(crate) const ALICE: u8 = 6;
pub(crate) const VALIDITY: u64 = 14_400;

pub(crate) fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&Zeroizing::new([seed; 32]))
}

/// A worker that writes down how it was started and stays alive until the world ends or it is killed; two minutes at most,
/// for a test that is killed leaves its world behind.
const WORKER: &str = r#"#!/bin/sh
here=$(dirname "$0")
[ -e "$here/alive" ] || exit 0
env > "$here/environment"
echo "$@" >> "$here/starts"
looks=0
while [ -e "$here/alive" ] && [ $((looks = looks + 1)) -lt 2400 ]; do sleep 0.05; done
"#;

pub(crate) struct World {
    pub(crate) directory: TempDir,
    pub(crate) sides: Sides,
    pub(crate) gateway: Gateway,
    pub(crate) ambient: Ambient,
    pub(crate) manifest: Digest,
    clock: Arc<AtomicI64>,
}

impl World {
    /// With trust policy version 1 published and one build that may be deployed.
    pub(crate) async fn new() -> Self {
        let world = Self::bare().await;
        world.publish_policy(&policy(1, ROOT), &[ROOT]).await;
        world.publish_build().await;
        world
    }

    /// With a published build, and no trust policy.
    pub(crate) async fn unruled() -> Self {
        let world = Self::bare().await;
        world.publish_build().await;
        world
    }

    async fn bare() -> Self {
        let directory = TempDir::new().unwrap();
        let path = directory.path();
        fs::write(path.join("alive"), "").unwrap();
        fs::write(path.join("worker"), WORKER).unwrap();
        fs::set_permissions(path.join("worker"), fs::Permissions::from_mode(0o755)).unwrap();
        let sides =
            Sides { artifacts: store(path.join("artifacts")).await, production: store(path.join("production")).await };
        let start: Timestamp = "2026-11-22T09:30:00Z".parse().unwrap();
        let clock = Arc::new(AtomicI64::new(start.as_millis()));
        let ambient = Ambient::with_clock({
            let clock = Arc::clone(&clock);
            move || Timestamp::from_millis(clock.load(Ordering::Relaxed)).unwrap()
        });
        let gateway = gateway(&sides, path, path.join("worker"), &ambient);
        let manifest = Digest::of(&build().to_bytes());
        Self { directory, sides, gateway, ambient, manifest, clock }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn with_worker(&self, worker: PathBuf) -> Gateway {
        gateway(&self.sides, self.path(), worker, &self.ambient)
    }

    pub(crate) fn with_launcher(&self, launcher: Launcher) -> Gateway {
        let place = Place { account: "local".to_owned(), region: "local".to_owned() };
        let standpoint = Standpoint { place, roots: roots() };
        Gateway::new(self.sides.clone(), standpoint, launcher, self.ambient.clone())
    }

    pub(crate) fn pass(&self, seconds: i64) {
        self.clock.fetch_add(seconds * 1000, Ordering::Relaxed);
    }

    pub(crate) async fn publish_policy(&self, policy: &TrustPolicy, signers: &[u8]) {
        let bytes = policy.to_bytes();
        let about = Subject::new(subject::TRUST_POLICY, Digest::of(&bytes));
        let statement = Statement::new(vec![about], statement::TrustPolicy { version: policy.version });
        let envelopes = signers.iter().map(|seed| statement.sign(&key(*seed)).unwrap().envelope).collect();
        let signed = SignedPolicy { version: policy.version, policy: bytes, envelopes };
        trust::publish(&self.sides.artifacts, &signed).await.unwrap();
    }

    async fn publish_build(&self) {
        let manifest = build().to_bytes();
        let writer = self.sides.artifacts.blob_writer().await.unwrap();
        assert_eq!(writer.create_bytes(manifest).await.unwrap(), Creation::Created);
        let about = vec![Subject::new(subject::MANIFEST, self.manifest)];
        let signed = Statement::new(about, statement::Build { built_at: self.ambient.now() }).sign(&key(BUILDER));
        self.attest(AttestationKind::Build, &signed.unwrap().envelope).await;
    }

    pub(crate) async fn attest(&self, kind: AttestationKind, envelope: &[u8]) {
        let created = attestations::add(&self.sides.artifacts, self.manifest, kind, envelope).await.unwrap();
        assert_eq!(created, Creation::Created);
    }

    pub(crate) fn asked(&self, action: Action) -> Asked {
        Asked {
            action,
            environment: "production".parse().unwrap(),
            project: "hello".parse().unwrap(),
            manifest: self.manifest,
            plan: None,
            change: None,
            approvals: Vec::new(),
            attempt: 1,
        }
    }

    pub(crate) fn request(&self, attempt: u32) -> LaunchRequest {
        LaunchRequest::new(Asked { attempt, ..self.asked(Action::Plan) }, None)
    }

    pub(crate) async fn launch(&self, request: &LaunchRequest) -> Launched {
        self.gateway.launch(&request.to_bytes()).await.unwrap().result
    }

    /// Launches, and expects a job.
    pub(crate) async fn accepted(&self, request: &LaunchRequest) -> (JobId, bool) {
        match self.launch(request).await {
            Launched::Accepted { job, existing } => (job, existing),
            Launched::Refused { reasons } => panic!("refused: {reasons:?}"),
        }
    }

    /// Launches, and expects a refusal.
    pub(crate) async fn refused(&self, request: &LaunchRequest) -> Vec<Reason> {
        match self.launch(request).await {
            Launched::Refused { reasons } => reasons,
            Launched::Accepted { job, .. } => panic!("accepted as {job}"),
        }
    }

    pub(crate) async fn query(&self, query: Query) -> Answer {
        let request = StatusRequest { schema: Default::default(), query };
        self.gateway.status(&request.to_bytes()).await.unwrap().answer
    }

    pub(crate) async fn status_after(&self, job: JobId, after: u32) -> JobStatus {
        let answer = self.query(Query::Job { job, after }).await;
        let Answer::Job(status) = answer else { panic!("not a job: {answer:?}") };
        *status
    }

    pub(crate) async fn status(&self, job: JobId) -> JobStatus {
        self.status_after(job, 0).await
    }

    pub(crate) async fn cancel(&self, job: JobId) -> Cancelled {
        let request = CancelRequest { schema: Default::default(), job };
        let CancelResponse { result, .. } = self.gateway.cancel(&request.to_bytes()).await.unwrap();
        result
    }

    pub(crate) async fn journal(&self, kind: WriterKind, job: JobId) -> Journal {
        Journal::open(&self.sides.production, &self.ambient, kind, job).await.unwrap().unwrap()
    }

    /// The happenings of a job by their names.
    pub(crate) async fn story(&self, job: JobId) -> Vec<String> {
        let journal = self.journal(WriterKind::Gateway, job).await;
        let name =
            |happening: &Happening| serde_json::to_value(happening).unwrap()["type"].as_str().unwrap().to_owned();
        journal.events().iter().map(|event| name(&event.event)).collect()
    }

    /// How workers were started: one line of arguments each.
    pub(crate) fn starts(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path().join("starts")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Waits until the workers that were started have said so, and a little longer for one too many.
    pub(crate) async fn wait_for_starts(&self, wanted: usize) -> Vec<String> {
        let begin = Instant::now();
        while self.starts().len() < wanted && begin.elapsed() < Duration::from_secs(20) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        let starts = self.starts();
        assert_eq!(starts.len(), wanted, "{starts:?}");
        starts
    }

    /// Kills the process that is a job's task, as `kill -9` does.
    pub(crate) async fn kill(&self, job: JobId) {
        let journal = self.journal(WriterKind::Gateway, job).await;
        let task = journal.job().task().unwrap().clone();
        let TaskId::Process { pid, .. } = task else { panic!("not a process") };
        kill_process(Pid::from_raw(pid.try_into().unwrap()).unwrap(), Signal::KILL).unwrap();
        while task::liveness(&task) != Liveness::Dead {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Every key in a store that starts with `prefix`.
    pub(crate) async fn keys(&self, prefix: &str) -> Vec<String> {
        let listed = self.sides.production.list(prefix, None, 1000).await.unwrap();
        listed.into_iter().map(|entry| entry.key).collect()
    }

    /// Nothing but the trust policy was stored.
    pub(crate) async fn expect_untouched(&self) {
        let keys = self.keys("").await;
        assert!(keys.iter().all(|key| key.starts_with(prefix::TRUST)), "{keys:?}");
        assert_eq!(self.starts(), [""; 0]);
    }
}

impl Drop for World {
    /// Ends the workers. One that is just beginning may write while its directory is being removed: once more, then.
    fn drop(&mut self) {
        let _ = fs::remove_file(self.path().join("alive"));
        while self.path().exists() && fs::remove_dir_all(self.path()).is_err() {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

pub(crate) fn codes(reasons: &[Reason]) -> Vec<Code> {
    reasons.iter().map(|reason| reason.code.known().unwrap()).collect()
}

async fn store(path: PathBuf) -> Store {
    Store::open_or_create(&Location::Directory(path), &store::Access::default()).await.unwrap()
}

fn gateway(sides: &Sides, path: &Path, worker: PathBuf, ambient: &Ambient) -> Gateway {
    // The worker that is started reads neither; that both could be read is looked at.
    let [planner, deployer] = ["planner", "deployer"].map(|role| {
        let config = serde_json::json!({
            "role": role, "artifacts": "a", "production": "p", "roots": roots(), "key": "k.pem", "work": "w", "state": "s",
            "place": {"account": "local", "region": "local"}, "cluster": "c", "deadlineSeconds": 60,
        });
        let file = path.join(format!("{role}.json"));
        std::fs::write(&file, config.to_string()).unwrap();
        file
    });
    let variables = [("PATH", std::env::var_os("PATH").unwrap()), ("SECRET", "not for the worker".into())];
    let variables = variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let surroundings = Surroundings { variables, program: None };
    let launcher = LocalLauncher::new(worker, planner, deployer, path.join("logs"), surroundings);
    let place = Place { account: "local".to_owned(), region: "local".to_owned() };
    let standpoint = Standpoint { place, roots: roots() };
    Gateway::new(sides.clone(), standpoint, Launcher::Local(launcher), ambient.clone())
}

pub(crate) fn roots() -> PinnedRoots {
    PinnedRoots { threshold: 1, keys: vec![key(ROOT).public()] }
}

fn build() -> BuildManifest {
    let build = Build { epoch: 0, number: 7, id: None, url: None, builder: "local".to_owned() };
    BuildManifest {
        schema: Default::default(),
        project: "hello".parse().unwrap(),
        build,
        sources: Vec::new(),
        artifacts: Vec::new(),
        deploy: Vec::new(),
        evidence: Vec::new(),
    }
}

/// A trust policy whose root is the key grown from `root`.
pub(crate) fn policy(version: u64, root: u8) -> TrustPolicy {
    let named = [("root", root), ("builder", BUILDER), ("planner", PLANNER), ("deployer", DEPLOYER), ("alice", ALICE)];
    let role = |name: &str| Role { threshold: 1, keys: vec![name.parse().unwrap()] };
    let environment = EnvironmentPolicy {
        account: "local".to_owned(),
        region: "local".to_owned(),
        projects: [("hello".parse().unwrap(), serde_json::from_str("{}").unwrap())].into(),
        maximum_build_age_seconds: 86_400,
        approval: ApprovalRules {
            review_required: false,
            bot_alone: false,
            people: 1,
            people_for_risk: 1,
            validity_seconds: VALIDITY,
        },
        freezes: Vec::new(),
        terraform: TerraformRules::default(),
        suppressions: Vec::new(),
        application_logs: false,
    };
    TrustPolicy {
        schema: Default::default(),
        version,
        expires_at: "2027-11-22T00:00:00Z".parse().unwrap(),
        keys: named.into_iter().map(|(name, seed)| (name.parse().unwrap(), key(seed).public())).collect(),
        roles: Roles {
            root: role("root"),
            builder: role("builder"),
            change_bot: None,
            planner: role("planner"),
            deployer: role("deployer"),
        },
        approvers: [("alice".parse().unwrap(), serde_json::from_str(r#"{"keys":["alice"]}"#).unwrap())].into(),
        environments: [("production".parse().unwrap(), environment)].into(),
    }
}
