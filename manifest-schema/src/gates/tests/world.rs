//! A request that passes every gate, taken apart so that a test can change one thing before everything is signed.

use super::super::*;
pub(crate) use super::cast::{Cast, Say, no, revoke, seed, yes};
use crate::deployment::{DeploymentRecord, DeploymentRecordSchema, LiveBuild, StepOutcome, StepRecord};
use crate::job::{Asked, JobId};
use crate::keys::PublicKey;
use crate::keys::tests::key;
use crate::manifest::tests::{build, report};
use crate::manifest::{BuildManifest, BuildNumber};
use crate::names::{ChangeId, EnvironmentName, ProjectName};
use crate::plan::{
    FilesChange, Finding, FunctionChange, PlanSummary, PlanSummarySchema, ScheduleChange, ServiceChange, Severity,
    TaskRun,
};
use crate::statement::Outcome;
use crate::statement::{self, Decision, PlanBase, ReviewVerdict, Statement, Subject, subject};
use crate::trust::{ProjectPolicy, TrustPolicy};

/// One review, before it is signed.
#[derive(Clone)]
pub(crate) struct Reviewing {
    pub(crate) key: u8,
    pub(crate) verdict: ReviewVerdict,
    pub(crate) authors: Vec<String>,
    pub(crate) edit: fn(&mut statement::Review),
    /// Replaces the manifest and the plan summary that it is about.
    pub(crate) about: Option<(Digest, Digest)>,
}

/// Everything that a case is made from, unsigned.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) action: Action,
    pub(crate) now: Timestamp,
    pub(crate) place: Place,
    pub(crate) environment: EnvironmentName,
    pub(crate) project: ProjectName,
    pub(crate) change: ChangeId,
    pub(crate) policy: TrustPolicy,
    pub(crate) root_keys: Vec<u8>,
    pub(crate) manifest: BuildManifest,
    pub(crate) builder_keys: Vec<u8>,
    pub(crate) built_at: Timestamp,
    pub(crate) evidence: Vec<Vec<u8>>,
    pub(crate) deployed: Option<DeploymentRecord>,
    pub(crate) findings: Vec<Finding>,
    pub(crate) services: Vec<ServiceChange>,
    pub(crate) tasks: Vec<TaskRun>,
    pub(crate) files: Vec<FilesChange>,
    pub(crate) schedules: Vec<ScheduleChange>,
    pub(crate) functions: Vec<FunctionChange>,
    pub(crate) summary_edit: fn(&mut PlanSummary),
    pub(crate) planner_key: u8,
    pub(crate) plan_edit: fn(&mut statement::Plan),
    /// Replaces the manifest and the plan summary that the plan statement is about.
    pub(crate) plan_about: Option<(Digest, Digest)>,
    pub(crate) reviews: Vec<Reviewing>,
    pub(crate) votes: Vec<Cast>,
    /// Done to the case at the end, after everything is signed.
    pub(crate) tamper: fn(&mut Case),
}

/// The moment at which everything passes.
pub(crate) fn noon() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

/// `seconds` before [`noon`].
pub(crate) fn before(seconds: i64) -> Timestamp {
    Timestamp::from_millis(noon().as_millis() - seconds * 1000).unwrap()
}

impl World {
    /// A world in which `action` passes every gate. Alice and Bob said yes.
    pub(crate) fn new(action: Action) -> Self {
        let mut manifest = build(7);
        manifest.evidence = vec![report("sast", "clean")];
        Self {
            action,
            now: noon(),
            place: Place { account: "111111111111".to_owned(), region: "eu-west-1".to_owned() },
            environment: "production".parse().unwrap(),
            project: "hello".parse().unwrap(),
            change: "CHG-7".parse().unwrap(),
            policy: super::rules::policy(),
            root_keys: vec![seed::ROOT],
            manifest,
            builder_keys: vec![seed::BUILDER],
            built_at: before(3600),
            evidence: Vec::new(),
            deployed: Some(record(&[(StepOutcome::Done, &[6])])),
            findings: Vec::new(),
            services: Vec::new(),
            tasks: Vec::new(),
            files: Vec::new(),
            schedules: Vec::new(),
            functions: Vec::new(),
            summary_edit: |_| {},
            planner_key: seed::PLANNER,
            plan_edit: |_| {},
            plan_about: None,
            reviews: vec![Reviewing {
                key: seed::BOT,
                verdict: ReviewVerdict::Approve,
                authors: vec!["github:dave".to_owned()],
                edit: |_| {},
                about: None,
            }],
            votes: vec![yes(seed::ALICE), yes(seed::BOB)],
            tamper: |_| {},
        }
    }

    /// The rules of the request's environment.
    pub(crate) fn rules(&mut self) -> &mut EnvironmentPolicy {
        self.policy.environments.get_mut(&self.environment).unwrap()
    }

    /// What the request's project must bring.
    pub(crate) fn project_rules(&mut self) -> &mut ProjectPolicy {
        let project = self.project.clone();
        self.rules().projects.get_mut(&project).unwrap()
    }

