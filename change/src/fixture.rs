//! One project, one environment, one plan, and the people around it.

use std::collections::BTreeMap;

use manifest_schema::gates::{Authors, AuthorsSchema, Case, Deployed, Place, StoredPlan};
use manifest_schema::job::{Action, Asked, JobId, LaunchRequest};
use manifest_schema::keys::SecretKey;
use manifest_schema::manifest::{Build, BuildManifest, BuildManifestSchema, BuildNumber};
use manifest_schema::names::{ChangeId, EnvironmentName, KeyName, PersonName, ProjectName};
use manifest_schema::plan::{PlanSummary, PlanSummarySchema};
use manifest_schema::statement::{self, PlanBase, Signed, Statement, Subject, subject};
use manifest_schema::trust::{
    ApprovalRules, EnvironmentPolicy, Person, PinnedRoots, ProjectPolicy, Role, Roles, SignedPolicy, TerraformRules,
    TrustPolicy,
};
use manifest_schema::{Digest, Document, Timestamp};
use zeroize::Zeroizing;

use crate::About;
use crate::record::{BuildJob, ChangeRequest, PlanInBrief};

pub(crate) const ROOT: u8 = 1;
pub(crate) const BUILDER: u8 = 2;
pub(crate) const BOT: u8 = 3;
pub(crate) const PLANNER: u8 = 4;
pub(crate) const DEPLOYER: u8 = 5;
/// Alice has two keys.
pub(crate) const ALICE: u8 = 10;
pub(crate) const ALICE_2: u8 = 11;
pub(crate) const BOB: u8 = 12;
/// In no policy.
pub(crate) const STRANGER: u8 = 99;

/// How long a yes holds, in seconds.
pub(crate) const VALIDITY: u64 = 3600;

pub(crate) fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&Zeroizing::new([seed; 32]))
}

pub(crate) fn now() -> Timestamp {
    "2026-11-22T09:30:00Z".parse().unwrap()
}

pub(crate) fn policy() -> TrustPolicy {
    let name = |seed: u8| KeyName::new(format!("key-{seed}")).unwrap();
    let role = |seed: u8| Role { threshold: 1, keys: vec![name(seed)] };
    let person = |login: &str, seeds: &[u8]| {
        let keys = seeds.iter().copied().map(name).collect();
        (PersonName::new(login).unwrap(), Person { keys, identities: vec![format!("github:{login}")] })
    };
    let seeds = [ROOT, BUILDER, BOT, PLANNER, DEPLOYER, ALICE, ALICE_2, BOB];
    TrustPolicy {
        schema: Default::default(),
        version: 1,
        expires_at: now().plus_seconds(1 << 24),
        keys: seeds.into_iter().map(|seed| (name(seed), key(seed).public())).collect(),
        roles: Roles {
            root: role(ROOT),
            builder: role(BUILDER),
            change_bot: Some(role(BOT)),
            planner: role(PLANNER),
            deployer: role(DEPLOYER),
        },
        approvers: BTreeMap::from([person("alice", &[ALICE, ALICE_2]), person("bob", &[BOB])]),
        environments: BTreeMap::from([(about().environment, environment())]),
    }
}

fn environment() -> EnvironmentPolicy {
    EnvironmentPolicy {
        account: "local".to_owned(),
        region: "local".to_owned(),
        projects: BTreeMap::from([(
            about().project,
            ProjectPolicy { sources: Vec::new(), evidence: Vec::new(), allow_dirty: false },
        )]),
        maximum_build_age_seconds: 1 << 20,
        approval: ApprovalRules {
            review_required: false,
            bot_alone: true,
            people: 1,
            people_for_risk: 1,
            validity_seconds: VALIDITY,
        },
        freezes: Vec::new(),
        terraform: TerraformRules::default(),
        suppressions: Vec::new(),
        application_logs: false,
    }
}

fn manifest() -> Vec<u8> {
    let build = Build { epoch: 0, number: 12, id: None, url: None, builder: "local".to_owned() };
    let manifest = BuildManifest {
        schema: BuildManifestSchema,
        project: ProjectName::new("hello").unwrap(),
        build,
        sources: Vec::new(),
        artifacts: Vec::new(),
        deploy: Vec::new(),
        evidence: Vec::new(),
    };
    manifest.to_bytes()
}

