//! A launch that died anywhere is finished by the next one with its key, as the same job.

use manifest_schema::Digest;
use manifest_schema::Document;
use manifest_schema::job::{Happening, JobId, JobRequest, LaunchRequest, Phase, WriterKind};
use manifest_schema::pointer::LaunchPointer;
use manifest_schema::storage::Key;
use records::{create, task};
use store::Creation;

use crate::world::World;

/// How far a launch came before it died.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reached {
    Pointer,
    Request,
    Requested,
}

/// Leaves what a launch leaves that died there.
async fn die_at(world: &World, reached: Reached, request: &LaunchRequest) -> JobId {
    let production = &world.sides.production;
    let now = world.ambient.now();
    let job = JobId::new(now, [7; 10]);
    let pointer = LaunchPointer { schema: Default::default(), job, request: request.fingerprint() };
    let key = Key::Launch(Digest::of(request.key.as_bytes()));
    assert_eq!(create(production, &key, &pointer).await.unwrap(), Creation::Created);
    if reached >= Reached::Request {
        let stored = JobRequest { schema: Default::default(), job, request: request.clone(), requested_at: now };
        assert_eq!(create(production, &Key::JobRequest(job), &stored).await.unwrap(), Creation::Created);
    }
    if reached >= Reached::Requested {
        world.journal(WriterKind::Gateway, job).await.append(Happening::Requested).await.unwrap();
    }
    job
}

#[tokio::test]
async fn the_next_launch_finishes_what_a_dead_one_began() {
    for reached in [Reached::Pointer, Reached::Request] {
        let world = World::new().await;
        let request = world.request(1);
        let job = die_at(&world, reached, &request).await;
        assert_eq!(world.accepted(&request).await, (job, true), "{reached:?}");
        assert_eq!(world.story(job).await, ["requested", "started"], "{reached:?}");
        assert_eq!(world.journal(WriterKind::Gateway, job).await.request().request, request);
        world.wait_for_starts(1).await;
    }
}

/// Who appended `requested` is about to start the worker, or is dead; only time tells.
#[tokio::test]
async fn a_job_that_nobody_started_is_started_after_a_while() {
    let world = World::new().await;
    let request = world.request(1);
    let job = die_at(&world, Reached::Requested, &request).await;
    assert_eq!(world.accepted(&request).await, (job, true));
    assert_eq!(world.story(job).await, ["requested"]);
    world.pass(29);
    assert_eq!(world.status(job).await.task, None);
    world.pass(1);
    assert_eq!(world.accepted(&request).await, (job, true));
    assert_eq!(world.story(job).await, ["requested", "started"]);
    world.wait_for_starts(1).await;
}

#[tokio::test]
async fn asking_for_its_status_starts_it_too() {
    for reached in [Reached::Request, Reached::Requested] {
        let world = World::new().await;
        let job = die_at(&world, reached, &world.request(1)).await;
        world.pass(30);
        let status = world.status(job).await;
        assert!(status.phase == Phase::Requested && status.task.is_some(), "{reached:?}: {status:?}");
        world.wait_for_starts(1).await;
    }
}

#[tokio::test]
async fn a_worker_whose_start_was_not_noted_is_not_started_again() {
    let world = World::new().await;
    let request = world.request(1);
    let job = die_at(&world, Reached::Requested, &request).await;
    let mut worker = world.journal(WriterKind::Worker, job).await;
    let task = task::this_process().unwrap();
    worker.append(Happening::Began { task, version: "1".to_owned() }).await.unwrap();
    world.pass(3600);
    assert_eq!(world.accepted(&request).await, (job, true));
    assert_eq!(world.status(job).await.phase, Phase::Verifying);
    world.wait_for_starts(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_that_finish_a_dead_launch_at_once_start_one_worker() {
    let world = World::new().await;
    let request = world.request(1);
    let job = die_at(&world, Reached::Pointer, &request).await;
    let launches: Vec<_> = (0..16)
        .map(|_| {
            let (gateway, request) = (world.gateway.clone(), request.to_bytes());
            tokio::spawn(async move { gateway.launch(&request).await.unwrap() })
        })
        .collect();
    for launch in launches {
        launch.await.unwrap();
    }
    assert_eq!(world.story(job).await, ["requested", "started"]);
    world.wait_for_starts(1).await;
}

#[tokio::test]
async fn a_job_that_could_not_be_started_is_started_once_it_can_be() {
    let world = World::new().await;
    // A file in the place of the logs' directory.
    std::fs::write(world.path().join("logs"), "").unwrap();
    let error = world.gateway.launch(&world.request(1).to_bytes()).await.unwrap_err();
    assert!(error.to_string().contains("no worker was started for job"), "{error}");
    std::fs::remove_file(world.path().join("logs")).unwrap();
    world.pass(30);
    let (job, existing) = world.accepted(&world.request(1)).await;
    assert!(existing);
    assert_eq!(world.story(job).await, ["requested", "started"]);
}
