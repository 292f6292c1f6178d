//! The gates (docs/formats.md) as one table: every way in which a gate can fail × every action × every lift.

use super::world::{Cast, World, before, no, noon, record, revoke, seed, sign_record, yes};
use super::*;
use crate::deployment::StepOutcome;
use crate::manifest::tests::{report, source};
use crate::trust::{EvidenceRule, Freeze};

/// What becomes of a request with one thing wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Becomes {
    /// Refused, with exactly this code.
    Refused,
    /// Admitted, with exactly this code as a warning.
    Warned,
    /// Admitted without a word: this action doesn't look at it.
    Skipped,
    /// Admitted without a word: the approvals lift it.
    Lifted,
}
use Becomes::{Lifted, Refused, Skipped, Warned};

/// plan, drift, apply, apply with rollback approvals, apply with emergency approvals.
type Columns = [Becomes; 5];
const ENFORCED: Columns = [Refused, Refused, Refused, Refused, Refused];
const ROLLBACK_LIFTS: Columns = [Warned, Warned, Refused, Lifted, Refused];
const EMERGENCY_LIFTS: Columns = [Warned, Warned, Refused, Refused, Lifted];
const DRIFT_ONLY: Columns = [Skipped, Refused, Skipped, Skipped, Skipped];
const APPLY_ONLY: Columns = [Skipped, Skipped, Refused, Refused, Refused];

