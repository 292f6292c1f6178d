//! A job is closed for its worker only when that worker is provably dead: Threat model, row 29.

use manifest_schema::Code;
use manifest_schema::job::{Happening, JobOutcome, Phase, TaskId, WriterKind};
use manifest_schema::statement::Outcome;
use records::task;

use crate::work::{fetched, succeeded};
use crate::world::{World, codes};

#[tokio::test]
async fn a_job_whose_worker_lives_is_left_alone() {
    let world = World::new().await;
    let (job, _) = world.accepted(&world.request(1)).await;
    world.work(job, fetched()).await;
    world.pass(10_000);
    let status = world.status(job).await;
    assert_eq!((status.phase, status.outcome), (Phase::Planning, None));
}

#[tokio::test]
async fn a_dead_worker_is_closed_as_interrupted_with_where_it_was() {
    for (happenings, words) in [
        (None, "ended before it took the job"),
        (Some(Vec::new()), "ended while verifying; nothing was changed: launch again"),
        (Some(fetched()), "ended while planning; nothing was changed: launch again"),
    ] {
        let world = World::new().await;
        let (job, _) = world.accepted(&world.request(1)).await;
        if let Some(happenings) = happenings {
            world.work(job, happenings).await;
        }
        world.kill(job).await;
        let status = world.status(job).await;
        assert_eq!((status.phase, status.outcome), (Phase::Ended, Some(JobOutcome::Interrupted)), "{words}");
        assert_eq!(codes(&status.reasons), [Code::WorkerDied]);
        let message = &status.reasons[0].message;
        assert!(message.contains(words) && message.contains(&format!("{job}.log")), "{message}");
        // Closed once, by the gateway, for good.
        assert_eq!(world.status(job).await.events.len(), status.events.len());
        assert_eq!(status.events.last().unwrap().writer.kind, WriterKind::Gateway);
    }
}

#[tokio::test]
async fn a_worker_that_died_in_a_step_leaves_the_step_and_the_advice() {
    let intent = |step| Happening::Intent { step, name: format!("service s{step}"), group: None };
    for (happenings, words) in [
        (vec![], "ended while applying; nothing was changed: launch again"),
        (vec![intent(1)], "ended in step 1 (service s1); how far it came is not known: plan again"),
        (vec![intent(1), Happening::Done { step: 1 }], "ended after step 1 (service s1); how far"),
    ] {
        let world = World::new().await;
        let (_, request) = world.planned(1).await;
        let (job, mut worker) = world.applying(&request).await;
        for happening in happenings {
            worker.append(happening).await.unwrap();
        }
        world.kill(job).await;
        let status = world.status(job).await;
        assert_eq!(status.outcome, Some(JobOutcome::Interrupted));
        assert!(status.reasons[0].message.contains(words), "{}", status.reasons[0]);
    }
}

#[tokio::test]
async fn what_a_dead_worker_recorded_counts() {
    for (recorded, outcome, code) in [
        (Outcome::Succeeded, JobOutcome::Succeeded, None),
        (Outcome::Failed, JobOutcome::Failed, Some(Code::WorkerDied)),
        (Outcome::RolledBack, JobOutcome::RolledBack, Some(Code::WorkerDied)),
        (Outcome::Cancelled, JobOutcome::Cancelled, Some(Code::JobCancelled)),
        (Outcome::Interrupted, JobOutcome::Interrupted, Some(Code::WorkerDied)),
    ] {
        let world = World::new().await;
        let (_, request) = world.planned(1).await;
        let (job, mut worker) = world.applying(&request).await;
        world.record(job, 1, recorded).await;
        worker.append(Happening::Recorded { sequence: 1, outcome: recorded }).await.unwrap();
        world.kill(job).await;
        let status = world.status(job).await;
        assert_eq!(status.outcome, Some(outcome));
        assert_eq!(codes(&status.reasons), Vec::from_iter(code));
        assert_eq!(status.deployment.unwrap().record.sequence, 1);
    }
}

#[tokio::test]
async fn a_failed_step_is_the_reason_of_a_recorded_failure() {
    let world = World::new().await;
    let (_, request) = world.planned(1).await;
    let (job, mut worker) = world.applying(&request).await;
    let reason = manifest_schema::Reason::new(Code::TerraformFailed, "exit 1");
    for happening in [
        Happening::Intent { step: 1, name: "terraform infra".to_owned(), group: None },
        Happening::StepFailed { step: 1, reason: reason.clone() },
        Happening::Recorded { sequence: 1, outcome: Outcome::Failed },
    ] {
        worker.append(happening).await.unwrap();
    }
    world.kill(job).await;
    assert_eq!(world.status(job).await.reasons, [reason]);
}