    /// The manifest and the plan summary, as everything that is signed names them.
    pub(crate) fn subjects(&self) -> (Digest, Digest) {
        let manifest = Digest::of(&self.manifest.to_bytes());
        (manifest, Digest::of(&self.summary(manifest).to_bytes()))
    }

    /// Signs everything.
    pub(crate) fn case(&self) -> Case {
        let manifest_bytes = self.manifest.to_bytes();
        let manifest = Digest::of(&manifest_bytes);
        let policy_bytes = self.policy.to_bytes();
        let summary_bytes = self.summary(manifest).to_bytes();
        let summary = Digest::of(&summary_bytes);
        let plan = self.plan(manifest, summary).sign(&key(self.planner_key)).unwrap();
        let (named, approvals) = self.sign_votes(manifest, summary, plan.statement);
        let apply = self.action == Action::Apply;
        let request = LaunchRequest::new(
            Asked {
                action: self.action,
                environment: self.environment.clone(),
                project: self.project.clone(),
                manifest,
                plan: apply.then_some(plan.statement),
                change: Some(self.change.clone()),
                approvals: if apply { named } else { Vec::new() },
                attempt: 1,
            },
            None,
        );
        let about = vec![Subject::new(subject::MANIFEST, manifest)];
        let built = Statement::new(about, statement::Build { built_at: self.built_at });
        let vouched = Statement::new(
            vec![Subject::new(subject::TRUST_POLICY, Digest::of(&policy_bytes))],
            statement::TrustPolicy { version: self.policy.version },
        );
        let sign_all = |keys: &[u8], sign: &dyn Fn(u8) -> Vec<u8>| keys.iter().map(|seed| sign(*seed)).collect();
        let authors = self.reviews.iter().map(|review| authors(&review.authors).to_bytes());
        let mut case = Case {
            now: self.now,
            place: self.place.clone(),
            roots: PinnedRoots { threshold: 1, keys: vec![public(seed::ROOT)] },
            trust: vec![SignedPolicy {
                version: self.policy.version,
                policy: policy_bytes,
                envelopes: sign_all(&self.root_keys, &|seed| vouched.sign(&key(seed)).unwrap().envelope),
            }],
            last_seen: 1,
            request: request.to_bytes(),
            manifest: Some(manifest_bytes),
            builds: sign_all(&self.builder_keys, &|seed| built.sign(&key(seed)).unwrap().envelope),
            evidence: self.evidence.iter().map(|bytes| (Digest::of(bytes), bytes.clone())).collect(),
            deployed: self.latest(manifest).map_or(Deployed::Never, |record| self.sign_deployed(record)),
            plan: apply.then_some(StoredPlan { envelope: plan.envelope, summary: summary_bytes }),
            reviews: self.sign_reviews(manifest, summary, plan.statement),
            authors: authors.map(|bytes| (Digest::of(&bytes), bytes)).collect(),
            approvals: Some(approvals),
        };
        (self.tamper)(&mut case);
        case
    }

    /// The newest record. What a drift job is about runs.
    fn latest(&self, manifest: Digest) -> Option<DeploymentRecord> {
        let runs = LiveBuild { build: self.manifest.build.number(), manifest };
        let drift = (self.action == Action::Drift).then_some(runs);
        self.deployed.clone().map(|record| DeploymentRecord { complete: drift.or(record.complete), ..record })
    }

    fn summary(&self, manifest: Digest) -> PlanSummary {
        let mut summary = PlanSummary {
            schema: PlanSummarySchema,
            project: self.project.clone(),
            environment: self.environment.clone(),
            manifest,
            build: self.manifest.build.number(),
            rules: "1".to_owned(),
            terraform: None,
            services: self.services.clone(),
            tasks: self.tasks.clone(),
            files: self.files.clone(),
            schedules: self.schedules.clone(),
            functions: self.functions.clone(),
            findings: self.findings.clone(),
        };
        (self.summary_edit)(&mut summary);
        summary
    }

    fn plan(&self, manifest: Digest, summary: Digest) -> Statement<statement::Plan> {
        let (manifest, summary) = self.plan_about.unwrap_or((manifest, summary));
        let about = vec![Subject::new(subject::MANIFEST, manifest), Subject::new(subject::SUMMARY, summary)];
        let mut plan = statement::Plan {
            project: self.project.clone(),
            environment: self.environment.clone(),
            job: JobId::new(before(1800), [self.manifest.build.number.to_le_bytes()[0]; 10]),
            base: PlanBase { sequence: 3, manifest: None },
            planned_at: before(1800),
            expires_at: noon().plus_seconds(7200),
        };
        (self.plan_edit)(&mut plan);
        Statement::new(about, plan)
    }

    /// A record as the deployer signs it, for this project and environment.
    pub(crate) fn sign_deployed(&self, record: DeploymentRecord) -> Deployed {
        let (environment, project) = (self.environment.clone(), self.project.clone());
        let record = DeploymentRecord { environment, project, ..record };
        sign_record(&record, seed::DEPLOYER, |_| {})
    }

