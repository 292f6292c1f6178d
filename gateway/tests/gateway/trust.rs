//! Only the launch function takes trust policies over, only along an unbroken chain, and never back.

use manifest_schema::Code;
use manifest_schema::dsse::Unsigned;
use manifest_schema::storage::Key;
use manifest_schema::trust::{TrustPolicy, TrustedPolicy};
use records::trust;
use store::Creation;

use crate::world::{ALICE, OTHER_ROOT, ROOT, World, codes, key, policy};

async fn in_force(world: &World) -> Vec<u64> {
    let (versions, newest) = trust::in_production(&world.sides.production).await.unwrap();
    let numbers: Vec<_> = versions.iter().map(|signed| signed.version).collect();
    assert_eq!(numbers.last().copied().unwrap_or(0), newest);
    numbers
}

/// A version that would change something one can see: it knows no environment.
fn without_environments(version: u64, root: u8) -> TrustPolicy {
    TrustPolicy { environments: [].into(), ..policy(version, root) }
}

#[tokio::test]
async fn the_first_launch_takes_the_first_version_over() {
    let world = World::new().await;
    assert_eq!(in_force(&world).await, [0; 0]);
    world.accepted(&world.request(1)).await;
    assert_eq!(in_force(&world).await, [1]);
}

#[tokio::test]
async fn a_version_that_the_old_and_the_new_roots_signed_is_taken_over() {
    let world = World::new().await;
    world.accepted(&world.request(1)).await;
    world.publish_policy(&without_environments(2, OTHER_ROOT), &[ROOT, OTHER_ROOT]).await;
    assert_eq!(codes(&world.refused(&world.request(2)).await), [Code::EnvironmentUnknown]);
    assert_eq!(in_force(&world).await, [1, 2]);
    // From here on the new roots sign.
    world.publish_policy(&policy(3, OTHER_ROOT), &[OTHER_ROOT]).await;
    world.accepted(&world.request(2)).await;
    assert_eq!(in_force(&world).await, [1, 2, 3]);
}

#[tokio::test]
async fn a_version_that_does_not_follow_is_left_alone() {
    for (case, version, signers) in [
        ("not signed by the old roots", 2, &[OTHER_ROOT][..]),
        ("not signed by its own roots", 2, &[ROOT]),
        ("signed by nobody", 2, &[]),
        ("signed by somebody else", 2, &[ALICE]),
        ("with a gap before it", 3, &[ROOT, OTHER_ROOT]),
    ] {
        let world = World::new().await;
        world.publish_policy(&without_environments(version, OTHER_ROOT), signers).await;
        world.accepted(&world.request(1)).await;
        assert_eq!(in_force(&world).await, [1], "{case}");
    }
}

#[tokio::test]
async fn a_first_version_by_other_roots_than_the_pinned_ones_is_no_policy() {
    let world = World::unruled().await;
    world.publish_policy(&policy(1, OTHER_ROOT), &[OTHER_ROOT]).await;
    assert_eq!(codes(&world.refused(&world.request(1)).await), [Code::TrustMissing]);
    assert_eq!(in_force(&world).await, [0; 0]);
}

/// Threat model, row 14: who writes to the artifacts store can take versions away there, but production goes on with its own.
#[tokio::test]
async fn it_never_goes_back_to_an_older_version() {
    let world = World::new().await;
    world.publish_policy(&without_environments(2, ROOT), &[ROOT]).await;
    world.refused(&world.request(1)).await;
    std::fs::remove_dir_all(world.path().join("artifacts/trust/000002")).unwrap();
    assert_eq!(codes(&world.refused(&world.request(1)).await), [Code::EnvironmentUnknown]);
    // Nor does another version 2 take its place.
    world.publish_policy(&policy(2, ROOT), &[ROOT]).await;
    assert_eq!(codes(&world.refused(&world.request(1)).await), [Code::EnvironmentUnknown]);
    // A version lost from production itself is noticed, not made up for.
    world.publish_policy(&policy(3, ROOT), &[ROOT]).await;
    world.accepted(&world.request(1)).await;
    std::fs::remove_file(world.path().join("production/trust/000002.json")).unwrap();
    assert_eq!(codes(&world.refused(&world.request(2)).await), [Code::TrustBroken]);
}

#[tokio::test]
async fn an_expired_version_may_be_a_link_but_not_the_last() {
    let world = World::unruled().await;
    let expired = TrustPolicy { expires_at: "2026-01-01T00:00:00Z".parse().unwrap(), ..policy(1, ROOT) };
    world.publish_policy(&expired, &[ROOT]).await;
    assert_eq!(codes(&world.refused(&world.request(1)).await), [Code::TrustExpired]);
    world.publish_policy(&policy(2, ROOT), &[ROOT]).await;
    world.accepted(&world.request(1)).await;
    assert_eq!(in_force(&world).await, [1, 2]);
}

