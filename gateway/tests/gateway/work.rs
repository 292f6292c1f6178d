//! What a worker does, at the boundary that the gateway sees: events, files of plans, leases, claims and records.

use manifest_schema::deployment::{DeploymentRecord, LeaseHolder, LiveBuild};
use manifest_schema::job::{Action, Asked, Happening, JobId, JobOutcome, LaunchRequest, WriterKind};
use manifest_schema::manifest::BuildNumber;
use manifest_schema::plan::PlanSummary;
use manifest_schema::pointer::PlanPointer;
use manifest_schema::statement::{self, Decision, Outcome, Statement, Subject, subject};
use manifest_schema::storage::{AttestationKind, Key, PlanFile};
use manifest_schema::{Digest, Document};
use records::{Journal, create, deployments, lease, plans};
use store::Creation;

use crate::world::{ALICE, DEPLOYER, PLANNER, VALIDITY, World, key};

impl World {
    /// Takes a job in the name of the process that the gateway started for it, and does what `happenings` say.
    pub(crate) async fn work(&self, job: JobId, happenings: Vec<Happening>) -> Journal {
        let mut journal = self.journal(WriterKind::Worker, job).await;
        let task = journal.job().task().unwrap().clone();
        journal.append(Happening::Began { task, version: "1".to_owned() }).await.unwrap();
        for happening in happenings {
            journal.append(happening).await.unwrap();
        }
        journal
    }

    /// A plan job from launch to end, and the request to apply its plan, approved by alice.
    pub(crate) async fn planned(&self, attempt: u32) -> (JobId, LaunchRequest) {
        let (job, _) = self.accepted(&self.request(attempt)).await;
        let mut journal = self.work(job, fetched()).await;
        let (plan, summary) = self.write_plan(job).await;
        journal.append(Happening::Planned { plan, changes: 1, findings: 0 }).await.unwrap();
        journal.append(succeeded()).await.unwrap();
        let approval = self.approve(plan, summary).await;
        let change = Some("CHG-1".parse().unwrap());
        let apply = Asked { plan: Some(plan), change, approvals: vec![approval], ..self.asked(Action::Apply) };
        (job, LaunchRequest::new(apply, None))
    }

    /// The files of a plan and its pointer; answers with the digests of its statement and its summary.
    pub(crate) async fn write_plan(&self, job: JobId) -> (Digest, Digest) {
        let plan = self.write_plan_files(job).await;
        let pointer = PlanPointer { schema: Default::default(), job };
        assert_eq!(create(&self.sides.production, &Key::PlanJob(plan.0), &pointer).await.unwrap(), Creation::Created);
        plan
    }

    pub(crate) async fn write_plan_files(&self, job: JobId) -> (Digest, Digest) {
        let request = self.request(1);
        let summary = PlanSummary {
            schema: Default::default(),
            project: request.project.clone(),
            environment: request.environment.clone(),
            manifest: self.manifest,
            build: BuildNumber { epoch: 0, number: 7 },
            rules: "1".to_owned(),
            terraform: None,
            services: Vec::new(),
            tasks: Vec::new(),
            files: Vec::new(),
            schedules: Vec::new(),
            functions: Vec::new(),
            findings: Vec::new(),
        };
        let about = vec![
            Subject::new(subject::MANIFEST, self.manifest),
            Subject::new(subject::SUMMARY, Digest::of(&summary.to_bytes())),
        ];
        let latest = deployments::latest(&self.sides.production, &request.environment, &request.project).await.unwrap();
        let predicate = statement::Plan {
            project: request.project,
            environment: request.environment,
            job,
            base: DeploymentRecord::base(latest.as_ref()),
            planned_at: self.ambient.now(),
            expires_at: self.ambient.now().plus_seconds(VALIDITY),
        };
        let signed = Statement::new(about, predicate).sign(&key(PLANNER)).unwrap();
        for (file, bytes) in [(PlanFile::Summary, &summary.to_bytes()), (PlanFile::Envelope, &signed.envelope)] {
            let created = self.sides.production.create(&Key::JobPlan(job, file), bytes).await.unwrap();
            assert_eq!(created, Creation::Created);
        }
        (signed.statement, Digest::of(&summary.to_bytes()))
    }

