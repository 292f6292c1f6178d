//! What becomes of the worker's tasks: those that never run, are killed, forgotten or cancelled, and two at once.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed helper is a failed test")]

use std::time::Duration;

use aws_double::{Failure, TaskFailure};
use flows::{Cloud, Run};

/// A task that comes to nothing: the job ends with what ECS says, and the next launch is another try.
fn cannot_run(failure: TaskFailure, code: &str, words: &str) {
    let cloud = Cloud::new();
    let manifest = cloud.publish();
    cloud.double.fail("ecs:RunTask", Failure::Task(failure));
    let ran = cloud.plans(&manifest).exits(5).explains(&[code]);
    assert!(ran.all().contains(words), "{}", ran.all());
    cloud.plans(&manifest).exits(0);
    assert_eq!(cloud.jobs("plan").len(), 2, "what ended so is tried again");
}

#[test]
fn a_task_whose_image_cannot_be_pulled() {
    cannot_run(TaskFailure::Image, "task.image", "CannotPull");
}

#[test]
fn a_task_killed_before_its_first_event() {
    cannot_run(TaskFailure::Killed(Duration::ZERO), "worker.died", "exited with 137");
}

#[test]
fn a_task_whose_memory_is_used_up() {
    cannot_run(TaskFailure::OutOfMemory(Duration::ZERO), "task.out-of-memory", "OutOfMemoryError");
}

#[test]
fn a_task_killed_in_the_middle_of_an_apply_is_told_and_the_next_deploy_finishes() {
    let cloud = Cloud::new();
    cloud.slow_infrastructure();
    let deploy = cloud.start(&["deploy", "--approve-with", flows::APPROVER]);
    let job = cloud.job("apply", 1);
    cloud.wait_for(&job, "intent 1");
    cloud.double.kill(&cloud.double.tasks().last().unwrap().arn);
    let ran = deploy.end().exits(5).explains(&["worker.died"]);
    assert!(ran.all().contains("exited with 137"), "{}", ran.all());
    assert!(ran.all().contains("plan again"), "{}", ran.all());
    cloud.deploys().exits(0);
    let outcomes: Vec<_> = cloud.records().iter().map(|record| record["outcome"].clone()).collect();
    assert_eq!(outcomes, ["interrupted", "succeeded"]);
    cloud.ok(&["audit", "verify"]);
}

#[test]
fn a_job_that_is_cancelled_before_its_task_runs_never_begins() {
    let cloud = Cloud::new();
    let manifest = cloud.publish();
    cloud.double.fail("ecs:RunTask", Failure::Task(TaskFailure::SlowStart(Duration::from_secs(60))));
    let job = cloud.ok(&["launch-deploy-job", &manifest, "--action", "plan"]).line();
    cloud.ok(&["cancel-deploy-job", &job]);
    cloud.airlock(&["get-deploy-job-status", &job, "--follow"]).exits(5).explains(&["job.cancelled"]);
    let task = cloud.double.tasks().pop().unwrap().arn;
    let stopped = cloud.double.wait_for(&task, |task| task.stop_code.is_some());
    assert_eq!(stopped.stop_code, Some("UserInitiated"));
    assert_eq!(cloud.story(&job).last().unwrap(), "ended cancelled");
}

/// In the middle of a plan: nothing but the plan is lost, and whoever waits is told so.
fn killed_while_it_plans(at: &str, place: &str) {
    let cloud = Cloud::new();
    let manifest = cloud.publish();
    // Workers wait for it once they have `verified`.
    let pause = (at == "verified").then(|| cloud.hold_work_directory());
    let launch = cloud.start(&["launch-deploy-job", &manifest, "--action", "plan", "--follow"]);
    let job = cloud.job("plan", 1);
    cloud.wait_for(&job, at);
    cloud.double.kill(&cloud.task_of(&job));
    drop(pause);
    let ran = launch.end().exits(5).explains(&["worker.died", "exited with 137"]);
    assert!(ran.all().contains(&format!("ended {place}")), "{}", ran.all());
    assert!(ran.all().contains("nothing was changed: launch again"), "{}", ran.all());
    assert!(!cloud.story(&job).contains(&"planned".to_owned()));
    cloud.plans(&manifest).exits(0);
    assert_eq!(cloud.jobs("plan").len(), 2);
}