    fn sign_reviews(&self, manifest: Digest, summary: Digest, plan: Digest) -> Vec<Vec<u8>> {
        let sign = |reviewing: &Reviewing| {
            let mut review = statement::Review {
                project: self.project.clone(),
                environment: self.environment.clone(),
                change: self.change.clone(),
                plan,
                verdict: reviewing.verdict,
                authors: Digest::of(&authors(&reviewing.authors).to_bytes()),
                reviewed_at: before(1200),
            };
            (reviewing.edit)(&mut review);
            let (manifest, summary) = reviewing.about.unwrap_or((manifest, summary));
            let about = [(subject::MANIFEST, manifest), (subject::SUMMARY, summary), (subject::FACTS, summary)];
            let about = about.map(|(name, digest)| Subject::new(name, digest)).to_vec();
            Statement::new(about, review).sign(&key(reviewing.key)).unwrap().envelope
        };
        self.reviews.iter().map(sign).collect()
    }

    /// The statements that the request names, and every envelope.
    fn sign_votes(&self, manifest: Digest, summary: Digest, plan: Digest) -> (Vec<Digest>, Vec<Vec<u8>>) {
        let (mut statements, mut named, mut envelopes) = (Vec::new(), Vec::new(), Vec::new());
        for cast in &self.votes {
            let mut approval = statement::Approval {
                project: self.project.clone(),
                environment: self.environment.clone(),
                change: self.change.clone(),
                plan,
                decision: match cast.say {
                    Say::Yes => Decision::Approve,
                    Say::No => Decision::Reject,
                    Say::Revoke(place) => Decision::Revoke { statement: statements[place] },
                },
                rollback: false,
                emergency: false,
                issued_at: before(600),
                expires_at: noon().plus_seconds(3600),
                // Otherwise two people who say the same make the same statement.
                comment: Some(format!("key {}", cast.key)),
            };
            (cast.edit)(&mut approval);
            let (manifest, summary) = cast.about.unwrap_or((manifest, summary));
            let about = vec![Subject::new(subject::MANIFEST, manifest), Subject::new(subject::SUMMARY, summary)];
            let signed = Statement::new(about, approval).sign(&key(cast.key)).unwrap();
            statements.push(signed.statement);
            named.extend(cast.named.then_some(signed.statement));
            envelopes.push(signed.envelope);
        }
        (named, envelopes)
    }
}

/// The public half of the key with this seed.
pub(crate) fn public(seed: u8) -> PublicKey {
    key(seed).public()
}

/// A deployment record as it is stored, signed by the key grown from `by`.
pub(crate) fn sign_record(record: &DeploymentRecord, by: u8, edit: fn(&mut statement::Deployment)) -> Deployed {
    let bytes = record.to_bytes();
    let mut said = statement::Deployment {
        project: record.project.clone(),
        environment: record.environment.clone(),
        change: record.change.clone(),
        plan: record.plan,
        job: record.job,
        outcome: record.outcome,
        sequence: record.sequence,
        record: Digest::of(&bytes),
        finished_at: record.finished_at,
    };
    edit(&mut said);
    let about = vec![Subject::new(subject::MANIFEST, record.manifest)];
    let envelope = Statement::new(about, said).sign(&key(by)).unwrap().envelope;
    Deployed::Latest(RecordedDeployment { sequence: record.sequence, record: bytes, envelope: Some(envelope) })
}

fn authors(identities: &[String]) -> Authors {
    Authors { schema: AuthorsSchema, identities: identities.to_vec() }
}

/// A finding by this rule at this address.
pub(crate) fn finding(rule: &str, address: &str) -> Finding {
    let message = "found".to_owned();
    Finding { rule: rule.to_owned(), severity: Severity::High, address: address.to_owned(), message }
}

/// A deployment record of build `0.7`'s predecessor with these steps: what became of each, and the builds live in it.
pub(crate) fn record(steps: &[(StepOutcome, &[u64])]) -> DeploymentRecord {
    let live = |number: u64| LiveBuild {
        build: BuildNumber { epoch: 0, number },
        manifest: Digest::of(&build(number).to_bytes()),
    };
    let step = |(outcome, builds): &(StepOutcome, &[u64])| StepRecord {
        name: "service web".to_owned(),
        outcome: *outcome,
        live: builds.iter().map(|number| live(*number)).collect(),
    };
    DeploymentRecord {
        schema: DeploymentRecordSchema,
        environment: "production".parse().unwrap(),
        project: "hello".parse().unwrap(),
        sequence: 3,
        job: JobId::new(before(90_000), [0; 10]),
        build: live(6).build,
        manifest: live(6).manifest,
        plan: Digest::of(b"plan"),
        change: "CHG-6".parse().unwrap(),
        approved_by: Vec::new(),
        builders: vec![public(seed::BUILDER)],
        outcome: Outcome::Succeeded,
        started_at: before(90_000),
        finished_at: before(89_000),
        steps: steps.iter().map(step).collect(),
        complete: Some(live(6)),
    }
}
