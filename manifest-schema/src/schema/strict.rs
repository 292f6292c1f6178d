//! Threat model, row 11: every document of ours refuses an unknown and a repeated field, in every object within it.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::*;
use crate::deployment::StepOutcome;
use crate::diff::{
    Change, CommitList, CommitState, CommitsDiff, Deployed, Hunk, ImageDiff, Layer, LayerDiff, Line, LinesDiff,
    PlatformDiff, Setting, SettingDiff, SettingKind, SettingValue, Side, SourceDiff, SourceState,
};
use crate::gates::Authors;
use crate::gates::tests::rules::policy;
use crate::gates::tests::world::{World, finding, record};
use crate::gateway::{self, Answer, Bytes, DeploymentFiles, JobLine, JobStatus, Launched, PlanFiles, Query};
use crate::job::{Action, Happening, JobId, JobOutcome, Phase, TaskId, Writer, WriterKind};
use crate::json::to_bytes;
use crate::manifest::tests::build;
use crate::manifest::{BlobRef, Trigger};
use crate::names::{GroupName, RelativePath};
use crate::plan::{
    FilesChange, FunctionChange, ImageChange, Keys, LockedProvider, ResourceAction, ResourceChange, ScheduleChange,
    ServiceChange, StateVersion, TaskRun, TerraformChanges, ValueChange,
};
use crate::pointer::{BuildPointer, LaunchPointer, PlanPointer};
use crate::report::{Presence, Said, Signature, Signer, StatementReport, Stored, WrongBlob};
use crate::statement::{Decision, Outcome, PlanBase, ReviewVerdict};
use crate::storage::AttestationKind;
use crate::trust::{EvidenceRule, Freeze, SignedPolicy, Suppression};
use crate::{Code, Digest, Reason, Timestamp};

/// What is done to one object of a document.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Fault {
    UnknownField,
    RepeatedField,
}