#[test]
fn a_task_killed_before_it_has_fetched() {
    killed_while_it_plans("verified", "while fetching");
}

#[test]
fn a_task_killed_before_it_has_planned() {
    killed_while_it_plans("fetched", "while planning");
}

#[test]
fn a_second_apply_is_refused_while_the_first_goes_on() {
    let cloud = Cloud::new();
    cloud.slow_infrastructure();
    let first = cloud.planned();
    cloud.change_page("the second build");
    let second = cloud.planned();
    let (yes, also) = (cloud.approve(&first), cloud.approve(&second));
    let apply = cloud.start(&cloud.apply_arguments(&first, &[&yes]));
    let job = cloud.job("apply", 1);
    cloud.wait_for(&job, "intent 1");
    let refused = cloud.apply(&second, &[&also]).run.exits(7).because(&["lease.held"]);
    assert!(refused.stderr.contains(&job), "{}", refused.all());
    assert_eq!(cloud.jobs("apply").len(), 1, "no job was made, and no task was spent");
    apply.end().exits(0);
    // Again, as the exit code says; but what it starts from has changed.
    cloud.apply(&second, &[&also]).run.exits(3).because(&["plan.stale"]);
    cloud.deploys().exits(0);
    assert_eq!(cloud.records().len(), 2);
    cloud.expect_consistent(&second.manifest);
}

/// Both pass the gateway before either has the lease.
#[test]
fn of_two_applies_at_once_of_different_builds_one_happens() {
    let cloud = Cloud::new();
    let first = cloud.planned();
    cloud.change_page("the second build");
    let second = cloud.planned();
    let (yes, also) = (cloud.approve(&first), cloud.approve(&second));
    // Both tasks wait here, and go on together.
    let pause = cloud.hold_work_directory();
    let running =
        [(&first, &yes), (&second, &also)].map(|(planned, yes)| cloud.start(&cloud.apply_arguments(planned, &[yes])));
    cloud.job("apply", 2);
    cloud.jobs("apply").iter().for_each(|job| drop(cloud.wait_for(job, "verified")));
    drop(pause);
    let ended = running.map(|apply| apply.end());
    let mut codes = ended.each_ref().map(|run| run.code);
    codes.sort_unstable();
    let told = ended.each_ref().map(Run::all).join("\n");
    assert!(codes[0] == 0 && [3, 7].contains(&codes[1]), "{told}");
    assert!(told.contains("lease.held") || told.contains("plan.stale") || told.contains("manifest.rollback"), "{told}");
    let records = cloud.records();
    assert_eq!(records.len(), 1);
    cloud.expect_consistent(records[0]["manifest"].as_str().unwrap());
}

/// What ECS doesn't know is not dead for that: only two hours of silence prove it, which the gateway's own tests wait for.
#[test]
fn a_job_whose_task_ecs_has_forgotten_stays_open_while_it_may_be_alive() {
    let cloud = Cloud::new();
    let manifest = cloud.publish();
    cloud.double.fail("ecs:RunTask", Failure::Task(TaskFailure::SlowStart(Duration::from_secs(60))));
    let job = cloud.ok(&["launch-deploy-job", &manifest, "--action", "plan"]).line();
    cloud.double.forget(&cloud.task_of(&job));
    let look = ["get-deploy-job-status", &job];
    flows::wait_until("the question to ECS", || {
        cloud.ok(&look);
        (!cloud.double.calls_of("ecs:DescribeTasks").is_empty()).then_some(())
    });
    let status = cloud.json(&look).exits(0).json();
    assert_eq!((&status["phase"], status["outcome"].is_null()), (&"requested".into(), true), "{status:#}");
    assert_eq!(cloud.story(&job), ["requested", "started"]);
    // A person who knows better ends it.
    cloud.ok(&["cancel-deploy-job", &job]);
    cloud.airlock(&look).exits(5).says("job.cancelled");
}

