//! One apply at a time: Threat model, rows 29 and 30.

use manifest_schema::Digest;
use manifest_schema::deployment::{Lease, LeaseHolder};
use manifest_schema::job::{Happening, JobId, JobOutcome, WriterKind};
use manifest_schema::storage::Key;
use records::lease::{self, Held, Taking};
use records::load;

use crate::desk::{Desk, environment, failed, project, task};

fn holder(desk: &Desk, job: JobId) -> LeaseHolder {
    LeaseHolder { job, task: task(), state: "production/hello".to_owned(), since: desk.ambient.now() }
}

async fn take(desk: &Desk, job: JobId) -> Taking {
    let holder = holder(desk, job);
    lease::take(desk.production(), &desk.ambient, &environment(), &project(), holder).await.unwrap()
}

/// The lease, and the oldest job whose record may be unwritten.
async fn taken(desk: &Desk, job: JobId) -> (Box<Held>, Option<JobId>) {
    match take(desk, job).await {
        Taking::Taken(held) => {
            let unrecorded = held.unrecorded();
            (held, unrecorded)
        }
        Taking::HeldBy(other) => panic!("held by {other}"),
    }
}

async fn fence(desk: &Desk) -> u64 {
    let lease: Option<Lease> = load(desk.production(), &Key::Lease(environment(), project())).await.unwrap();
    lease.unwrap().fence
}

async fn held_by(desk: &Desk) -> Option<JobId> {
    lease::holder(desk.production(), &environment(), &project()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_64_that_want_it_one_holds_it() {
    let desk = Desk::new().await;
    let mut racing = Vec::new();
    for _ in 0..64 {
        let (production, ambient) = (desk.production().clone(), desk.ambient.clone());
        let job = desk.new_job();
        let holder = holder(&desk, job);
        racing.push(tokio::spawn(async move {
            let taking = lease::take(&production, &ambient, &environment(), &project(), holder).await.unwrap();
            (job, taking)
        }));
    }
    let mut holders = Vec::new();
    let mut others = Vec::new();
    for one in racing {
        match one.await.unwrap() {
            (job, Taking::Taken(held)) => {
                assert_eq!(held.unrecorded(), None, "there was nobody to take it over from");
                holders.push(job);
            }
            (_, Taking::HeldBy(job)) => others.push(job),
        }
    }
    others.dedup();
    assert_eq!((holders.len(), others.as_slice()), (1, holders.as_slice()));
    assert_eq!((held_by(&desk).await, fence(&desk).await), (Some(holders[0]), 1));
}

#[tokio::test]
async fn a_lease_given_back_is_free_and_its_fence_grows() {
    let desk = Desk::new().await;
    assert_eq!(held_by(&desk).await, None);
    for round in 1..=3 {
        let job = desk.new_job();
        let (held, from) = taken(&desk, job).await;
        assert_eq!((from, fence(&desk).await, held_by(&desk).await), (None, round, Some(job)));
        held.release(desk.production()).await.unwrap();
        assert_eq!((held_by(&desk).await, fence(&desk).await), (None, round));
    }
}

#[tokio::test]
async fn it_is_taken_over_only_from_a_job_that_is_closed() {
    let desk = Desk::new().await;
    let plan = Digest::of(b"plan");
    let mut first = desk.claiming(plan).await;
    let (stale, _) = taken(&desk, first.job().id()).await;
    let second = desk.new_job();
    for happening in
        [Happening::Claimed { claim: 1 }, Happening::Intent { step: 1, name: "one".to_owned(), group: None }]
    {
        assert!(matches!(take(&desk, second).await, Taking::HeldBy(job) if job == first.job().id()));
        first.append(happening).await.unwrap();
    }
    assert!(matches!(take(&desk, second).await, Taking::HeldBy(_)), "silence is no proof");

    let closed = Happening::Ended { outcome: JobOutcome::Interrupted, reasons: Vec::new() };
    desk.journal(WriterKind::Gateway, first.job().id()).await.append(closed).await.unwrap();
    let (_, from) = taken(&desk, second).await;
    assert_eq!((from, fence(&desk).await), (Some(first.job().id()), 2));
    // The first, should it wake up, gives nothing back that is another's.
    stale.release(desk.production()).await.unwrap();
    assert_eq!((held_by(&desk).await, fence(&desk).await), (Some(second), 2));
}

#[tokio::test]
async fn a_holder_that_nobody_knows_is_not_over() {
    let desk = Desk::new().await;
    let ghost = desk.new_job();
    taken(&desk, ghost).await;
    assert!(matches!(take(&desk, desk.new_job()).await, Taking::HeldBy(job) if job == ghost));
}

#[tokio::test]
async fn an_ended_holder_is_taken_over_from_once() {
    let desk = Desk::new().await;
    let mut first = desk.claiming(Digest::of(b"plan")).await;
    taken(&desk, first.job().id()).await;
    first.append(failed()).await.unwrap();
    let (second, third) = (desk.new_job(), desk.new_job());
    assert_eq!(taken(&desk, second).await.1, Some(first.job().id()));
    assert!(matches!(take(&desk, third).await, Taking::HeldBy(job) if job == second));
}

/// A red-team finding: a taker that died, or failed, before it wrote the dead job's record made everybody forget it.
#[tokio::test]
async fn what_a_dead_job_did_is_owed_until_it_is_recorded_whoever_dies_meanwhile() {
    let desk = Desk::new().await;
    let mut first = desk.claiming(Digest::of(b"plan")).await;
    taken(&desk, first.job().id()).await;
    first.append(failed()).await.unwrap();

    // The second takes over and dies before it has recorded anything.
    let mut second = desk.claiming(Digest::of(b"other plan")).await;
    assert_eq!(taken(&desk, second.job().id()).await.1, Some(first.job().id()));
    second.append(failed()).await.unwrap();

    // The third takes over, can't record, and gives the lease back: the debts stay.
    let (held, owed) = taken(&desk, desk.new_job()).await;
    assert_eq!(owed, Some(first.job().id()));
    held.release(desk.production()).await.unwrap();
    let place = (environment(), project());
    let both = vec![first.job().id(), second.job().id()];
    assert_eq!(lease::unrecorded(desk.production(), &place.0, &place.1).await.unwrap(), both);

    // The fourth records both, one after the other.
    let (mut held, owed) = taken(&desk, desk.new_job()).await;
    assert_eq!(owed, Some(first.job().id()));
    held.recorded(desk.production(), first.job().id()).await.unwrap();
    assert_eq!(held.unrecorded(), Some(second.job().id()));
    held.recorded(desk.production(), second.job().id()).await.unwrap();
    held.release(desk.production()).await.unwrap();
    assert_eq!(taken(&desk, desk.new_job()).await.1, None);
}