/// Writes `value` with a fault in the object at place `target`; says whether it was there to be made.
fn faulty(value: &Value, fault: Fault, target: usize, place: &mut usize, made: &mut bool, out: &mut String) {
    match value {
        Value::Object(fields) => {
            let here = *place == target;
            *place += 1;
            let mut parts = Vec::new();
            for (name, field) in fields {
                let mut part = format!("{}:", Value::from(name.as_str()));
                faulty(field, fault, target, place, made, &mut part);
                parts.push(part);
            }
            let extra = match fault {
                Fault::UnknownField => Some(r#""zzz":0"#.to_owned()),
                Fault::RepeatedField => parts.first().cloned(),
            };
            if let (true, Some(extra)) = (here, extra) {
                parts.push(extra);
                *made = true;
            }
            *out += &format!("{{{}}}", parts.join(","));
        }
        Value::Array(items) => {
            let mut parts = Vec::new();
            for item in items {
                let mut part = String::new();
                faulty(item, fault, target, place, made, &mut part);
                parts.push(part);
            }
            *out += &format!("[{}]", parts.join(","));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => *out += &value.to_string(),
    }
}

fn strict<T: Serialize + DeserializeOwned>(name: &str, sample: &T) {
    let value: Value = serde_json::from_slice(&to_bytes(sample)).unwrap();
    assert!(serde_json::from_str::<T>(&value.to_string()).is_ok(), "{name}: the sample itself is refused");
    for fault in [Fault::UnknownField, Fault::RepeatedField] {
        let (mut target, mut places) = (0, 1);
        while target < places {
            let (mut made, mut text) = (false, String::new());
            places = 0;
            faulty(&value, fault, target, &mut places, &mut made, &mut text);
            if made {
                assert!(serde_json::from_str::<T>(&text).is_err(), "{name}: {fault:?} was taken: {text}");
            }
            target += 1;
        }
    }
}

fn at() -> Timestamp {
    "2026-11-22T09:30:00Z".parse().unwrap()
}

fn job() -> JobId {
    JobId::new(at(), [1; 10])
}

fn reason() -> Reason {
    Reason::new(Code::FreezeActive, "sale")
}

fn task() -> TaskId {
    TaskId::Process { pid: 1, started: 2, boot: "b".to_owned(), namespace: 3 }
}

fn event(happening: Happening) -> Event {
    let writer = Writer { kind: WriterKind::Worker, id: "w".to_owned(), nonce: "n".to_owned() };
    let previous = Some(Digest::of(b"before"));
    Event { schema: Default::default(), job: job(), number: 2, previous, at: at(), writer, event: happening }
}

/// One of each kind.
pub(super) fn happenings() -> Vec<Happening> {
    vec![
        Happening::Requested,
        Happening::Started { task: task() },
        Happening::Began { task: TaskId::Ecs { arn: "a".to_owned() }, version: "1".to_owned() },
        Happening::Verified { policy: 1, warnings: vec![reason()] },
        Happening::Fetched { blobs: 1, bytes: 2 },
        Happening::Planned { plan: Digest::of(b"p"), changes: 1, findings: 1 },
        Happening::Checked,
        Happening::Claimed { claim: 1 },
        Happening::Intent { step: 1, name: "service web".to_owned(), group: GroupName::new("web").ok() },
        Happening::Done { step: 1 },
        Happening::StepFailed { step: 1, reason: reason() },
        Happening::StepRolledBack { step: 1, reason: reason() },
        Happening::Recorded { sequence: 1, outcome: Outcome::Failed },
        Happening::Progress { lines: vec!["on it".to_owned()] },
        Happening::CancelRequested,
        Happening::Ended { outcome: JobOutcome::Failed, reasons: vec![reason()] },
    ]
}

fn request() -> LaunchRequest {
    LaunchRequest::from_bytes(&World::new(Action::Apply).case().request).unwrap()
}

fn summary() -> PlanSummary {
    let mut summary = PlanSummary::from_bytes(&World::new(Action::Apply).case().plan.unwrap().summary).unwrap();
    let shown = ValueChange { before: Some("1".to_owned()), after: Some("2".to_owned()) };
    let change = ResourceChange {
        address: "aws_sqs_queue.a".to_owned(),
        resource_type: "aws_sqs_queue".to_owned(),
        action: ResourceAction::Update,
        attributes: vec!["delay".to_owned()],
        values: [("delay".to_owned(), shown)].into(),
    };
    summary.terraform = Some(TerraformChanges {
        version: "1.9.0".to_owned(),
        providers: vec![LockedProvider {
            address: "registry.terraform.io/hashicorp/aws".to_owned(),
            version: "5.100.0".to_owned(),
            hashes: vec!["zh:00".to_owned()],
        }],
        state: Some(StateVersion { lineage: "4f38ec2a".to_owned(), serial: 7 }),
        shown: vec!["aws_sqs_queue.delay".to_owned()],
        changes: vec![change.clone()],
        drift: vec![change],
        outputs: vec!["url".to_owned()],
    });
    let elsewhere = Some("registry.example/other".to_owned());
    let image = ImageChange { before: Some(Digest::of(b"1")), elsewhere, after: Digest::of(b"2") };
    let cpu = ValueChange { before: Some("256".to_owned()), after: Some("512".to_owned()) };
    summary.services = vec![ServiceChange {
        service: "web".parse().unwrap(),
        cluster: Some("main".parse().unwrap()),
        task_definition: Some("arn".to_owned()),
        containers: [("app".parse().unwrap(), image.clone())].into(),
        settings: [("cpu".to_owned(), cpu.clone())].into(),
    }];
    let keys = || Keys { digest: Some(Digest::of(b"a")), ..Keys::of(["a"].into_iter()) };
    summary.files = vec![FilesChange {
        bucket: "site".parse().unwrap(),
        prefix: Some(RelativePath::new("docs").unwrap()),
        missing: true,
        added: keys(),
        changed: keys(),
        deleted: keys(),
        before: Some(Digest::of(b"b")),
        foreign: keys(),
    }];
    summary.tasks = vec![TaskRun {
        task: "migrate".parse().unwrap(),
        service: "web".parse().unwrap(),
        cluster: "main".parse().unwrap(),
        task_definition: Some("arn".to_owned()),
        container: "app".parse().unwrap(),
        command: vec!["migrate".to_owned()],
        repeats: true,
        containers: [("app".parse().unwrap(), image.clone())].into(),
        settings: [("cpu".to_owned(), cpu.clone())].into(),
    }];
    let (name, group) = ("nightly".parse().unwrap(), Some("jobs".parse().unwrap()));
    let (bus, target) = (Some("orders".parse().unwrap()), Some("report".parse().unwrap()));
    let rule = Trigger::Rule { name: "nightly".parse().unwrap(), event_bus: bus, target };
    let scheduled = [Trigger::Schedule { name, group }, rule].map(|trigger| ScheduleChange {
        trigger,
        cluster: Some("main".parse().unwrap()),
        task_definition: Some("arn".to_owned()),
        containers: [("app".parse().unwrap(), image.clone())].into(),
        settings: [("cpu".to_owned(), cpu.clone())].into(),
    });
    summary.schedules = scheduled.into();
    summary.functions = vec![FunctionChange {
        function: "resize".parse().unwrap(),
        alias: "live".parse().unwrap(),
        version: Some("7".to_owned()),
        ours: true,
        code: image,
        settings: vec!["memorySize".to_owned()],
        revision: Some("1".to_owned()),
        alarms: vec!["errors".parse().unwrap()],
        watch_seconds: 60,
    }];
    summary.findings = vec![finding("a", "b")];
    summary
}

/// A comparison with all that only stores, repositories and the gateway know.
fn filled(mut diff: ManifestDiff) -> ManifestDiff {
    let lines = vec![Line::Same("a".to_owned()), Line::Removed("b".to_owned()), Line::NoNewline];
    let hunks = vec![Hunk { old_start: 1, new_start: 1, lines }];
    diff.artifacts[0].lines = Some(LinesDiff::Text { added: 0, removed: 1, hunks, omitted: 1 });
    let commit = CommitState {
        commit: "1".repeat(40).try_into().unwrap(),
        committed_at: at(),
        author: "a".to_owned(),
        subject: "b".to_owned(),
        merge: true,
    };
    let added = CommitList { count: 1, commits: vec![commit] };
    let (uri, commits) = ("https://git.example/hello".to_owned(), CommitList::default());
    let state = SourceState {
        commit: "2".repeat(40).try_into().unwrap(),
        committed_at: at(),
        reference: "refs/heads/main".to_owned(),
        dirty: true,
    };
    diff.sources.push(SourceDiff { uri, change: Change::Added(state), commits: None });
    diff.new.deployed = Some(Deployed::of(&record(&[(StepOutcome::Done, &[1])])));
    diff.sources[0].commits = Some(CommitsDiff { added, removed: commits, shallow: true });
    let setting = Setting { kind: SettingKind::Label, key: Some("a".to_owned()) };
    let layer = Layer { digest: Digest::of(b"l"), size: 1, created_by: Some("RUN".to_owned()) };
    let platform = PlatformDiff {
        platform: "linux/amd64".to_owned(),
        presence: crate::diff::Presence::Kept,
        settings: vec![SettingDiff { setting, change: Change::Added(SettingValue::Text("b".to_owned())) }],
        layers: vec![LayerDiff { presence: crate::diff::Presence::Added, layer }],
    };
    diff.artifacts[0].image = Some(ImageDiff { platforms: vec![platform] });
    diff.unseen.push("c".to_owned());
    diff
}

#[test]
fn what_is_built_planned_and_trusted() {
    let (old, mut new) = (build(7), build(8));
    strict("build manifest", &new);
    new.artifacts.truncate(3);
    new.deploy.truncate(1);
    new.evidence.clear();
    let side = |manifest| Side { digest: Digest::of(b"m"), manifest };
    strict("manifest diff", &filled(ManifestDiff::between(side(&old), side(&new))));
    strict("manifest report", &report(old.clone()));
    strict("plan summary", &summary());
    strict("authors", &Authors { schema: Default::default(), identities: vec!["github:dave".to_owned()] });
    let mut policy = policy();
    let rules = policy.environments.values_mut().next().unwrap();
    rules.freezes.push(Freeze { from: at(), until: at(), reason: "sale".to_owned() });
    let (rule, address, reason) = ("a".to_owned(), "b".to_owned(), "known".to_owned());
    rules.suppressions.push(Suppression { rule, address, reason, expires_at: at() });
    rules.projects.values_mut().for_each(|project| {
        project.evidence.push(EvidenceRule { kind: "sast".to_owned(), signers: vec!["scanner".parse().unwrap()] });
    });
    strict("trust policy", &policy);
    let signed = SignedPolicy { version: 1, policy: vec![1], envelopes: vec![vec![2]] };
    strict("trust record", &TrustRecord::from(&signed));
}

#[test]
fn what_production_stores() {
    for happening in happenings() {
        strict("job event", &event(happening));
    }
    strict("launch request", &request());
    strict(
        "job request",
        &JobRequest { schema: Default::default(), job: job(), request: request(), requested_at: at() },
    );
    strict("deployment record", &record(&[(StepOutcome::Unknown, &[6, 7])]));
    let holder = crate::deployment::LeaseHolder { job: job(), task: task(), state: "s".to_owned(), since: at() };
    strict("lease", &Lease { schema: Default::default(), fence: 1, holder: Some(holder), unrecorded: vec![job()] });
    strict("claim", &Claim { schema: Default::default(), job: job(), claimed_at: at() });
    strict("heartbeat", &Heartbeat { schema: Default::default(), task: task(), at: at() });
    let (project, manifest) = ("hello".parse().unwrap(), Digest::of(b"m"));
    let build = build(7).build.number();
    strict("build pointer", &BuildPointer { schema: Default::default(), project, build, manifest });
    strict("plan pointer", &PlanPointer { schema: Default::default(), job: job() });
    strict("launch pointer", &LaunchPointer { schema: Default::default(), job: job(), request: manifest });
}

#[test]
fn what_crosses_the_gateway() {
    for result in [Launched::Accepted { job: job(), existing: true }, Launched::Refused { reasons: vec![reason()] }] {
        strict("launch response", &LaunchResponse { schema: Default::default(), result });
    }
    let (environment, project) = (request().environment, request().project);
    for query in [
        Query::Job { job: job(), after: 1 },
        Query::Deployed { environment, project, after: 0 },
        Query::Jobs { after: Some(job()) },
    ] {
        strict("status request", &StatusRequest { schema: Default::default(), query });
    }
    strict("cancel request", &CancelRequest { schema: Default::default(), job: job() });
    strict("cancel response", &CancelResponse { schema: Default::default(), result: gateway::Cancelled::Requested });
    for answer in answers() {
        let reads = READS.iter().map(|name| (*name).to_owned()).collect();
        strict("status response", &StatusResponse { schema: Default::default(), reads, answer });
    }
}

fn answers() -> Vec<Answer> {
    let bytes = || Bytes(vec![1, 2, 3]);
    let record = record(&[(StepOutcome::Done, &[7])]);
    let deployment = || DeploymentFiles { record: record.clone(), envelope: Some(bytes()) };
    let line = JobLine {
        job: job(),
        request: request(),
        requested_at: at(),
        phase: Phase::Ended,
        outcome: Some(JobOutcome::Failed),
    };
    let status = JobStatus {
        job: job(),
        request: request(),
        requested_at: at(),
        phase: Phase::Planned,
        since: at(),
        task: Some("process 1".to_owned()),
        heartbeat_at: Some(at()),
        cancelling: false,
        outcome: None,
        reasons: vec![reason()],
        events: happenings().into_iter().map(event).collect(),
        more: false,
        plan: Some(PlanFiles { statement: Digest::of(b"p"), envelope: bytes(), summary: bytes(), spent: None }),
        deployment: Some(deployment()),
    };
    vec![
        Answer::UnknownJob,
        Answer::Job(Box::new(status)),
        Answer::Deployed { deployments: vec![deployment()], more: false, applying: None },
        Answer::Jobs { jobs: vec![line], more: true },
    ]
}

#[test]
fn what_is_signed() {
    let (project, environment) = (|| request().project, || request().environment);
    let (change, plan) = (|| request().change.unwrap(), Digest::of(b"plan"));
    strict("build", &statement::Build { built_at: at() });
    strict("trust policy", &statement::TrustPolicy { version: 1 });
    strict(
        "plan",
        &statement::Plan {
            project: project(),
            environment: environment(),
            job: job(),
            base: PlanBase { sequence: 1, manifest: Some(plan) },
            planned_at: at(),
            expires_at: at(),
        },
    );
    strict(
        "review",
        &statement::Review {
            project: project(),
            environment: environment(),
            change: change(),
            plan,
            verdict: ReviewVerdict::Approve,
            authors: plan,
            reviewed_at: at(),
        },
    );
    for decision in [Decision::Approve, Decision::Reject, Decision::Revoke { statement: plan }] {
        strict(
            "approval",
            &statement::Approval {
                project: project(),
                environment: environment(),
                change: change(),
                plan,
                decision,
                rollback: true,
                emergency: true,
                issued_at: at(),
                expires_at: at(),
                comment: Some("yes".to_owned()),
            },
        );
    }
    strict(
        "deployment",
        &statement::Deployment {
            project: project(),
            environment: environment(),
            change: change(),
            plan,
            job: job(),
            outcome: Outcome::RolledBack,
            sequence: 1,
            record: plan,
            finished_at: at(),
        },
    );
}

fn report(manifest: BuildManifest) -> ManifestReport {
    let blob = BlobRef::of(b"x");
    let wrong = vec![WrongBlob { blob, problem: "it has 2 bytes".to_owned() }];
    let presence = Presence { name: "site".parse().unwrap(), blobs: 2, bytes: 2, missing: vec![blob], wrong };
    let statement =
        |signature| StatementReport { kind: AttestationKind::Approval, statement: Digest::of(b"m"), signature };
    let said = Said {
        at: at(),
        environment: Some("production".parse().unwrap()),
        change: Some("CHG-1".parse().unwrap()),
        verdict: Some("approve".to_owned()),
        expires_at: Some(at()),
        rollback: true,
        emergency: true,
    };
    let signer = Signer {
        key: "SHA256:x".to_owned(),
        name: Some("alice-laptop".to_owned()),
        person: Some("alice".parse().unwrap()),
    };
    let stored = Stored {
        store: "/store".to_owned(),
        published: Some(Digest::of(b"m")),
        policy: Some(1),
        statements: vec![
            statement(Signature::Valid { signers: vec![signer], said }),
            statement(Signature::Invalid { problem: "nobody's".to_owned() }),
            statement(Signature::Unchecked { claimed: vec!["SHA256:x".to_owned()] }),
        ],
        artifacts: vec![presence.clone()],
        evidence: vec![presence],
    };
    ManifestReport { schema: Default::default(), digest: Digest::of(b"m"), manifest, stored: Some(stored) }
}
