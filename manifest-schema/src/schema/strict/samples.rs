//! Documents in which everything is filled in.

use super::super::*;
use crate::deployment::StepOutcome;
use crate::diff::{
    Change, CommitList, CommitState, CommitsDiff, Deployed, Hunk, ImageDiff, Layer, LayerDiff, Line, LinesDiff,
    PlatformDiff, Setting, SettingDiff, SettingKind, SettingValue, SourceDiff, SourceState,
};
use crate::gates::tests::world::{World, finding, record};
use crate::gateway::{Answer, Bytes, DeploymentFiles, JobLine, JobStatus, PlanFiles};
use crate::job::{Action, Happening, JobId, JobOutcome, Phase, TaskId, Writer, WriterKind};
use crate::manifest::{BlobRef, Trigger};
use crate::names::{GroupName, RelativePath};
use crate::plan::{
    FilesChange, FunctionChange, ImageChange, Keys, LockedProvider, ResourceAction, ResourceChange, ScheduleChange,
    ServiceChange, StateVersion, TaskRun, TerraformChanges, ValueChange,
};
use crate::report::{Presence, Said, Signature, Signer, StatementReport, Stored, WrongBlob};
use crate::statement::Outcome;
use crate::storage::AttestationKind;
use crate::{Code, Digest, Reason, Timestamp};

pub(super) fn at() -> Timestamp {
    "2026-11-22T09:30:00Z".parse().unwrap()
}

pub(super) fn job() -> JobId {
    JobId::new(at(), [1; 10])
}

pub(super) fn reason() -> Reason {
    Reason::new(Code::FreezeActive, "sale")
}

pub(super) fn task() -> TaskId {
    TaskId::Process { pid: 1, started: 2, boot: "b".to_owned(), namespace: 3 }
}

pub(super) fn event(happening: Happening) -> Event {
    let writer = Writer { kind: WriterKind::Worker, id: "w".to_owned(), nonce: "n".to_owned() };
    let previous = Some(Digest::of(b"before"));
    Event { schema: Default::default(), job: job(), number: 2, previous, at: at(), writer, event: happening }
}

/// One of each kind.
pub(in crate::schema) fn happenings() -> Vec<Happening> {
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

pub(super) fn request() -> LaunchRequest {
    LaunchRequest::from_bytes(&World::new(Action::Apply).case().request).unwrap()
}

pub(super) fn summary() -> PlanSummary {
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
pub(super) fn filled(mut diff: ManifestDiff) -> ManifestDiff {
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

pub(super) fn answers() -> Vec<Answer> {
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

pub(super) fn report(manifest: BuildManifest) -> ManifestReport {
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
