//! What leaves production, page by page.

use manifest_schema::deployment::Heartbeat;
use manifest_schema::gateway::{Answer, MAX_ANSWER, Query, StatusRequest};
use manifest_schema::job::{Happening, JobId, WriterKind};
use manifest_schema::statement::Outcome;
use manifest_schema::storage::Key;
use manifest_schema::{Document, schema};

use crate::work::{fetched, succeeded};
use crate::world::World;

#[tokio::test]
async fn an_unknown_job_is_said_to_be_unknown() {
    let world = World::new().await;
    let job = JobId::new(world.ambient.now(), [1; 10]);
    assert_eq!(world.query(Query::Job { job, after: 0 }).await, Answer::UnknownJob);
    world.expect_untouched().await;
}

#[tokio::test]
async fn the_answer_says_which_documents_production_reads() {
    let world = World::new().await;
    let request = StatusRequest { schema: Default::default(), query: Query::Jobs { after: None } };
    let answer = world.gateway.status(&request.to_bytes()).await.unwrap();
    assert_eq!(answer.reads, schema::READS);
    assert!(answer.reads.iter().any(|name| name == "airlock/launch-request/v1"));
}

#[tokio::test]
async fn a_cursor_gives_the_events_after_it() {
    let world = World::new().await;
    let (job, _) = world.accepted(&world.request(1)).await;
    world.work(job, fetched()).await;
    let numbers = async |after| {
        let status = world.status_after(job, after).await;
        assert!(!status.more);
        status.events.iter().map(|event| event.number).collect::<Vec<_>>()
    };
    assert_eq!(numbers(0).await, [1, 2, 3, 4, 5]);
    assert_eq!(numbers(3).await, [4, 5]);
    assert_eq!(numbers(5).await, [0; 0]);
    assert_eq!(numbers(u32::MAX).await, [0; 0]);
}

#[tokio::test]
async fn a_job_tells_who_runs_it_and_when_it_was_alive() {
    let world = World::new().await;
    let (job, _) = world.accepted(&world.request(1)).await;
    let task = world.journal(WriterKind::Gateway, job).await.job().task().unwrap().clone();
    assert_eq!(world.status(job).await.heartbeat_at, None);
    let heartbeat = Heartbeat { schema: Default::default(), task: task.clone(), at: world.ambient.now() };
    world.sides.production.put(&Key::JobHeartbeat(job), &heartbeat.to_bytes()).await.unwrap();
    let status = world.status(job).await;
    assert_eq!((status.heartbeat_at, status.task), (Some(heartbeat.at), Some(task.to_string())));
    assert_eq!(status.request, world.request(1));
}

/// Lines so short that most of an answer is indentation: the worst case for what a page takes.
fn chatter() -> Happening {
    Happening::Progress { lines: vec!["x".repeat(1_000); 100] }
}

#[tokio::test]
async fn pages_stay_within_the_limit_and_lose_nothing() {
    let world = World::new().await;
    let (job, _) = world.accepted(&world.request(1)).await;
    let mut worker = world.work(job, fetched()).await;
    for _ in 0..60 {
        worker.append(chatter()).await.unwrap();
    }
    let (plan, _) = world.write_plan(job).await;
    worker.append(Happening::Planned { plan, changes: 0, findings: 0 }).await.unwrap();
    worker.append(succeeded()).await.unwrap();

    let mut numbers = Vec::new();
    let mut pages = 0;
    loop {
        let after = numbers.last().copied().unwrap_or(0);
        let request = StatusRequest { schema: Default::default(), query: Query::Job { job, after } };
        let answer = world.gateway.status(&request.to_bytes()).await.unwrap();
        assert!(answer.to_bytes().len() <= MAX_ANSWER);
        let Answer::Job(status) = answer.answer else { panic!("not a job") };
        numbers.extend(status.events.iter().map(|event| event.number));
        pages += 1;
        assert_eq!(status.plan.is_some(), !status.more, "the plan comes with the last page");
        if !status.more {
            break;
        }
    }
    assert_eq!(numbers, (1..=67).collect::<Vec<_>>());
    assert!(pages > 1, "one page held it all");
}

#[tokio::test]
async fn deployments_come_oldest_first_after_the_cursor() {
    let world = World::new().await;
    let deployed = async |after| {
        let (environment, project) = ("production".parse().unwrap(), "hello".parse().unwrap());
        let answer = world.query(Query::Deployed { environment, project, after }).await;
        let Answer::Deployed { deployments, more, .. } = answer else { panic!("not deployments: {answer:?}") };
        (deployments, more)
    };
    assert_eq!(deployed(0).await, (Vec::new(), false));
    let job = JobId::new(world.ambient.now(), [1; 10]);
    for sequence in 1..=102 {
        world.record(job, sequence, Outcome::Succeeded).await;
    }
    let (first, more) = deployed(0).await;
    let last = first.last().unwrap();
    assert_eq!((first.len(), first[0].record.sequence, last.record.sequence, more), (100, 1, 100, true));
    assert!(first.iter().all(|files| files.envelope.is_some()));
    let (rest, more) = deployed(100).await;
    assert_eq!((rest.len(), more), (2, false));
    assert_eq!(deployed(u64::MAX).await, (Vec::new(), false));
}

#[tokio::test]
async fn jobs_come_oldest_first_after_the_cursor() {
    let world = World::new().await;
    let jobs = async |after| {
        let answer = world.query(Query::Jobs { after }).await;
        let Answer::Jobs { jobs, more } = answer else { panic!("not jobs: {answer:?}") };
        (jobs, more)
    };
    assert_eq!(jobs(None).await, (Vec::new(), false));
    let mut launched = Vec::new();
    for attempt in 1..=103 {
        world.pass(1);
        let (job, _) = world.accepted(&world.request(attempt)).await;
        launched.push(job);
        world.cancel(job).await;
    }
    let (first, more) = jobs(None).await;
    assert_eq!((first.iter().map(|line| line.job).collect::<Vec<_>>().as_slice(), more), (&launched[..100], true));
    assert_eq!(first[0].request, world.request(1));
    assert!(first.iter().all(|line| line.outcome.is_some()));
    let (rest, more) = jobs(Some(launched[99])).await;
    assert_eq!((rest.iter().map(|line| line.job).collect::<Vec<_>>().as_slice(), more), (&launched[100..], false));
    assert_eq!(jobs(Some(launched[102])).await, (Vec::new(), false));
}
