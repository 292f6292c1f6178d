//! Gates 4 to 8 in detail: whose builds, with which evidence, over what runs.

use super::world::{World, public, record, seed};
use super::*;
use crate::deployment::StepOutcome;
use crate::dsse::{self, Unsigned};
use crate::keys::tests::key;
use crate::manifest::tests::report;
use crate::manifest::{BlobRef, Evidence};
use crate::trust::EvidenceRule;

/// Threat model, row 1: the highest build that is, or may be, live in any step counts.
#[test]
fn a_build_must_not_be_lower_than_what_may_be_live_in_any_step() {
    use StepOutcome::{Done, Failed, NotBegun, Unknown};
    type Live<'a> = &'a [(StepOutcome, &'a [u64])];
    let cases: &[(&str, Live<'_>, bool)] = &[
        ("nothing is live", &[], true),
        ("lower everywhere", &[(Done, &[5]), (Done, &[6])], true),
        ("the same", &[(Done, &[7])], true),
        ("higher in one step of two", &[(Done, &[6]), (Done, &[8])], false),
        ("perhaps higher: nobody knows how far it came", &[(Unknown, &[6, 8])], false),
        ("perhaps higher: failed half-way", &[(Failed, &[8, 6])], false),
        ("perhaps the same", &[(Unknown, &[6, 7])], true),
        ("higher in a step that the last deploy didn't begin", &[(Done, &[6]), (NotBegun, &[8])], false),
    ];
    for (case, steps, passes) in cases {
        let mut world = World::new(Action::Apply);
        world.manifest = crate::manifest::tests::build(7);
        world.deployed = Some(record(steps));
        let expected = if *passes { vec![] } else { vec![Code::ManifestRollback] };
        assert_eq!(codes(&world.case()), expected, "{case}");
    }
}

/// A raised epoch is higher than any number before it, and needs people (see `votes`).
#[test]
fn an_epoch_outranks_every_number() {
    let mut world = World::new(Action::Apply);
    (world.manifest.build.epoch, world.manifest.build.number) = (1, 1);
    assert_eq!(codes(&world.case()), []);
    let mut record = record(&[(StepOutcome::Done, &[7])]);
    record.steps[0].live[0].build.epoch = 1;
    let mut world = World::new(Action::Apply);
    (world.manifest.build.number, world.deployed) = (1000, Some(record));
    assert_eq!(codes(&world.case()), [Code::ManifestRollback]);
}

fn signed_report(world: &mut World, name: &str, by: u8, digests: &str) {
    let payload = format!(
        r#"{{"_type":"https://in-toto.io/Statement/v1","subject":[{{"name":"x","digest":{digests}}}],
            "predicateType":"https://example.org/scan/v1","predicate":{{}}}}"#
    );
    let envelope = Unsigned::new(payload.into()).unwrap().sign(&key(by)).envelope;
    let BlobRef { digest, size } = BlobRef::of(&envelope);
    let media_type = dsse::MEDIA_TYPE.to_owned();
    world.manifest.evidence = vec![Evidence { digest, size, media_type, kind: "sast".into(), ..report(name, "") }];
    world.evidence = vec![envelope];
}

/// An envelope by the scanner is not enough: it must hold an in-toto statement.
#[test]
fn a_signed_report_that_is_no_statement_proves_nothing() {
    let mut world = World::new(Action::Plan);
    let signers = vec!["scanner".parse().unwrap()];
    world.project_rules().evidence = vec![EvidenceRule { kind: "sast".to_owned(), signers }];
    let about = format!(r#""subject":[{{"digest":{{"sha256":"{}"}}}}]"#, world.manifest.artifacts[2].digest.hex());
    for (payload, passes) in [
        (format!(r#"{{"_type":"https://in-toto.io/Statement/v1",{about}}}"#), true),
        (format!(r#"{{"_type":"https://in-toto.io/Statement/v0.1",{about}}}"#), false),
        (format!(r#"{{{about}}}"#), false),
        ("[]".to_owned(), false),
    ] {
        let envelope = Unsigned::new(payload.as_bytes().into()).unwrap().sign(&key(seed::SCANNER)).envelope;
        let BlobRef { digest, size } = BlobRef::of(&envelope);
        let media_type = dsse::MEDIA_TYPE.to_owned();
        world.manifest.evidence = vec![Evidence { digest, size, media_type, ..report("sast", "") }];
        world.evidence = vec![envelope];
        let expected = if passes { vec![] } else { vec![Code::EvidenceUntrusted] };
        assert_eq!(codes(&world.case()), expected, "{payload}");
    }
}

/// Threat model, row 39: a builder can name a report, but not sign it for the scanner, and not take another build's.
#[test]
fn a_report_that_must_be_signed_is_about_this_build_and_by_its_tool() {
    let artifact = |world: &World| format!(r#"{{"sha256":"{}"}}"#, world.manifest.artifacts[2].digest.hex());
    let commit = |_: &World| format!(r#"{{"gitCommit":"{}"}}"#, "1".repeat(40));
    type Digests = fn(&World) -> String;
    let cases: &[(&str, u8, Digests, bool)] = &[
        ("by the scanner about an artifact", seed::SCANNER, artifact, true),
        ("by the scanner about a commit", seed::SCANNER, commit, true),
        ("by the builder", seed::BUILDER, artifact, false),
        ("by a stranger", seed::STRANGER, artifact, false),
        ("about another artifact", seed::SCANNER, |_| format!(r#"{{"sha256":"{}"}}"#, "0".repeat(64)), false),
        ("about another commit", seed::SCANNER, |_| format!(r#"{{"gitCommit":"{}"}}"#, "9".repeat(40)), false),
        ("about nothing", seed::SCANNER, |_| "{}".to_owned(), false),
        ("by another hash", seed::SCANNER, |w| artifact_as(w, "sha512"), false),
    ];
    fn artifact_as(world: &World, algorithm: &str) -> String {
        format!(r#"{{"{algorithm}":"{}"}}"#, world.manifest.artifacts[2].digest.hex())
    }
    for (case, by, digests, passes) in cases {
        let mut world = World::new(Action::Plan);
        let signers = vec!["scanner".parse().unwrap()];
        world.project_rules().evidence = vec![EvidenceRule { kind: "sast".to_owned(), signers }];
        let digests = digests(&world);
        signed_report(&mut world, "scan", *by, &digests);
        let expected = if *passes { vec![] } else { vec![Code::EvidenceUntrusted] };
        assert_eq!(codes(&world.case()), expected, "{case}");
        // The same bytes under another media type, or not fetched, prove nothing.
        world.manifest.evidence[0].media_type = "application/sarif+json".to_owned();
        assert_eq!(codes(&world.case()), [Code::EvidenceUntrusted], "{case}, as plain text");
        world.manifest.evidence[0].media_type = dsse::MEDIA_TYPE.to_owned();
        world.evidence.clear();
        assert_eq!(codes(&world.case()), [Code::EvidenceUntrusted], "{case}, not fetched");
    }
}

#[test]
fn refs_are_matched_whole_unless_they_end_in_a_star() {
    for (rule, reference, allowed) in [
        ("refs/heads/main", "refs/heads/main", true),
        ("refs/heads/main", "refs/heads/main/x", false),
        ("refs/heads/release/*", "refs/heads/release/1", true),
        ("refs/heads/release/*", "refs/heads/release", false),
        ("refs/heads/release/*", "refs/heads/other/release/1", false),
        ("*", "refs/pull/1/head", true),
        ("", "refs/heads/main", false),
    ] {
        let mut world = World::new(Action::Plan);
        world.project_rules().sources[0].refs = vec![rule.to_owned()];
        world.manifest.sources[0].reference = reference.to_owned();
        let expected = if allowed { vec![] } else { vec![Code::SourceRef] };
        assert_eq!(codes(&world.case()), expected, "{rule:?} and {reference:?}");
    }
}

#[test]
fn uncommitted_changes_pass_only_where_the_policy_says_so() {
    let mut world = World::new(Action::Apply);
    world.manifest.sources[0].dirty = true;
    assert_eq!(codes(&world.case()), [Code::SourceRef]);
    world.project_rules().allow_dirty = true;
    assert_eq!(codes(&world.case()), []);
}

/// A world whose build was deployed before the builder's key was replaced.
fn after_rotation(action: Action) -> World {
    let mut world = World::new(action);
    let manifest = Digest::of(&world.manifest.to_bytes());
    let mut record = record(&[(StepOutcome::Done, &[7])]);
    record.manifest = manifest;
    record.steps[0].live[0].manifest = manifest;
    world.deployed = Some(record);
    world.policy.keys.insert("builder".parse().unwrap(), public(50));
    world
}

/// A drift job looks at what was deployed, under the keys of then; nothing is deployed under them again.
#[test]
fn drift_accepts_the_keys_under_which_the_build_was_deployed() {
    assert_eq!(codes(&after_rotation(Action::Drift).case()), []);
    for action in [Action::Plan, Action::Apply] {
        assert_eq!(codes(&after_rotation(action).case()), [Code::BuildUntrusted], "{action}");
    }
    type Edit = fn(&mut World);
    let refused: [(&str, Edit); 4] = [
        ("of another manifest", |w| w.deployed.as_mut().unwrap().manifest = Digest::of(b"other")),
        ("without keys", |w| w.deployed.as_mut().unwrap().builders.clear()),
        ("with one key of two missing", |w| w.deployed.as_mut().unwrap().builders.push(public(51))),
        ("under another key", |w| w.deployed.as_mut().unwrap().builders = vec![public(51)]),
    ];
    for (case, edit) in refused {
        let mut world = after_rotation(Action::Drift);
        edit(&mut world);
        assert_eq!(codes(&world.case()), [Code::BuildUntrusted], "a record {case}");
    }
}

/// The CLI verifies with keys and thresholds that people give: a threshold of 0 is still somebody's signature.
#[test]
fn nobodys_word_is_never_enough() {
    let case = World::new(Action::Plan).case();
    let bytes = case.manifest.unwrap();
    let refused = VerifiedManifest::verify(&bytes, Digest::of(&bytes), &[], &[public(seed::BUILDER)], 0).unwrap_err();
    assert_eq!(refused.into_iter().map(|reason| reason.code).collect::<Vec<_>>(), [Code::BuildUntrusted]);
    assert!(VerifiedManifest::verify(&bytes, Digest::of(&bytes), &case.builds, &[], 0).is_err());
    let verified = VerifiedManifest::verify(&bytes, Digest::of(&bytes), &case.builds, &[public(seed::BUILDER)], 0);
    assert_eq!(verified.unwrap().builders(), [public(seed::BUILDER)]);
}
