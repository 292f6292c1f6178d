//! When a plan counts as spent.

use manifest_schema::job::{Happening, JobOutcome};
use manifest_schema::statement::Outcome;

use crate::world::{VALIDITY, World};

#[tokio::test]
async fn a_plan_leaves_production_whole_and_fresh() {
    let world = World::new().await;
    let (job, request) = world.planned(1).await;
    let plan = world.status(job).await.plan.unwrap();
    assert_eq!((Some(plan.statement), plan.spent), (request.plan, None));
    let inspected = manifest_schema::dsse::inspect(&plan.envelope.0).unwrap();
    assert_eq!(inspected.statement, plan.statement);
    assert!(!plan.summary.0.is_empty());
}

#[tokio::test]
async fn a_plan_is_spent_when_it_expired() {
    let world = World::new().await;
    let (job, _) = world.planned(1).await;
    world.pass(i64::try_from(VALIDITY).unwrap() - 1);
    assert_eq!(world.status(job).await.plan.unwrap().spent, None);
    world.pass(1);
    let spent = world.status(job).await.plan.unwrap().spent.unwrap();
    assert!(spent.contains("expired at 2026-11-22T13:30:00Z"), "{spent}");
}

#[tokio::test]
async fn a_plan_is_spent_when_something_else_was_deployed() {
    let world = World::new().await;
    let (job, _) = world.planned(1).await;
    world.record(job, 1, Outcome::Failed).await;
    let spent = world.status(job).await.plan.unwrap().spent.unwrap();
    assert!(spent.contains("starts from deployment 0; the latest is 1"), "{spent}");
}

/// Threat model, row 16: but a job that changed nothing leaves the plan to the next.
#[tokio::test]
async fn a_plan_is_spent_once_a_job_began_a_step_of_it() {
    let world = World::new().await;
    let (plan, request) = world.planned(1).await;
    let spent = async || world.status(plan).await.plan.unwrap().spent;
    let (apply, mut worker) = world.applying(&request).await;
    assert_eq!(spent().await, None, "claimed, but nothing is begun");
    worker.append(Happening::Intent { step: 1, name: "service web".to_owned(), group: None }).await.unwrap();
    let why = spent().await.unwrap();
    assert!(why.contains(&format!("job {apply} began to apply it")), "{why}");
}

#[tokio::test]
async fn a_plan_whose_claimer_ended_before_a_step_is_not_spent() {
    let world = World::new().await;
    let (plan, request) = world.planned(1).await;
    let (_, mut worker) = world.applying(&request).await;
    let ended = Happening::Ended { outcome: JobOutcome::Cancelled, reasons: Vec::new() };
    worker.append(ended).await.unwrap();
    assert_eq!(world.status(plan).await.plan.unwrap().spent, None);
}
