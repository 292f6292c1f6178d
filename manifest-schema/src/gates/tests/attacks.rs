//! The attacks of the threat model that gates 1 to 10 stand against, each under its number.

use serde_json::Value;

use super::world::{World, no, public, record, seed, yes};
use super::*;
use crate::deployment::StepOutcome;
use crate::keys::tests::key;
use crate::statement::{self, Statement, Subject, subject};

/// Threat 1: everything about build 7 is genuine; build 8 is live by now.
#[test]
fn threat_1_replaying_an_old_build_is_refused() {
    let world = World::new(Action::Apply);
    let mut case = world.case();
    assert_eq!(codes(&case), []);
    case.deployed = world.sign_deployed(record(&[(StepOutcome::Done, &[8])]));
    assert_eq!(codes(&case), [Code::ManifestRollback]);
}

/// One part of a case, to be taken from another.
type Part = (&'static str, fn(&mut Case, &Case));

const PARTS: &[Part] = &[
    ("request", |case, other| case.request.clone_from(&other.request)),
    ("manifest", |case, other| case.manifest.clone_from(&other.manifest)),
    ("build statements", |case, other| case.builds.clone_from(&other.builds)),
    ("plan with its summary", |case, other| case.plan.clone_from(&other.plan)),
    ("plan statement", |case, other| {
        case.plan.as_mut().unwrap().envelope.clone_from(&other.plan.as_ref().unwrap().envelope);
    }),
    ("plan summary", |case, other| {
        case.plan.as_mut().unwrap().summary.clone_from(&other.plan.as_ref().unwrap().summary);
    }),
    ("reviews", |case, other| case.reviews.clone_from(&other.reviews)),
    ("authors", |case, other| case.authors.clone_from(&other.authors)),
    ("approvals", |case, other| case.approvals.clone_from(&other.approvals)),
    ("one approval", |case, other| {
        case.approvals.as_mut().unwrap()[0].clone_from(&other.approvals.as_ref().unwrap()[0]);
    }),
    ("approvals, named by the request", |case, other| {
        let mut request = LaunchRequest::from_bytes(&case.request).unwrap();
        request.approvals = LaunchRequest::from_bytes(&other.request).unwrap().approvals;
        case.request = request.to_bytes();
        case.approvals.clone_from(&other.approvals);
    }),
    ("plan and approvals, named by the request", |case, other| {
        let (mut request, others) =
            (LaunchRequest::from_bytes(&case.request).unwrap(), LaunchRequest::from_bytes(&other.request).unwrap());
        (request.plan, request.approvals) = (others.plan, others.approvals);
        case.request = request.to_bytes();
        case.plan.clone_from(&other.plan);
        case.approvals.clone_from(&other.approvals);
    }),
];

/// Threat 3: two requests that both pass; any one document of one in the other must not.
#[test]
fn threat_3_mixing_documents_of_two_valid_requests_is_refused() {
    type Edit = fn(&mut World);
    let others: &[(&str, Edit)] = &[
        ("another build", |w| w.manifest.build.number = 8),
        ("another project", |w| (w.project, w.manifest.project) = ("other".parse().unwrap(), "other".parse().unwrap())),
        ("another change", |w| w.change = "CHG-8".parse().unwrap()),
        ("another environment", |w| {
            w.environment = "staging".parse().unwrap();
            w.place = Place { account: "222222222222".to_owned(), region: "us-east-1".to_owned() };
        }),
        ("another plan", |w| w.findings = vec![super::world::finding("a", "b")]),
    ];
    let ours = World::new(Action::Apply).case();
    for (kind, edit) in others {
        let mut other = World::new(Action::Apply);
        other.reviews[0].authors = vec!["github:erin".to_owned()];
        edit(&mut other);
        let other = other.case();
        assert_eq!(codes(&other), [], "{kind} passes by itself");
        for (part, take) in PARTS {
            for (one, from) in [(&ours, &other), (&other, &ours)] {
                let mut mixed = one.clone();
                take(&mut mixed, from);
                let same = format!("{mixed:?}") == format!("{one:?}");
                assert!(same || decide(&mixed).is_err(), "{part} of {kind} was taken");
            }
        }
    }
}

/// Threat 4: the policy means one account and region by each environment.
#[test]
fn threat_4_a_deploy_meant_for_another_place_is_refused() {
    let places = [("production", "111111111111", "eu-west-1"), ("staging", "222222222222", "us-east-1")];
    for action in [Action::Plan, Action::Apply, Action::Drift] {
        for (environment, its_account, its_region) in places {
            for account in ["111111111111", "222222222222", "333333333333", ""] {
                for region in ["eu-west-1", "us-east-1", "EU-WEST-1", ""] {
                    let mut world = World::new(action);
                    world.environment = environment.parse().unwrap();
                    world.place = Place { account: account.to_owned(), region: region.to_owned() };
                    let right = (account, region) == (its_account, its_region);
                    let expected = if right { vec![] } else { vec![Code::EnvironmentMismatch] };
                    assert_eq!(codes(&world.case()), expected, "{action} {environment} in {account} {region}");
                }
            }
        }
    }
}

/// An envelope with the signatures of several.
fn merged(envelopes: &[&[u8]]) -> Vec<u8> {
    let parsed: Vec<Value> = envelopes.iter().map(|bytes| serde_json::from_slice(bytes).unwrap()).collect();
    let mut all = parsed[0].clone();
    all["signatures"] = parsed.iter().flat_map(|one| one["signatures"].as_array().unwrap().clone()).collect();
    serde_json::to_vec(&all).unwrap()
}

/// The envelope with every keyid replaced.
fn claiming(envelope: &[u8], keyid: &str) -> Vec<u8> {
    let mut parsed: Value = serde_json::from_slice(envelope).unwrap();
    for signature in parsed["signatures"].as_array_mut().unwrap() {
        signature["keyid"] = keyid.into();
    }
    serde_json::to_vec(&parsed).unwrap()
}

/// Threat 6: a threshold of two is two keys, however often one of them signs.
#[test]
fn threat_6_one_key_never_reaches_a_threshold_of_two() {
    let mut world = World::new(Action::Apply);
    world.policy.roles.builder.threshold = 2;
    let mut case = world.case();
    let one = case.builds[0].clone();
    let again = claiming(&one, "another id");
    let copies: [(&str, Vec<Vec<u8>>); 4] = [
        ("the envelope twice", vec![one.clone(), one.clone()]),
        ("under another id", vec![one.clone(), again.clone()]),
        ("the signature twice in one", vec![merged(&[&one, &one])]),
        ("two ids in one", vec![merged(&[&one, &again])]),
    ];
    for (copy, builds) in copies {
        case.builds = builds;
        assert_eq!(codes(&case), [Code::BuildUntrusted], "{copy}");
    }
    world.builder_keys.push(seed::BUILDER_2);
    let two = world.case();
    assert_eq!(codes(&two), []);
    case.builds = vec![merged(&[&two.builds[0], &two.builds[1]])];
    assert_eq!(codes(&case), [], "two keys in one envelope are two keys");
}

/// Threat 6, for the other thresholds.
#[test]
fn threat_6_holds_for_planner_bot_and_roots_too() {
    let mut world = World::new(Action::Apply);
    world.policy.roles.planner.threshold = 2;
    let mut case = world.case();
    let plan = case.plan.clone().unwrap().envelope;
    case.plan.as_mut().unwrap().envelope = merged(&[&plan, &claiming(&plan, "other")]);
    assert_eq!(codes(&case), [Code::PlanUntrusted]);
    world.planner_key = seed::PLANNER_2;
    let second = world.case().plan.unwrap().envelope;
    case.plan.as_mut().unwrap().envelope = merged(&[&plan, &second]);
    assert_eq!(codes(&case), [], "two planners");

    let mut world = World::new(Action::Apply);
    world.policy.roles.change_bot.as_mut().unwrap().threshold = 2;
    world.reviews = vec![world.reviews[0].clone(), world.reviews[0].clone()];
    assert_eq!(codes(&world.case()), [Code::ReviewMissing]);
    world.reviews[1].key = seed::BOT_2;
    assert_eq!(codes(&world.case()), [], "two reviews");

    let mut world = World::new(Action::Apply);
    world.policy.roles.root.threshold = 2;
    world.root_keys = vec![seed::ROOT, seed::ROOT];
    assert_eq!(codes(&world.case()), [Code::TrustBroken]);
    world.root_keys = vec![seed::ROOT, seed::ROOT_2];
    assert_eq!(codes(&world.case()), [], "two roots");
}

/// Threat 6: a policy that lists a key twice is no policy.
#[test]
fn threat_6_a_policy_that_lists_a_key_twice_is_refused() {
    let mut world = World::new(Action::Plan);
    world.policy.keys.insert("builder-2".parse().unwrap(), public(seed::BUILDER));
    assert!(refusal(&world.case()).contains("listed under two names"));
}

/// Threat 7: the id is a hint, for better and for worse.
#[test]
fn threat_7_a_key_id_is_not_believed() {
    let mut world = World::new(Action::Apply);
    let genuine = world.case();
    for id in ["", "junk", "SHA256:", &public(seed::STRANGER).id().to_string()] {
        let mut case = genuine.clone();
        case.builds[0] = claiming(&case.builds[0], id);
        let plan = case.plan.as_mut().unwrap();
        plan.envelope = claiming(&plan.envelope, id);
        assert_eq!(codes(&case), [], "genuine, under the id {id:?}");
    }
    world.builder_keys = vec![seed::STRANGER];
    let mut forged = world.case();
    forged.builds[0] = claiming(&forged.builds[0], &public(seed::BUILDER).id().to_string());
    assert_eq!(codes(&forged), [Code::BuildUntrusted], "forged, under the builder's id");
}

/// Signs with `thief`'s key what each role signs; whose code refuses it.
fn stolen(thief: u8) -> Vec<(&'static str, World, Code)> {
    let world = |edit: &dyn Fn(&mut World)| {
        let mut world = World::new(Action::Apply);
        edit(&mut world);
        world
    };
    vec![
        ("root", world(&|w| w.root_keys = vec![thief]), Code::TrustBroken),
        ("builder", world(&|w| w.builder_keys = vec![thief]), Code::BuildUntrusted),
        ("planner", world(&|w| w.planner_key = thief), Code::PlanUntrusted),
        ("bot", world(&|w| w.reviews[0].key = thief), Code::ReviewMissing),
        ("approver", world(&|w| w.votes = vec![yes(thief)]), Code::ApprovalMissing),
    ]
}

/// Threats 8, 14 and 15: every key signs for every other role, and is refused there.
#[test]
fn threats_8_14_15_a_stolen_key_signs_for_no_other_role() {
    for (thief, its_role) in [
        (seed::ROOT, "root"),
        (seed::BUILDER, "builder"),
        (seed::BOT, "bot"),
        (seed::PLANNER, "planner"),
        (seed::DEPLOYER, "deployer"),
        (seed::ALICE, "approver"),
        (seed::SCANNER, "scanner"),
        (seed::STRANGER, "nobody"),
    ] {
        for (role, world, code) in stolen(thief) {
            let refused = codes(&world.case());
            if role == its_role {
                assert_eq!(refused, [], "{role} signs as {role}");
            } else {
                assert!(refused.contains(&code), "the key of {its_role} signed as {role}: {refused:?}");
            }
        }
    }
}

/// Threat 15: with the bot's key one gets the bot's say, and no more than that.
#[test]
fn threat_15_the_bots_key_alone_deploys_nothing_that_needs_people() {
    let mut world = World::new(Action::Apply);
    world.votes = vec![yes(seed::BOT), yes(seed::BOT_2)];
    assert_eq!(codes(&world.case()), [Code::ApprovalMissing]);
    // It can't silence people either: their no stands, and only they take it back.
    world.votes = vec![yes(seed::ALICE), yes(seed::BOB), no(seed::CAROL), super::world::revoke(seed::BOT, 2)];
    assert_eq!(codes(&world.case()), [Code::ApprovalRejected]);
}

/// Threat 8: a genuine statement of one type in the place of another.
#[test]
fn threat_8_a_statement_of_one_type_is_not_taken_for_another() {
    let case = World::new(Action::Apply).case();
    let kinds = [
        ("build", case.builds[0].clone()),
        ("plan", case.plan.clone().unwrap().envelope),
        ("review", case.reviews[0].clone()),
        ("approval", case.approvals.clone().unwrap()[0].clone()),
        ("trust policy", case.trust[0].envelopes[0].clone()),
    ];
    for (of, envelope) in &kinds {
        for (role, place) in [
            ("build", (|case, envelope| case.builds = vec![envelope]) as fn(&mut Case, Vec<u8>)),
            ("plan", |case, envelope| case.plan.as_mut().unwrap().envelope = envelope),
            ("review", |case, envelope| case.reviews = vec![envelope]),
            ("approval", |case, envelope| case.approvals = Some(vec![envelope])),
            ("trust policy", |case, envelope| case.trust[0].envelopes = vec![envelope]),
        ] {
            let mut mixed = case.clone();
            place(&mut mixed, envelope.clone());
            // One approval of the two that the request names is too little, too.
            let passes = *of == role && role != "approval";
            assert_eq!(decide(&mixed).is_ok(), passes, "a {of} statement as a {role} statement");
        }
    }
}

/// Threat 9: whatever stands where an envelope should, nothing passes because it can't be read.
#[test]
fn threat_9_what_cannot_be_read_does_not_pass() {
    for junk in
        ["", "{", "null", "[]", "{}", r#"{"payload":"","payloadType":"application/vnd.in-toto+json","signatures":[]}"#]
    {
        let junk = junk.as_bytes().to_vec();
        let mut case = World::new(Action::Apply).case();
        case.builds = vec![junk.clone()];
        case.plan.as_mut().unwrap().envelope.clone_from(&junk);
        case.reviews = vec![junk.clone()];
        case.approvals = Some(vec![junk.clone()]);
        let refused = codes(&case);
        assert_eq!(refused, [Code::BuildUntrusted, Code::PlanUntrusted], "{junk:?}");
        case.trust[0].envelopes = vec![junk];
        assert_eq!(codes(&case), [Code::TrustBroken]);
    }
}

/// Threat 16: an approval names one plan; planning the same build again needs another.
#[test]
fn threat_16_an_approval_is_worth_one_plan() {
    let first = World::new(Action::Apply).case();
    let mut second = World::new(Action::Apply);
    second.plan_edit = |plan| plan.planned_at = plan.planned_at.plus_seconds(60);
    let mut second = second.case();
    let old = LaunchRequest::from_bytes(&first.request).unwrap();
    let mut request = LaunchRequest::from_bytes(&second.request).unwrap();
    request.approvals = old.approvals;
    request.key = request.fingerprint().hex();
    second.request = request.to_bytes();
    second.approvals = first.approvals;
    assert_eq!(codes(&second), [Code::ApprovalMissing, Code::ApprovalMismatch]);
}

/// A statement about two manifests at once is about neither.
#[test]
fn a_statement_about_two_builds_is_about_none() {
    let mut case = World::new(Action::Plan).case();
    let manifest = Digest::of(case.manifest.as_ref().unwrap());
    let about = [manifest, Digest::of(b"another")].map(|digest| Subject::new(subject::MANIFEST, digest));
    let built = Statement::new(about.to_vec(), statement::Build { built_at: super::world::before(60) });
    case.builds = vec![built.sign(&key(seed::BUILDER)).unwrap().envelope];
    assert_eq!(codes(&case), [Code::BuildUntrusted]);
}
