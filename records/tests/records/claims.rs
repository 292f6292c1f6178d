//! A plan is applied once: Threat model, row 16.

use manifest_schema::Digest;
use manifest_schema::job::{Happening, JobId};
use records::plans::{self, ClaimState};
use store::Creation;

use crate::desk::{Desk, failed};

#[tokio::test]
async fn a_plan_is_claimed_again_only_after_a_job_that_ended_without_an_intent() {
    let desk = Desk::new().await;
    let plan = Digest::of(b"plan");
    let claims = async || plans::claims(desk.production(), &desk.ambient, plan).await.unwrap();
    let claim =
        async |number, job| plans::claim(desk.production(), plan, number, job, desk.ambient.now()).await.unwrap();
    assert_eq!(claims().await, ClaimState::Free(1));

    let mut first = desk.claiming(plan).await;
    assert_eq!(claim(1, first.job().id()).await, Creation::Created);
    assert_eq!(claims().await, ClaimState::Taken(first.job().id()), "it may yet begin");
    first.append(Happening::Claimed { claim: 1 }).await.unwrap();
    first.append(failed()).await.unwrap();
    assert_eq!(claims().await, ClaimState::Free(2));

    let mut second = desk.claiming(plan).await;
    assert_eq!(claim(2, second.job().id()).await, Creation::Created);
    second.append(Happening::Claimed { claim: 2 }).await.unwrap();
    second.append(Happening::Intent { step: 1, name: "one".to_owned(), group: None }).await.unwrap();
    assert_eq!(claims().await, ClaimState::Taken(second.job().id()), "it has begun");
    second.append(failed()).await.unwrap();
    assert_eq!(claims().await, ClaimState::Taken(second.job().id()), "it had begun");
    assert_eq!(
        plans::claims(desk.production(), &desk.ambient, Digest::of(b"other")).await.unwrap(),
        ClaimState::Free(1)
    );
}

#[tokio::test]
async fn a_claim_by_a_job_that_nobody_knows_holds() {
    let desk = Desk::new().await;
    let (plan, ghost) = (Digest::of(b"plan"), desk.new_job());
    let claimed = plans::claim(desk.production(), plan, 1, ghost, desk.ambient.now()).await.unwrap();
    assert_eq!(claimed, Creation::Created);
    let state = plans::claims(desk.production(), &desk.ambient, plan).await.unwrap();
    assert_eq!(state, ClaimState::Taken(ghost));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_that_claim_at_once_one_does() {
    let desk = Desk::new().await;
    let plan = Digest::of(b"plan");
    let mut claiming = Vec::new();
    for _ in 0..32 {
        let (production, job, now) = (desk.production().clone(), desk.new_job(), desk.ambient.now());
        claiming.push(tokio::spawn(async move { plans::claim(&production, plan, 1, job, now).await.unwrap() }));
    }
    let mut created = 0;
    for one in claiming {
        created += u32::from(one.await.unwrap() == Creation::Created);
    }
    assert_eq!(created, 1);
}

#[tokio::test]
async fn a_plan_without_its_pointer_is_no_plan() {
    let desk = Desk::new().await;
    assert_eq!(plans::job_of(desk.production(), Digest::of(b"plan")).await.unwrap(), None);
    assert!(plans::read(desk.production(), desk.new_job()).await.unwrap().is_none());
}

/// A saved plan may hold secrets: it is there for as long as it can be applied.
#[tokio::test]
async fn saved_plans_are_emptied_once_used_or_expired_and_no_other() {
    const VALIDITY: u64 = 3600;
    let desk = Desk::new().await;
    let (production, now) = (desk.production(), desk.ambient.now());
    let made = |seconds_ago: u64| JobId::new(now.minus_seconds(seconds_ago), [7; 10]);
    let [used, expired, long_expired, valid] = [60, VALIDITY + 1, 40 * 24 * 3600, VALIDITY - 60].map(made);
    for job in [used, expired, long_expired, valid] {
        assert_eq!(plans::keep_saved(production, job, b"a plan").await.unwrap(), Creation::Created);
        assert_eq!(plans::keep_saved(production, job, b"another").await.unwrap(), Creation::Exists);
    }
    plans::empty_saved(production, used).await.unwrap();
    plans::empty_saved(production, used).await.unwrap();
    plans::empty_saved(production, desk.new_job()).await.unwrap();
    plans::empty_expired(production, now, VALIDITY).await.unwrap();
    for (job, kept) in [(used, false), (expired, false), (valid, true)] {
        let saved = plans::saved(production, job).await.unwrap();
        assert_eq!(saved, kept.then(|| b"a plan".to_vec()), "{job}");
    }
    // Plan jobs have looked at it for a month.
    assert!(plans::saved(production, long_expired).await.unwrap().is_some());
}