/// Otherwise whoever writes to the artifacts store could make the record larger than is read, and shut production.
#[tokio::test]
async fn envelopes_by_others_than_the_roots_stay_outside() {
    let world = World::new().await;
    for number in 0..20 {
        let junk = Unsigned::new(format!("{number}").into()).unwrap().sign(&key(ALICE)).envelope;
        let junk = [junk, vec![b' '; 60_000]].concat();
        let envelope = Key::TrustEnvelope(1, manifest_schema::Digest::of(&junk));
        assert_eq!(world.sides.artifacts.create(&envelope, &junk).await.unwrap(), Creation::Created);
    }
    world.accepted(&world.request(1)).await;
    let (versions, _) = trust::in_production(&world.sides.production).await.unwrap();
    assert_eq!(versions[0].envelopes.len(), 1);
}

/// What is around a payload isn't signed: copies of a root's own envelope, each padded, would fill the record up, which
/// is created once.
#[tokio::test]
async fn padded_copies_of_a_genuine_envelope_do_not_shut_production() {
    let world = World::new().await;
    let folder = world.path().join("artifacts/trust/000001");
    let genuine = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let genuine = genuine.into_iter().find(|path| path.to_string_lossy().ends_with(".dsse.json")).unwrap();
    let genuine = std::fs::read(genuine).unwrap();
    for number in 0..100 {
        let padded = [genuine.clone(), format!("{}{}", " ".repeat(60_000), "\n".repeat(number)).into_bytes()].concat();
        std::fs::write(folder.join(format!("{number:016x}.dsse.json")), padded).unwrap();
    }
    world.accepted(&world.request(1)).await;
    world.accepted(&world.request(2)).await;
    let (versions, _) = trust::in_production(&world.sides.production).await.unwrap();
    assert_eq!(versions[0].envelopes, [genuine]);
}

/// Names that sort before the genuine ones, some of them larger than any envelope, hide nothing.
#[tokio::test]
async fn junk_beside_a_new_version_does_not_hide_it() {
    let world = World::new().await;
    world.accepted(&world.request(1)).await;
    world.publish_policy(&without_environments(2, OTHER_ROOT), &[ROOT, OTHER_ROOT]).await;
    let folder = world.path().join("artifacts/trust/000002");
    for number in 0..450 {
        std::fs::write(folder.join(format!("!{number:04}.json")), "").unwrap();
    }
    for number in 0..500 {
        std::fs::write(folder.join(format!("{number:016x}.dsse.json")), "junk").unwrap();
    }
    std::fs::write(folder.join("00000000000000ff.dsse.json"), vec![b' '; 100_000]).unwrap();
    assert_eq!(codes(&world.refused(&world.request(2)).await), [Code::EnvironmentUnknown]);
    assert_eq!(in_force(&world).await, [1, 2]);
    let shown = trust::published(&world.sides.artifacts).await.unwrap();
    TrustedPolicy::follow(&crate::world::roots(), &shown).unwrap();
}

/// Production has it already, so what stands in the artifacts store in its place is no matter.
#[tokio::test]
async fn a_damaged_old_version_in_the_artifacts_store_stops_nothing() {
    let world = World::new().await;
    world.accepted(&world.request(1)).await;
    world.publish_policy(&policy(2, ROOT), &[ROOT]).await;
    std::fs::write(world.path().join("artifacts/trust/000001/policy.json"), vec![b' '; 5 << 20]).unwrap();
    world.accepted(&world.request(2)).await;
    assert_eq!(in_force(&world).await, [1, 2]);
    std::fs::write(world.path().join("artifacts/trust/000002/policy.json"), vec![b' '; 5 << 20]).unwrap();
    world.accepted(&world.request(3)).await;
    std::fs::create_dir(world.path().join("artifacts/trust/000003")).unwrap();
    std::fs::write(world.path().join("artifacts/trust/000003/policy.json"), vec![b' '; 5 << 20]).unwrap();
    world.accepted(&world.request(4)).await;
    assert_eq!(in_force(&world).await, [1, 2]);
}

#[tokio::test]
async fn only_a_launch_takes_over() {
    let world = World::new().await;
    let (job, _) = world.accepted(&world.request(1)).await;
    world.publish_policy(&policy(2, ROOT), &[ROOT]).await;
    world.status(job).await;
    world.cancel(job).await;
    assert_eq!(in_force(&world).await, [1]);
    world.accepted(&world.request(1)).await;
    assert_eq!(in_force(&world).await, [1, 2]);
}
