//! Every moment that matters, to the second. Threat model, row 2.

use super::world::{World, before, finding, noon, seed, yes};
use super::*;
use crate::trust::{Freeze, Suppression};

type Edit = fn(&mut World);

/// What is signed in a world holds from its first second, and not in its last.
#[test]
fn documents_hold_until_the_second_that_they_name() {
    let cases: &[(&str, Edit, Code)] = &[
        ("trust policy", |w| w.policy.expires_at = noon(), Code::TrustExpired),
        ("plan", |w| w.plan_edit = |plan| plan.expires_at = noon(), Code::PlanExpired),
        ("plan, by the policy", |w| w.rules().approval.validity_seconds = 1800, Code::PlanExpired),
        ("approval", |w| w.votes[0].edit = |approval| approval.expires_at = noon(), Code::ApprovalExpired),
        (
            "approval, by the policy",
            |w| {
                w.rules().approval.validity_seconds = 900;
                w.plan_edit = |plan| plan.planned_at = before(60);
                w.votes[0].edit = |approval| approval.issued_at = before(900);
            },
            Code::ApprovalExpired,
        ),
    ];
    for (document, edit, code) in cases {
        for (at, expected) in [(before(1), vec![]), (noon(), vec![*code]), (noon().plus_seconds(1), vec![*code])] {
            let mut world = World::new(Action::Apply);
            edit(&mut world);
            world.now = at;
            assert_eq!(codes(&world.case()), expected, "{document} at {at}");
        }
    }
}

/// Clocks differ a little; what is dated further ahead than that was not signed yet.
#[test]
fn nothing_is_dated_more_than_five_minutes_ahead() {
    let cases: &[(&str, Edit, Code)] = &[
        ("build", |w| w.built_at = noon().plus_seconds(300), Code::BuildTooOld),
        ("plan", |w| w.plan_edit = |plan| plan.planned_at = noon().plus_seconds(300), Code::PlanExpired),
        ("approval", |w| w.votes[0].edit = |a| a.issued_at = noon().plus_seconds(300), Code::ApprovalExpired),
    ];
    for (document, edit, code) in cases {
        for (at, expected) in [(noon(), vec![]), (before(1), vec![*code])] {
            let mut world = World::new(Action::Apply);
            edit(&mut world);
            world.now = at;
            assert_eq!(codes(&world.case()), expected, "{document} seen at {at}");
        }
    }
}

#[test]
fn a_build_is_young_enough_up_to_its_last_second() {
    for (age, expected) in [(0, vec![]), (86_400, vec![]), (86_401, vec![Code::BuildTooOld])] {
        let mut world = World::new(Action::Apply);
        world.built_at = before(age);
        assert_eq!(codes(&world.case()), expected, "{age} s");
    }
}

/// With several builders, the earliest of their times counts: signing again later makes nothing younger.
#[test]
fn a_build_is_as_old_as_its_earliest_signature() {
    let mut late = World::new(Action::Apply);
    late.builder_keys = vec![seed::BUILDER_2];
    let mut early = World::new(Action::Apply);
    early.built_at = before(86_401);
    let mut case = late.case();
    assert_eq!(codes(&case), []);
    case.builds.extend(early.case().builds);
    assert_eq!(codes(&case), [Code::BuildTooOld]);
}

#[test]
fn a_freeze_holds_from_its_first_second_up_to_its_last() {
    for (from, until, frozen) in [(0, 60, true), (-60, 1, true), (-60, 0, false), (1, 60, false), (-1, 1, true)] {
        let mut world = World::new(Action::Apply);
        let at = |seconds: i64| before(-seconds);
        world.rules().freezes.push(Freeze { from: at(from), until: at(until), reason: "sale".to_owned() });
        let expected = if frozen { vec![Code::FreezeActive] } else { vec![] };
        assert_eq!(codes(&world.case()), expected, "{from} to {until}");
    }
}

/// Threat model, row 2: one set of documents, presented every five minutes of four days. Once something has run out,
/// nothing makes it valid again.
#[test]
fn a_frozen_set_of_documents_runs_out_and_stays_so() {
    let case = World::new(Action::Apply).case();
    let mut passed = Vec::new();
    for minute in (-2880..2880i64).step_by(5) {
        let case = Case { now: before(-60 * minute), ..case.clone() };
        if decide(&case).is_ok() {
            passed.push(minute);
        }
    }
    // Made at -30, -20 and -10 (plan, review, approvals), seen up to five minutes early; the approvals end at 60.
    assert_eq!(passed, (-15..60).step_by(5).collect::<Vec<_>>());
}

/// A suppression that has run out makes its finding count again, and with it the number of people.
#[test]
fn suppressions_end() {
    let suppression = |rule: &str, address: &str, expires_at| Suppression {
        rule: rule.to_owned(),
        address: address.to_owned(),
        reason: "known".to_owned(),
        expires_at,
    };
    let later = noon().plus_seconds(1);
    for (case, suppression, suppressed) in [
        ("in force", suppression("resource.deleted", "aws_sqs_queue.a", later), true),
        ("at its end", suppression("resource.deleted", "aws_sqs_queue.a", noon()), false),
        ("for another address", suppression("resource.deleted", "aws_sqs_queue.b", later), false),
        ("for an address that starts alike", suppression("resource.deleted", "aws_sqs_queue", later), false),
        ("for another rule", suppression("resource.replaced", "aws_sqs_queue.a", later), false),
        ("for every address", suppression("resource.deleted", "*", later), false),
    ] {
        let mut world = World::new(Action::Apply);
        world.findings = vec![finding("resource.deleted", "aws_sqs_queue.a")];
        world.votes = vec![yes(seed::ALICE)];
        world.rules().suppressions.push(suppression);
        let expected = if suppressed { vec![] } else { vec![Code::ApprovalMissing] };
        assert_eq!(codes(&world.case()), expected, "{case}");
    }
}
