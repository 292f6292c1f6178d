//! However long everything in a statement is, a KMS signs it.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::dsse::MAX_PAE;
use crate::job::JobId;
use crate::names::{ChangeId, EnvironmentName, ProjectName};
use crate::time::Timestamp;

/// What the longest statement must leave free, in bytes, so that a field can be added without moving to blobs.
const SPARE: usize = 1024;

fn time() -> impl Strategy<Value = Timestamp> {
    select(vec!["9999-12-30T22:00:00Z", "2026-11-22T09:30:00Z"]).prop_map(|text| text.parse().unwrap())
}

fn digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 8]>().prop_map(|bytes| Digest::of(&bytes))
}

fn job() -> impl Strategy<Value = JobId> {
    (time(), any::<[u8; 10]>()).prop_map(|(at, random)| JobId::new(at, random))
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![Just(u64::MAX), any::<u64>()]
}

prop_compose! {
    fn project()(name in "[a-z][a-z0-9_-]{61}[a-z]") -> ProjectName { name.parse().unwrap() }
}

prop_compose! {
    fn environment()(name in "[a-z][a-z0-9_-]{61}[a-z]") -> EnvironmentName { name.parse().unwrap() }
}

prop_compose! {
    fn change()(name in "[A-Z][A-Za-z0-9_@-]{61}[a-z]") -> ChangeId { name.parse().unwrap() }
}

/// At most 500 bytes without control characters (what `change` lets through), of those that JSON writes longest.
fn comment() -> impl Strategy<Value = Option<String>> {
    let text = prop_oneof![Just("\"".repeat(500)), Just("\\".repeat(500)), "[^\\pC]{125}"];
    text.prop_map(|text| Some(text).filter(|text| text.len() <= 500))
}

/// How many bytes would be signed over a statement with these subjects, all of them there.
fn length<P: Predicate>(subjects: &[&str], predicate: P) -> usize {
    let subjects = subjects.iter().map(|name| Subject::new(name, Digest::of(name.as_bytes()))).collect();
    Statement::new(subjects, predicate).unsigned().unwrap().message().len()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_longest_statement_of_every_type_fits_a_kms_with_room_to_spare(
        (project, environment, change) in (project(), environment(), change()),
        (one, two, job) in (digest(), digest(), job()),
        (at, until) in (time(), time()),
        (number, comment, lift) in (number(), comment(), any::<bool>()),
    ) {
        let build = Build { built_at: at };
        let plan = Plan {
            project: project.clone(),
            environment: environment.clone(),
            job,
            base: PlanBase { sequence: number, manifest: Some(one) },
            planned_at: at,
            expires_at: until,
        };
        let review = Review {
            project: project.clone(),
            environment: environment.clone(),
            change: change.clone(),
            plan: one,
            verdict: ReviewVerdict::Approve,
            authors: two,
            reviewed_at: at,
        };
        let approval = Approval {
            project: project.clone(),
            environment: environment.clone(),
            change: change.clone(),
            plan: one,
            decision: Decision::Revoke { statement: two },
            rollback: lift,
            emergency: true,
            issued_at: at,
            expires_at: until,
            comment,
        };
        let deployment = Deployment {
            project,
            environment,
            change,
            plan: one,
            job,
            outcome: Outcome::Interrupted,
            sequence: number,
            record: two,
            finished_at: at,
        };
        let policy = TrustPolicy { version: number };
        let lengths = [
            length(&[subject::MANIFEST], build),
            length(&[subject::MANIFEST, subject::SUMMARY, subject::SAVED_PLAN], plan),
            length(&[subject::MANIFEST, subject::SUMMARY, subject::FACTS], review),
            length(&[subject::MANIFEST, subject::SUMMARY], approval),
            length(&[subject::MANIFEST], deployment),
            length(&[subject::TRUST_POLICY], policy),
        ];
        let longest = lengths.into_iter().max().unwrap();
        prop_assert!(longest + SPARE <= MAX_PAE, "{lengths:?}");
    }
}