    pub(crate) async fn approve(&self, plan: Digest, summary: Digest) -> Digest {
        let about = vec![Subject::new(subject::MANIFEST, self.manifest), Subject::new(subject::SUMMARY, summary)];
        let approval = statement::Approval {
            project: "hello".parse().unwrap(),
            environment: "production".parse().unwrap(),
            change: "CHG-1".parse().unwrap(),
            plan,
            decision: Decision::Approve,
            rollback: false,
            emergency: false,
            issued_at: self.ambient.now(),
            expires_at: self.ambient.now().plus_seconds(VALIDITY),
            comment: None,
        };
        let signed = Statement::new(about, approval).sign(&key(ALICE)).unwrap();
        self.attest(AttestationKind::Approval, &signed.envelope).await;
        signed.statement
    }

    /// An apply job that has launched, taken the lease and claimed its plan: the lease is not given back.
    pub(crate) async fn applying(&self, request: &LaunchRequest) -> (JobId, Journal) {
        let (job, _) = self.accepted(request).await;
        let mut journal = self.work(job, fetched()).await;
        journal.append(Happening::Checked).await.unwrap();
        self.take_lease(&journal).await;
        let plan = request.plan.unwrap();
        let now = self.ambient.now();
        let claimed = plans::claim(&self.sides.production, plan, 1, job, now).await.unwrap();
        assert_eq!(claimed, Creation::Created);
        journal.append(Happening::Claimed { claim: 1 }).await.unwrap();
        (job, journal)
    }

    pub(crate) async fn take_lease(&self, journal: &Journal) {
        let request = &journal.request().request;
        let holder = LeaseHolder {
            job: journal.job().id(),
            task: journal.job().task().unwrap().clone(),
            state: "production/hello".to_owned(),
            since: self.ambient.now(),
        };
        let (environment, project) = (&request.environment, &request.project);
        let taken = lease::take(&self.sides.production, &self.ambient, environment, project, holder).await.unwrap();
        assert!(matches!(taken, lease::Taking::Taken(_)), "{taken:?}");
    }

    /// Writes the deployment record of an apply job.
    pub(crate) async fn record(&self, job: JobId, sequence: u64, outcome: Outcome) -> Digest {
        let now = self.ambient.now();
        let live = LiveBuild { build: BuildNumber { epoch: 0, number: 7 }, manifest: self.manifest };
        let record = DeploymentRecord {
            schema: Default::default(),
            environment: "production".parse().unwrap(),
            project: "hello".parse().unwrap(),
            sequence,
            job,
            build: live.build,
            manifest: live.manifest,
            plan: Digest::of(b"plan"),
            change: "CHG-1".parse().unwrap(),
            approved_by: Vec::new(),
            builders: Vec::new(),
            outcome,
            started_at: now,
            finished_at: now,
            steps: Vec::new(),
            complete: (outcome == Outcome::Succeeded).then_some(live),
        };
        let place = Key::Deployed(record.environment.clone(), record.project.clone(), sequence);
        assert_eq!(create(&self.sides.production, &place, &record).await.unwrap(), Creation::Created);
        let digest = Digest::of(&record.to_bytes());
        let said = statement::Deployment {
            project: record.project,
            environment: record.environment,
            change: record.change,
            plan: record.plan,
            job,
            outcome,
            sequence,
            record: digest,
            finished_at: now,
        };
        let about = vec![Subject::new(subject::MANIFEST, self.manifest)];
        let signed = Statement::new(about, said).sign(&key(DEPLOYER)).unwrap();
        let place = Key::JobDeployment(job, digest);
        assert_eq!(self.sides.production.create(&place, &signed.envelope).await.unwrap(), Creation::Created);
        digest
    }
}

pub(crate) fn fetched() -> Vec<Happening> {
    vec![Happening::Verified { policy: 1, warnings: Vec::new() }, Happening::Fetched { blobs: 1, bytes: 1 }]
}

pub(crate) fn succeeded() -> Happening {
    Happening::Ended { outcome: JobOutcome::Succeeded, reasons: Vec::new() }
}