type Break = fn(&mut World);
type Row = (&'static str, Code, Columns, Break);

const ROWS: &[Row] = &[
    // Gate 1.
    ("request is no JSON", Code::RequestMalformed, ENFORCED, |w| w.tamper = |case| case.request = b"{".to_vec()),
    ("request with an unknown field", Code::RequestMalformed, ENFORCED, |w| {
        w.tamper = |case| {
            case.request.splice(1..1, *br#""force":true,"#);
        };
    }),
    // Gate 2.
    ("no policy", Code::TrustMissing, ENFORCED, |w| w.tamper = |case| case.trust.clear()),
    ("policy not signed", Code::TrustBroken, ENFORCED, |w| w.root_keys.clear()),
    ("policy signed by no root", Code::TrustBroken, ENFORCED, |w| w.root_keys = vec![seed::BUILDER]),
    ("policy altered", Code::TrustBroken, ENFORCED, |w| w.tamper = |case| case.trust[0].policy.push(b' ')),
    ("policy expired", Code::TrustExpired, ENFORCED, |w| w.policy.expires_at = w.now),
    ("policy rolled back", Code::TrustRolledBack, ENFORCED, |w| w.tamper = |case| case.last_seen = 2),
    // Gate 3.
    ("unknown environment", Code::EnvironmentUnknown, ENFORCED, |w| w.environment = "moon".parse().unwrap()),
    ("another account", Code::EnvironmentMismatch, ENFORCED, |w| w.place.account = "222222222222".to_owned()),
    ("another region", Code::EnvironmentMismatch, ENFORCED, |w| w.place.region = "us-east-1".to_owned()),
    // Gate 4.
    ("build not signed", Code::BuildUntrusted, ENFORCED, |w| w.builder_keys.clear()),
    ("build signed by a stranger", Code::BuildUntrusted, ENFORCED, |w| w.builder_keys = vec![seed::STRANGER]),
    ("build signed by too few", Code::BuildUntrusted, ENFORCED, |w| w.policy.roles.builder.threshold = 2),
    // Gate 5.
    ("manifest missing", Code::ManifestMissing, ENFORCED, |w| w.tamper = |case| case.manifest = None),
    ("manifest altered", Code::ManifestMismatch, ENFORCED, |w| {
        w.tamper = |case| case.manifest.as_mut().unwrap().push(b' ');
    }),
    ("manifest inconsistent", Code::ManifestMalformed, ENFORCED, |w| w.manifest.artifacts.swap(0, 1)),
    // Gate 6.
    ("project not in the policy", Code::ProjectNotAllowed, ENFORCED, |w| {
        w.rules().projects.remove("hello".parse::<crate::names::ProjectName>().as_ref().unwrap());
    }),
    ("manifest of another project", Code::ProjectNotAllowed, ENFORCED, |w| {
        w.manifest.project = "other".parse().unwrap();
    }),
    ("required source left out", Code::SourceMissing, ENFORCED, |w| w.manifest.sources.truncate(1)),
    ("required source under a like name", Code::SourceMissing, ENFORCED, |w| {
        w.manifest.sources[1] = source("https://git.example/pipeline2", '2');
    }),
    ("source at another ref", Code::SourceRef, ENFORCED, |w| {
        w.manifest.sources[0].reference = "refs/heads/main2".to_owned();
    }),
    ("uncommitted changes", Code::SourceRef, ENFORCED, |w| w.manifest.sources[1].dirty = true),
    ("uncommitted changes in a source nobody asked for", Code::SourceRef, ENFORCED, |w| {
        w.manifest.sources.push(crate::manifest::Source { dirty: true, ..source("https://git.example/zoo", '3') });
    }),
    ("report missing", Code::EvidenceMissing, ENFORCED, |w| w.manifest.evidence.clear()),
    ("report of another kind", Code::EvidenceMissing, ENFORCED, |w| w.manifest.evidence = vec![report("lint", "ok")]),
    ("report not signed", Code::EvidenceUntrusted, ENFORCED, |w| {
        w.project_rules().evidence =
            vec![EvidenceRule { kind: "sast".into(), signers: vec!["scanner".parse().unwrap()] }];
    }),
    // Gate 7.
    ("build too old", Code::BuildTooOld, ROLLBACK_LIFTS, |w| w.built_at = before(86_401)),
    ("build from the future", Code::BuildTooOld, ROLLBACK_LIFTS, |w| w.built_at = noon().plus_seconds(301)),
    // Gate 8.
    ("lower than what runs", Code::ManifestRollback, ROLLBACK_LIFTS, |w| {
        w.deployed = Some(record(&[(StepOutcome::Done, &[8])]));
    }),
    ("another build runs", Code::DriftNotDeployed, DRIFT_ONLY, |w| {
        w.tamper = |case| case.deployed = sign_record(&record(&[(StepOutcome::Done, &[6])]), seed::DEPLOYER, |_| {});
    }),
    ("the number that runs, other bytes", Code::ManifestRollback, ROLLBACK_LIFTS, |w| {
        w.deployed = Some(record(&[(StepOutcome::Done, &[7])]));
        w.manifest.build.url = Some("https://ci.example/7".to_owned());
    }),
    ("a deployment record by hand", Code::DeploymentUntrusted, ENFORCED, |w| {
        w.tamper = |case| {
            if let Deployed::Latest(found) = &mut case.deployed {
                found.envelope = None;
            }
        };
    }),
    ("deployment records out of order", Code::DeploymentUntrusted, ENFORCED, |w| {
        w.tamper = |case| case.deployed = Deployed::Unreadable("zzz.json is no record".to_owned());
    }),
    // Gate 9.
    ("frozen", Code::FreezeActive, EMERGENCY_LIFTS, |w| {
        let freeze = Freeze { from: before(1), until: noon().plus_seconds(1), reason: "holidays".to_owned() };
        w.rules().freezes.push(freeze);
    }),
    // Gate 10: the plan.
    ("plan missing", Code::PlanMissing, APPLY_ONLY, |w| w.tamper = |case| case.plan = None),
    ("plan by a stranger", Code::PlanUntrusted, APPLY_ONLY, |w| w.planner_key = seed::STRANGER),
    ("plan by too few", Code::PlanUntrusted, APPLY_ONLY, |w| w.policy.roles.planner.threshold = 2),
    ("plan for another environment", Code::PlanMismatch, APPLY_ONLY, |w| {
        w.plan_edit = |plan| plan.environment = "staging".parse().unwrap();
    }),
    ("plan for another project", Code::PlanMismatch, APPLY_ONLY, |w| {
        w.plan_edit = |plan| plan.project = "other".parse().unwrap();
    }),
    ("summary altered", Code::PlanMismatch, APPLY_ONLY, |w| {
        w.tamper = |case| case.plan.iter_mut().for_each(|plan| plan.summary.push(b' '));
    }),
    ("summary of another environment", Code::PlanMismatch, APPLY_ONLY, |w| {
        w.summary_edit = |summary| summary.environment = "staging".parse().unwrap();
    }),
    ("summary of another project", Code::PlanMismatch, APPLY_ONLY, |w| {
        w.summary_edit = |summary| summary.project = "other".parse().unwrap();
    }),
    ("summary of another manifest", Code::PlanMismatch, APPLY_ONLY, |w| {
        w.summary_edit = |summary| summary.manifest = Digest::of(b"other");
    }),
    ("summary of another build", Code::PlanMismatch, APPLY_ONLY, |w| {
        w.summary_edit = |summary| summary.build.number += 1;
    }),
    ("summary that hides a raised epoch", Code::PlanMismatch, APPLY_ONLY, |w| {
        w.manifest.build.epoch = 1;
        w.summary_edit = |summary| summary.build.epoch = 0;
    }),
    ("summary that can't be read", Code::PlanMismatch, APPLY_ONLY, |w| {
        w.summary_edit = |summary| summary.rules = "x".repeat(4 << 20);
    }),
    ("plan expired", Code::PlanExpired, APPLY_ONLY, |w| w.plan_edit = |plan| plan.expires_at = noon()),
    ("plan held longer than plans hold", Code::PlanExpired, APPLY_ONLY, |w| {
        w.plan_edit = |plan| plan.planned_at = before(14_400);
    }),
    ("plan from the future", Code::PlanExpired, APPLY_ONLY, |w| {
        w.plan_edit = |plan| plan.planned_at = noon().plus_seconds(301);
    }),
    // Gate 10: the review.
    ("no review", Code::ReviewMissing, APPLY_ONLY, |w| w.reviews.clear()),
    ("review by a stranger", Code::ReviewMissing, APPLY_ONLY, |w| w.reviews[0].key = seed::STRANGER),
    ("review by too few", Code::ReviewMissing, APPLY_ONLY, |w| {
        w.policy.roles.change_bot.as_mut().unwrap().threshold = 2;
    }),
    ("review of another plan", Code::ReviewMissing, APPLY_ONLY, |w| {
        w.reviews[0].edit = |review| review.plan = Digest::of(b"other");
    }),
    ("review of another change", Code::ReviewMissing, APPLY_ONLY, |w| {
        w.reviews[0].edit = |review| review.change = "CHG-8".parse().unwrap();
    }),
    ("authors missing", Code::ReviewUntrusted, APPLY_ONLY, |w| w.tamper = |case| case.authors.clear()),
    ("authors altered", Code::ReviewUntrusted, APPLY_ONLY, |w| {
        w.tamper = |case| case.authors.values_mut().for_each(|bytes| bytes.push(b' '));
    }),
    // Gate 10: the approvals.
    ("nobody said yes", Code::ApprovalMissing, APPLY_ONLY, |w| w.votes.clear()),
    ("a named yes is not there", Code::ApprovalMissing, APPLY_ONLY, |w| {
        w.votes.push(yes(seed::CAROL));
        w.tamper = |case| case.approvals.as_mut().unwrap().truncate(2);
    }),
    ("yes by a stranger", Code::ApprovalUntrusted, APPLY_ONLY, |w| w.votes.push(yes(seed::STRANGER))),
    ("yes to another plan", Code::ApprovalMismatch, APPLY_ONLY, |w| {
        w.votes.push(yes(seed::CAROL));
        w.votes[2].edit = |approval| approval.plan = Digest::of(b"other");
    }),
    ("a revocation named as a yes", Code::ApprovalMismatch, APPLY_ONLY, |w| {
        w.votes.push(Cast { named: true, ..revoke(seed::CAROL, 0) });
    }),
    ("yes expired", Code::ApprovalExpired, APPLY_ONLY, |w| {
        w.votes.push(yes(seed::CAROL));
        w.votes[2].edit = |approval| approval.expires_at = noon();
    }),
    ("yes held longer than a yes holds", Code::ApprovalExpired, APPLY_ONLY, |w| {
        w.votes.push(yes(seed::CAROL));
        w.votes[2].edit = |approval| approval.issued_at = before(14_400);
    }),
    ("yes from the future", Code::ApprovalExpired, APPLY_ONLY, |w| {
        w.votes.push(yes(seed::CAROL));
        w.votes[2].edit = |approval| approval.issued_at = noon().plus_seconds(301);
    }),
    ("a no", Code::ApprovalRejected, APPLY_ONLY, |w| w.votes.push(no(seed::CAROL))),
    ("yes taken back", Code::ApprovalRevoked, APPLY_ONLY, |w| {
        w.votes.extend([yes(seed::CAROL), revoke(seed::CAROL, 2)]);
    }),
    ("yes by an author", Code::ApprovalByAuthor, APPLY_ONLY, |w| {
        w.votes.push(yes(seed::CAROL));
        w.reviews[0].authors.push("github:carol".to_owned());
    }),
    ("rollback claimed by the bot", Code::ApprovalOverreach, APPLY_ONLY, |w| {
        w.votes.push(yes(seed::BOT));
        w.votes[2].edit = |approval| approval.rollback = true;
    }),
    ("emergency claimed by the bot", Code::ApprovalOverreach, APPLY_ONLY, |w| {
        w.votes.push(yes(seed::BOT));
        w.votes[2].edit = |approval| approval.emergency = true;
    }),
    ("approvals can't be listed", Code::ApprovalUnreadable, APPLY_ONLY, |w| w.tamper = |case| case.approvals = None),
];

fn columns() -> [(&'static str, World); 5] {
    let [mut rollback, mut emergency] = [World::new(Action::Apply), World::new(Action::Apply)];
    rollback.votes.iter_mut().for_each(|vote| vote.edit = |approval| approval.rollback = true);
    emergency.votes.iter_mut().for_each(|vote| vote.edit = |approval| approval.emergency = true);
    [
        ("plan", World::new(Action::Plan)),
        ("drift", World::new(Action::Drift)),
        ("apply", World::new(Action::Apply)),
        ("apply with rollback", rollback),
        ("apply with emergency", emergency),
    ]
}

#[test]
fn a_sound_request_passes_with_nothing_to_warn_about() {
    for (column, world) in columns() {
        let admission = decide(&world.case()).unwrap_or_else(|reasons| panic!("{column}: {reasons:?}"));
        assert_eq!(admission.warnings(), [], "{column}");
        assert_eq!(admission.request().action, world.action);
        assert_eq!(admission.manifest().manifest(), &world.manifest);
        assert_eq!(admission.environment().account, "111111111111");
        let people: Vec<_> = admission.approved_by().iter().map(PersonName::as_str).collect();
        let apply = world.action == Action::Apply;
        assert_eq!(people, if apply { vec!["alice", "bob"] } else { vec![] }, "{column}");
        assert_eq!(admission.plan().is_some(), apply, "{column}");
    }
}

#[test]
fn every_failure_is_treated_as_designed() {
    for (failure, code, expected, breaks) in ROWS {
        for ((column, mut world), expected) in columns().into_iter().zip(expected) {
            breaks(&mut world);
            let refused: Vec<Code>;
            let case = world.case();
            let (becomes, seen) = match decide(&case) {
                Err(_) => {
                    refused = codes(&case);
                    (Refused, refused)
                }
                Ok(admission) if admission.warnings().is_empty() => (*expected, vec![]),
                Ok(admission) => {
                    (Warned, admission.warnings().iter().map(|reason| reason.code.known().unwrap()).collect())
                }
            };
            let wanted = match expected {
                Refused | Warned => vec![*code],
                Skipped | Lifted => vec![],
            };
            assert_eq!((becomes, seen), (*expected, wanted), "{failure}, {column}");
        }
    }
}

/// The table names every code that gates 1 to 10 can give.
#[test]
fn every_code_of_gates_1_to_10_has_a_row() {
    let of_gates = |code: &&Code| **code <= Code::ApprovalUnreadable && **code != Code::RequestKeyReused;
    for code in Code::ALL.iter().filter(of_gates) {
        assert!(ROWS.iter().any(|(_, of_row, _, _)| of_row == code), "{code} has no row");
    }
}

#[test]
fn a_refusal_lists_every_reason_in_the_order_of_the_gates() {
    let mut world = World::new(Action::Apply);
    world.manifest.sources.truncate(1);
    world.manifest.evidence.clear();
    world.built_at = before(90_000);
    world.deployed = Some(record(&[(StepOutcome::Done, &[9])]));
    let freeze = Freeze { from: before(1), until: noon().plus_seconds(1), reason: "holidays".to_owned() };
    world.rules().freezes.push(freeze);
    world.reviews.clear();
    world.votes = vec![yes(seed::STRANGER), no(seed::CAROL), yes(seed::BOB)];
    world.votes[2].edit = |approval| approval.expires_at = noon();
    let expected = [
        Code::SourceMissing,
        Code::EvidenceMissing,
        Code::BuildTooOld,
        Code::ManifestRollback,
        Code::FreezeActive,
        Code::ReviewMissing,
        Code::ApprovalMissing,
        Code::ApprovalUntrusted,
        Code::ApprovalExpired,
        Code::ApprovalRejected,
    ];
    assert_eq!(codes(&world.case()), expected);
    let reasons = decide(&world.case()).unwrap_err();
    let first_of = |code: Code| reasons.iter().position(|reason| reason.code == code).unwrap();
    for (earlier, later) in [
        (Code::SourceMissing, Code::EvidenceMissing),
        (Code::EvidenceMissing, Code::BuildTooOld),
        (Code::BuildTooOld, Code::ManifestRollback),
        (Code::ManifestRollback, Code::FreezeActive),
        (Code::FreezeActive, Code::ReviewMissing),
        (Code::ReviewMissing, Code::ApprovalRejected),
    ] {
        assert!(first_of(earlier) < first_of(later), "{reasons:?}");
    }
    // What can't be believed is not looked into: a manifest by nobody is not parsed.
    world.builder_keys.clear();
    assert!(!codes(&world.case()).contains(&Code::SourceMissing));
}
