//! Cancelling in every phase.

use manifest_schema::Code;
use manifest_schema::gateway::Cancelled;
use manifest_schema::job::{Happening, JobId, JobOutcome, Phase, WriterKind};
use records::RecordError;

use crate::work::fetched;
use crate::world::{World, codes};

#[tokio::test]
async fn a_job_that_no_worker_took_is_over_at_once() {
    let world = World::new().await;
    let (job, _) = world.accepted(&world.request(1)).await;
    assert_eq!(world.cancel(job).await, Cancelled::Requested);
    let status = world.status(job).await;
    assert_eq!(status.outcome, Some(JobOutcome::Cancelled));
    assert_eq!(codes(&status.reasons), [Code::JobCancelled]);
    assert_eq!(world.story(job).await, ["requested", "started", "cancel-requested", "ended"]);
    // The worker that was on its way finds the job ended.
    let mut worker = world.journal(WriterKind::Worker, job).await;
    let task = records::task::this_process().unwrap();
    let error = worker.append(Happening::Began { task, version: "1".to_owned() }).await.unwrap_err();
    assert!(matches!(error, RecordError::Lost(_)), "{error}");
}

#[tokio::test]
async fn a_worker_is_told_in_whatever_phase_it_is() {
    let checked = || [fetched(), vec![Happening::Checked]].concat();
    let claimed = || [checked(), vec![Happening::Claimed { claim: 1 }]].concat();
    let within =
        || [claimed(), vec![Happening::Intent { step: 1, name: "terraform infra".to_owned(), group: None }]].concat();
    for (happenings, phase) in [
        (Vec::new(), Phase::Verifying),
        (fetched()[..1].to_vec(), Phase::Fetching),
        (fetched(), Phase::Planning),
        (checked(), Phase::Claiming),
        (claimed(), Phase::Applying),
        (within(), Phase::Applying),
    ] {
        let world = World::new().await;
        let (_, request) = world.planned(1).await;
        let (job, _) = world.accepted(&request).await;
        let mut worker = world.work(job, happenings).await;
        assert_eq!(world.cancel(job).await, Cancelled::Requested);
        assert_eq!(world.cancel(job).await, Cancelled::Requested);
        let status = world.status(job).await;
        assert_eq!((status.phase, status.cancelling, status.outcome), (phase, true, None));
        let story = world.story(job).await;
        assert_eq!(story.iter().filter(|name| *name == "cancel-requested").count(), 1, "asked once is enough");
        // The worker sees it, and ends the job when it can.
        worker.refresh().await.unwrap();
        assert!(worker.job().is_cancelling());
        let ended = Happening::Ended { outcome: JobOutcome::Cancelled, reasons: Vec::new() };
        worker.append(ended).await.unwrap();
        assert_eq!(world.cancel(job).await, Cancelled::AlreadyEnded);
    }
}

#[tokio::test]
async fn a_job_that_is_over_stays_as_it_ended() {
    let world = World::new().await;
    let (job, _) = world.planned(1).await;
    let before = world.story(job).await;
    assert_eq!(world.cancel(job).await, Cancelled::AlreadyEnded);
    assert_eq!(world.story(job).await, before);
}

#[tokio::test]
async fn a_job_whose_worker_died_is_closed_not_cancelled() {
    let world = World::new().await;
    let (job, _) = world.accepted(&world.request(1)).await;
    world.work(job, fetched()).await;
    world.kill(job).await;
    assert_eq!(world.cancel(job).await, Cancelled::AlreadyEnded);
    assert_eq!(world.status(job).await.outcome, Some(JobOutcome::Interrupted));
}

#[tokio::test]
async fn a_worker_that_dies_while_it_is_to_stop_is_closed_as_interrupted() {
    let world = World::new().await;
    let (job, _) = world.accepted(&world.request(1)).await;
    world.work(job, fetched()).await;
    assert_eq!(world.cancel(job).await, Cancelled::Requested);
    world.kill(job).await;
    assert_eq!(world.status(job).await.outcome, Some(JobOutcome::Interrupted));
}

#[tokio::test]
async fn nobody_knows_an_unknown_job() {
    let world = World::new().await;
    let job = JobId::new(world.ambient.now(), [1; 10]);
    assert_eq!(world.cancel(job).await, Cancelled::UnknownJob);
    world.expect_untouched().await;
}
