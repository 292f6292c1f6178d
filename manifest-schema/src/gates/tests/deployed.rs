//! What runs is believed only as the deployer signed it.

use super::world::{World, public, record, seed, sign_record};
use super::*;
use crate::deployment::{DeploymentRecord, StepOutcome};

/// Everything genuine, about build 7, while build 8 runs: refused without a rollback approval.
fn going_back() -> World {
    let mut world = World::new(Action::Apply);
    world.deployed = Some(record(&[(StepOutcome::Done, &[8])]));
    world
}

/// The attacker writes to the production store and has no key, or has one of another role.
#[test]
fn a_forged_deployment_record_does_not_make_a_rollback_look_like_none() {
    let world = going_back();
    assert_eq!(codes(&world.case()), [Code::ManifestRollback]);
    let genuine = record(&[(StepOutcome::Done, &[8])]);
    let forged = DeploymentRecord { sequence: 4, ..record(&[(StepOutcome::Done, &[6])]) };
    let Deployed::Latest(of_genuine) = world.sign_deployed(genuine.clone()) else { panic!("it is there") };
    let raw = |sequence, record: &DeploymentRecord, envelope| {
        Deployed::Latest(RecordedDeployment { sequence, record: record.to_bytes(), envelope })
    };
    let elsewhere = DeploymentRecord { environment: "staging".parse().unwrap(), ..forged.clone() };
    let other = DeploymentRecord { project: "other".parse().unwrap(), ..forged.clone() };
    for (case, deployed) in [
        ("signed by nobody", raw(4, &forged, None)),
        ("with the envelope of another record", raw(4, &forged, of_genuine.envelope.clone())),
        ("with an envelope that is none", raw(4, &forged, Some(b"{}".to_vec()))),
        ("an older one again, under a new number", raw(4, &genuine, of_genuine.envelope)),
        ("signed by the planner", sign_record(&forged, seed::PLANNER, |_| {})),
        ("signed by a stranger", sign_record(&forged, seed::STRANGER, |_| {})),
        ("signed for another environment", sign_record(&elsewhere, seed::DEPLOYER, |_| {})),
        ("signed for another project", sign_record(&other, seed::DEPLOYER, |_| {})),
        ("signed under another number", sign_record(&forged, seed::DEPLOYER, |said| said.sequence = 3)),
        ("signed as another record", sign_record(&forged, seed::DEPLOYER, |said| said.record = Digest::of(b"x"))),
        ("no sequence", Deployed::Unreadable("zzz.json is no record".to_owned())),
    ] {
        let mut refused = world.case();
        refused.deployed = deployed;
        assert_eq!(codes(&refused), [Code::DeploymentUntrusted], "{case}");
    }
}

/// The deployer's key was replaced since: what was deployed under the old one stays deployed.
#[test]
fn a_record_under_the_deployers_old_key_still_counts() {
    let mut world = going_back();
    world.policy.keys.insert("deployer".parse().unwrap(), public(50));
    assert_eq!(codes(&world.case()), [Code::DeploymentUntrusted]);
    let first = going_back().case().trust.remove(0);
    world.policy.version = 2;
    let mut case = world.case();
    case.trust.insert(0, first);
    assert_eq!(codes(&case), [Code::ManifestRollback]);
}

/// Who may launch drift jobs can't have any other build planned by one.
#[test]
fn drift_is_refused_for_what_does_not_run() {
    let world = World::new(Action::Drift);
    assert_eq!(codes(&world.case()), []);
    let other = record(&[(StepOutcome::Done, &[6])]);
    let never_complete = DeploymentRecord { complete: None, ..other.clone() };
    for (case, deployed) in [
        ("nothing was ever deployed", Deployed::Never),
        ("no deployment was complete", world.sign_deployed(never_complete)),
        ("another build runs", world.sign_deployed(other)),
    ] {
        let mut refused = world.case();
        refused.deployed = deployed;
        assert_eq!(codes(&refused), [Code::DriftNotDeployed], "{case}");
    }
}
