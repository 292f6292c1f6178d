//! Threat model, rows 3 and 16: what each signed document is bound to, one binding at a time.

use super::world::{World, seed, yes};
use super::*;

type Edit = fn(&mut World);

/// Changes only one thing that a document names, and nothing that it would be noticed by otherwise.
fn one_at_a_time(bindings: &[(&str, Edit)], code: Code, wording: impl Fn(&str) -> String) {
    for (what, edit) in bindings {
        let mut world = World::new(Action::Apply);
        world.votes.push(yes(seed::CAROL));
        assert_eq!(codes(&world.case()), []);
        edit(&mut world);
        let case = world.case();
        assert_eq!(codes(&case), [code], "{what}");
        assert!(refusal(&case).contains(&wording(what)), "{what}: {}", refusal(&case));
    }
}

#[test]
fn an_approval_is_for_one_of_each() {
    let bindings: &[(&str, Edit)] = &[
        ("manifest", |w| w.votes[2].about = Some((Digest::of(b"other"), w.subjects().1))),
        ("plan summary", |w| w.votes[2].about = Some((w.subjects().0, Digest::of(b"other")))),
        ("plan", |w| w.votes[2].edit = |approval| approval.plan = Digest::of(b"other")),
        ("project", |w| w.votes[2].edit = |approval| approval.project = "other".parse().unwrap()),
        ("environment", |w| w.votes[2].edit = |approval| approval.environment = "staging".parse().unwrap()),
        ("change", |w| w.votes[2].edit = |approval| approval.change = "CHG-8".parse().unwrap()),
    ];
    one_at_a_time(bindings, Code::ApprovalMismatch, |what| format!("is for another {what}"));
}

#[test]
fn a_review_is_for_one_of_each() {
    let bindings: &[(&str, Edit)] = &[
        ("manifest", |w| w.reviews[0].about = Some((Digest::of(b"other"), w.subjects().1))),
        ("plan summary", |w| w.reviews[0].about = Some((w.subjects().0, Digest::of(b"other")))),
        ("plan", |w| w.reviews[0].edit = |review| review.plan = Digest::of(b"other")),
        ("project", |w| w.reviews[0].edit = |review| review.project = "other".parse().unwrap()),
        ("environment", |w| w.reviews[0].edit = |review| review.environment = "staging".parse().unwrap()),
        ("change", |w| w.reviews[0].edit = |review| review.change = "CHG-8".parse().unwrap()),
    ];
    one_at_a_time(bindings, Code::ReviewMissing, |_| "0 of 1 reviews of this plan".to_owned());
}

#[test]
fn a_plan_is_for_one_of_each() {
    let bindings: &[(&str, Edit)] = &[
        ("manifest", |w| w.plan_about = Some((Digest::of(b"other"), w.subjects().1))),
        ("summary", |w| w.plan_about = Some((w.subjects().0, Digest::of(b"other")))),
        ("project", |w| w.plan_edit = |plan| plan.project = "other".parse().unwrap()),
        ("environment", |w| w.plan_edit = |plan| plan.environment = "staging".parse().unwrap()),
        ("statement", |w| {
            w.tamper = |case| {
                let mut other = World::new(Action::Apply);
                other.plan_edit = |plan| plan.expires_at = plan.expires_at.plus_seconds(1);
                case.plan = other.case().plan;
            };
        }),
    ];
    one_at_a_time(bindings, Code::PlanMismatch, |what| format!("the plan's {what} is not the one asked for"));
}