#[tokio::test]
async fn a_plan_that_is_complete_counts_and_one_that_is_not_is_spent() {
    for (complete, outcome) in [(true, JobOutcome::Succeeded), (false, JobOutcome::Interrupted)] {
        let world = World::new().await;
        let (job, _) = world.accepted(&world.request(1)).await;
        let mut worker = world.work(job, fetched()).await;
        let (plan, _) = if complete { world.write_plan(job).await } else { world.write_plan_files(job).await };
        worker.append(Happening::Planned { plan, changes: 0, findings: 0 }).await.unwrap();
        world.kill(job).await;
        let status = world.status(job).await;
        assert_eq!(status.outcome, Some(outcome));
        assert_eq!(status.plan.unwrap().spent.is_some(), !complete);
    }
}

#[tokio::test]
async fn a_worker_that_was_closed_can_write_no_more() {
    let world = World::new().await;
    let (job, _) = world.accepted(&world.request(1)).await;
    let mut worker = world.work(job, fetched()).await;
    world.kill(job).await;
    world.status(job).await;
    let (plan, _) = world.write_plan(job).await;
    let error = worker.append(Happening::Planned { plan, changes: 0, findings: 0 }).await.unwrap_err();
    assert!(matches!(error, records::RecordError::Lost(_)), "{error}");
}

#[tokio::test]
async fn an_end_that_the_worker_wrote_itself_stays() {
    let world = World::new().await;
    let (job, _) = world.accepted(&world.request(1)).await;
    let mut worker = world.work(job, fetched()).await;
    let (plan, _) = world.write_plan(job).await;
    worker.append(Happening::Planned { plan, changes: 0, findings: 0 }).await.unwrap();
    worker.append(succeeded()).await.unwrap();
    world.kill(job).await;
    let status = world.status(job).await;
    assert_eq!(
        (status.outcome, status.events.last().unwrap().writer.kind),
        (Some(JobOutcome::Succeeded), WriterKind::Worker)
    );
}

#[tokio::test]
async fn a_lease_is_held_while_its_job_is_not_over() {
    let world = World::new().await;
    let (_, first) = world.planned(1).await;
    let (_, second) = world.planned(2).await;
    let (holder, _) = world.applying(&first).await;
    let reasons = world.refused(&second).await;
    assert_eq!(codes(&reasons), [Code::LeaseHeld]);
    assert!(reasons[0].message.contains(&holder.to_string()), "{}", reasons[0]);
    // Plans need no lease.
    world.accepted(&world.request(3)).await;

    world.kill(holder).await;
    let (job, existing) = world.accepted(&second).await;
    assert!(job != holder && !existing);
    let closed = world.journal(WriterKind::Gateway, holder).await;
    assert_eq!(closed.job().ended().unwrap().0, JobOutcome::Interrupted);
}

/// Nothing is taken over without proof.
#[tokio::test]
async fn a_task_that_nobody_here_can_judge_holds_its_lease() {
    let world = World::new().await;
    let (_, first) = world.planned(1).await;
    let (_, second) = world.planned(2).await;
    let (job, _) = world.accepted(&first).await;
    let mut worker = world.journal(WriterKind::Worker, job).await;
    let task = TaskId::Ecs { arn: "arn:aws:ecs:eu-central-1:1:task/x".to_owned() };
    worker.append(Happening::Began { task, version: "1".to_owned() }).await.unwrap();
    world.take_lease(&worker).await;
    world.pass(7_300);
    assert_eq!(codes(&world.refused(&second).await), [Code::LeaseHeld]);
    assert_eq!(world.status(job).await.outcome, None);
}

/// A pid used again by another process is not the worker.
#[tokio::test]
async fn a_pid_that_is_used_again_is_a_dead_worker() {
    let world = World::new().await;
    let (job, _) = world.accepted(&world.request(1)).await;
    let mut worker = world.journal(WriterKind::Worker, job).await;
    let mut task = task::this_process().unwrap();
    let TaskId::Process { started, .. } = &mut task else { panic!("not a process") };
    *started -= 1;
    worker.append(Happening::Began { task, version: "1".to_owned() }).await.unwrap();
    assert_eq!(world.status(job).await.outcome, Some(JobOutcome::Interrupted));
}

/// Asked from another container, a pid proves nothing: its worker may be alive under that number elsewhere.
#[tokio::test]
async fn a_worker_of_another_pid_namespace_is_not_called_dead() {
    let world = World::new().await;
    let (job, _) = world.accepted(&world.request(1)).await;
    let mut worker = world.journal(WriterKind::Worker, job).await;
    let mut task = task::this_process().unwrap();
    let TaskId::Process { started, namespace, .. } = &mut task else { panic!("not a process") };
    (*started, *namespace) = (*started - 1, *namespace + 1);
    worker.append(Happening::Began { task, version: "1".to_owned() }).await.unwrap();
    assert_eq!(world.status(job).await.outcome, None);
}