#[test]
fn a_job_that_is_over_answers_fully_long_after_ecs_has_forgotten_it_and_an_unknown_one_is_told() {
    let cloud = Cloud::new();
    cloud.deploys().exits(0);
    let jobs = [cloud.job("plan", 1), cloud.job("apply", 1)];
    let ask = |job: &str| cloud.json(&["get-deploy-job-status", job]).exits(0).json();
    let before = jobs.each_ref().map(|job| ask(job));
    for task in cloud.double.tasks() {
        cloud.double.forget(&task.arn);
    }
    assert_eq!(jobs.each_ref().map(|job| ask(job)), before);
    let [planned, applied] = &before;
    assert!(planned["plan"]["statement"].is_string(), "{planned:#}");
    assert_eq!(applied["deployment"]["record"]["outcome"], "succeeded", "{applied:#}");
    assert!(cloud.double.calls_of("ecs:DescribeTasks").is_empty(), "what is over needs nobody's word");

    let unknown = "01900000-0000-7000-8000-000000000000";
    let ran = cloud.airlock(&["get-deploy-job-status", unknown]).exits(1);
    ran.explains(&["has no job 01900000-0000-7000-8000-000000000000", "airlock audit log"]);
}

#[test]
fn an_image_that_is_gone_between_plan_and_apply_is_told_and_the_deploy_goes_on_once_it_is_back() {
    let cloud = Cloud::new();
    let planned = cloud.planned();
    cloud.approve(&planned);
    cloud.delete_image();
    cloud.deploys().exits(5).explains(&["task.image", "CannotPull"]);
    assert!(cloud.records().is_empty(), "nothing was begun, so nothing is recorded");
    assert_eq!(cloud.lease_holder(), None);
    cloud.push_image();
    cloud.deploys().exits(0);
    assert_eq!((cloud.jobs("plan").len(), cloud.jobs("apply").len()), (1, 2), "the same plan, applied by another job");
    assert_eq!(cloud.records().len(), 1);
    cloud.expect_consistent(&planned.manifest);
}

/// Terraform is interrupted once and heard out; ECS is not asked to end what has a step open.
#[test]
fn an_apply_that_is_cancelled_saves_its_state() {
    let cloud = Cloud::new();
    cloud.slow_infrastructure();
    let deploy = cloud.start_deploy();
    let job = cloud.job("apply", 1);
    flows::wait_until("the first resource", || {
        cloud.progress(&job).iter().any(|line| line.contains("first: create done")).then_some(())
    });
    for _ in 0..3 {
        cloud.ok(&["cancel-deploy-job", &job]);
    }
    deploy.end().exits(5).explains(&["job.cancelled"]);
    assert!(cloud.double.calls_of("ecs:StopTask").is_empty(), "{:?}", cloud.double.calls());
    let task = cloud.double.wait_for(&cloud.task_of(&job), |task| task.stop_code.is_some());
    assert_eq!(task.stop_code, Some("EssentialContainerExited"), "it ended by itself");
    assert_eq!(task.log.matches("interrupting Terraform").count(), 1, "{}", task.log);
    let resources = cloud.resources();
    assert!(resources.contains(&"terraform_data.first".to_owned()), "{resources:?}");
    assert!(!resources.contains(&"terraform_data.last".to_owned()), "{resources:?}");
    let records = cloud.records();
    assert_eq!((&records[0]["outcome"], records.len()), (&"cancelled".into(), 1));
    assert_eq!(cloud.lease_holder(), None);
    cloud.deploys().exits(0);
    cloud.audit();
}
