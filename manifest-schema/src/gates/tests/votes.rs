//! Gate 10 in detail: whose word counts, for what, and how many are needed.

use std::collections::BTreeMap;

use super::world::{Cast, Say, World, before, finding, no, noon, record, revoke, seed, yes};
use super::*;
use crate::deployment::StepOutcome;
use crate::manifest::Trigger;
use crate::plan::{FilesChange, FunctionChange, ImageChange, Keys, ScheduleChange, ServiceChange, TaskRun};
use crate::statement::ReviewVerdict;
use crate::trust::Freeze;

/// A world that needs one person, with these votes.
fn voted(votes: Vec<Cast>) -> World {
    World { votes, ..World::new(Action::Apply) }
}

/// A vote about something else: for which a yes doesn't count, and a no only if it is the same build and place.
fn with(cast: Cast, edit: fn(&mut crate::statement::Approval)) -> Cast {
    Cast { edit, ..cast }
}

/// Threat model, row 16: a person's no stands until that person takes it back.
#[test]
fn a_no_stands_whoever_left_it_out() {
    let elsewhere = Some((Digest::of(b"another manifest"), Digest::of(b"another summary")));
    let rejected = vec![Code::ApprovalRejected];
    let cases: Vec<(&str, Vec<Cast>, Vec<Code>)> = vec![
        ("a no outside the request", vec![no(seed::BOB)], rejected.clone()),
        ("a no about another plan", vec![with(no(seed::BOB), |a| a.plan = Digest::of(b"x"))], rejected.clone()),
        (
            "a no about another change",
            vec![with(no(seed::BOB), |a| a.change = "X-1".parse().unwrap())],
            rejected.clone(),
        ),
        ("a no that has expired", vec![with(no(seed::BOB), |a| a.expires_at = before(1))], rejected.clone()),
        (
            "a no of tomorrow",
            vec![with(no(seed::BOB), |a| a.issued_at = noon().plus_seconds(86_400))],
            rejected.clone(),
        ),
        ("the bot's no", vec![no(seed::BOT)], rejected.clone()),
        ("no and, later, yes", vec![no(seed::BOB), yes(seed::BOB)], rejected.clone()),
        ("a no that is taken back", vec![no(seed::BOB), revoke(seed::BOB, 1)], vec![]),
        ("a no taken back by another", vec![no(seed::BOB), revoke(seed::CAROL, 1)], rejected.clone()),
        ("a no taken back by the bot", vec![no(seed::BOB), revoke(seed::BOT, 1)], rejected.clone()),
        ("a no taken back by a stranger", vec![no(seed::BOB), revoke(seed::STRANGER, 1)], rejected.clone()),
        ("a no taken back with a second key", vec![no(seed::ALICE), revoke(seed::ALICE_2, 1)], vec![]),
        ("one no of two taken back", vec![no(seed::BOB), no(seed::CAROL), revoke(seed::BOB, 1)], rejected.clone()),
        ("a no to another build", vec![Cast { about: elsewhere, ..no(seed::BOB) }], vec![]),
        ("a no elsewhere", vec![with(no(seed::BOB), |a| a.environment = "staging".parse().unwrap())], vec![]),
        ("a no to another project", vec![with(no(seed::BOB), |a| a.project = "other".parse().unwrap())], vec![]),
        ("a stranger's no", vec![no(seed::STRANGER)], vec![]),
        ("the builder's no", vec![no(seed::BUILDER)], vec![]),
    ];
    for (case, more, expected) in cases {
        let world = voted([vec![yes(seed::ALICE)], more].concat());
        assert_eq!(codes(&world.case()), expected, "{case}");
    }
    let mut world = voted(vec![yes(seed::ALICE), no(seed::BOB)]);
    world.votes[1].edit = |approval| approval.comment = Some("not during the sale".to_owned());
    assert!(refusal(&world.case()).contains("bob said no at 2026-11-22T11:50:00Z: not during the sale"));
}

#[test]
fn a_yes_is_taken_back_by_who_said_it_only() {
    let revoked = vec![Code::ApprovalRevoked];
    for (case, votes, expected) in [
        ("by its signer", vec![revoke(seed::BOB, 1)], revoked.clone()),
        ("by its signer, about another plan", vec![with(revoke(seed::BOB, 1), |a| a.plan = Digest::of(b"x"))], revoked),
        ("by another", vec![revoke(seed::CAROL, 1)], vec![]),
        ("by the bot", vec![revoke(seed::BOT, 1)], vec![]),
        ("by a stranger", vec![revoke(seed::STRANGER, 1)], vec![]),
        ("another of theirs", vec![revoke(seed::ALICE, 0), yes(seed::ALICE)], vec![Code::ApprovalRevoked]),
        // Taking the revocation back doesn't bring the yes back: they can say yes again.
        ("twice", vec![revoke(seed::BOB, 1), revoke(seed::BOB, 2)], vec![Code::ApprovalRevoked]),
    ] {
        let world = voted([vec![yes(seed::ALICE), yes(seed::BOB)], votes].concat());
        assert_eq!(codes(&world.case()), expected, "{case}");
    }
}