pub(crate) fn summary() -> PlanSummary {
    PlanSummary {
        schema: PlanSummarySchema,
        project: ProjectName::new("hello").unwrap(),
        environment: EnvironmentName::new("production").unwrap(),
        manifest: Digest::of(&manifest()),
        build: BuildNumber { epoch: 0, number: 12 },
        rules: "1".to_owned(),
        terraform: None,
        services: Vec::new(),
        tasks: Vec::new(),
        files: Vec::new(),
        schedules: Vec::new(),
        functions: Vec::new(),
        findings: Vec::new(),
    }
}

/// What the planner signed.
fn plan() -> Signed {
    let PlanSummary { project, environment, manifest, .. } = summary();
    let subjects = vec![
        Subject::new(subject::MANIFEST, manifest),
        Subject::new(subject::SUMMARY, Digest::of(&summary().to_bytes())),
    ];
    let said = statement::Plan {
        project,
        environment,
        job: JobId::new(now(), [0; 10]),
        base: PlanBase { sequence: 0, manifest: None },
        planned_at: now(),
        expires_at: now().plus_seconds(VALIDITY),
    };
    Statement::new(subjects, said).sign(&key(PLANNER)).unwrap()
}

pub(crate) fn about() -> About {
    let PlanSummary { project, environment, manifest, .. } = summary();
    About {
        project,
        environment,
        change: ChangeId::new("CHG-1").unwrap(),
        manifest,
        plan: plan().statement,
        summary: Digest::of(&summary().to_bytes()),
    }
}

pub(crate) fn request() -> ChangeRequest {
    let About { project, environment, manifest, plan, summary: plan_summary, .. } = about();
    ChangeRequest {
        project,
        environment,
        action: Action::Apply,
        summary: "Greet in Dutch".to_owned(),
        components: vec!["web".to_owned()],
        justification: "asked for".to_owned(),
        rollback_plan: "deploy the build before".to_owned(),
        build: BuildJob { number: summary().build, job: None, url: None },
        branch: Some("refs/heads/main".to_owned()),
        links: Vec::new(),
        scans: Vec::new(),
        manifest,
        plan,
        plan_summary,
        plan_in_brief: PlanInBrief::from(&summary()),
    }
}

/// A list of authors, by its digest.
pub(crate) fn authors(identities: &[&str]) -> (Digest, Vec<u8>) {
    let identities = identities.iter().map(|&identity| identity.to_owned()).collect();
    let bytes = Authors { schema: AuthorsSchema, identities }.to_bytes();
    (Digest::of(&bytes), bytes)
}

/// A case that has everything but approvals, for a launch that names `named`.
pub(crate) fn case(named: Vec<Digest>, approvals: &[Vec<u8>]) -> Case {
    let About { project, environment, change, manifest: digest, plan: wanted, .. } = about();
    let (plan_job, policy) = (plan(), policy().to_bytes());
    let built = Statement::new(vec![Subject::new(subject::MANIFEST, digest)], statement::Build { built_at: now() });
    let trusted = Statement::new(
        vec![Subject::new(subject::TRUST_POLICY, Digest::of(&policy))],
        statement::TrustPolicy { version: 1 },
    );
    let asked = Asked {
        action: Action::Apply,
        environment,
        project,
        manifest: digest,
        plan: Some(wanted),
        change: Some(change),
        approvals: named,
        attempt: 1,
    };
    let trusted = trusted.sign(&key(ROOT)).unwrap().envelope;
    Case {
        now: now(),
        place: Place { account: "local".to_owned(), region: "local".to_owned() },
        roots: PinnedRoots { threshold: 1, keys: vec![key(ROOT).public()] },
        trust: vec![SignedPolicy { version: 1, policy, envelopes: vec![trusted] }],
        last_seen: 0,
        request: LaunchRequest::new(asked, None).to_bytes(),
        manifest: Some(manifest()),
        builds: vec![built.sign(&key(BUILDER)).unwrap().envelope],
        evidence: BTreeMap::new(),
        deployed: Deployed::Never,
        plan: Some(StoredPlan { envelope: plan_job.envelope, summary: summary().to_bytes() }),
        reviews: Vec::new(),
        authors: BTreeMap::new(),
        approvals: Some(approvals.to_vec()),
    }
}
