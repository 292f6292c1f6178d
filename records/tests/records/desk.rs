//! Two stores, and jobs in one of them.

use manifest_schema::Digest;
use manifest_schema::job::{
    Action, Asked, Happening, JobId, JobOutcome, JobRequest, LaunchRequest, TaskId, WriterKind,
};
use manifest_schema::names::{EnvironmentName, ProjectName};
use manifest_schema::storage::Key;
use records::{Ambient, Journal, Sides, create};
use store::{Creation, Location, Store};
use tempfile::TempDir;

pub(crate) struct Desk {
    pub(crate) directory: TempDir,
    pub(crate) sides: Sides,
    pub(crate) ambient: Ambient,
}

impl Desk {
    pub(crate) async fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let store = async |name| {
            let location = Location::Directory(directory.path().join(name));
            Store::open_or_create(&location, &store::Access::default()).await.unwrap()
        };
        let sides = Sides { artifacts: store("artifacts").await, production: store("production").await };
        Self { directory, sides, ambient: Ambient::system() }
    }

    pub(crate) fn production(&self) -> &Store {
        &self.sides.production
    }

    pub(crate) fn new_job(&self) -> JobId {
        JobId::new(self.ambient.now(), self.ambient.random())
    }

    /// An apply job that has come so far that it may claim its plan, as its worker sees it.
    pub(crate) async fn claiming(&self, plan: Digest) -> Journal {
        let job = self.new_job();
        let stored =
            JobRequest { schema: Default::default(), job, request: apply(plan), requested_at: self.ambient.now() };
        let created = create(self.production(), &Key::JobRequest(job), &stored).await.unwrap();
        assert_eq!(created, Creation::Created);
        self.journal(WriterKind::Gateway, job).await.append(Happening::Requested).await.unwrap();
        let mut worker = self.journal(WriterKind::Worker, job).await;
        let began = Happening::Began { task: task(), version: "1".to_owned() };
        let verified = Happening::Verified { policy: 1, warnings: Vec::new() };
        for happening in [began, verified, Happening::Fetched { blobs: 0, bytes: 0 }, Happening::Checked] {
            worker.append(happening).await.unwrap();
        }
        worker
    }

    pub(crate) async fn journal(&self, kind: WriterKind, job: JobId) -> Journal {
        Journal::open(self.production(), &self.ambient, kind, job).await.unwrap().unwrap()
    }
}

pub(crate) fn environment() -> EnvironmentName {
    "production".parse().unwrap()
}

pub(crate) fn project() -> ProjectName {
    "hello".parse().unwrap()
}

pub(crate) fn task() -> TaskId {
    TaskId::Ecs { arn: "arn".to_owned() }
}

pub(crate) fn apply(plan: Digest) -> LaunchRequest {
    let asked = Asked {
        action: Action::Apply,
        environment: environment(),
        project: project(),
        manifest: Digest::of(b"m"),
        plan: Some(plan),
        change: Some("CHG-1".parse().unwrap()),
        approvals: Vec::new(),
        attempt: 1,
    };
    LaunchRequest::new(asked, None)
}

pub(crate) fn failed() -> Happening {
    Happening::Ended { outcome: JobOutcome::Failed, reasons: Vec::new() }
}
