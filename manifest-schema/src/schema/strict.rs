//! Threat model, row 11: every document of ours refuses an unknown and a repeated field, in every object within it.

use serde::Serialize;
use serde::de::DeserializeOwned;

mod samples;

use samples::{answers, at, event, filled, job, reason, report, request, summary, task};

pub(super) use samples::happenings;

use super::*;
use crate::Digest;
use crate::deployment::StepOutcome;
use crate::diff::Side;
use crate::gates::Authors;
use crate::gates::tests::rules::policy;
use crate::gates::tests::world::record;
use crate::gateway::{self, Launched, Query};
use crate::json::to_bytes;
use crate::manifest::tests::build;
use crate::pointer::{BuildPointer, LaunchPointer, PlanPointer};
use crate::statement::{Decision, Outcome, PlanBase, ReviewVerdict};
use crate::trust::{EvidenceRule, Freeze, SignedPolicy, Suppression};

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