#[test]
fn only_people_count_and_each_once() {
    let findings = vec![finding("resource.deleted", "aws_sqs_queue.a")];
    for (case, votes, enough) in [
        ("two people", vec![yes(seed::ALICE), yes(seed::BOB)], true),
        ("two keys of one person", vec![yes(seed::ALICE), yes(seed::ALICE_2)], false),
        ("one person twice", vec![yes(seed::ALICE), with(yes(seed::ALICE), |a| a.comment = None)], false),
        ("a person and the bot", vec![yes(seed::ALICE), yes(seed::BOT)], false),
        ("both keys of the bot", vec![yes(seed::BOT), yes(seed::BOT_2)], false),
        ("two keys of one person, and another", vec![yes(seed::ALICE), yes(seed::ALICE_2), yes(seed::BOB)], true),
        ("one named, one not", vec![yes(seed::ALICE), Cast { named: false, ..yes(seed::BOB) }], false),
    ] {
        let world = World { findings: findings.clone(), ..voted(votes) };
        let expected = if enough { vec![] } else { vec![Code::ApprovalMissing] };
        assert_eq!(codes(&world.case()), expected, "{case}");
    }
}

#[test]
fn an_author_is_kept_from_approving_however_the_forge_writes_the_name() {
    for (author, allowed) in
        [("github:dave", true), ("github:alice", false), ("github:Alice", false), ("gitlab:alice", true)]
    {
        let mut world = voted(vec![yes(seed::ALICE)]);
        world.reviews[0].authors = vec![author.to_owned()];
        let by_author = vec![Code::ApprovalMissing, Code::ApprovalByAuthor];
        assert_eq!(codes(&world.case()), if allowed { vec![] } else { by_author }, "{author}");
    }
    // A second review can add authors, and take none away.
    let mut world = voted(vec![yes(seed::ALICE)]);
    let mut second = world.reviews[0].clone();
    second.authors = vec!["github:alice".to_owned()];
    world.reviews.insert(0, second);
    assert!(codes(&world.case()).contains(&Code::ApprovalByAuthor));
}

/// What demands people, alone, and the word for it in the refusal.
#[test]
fn every_demand_asks_for_as_many_people_as_risk_does() {
    type Edit = fn(&mut World);
    let demands: &[(&str, Edit)] = &[
        ("1 finding in the plan", |w| w.findings = vec![finding("a", "b")]),
        ("2 findings in the plan", |w| w.findings = vec![finding("a", "b"), finding("a", "c")]),
        ("the first deploy", |w| w.deployed = None),
        ("the first deploy", |w| w.deployed.as_mut().unwrap().complete = None),
        ("a raised epoch", |w| w.manifest.build.epoch = 1),
        ("a rollback", |w| w.built_at = before(86_401)),
        ("a rollback", |w| w.deployed = Some(record(&[(StepOutcome::Done, &[8])]))),
        ("an emergency", |w| {
            let freeze = Freeze { from: before(1), until: noon().plus_seconds(1), reason: "sale".to_owned() };
            w.rules().freezes.push(freeze);
        }),
        ("a service that doesn't exist yet", |w| {
            let image = ImageChange { before: None, elsewhere: None, after: Digest::of(b"image") };
            let containers = BTreeMap::from([("app".parse().unwrap(), image)]);
            let (service, settings) = ("web".parse().unwrap(), BTreeMap::new());
            w.services = vec![ServiceChange { service, cluster: None, task_definition: None, containers, settings }];
        }),
        ("a service that doesn't exist yet", |w| {
            w.tasks = vec![TaskRun {
                task: "migrate".parse().unwrap(),
                service: "web".parse().unwrap(),
                cluster: "main".parse().unwrap(),
                task_definition: None,
                container: "app".parse().unwrap(),
                command: vec!["migrate".to_owned()],
                repeats: true,
                containers: BTreeMap::new(),
                settings: BTreeMap::new(),
            }];
        }),
        ("a schedule that doesn't exist yet", |w| {
            w.schedules = vec![ScheduleChange {
                trigger: Trigger::Schedule { name: "nightly".parse().unwrap(), group: None },
                cluster: None,
                task_definition: None,
                containers: BTreeMap::new(),
                settings: BTreeMap::new(),
            }];
        }),
        ("a bucket that doesn't exist yet", |w| {
            w.files = vec![FilesChange {
                bucket: "site".parse().unwrap(),
                prefix: None,
                missing: true,
                added: Keys::default(),
                changed: Keys::default(),
                deleted: Keys::default(),
                before: None,
                foreign: Keys::default(),
            }];
        }),
        ("a function that doesn't exist yet", |w| {
            w.functions = vec![FunctionChange {
                function: "resize".parse().unwrap(),
                alias: "live".parse().unwrap(),
                version: None,
                ours: false,
                code: ImageChange { before: None, elsewhere: None, after: Digest::of(b"code") },
                settings: Vec::new(),
                revision: None,
                alarms: Vec::new(),
                watch_seconds: 0,
            }];
        }),
    ];
    for (demand, edit) in demands {
        let mut lifting = [yes(seed::ALICE), yes(seed::BOB)];
        lifting.iter_mut().for_each(|vote| vote.edit = |a| (a.rollback, a.emergency) = (true, true));
        let mut world = voted(lifting[..1].to_vec());
        edit(&mut world);
        let refusal = refusal(&world.case());
        assert!(refusal.contains("1 (alice) of 2 people") && refusal.contains(demand), "{demand}: {refusal}");
        // Never less because the bot is content.
        world.rules().approval.bot_alone = true;
        world.votes = vec![yes(seed::BOT)];
        assert!(codes(&world.case()).contains(&Code::ApprovalMissing), "{demand}: the bot alone");
        world.votes = lifting.to_vec();
        assert_eq!(codes(&world.case()), [], "{demand}: with two people");
    }
}

#[test]
fn the_bot_alone_is_enough_where_the_policy_says_so_and_its_review_is_clear() {
    type Edit = fn(&mut World);
    let alone = || {
        let mut world = voted(vec![yes(seed::BOT)]);
        world.rules().approval.bot_alone = true;
        world
    };
    let admission = decide(&alone().case()).unwrap();
    assert_eq!(admission.approved_by(), []);
    let not_alone: &[(&str, Edit)] = &[
        ("not allowed", |w| w.rules().approval.bot_alone = false),
        ("it asks for a person", |w| w.reviews[0].verdict = ReviewVerdict::Person),
        ("one of its reviews asks for a person", |w| {
            let mut second = w.reviews[0].clone();
            (second.key, second.verdict) = (seed::BOT_2, ReviewVerdict::Person);
            w.reviews.push(second);
        }),
        ("it says nothing", |w| w.votes.clear()),
        ("its yes is not named", |w| w.votes[0].named = false),
        ("both its keys are needed", |w| {
            w.policy.roles.change_bot.as_mut().unwrap().threshold = 2;
            w.rules().approval.review_required = false;
        }),
        ("it did not review, where none is required", |w| {
            w.rules().approval.review_required = false;
            w.reviews.clear();
        }),
    ];
    for (case, edit) in not_alone {
        let mut world = alone();
        edit(&mut world);
        assert_eq!(codes(&world.case()), [Code::ApprovalMissing], "{case}");
        world.votes.push(yes(seed::ALICE));
        assert_eq!(codes(&world.case()), [], "{case}, and a person");
    }
}

#[test]
fn a_bot_of_two_keys_approves_with_both() {
    let mut world = voted(vec![yes(seed::BOT)]);
    world.rules().approval.bot_alone = true;
    world.policy.roles.change_bot.as_mut().unwrap().threshold = 2;
    let second = world.reviews[0].clone();
    world.reviews.push(super::world::Reviewing { key: seed::BOT_2, ..second });
    assert_eq!(codes(&world.case()), [Code::ApprovalMissing]);
    world.votes.push(with(yes(seed::BOT), |approval| approval.comment = None));
    assert_eq!(codes(&world.case()), [Code::ApprovalMissing], "one key twice");
    world.votes.push(yes(seed::BOT_2));
    assert_eq!(codes(&world.case()), []);
}

/// A lift needs every counted approval to carry it.
#[test]
fn one_person_who_did_not_mean_a_rollback_keeps_it_from_happening() {
    let rollback = |cast: Cast| with(cast, |approval| approval.rollback = true);
    for (case, votes, lifted) in [
        ("both mean it", vec![rollback(yes(seed::ALICE)), rollback(yes(seed::BOB))], true),
        ("one doesn't", vec![rollback(yes(seed::ALICE)), yes(seed::BOB)], false),
        ("a third doesn't", vec![rollback(yes(seed::ALICE)), rollback(yes(seed::BOB)), yes(seed::CAROL)], false),
        (
            "one means it with one key only",
            vec![rollback(yes(seed::ALICE)), yes(seed::ALICE_2), rollback(yes(seed::BOB))],
            false,
        ),
        (
            "one means an emergency",
            vec![rollback(yes(seed::ALICE)), with(yes(seed::BOB), |a| a.emergency = true)],
            false,
        ),
    ] {
        let mut world = voted(votes);
        world.deployed = Some(record(&[(StepOutcome::Done, &[8])]));
        let expected = if lifted { vec![] } else { vec![Code::ManifestRollback] };
        assert_eq!(codes(&world.case()), expected, "{case}");
    }
}

#[test]
fn a_no_named_as_a_yes_is_still_a_no() {
    let world = voted(vec![yes(seed::ALICE), Cast { say: Say::No, ..yes(seed::BOB) }]);
    assert_eq!(codes(&world.case()), [Code::ApprovalMismatch, Code::ApprovalRejected]);
}

/// Whoever may say no could otherwise write a reason that no event holds.
#[test]
fn an_endless_comment_is_cut_where_it_is_quoted() {
    let mut world = World::new(Action::Apply);
    world.votes.push(no(seed::CAROL));
    world.votes[2].edit = |approval| approval.comment = Some("ü".repeat(900));
    let refused = refusal(&world.case());
    assert!(refused.contains(&"ü".repeat(250)) && !refused.contains(&"ü".repeat(251)), "{refused}");
}
