//! Production in an account of its own: the CLI calls the real functions in Lambda, which run the real worker in ECS.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed helper is a failed test")]

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use aws_double::{Failure, PRODUCTION, TaskFailure};
use flows::{Cloud, Run};

fn plan(cloud: &Cloud, manifest: &str) -> Run {
    cloud.airlock(&["launch-deploy-job", manifest, "--action", "plan", "--follow"])
}

#[test]
fn a_build_goes_the_whole_way_and_only_through_the_functions() {
    let cloud = Cloud::new();
    // Nothing on this side may know more of production than its functions say.
    fs::remove_dir_all(cloud.production("config")).unwrap();
    let ran = cloud.deploys().exits(0);
    assert!(ran.stderr.contains("deployed build 0.1 of hello to production"), "{}", ran.all());
    assert!(ran.stderr.contains("apply of hello in production: succeeded after"), "{}", ran.all());
    assert!(ran.stderr.contains("recorded as deployment 1: succeeded"), "{}", ran.all());
    assert_eq!(cloud.double.calls_of("ecs:RunTask").len(), 2, "{:?}", cloud.double.calls());
    for command in [&["audit", "verify"][..], &["audit", "log"], &["deployed"], &["doctor"]] {
        cloud.ok(command);
    }
    assert!(cloud.ok(&["whoami"]).stdout.contains("lambda:arn:aws:lambda:eu-central-1:222222222222"));
    cloud.deploys().exits(0).says("runs in production already");
}

#[test]
fn an_apply_by_single_commands() {
    let cloud = Cloud::new();
    let manifest = cloud.publish();
    let job = plan(&cloud, &manifest).exits(0).line();
    let change = cloud.ok(&["change", "open", &manifest, "--plan-job", &job]).line();
    cloud.ok(&["change", "approve", &change, "--key", flows::APPROVER]);
    let apply = ["launch-deploy-job", &manifest, "--action", "apply", "--change", &change];
    let job = cloud.ok(&apply).line();
    let ran = cloud.ok(&["get-deploy-job-status", &job, "--follow"]);
    assert!(ran.stderr.contains("step 1, terraform infra: done in"), "{}", ran.all());
    assert_eq!(cloud.ok(&apply).line(), job, "the same request is the same job");
}

#[test]
fn what_passes_is_waited_for() {
    let cloud = Cloud::new();
    let manifest = cloud.publish();
    for failure in [Failure::Throttled, Failure::Broken, Failure::Cut, Failure::Lost] {
        cloud.double.fail("lambda:Invoke", failure.clone());
        cloud.double.fail("ecs:RunTask", failure);
    }
    plan(&cloud, &manifest).exits(0);
    assert_eq!(cloud.jobs("plan").len(), 1);
    assert_eq!(cloud.double.tasks().len(), 1, "one job, one task");
}

#[test]
fn a_task_that_cannot_run_ends_the_job_with_what_ecs_says() {
    for (failure, code, words) in [
        (TaskFailure::Image, "task.image", "CannotPull"),
        (TaskFailure::Killed(Duration::ZERO), "worker.died", "exited with 137"),
        (TaskFailure::OutOfMemory(Duration::ZERO), "task.out-of-memory", "OutOfMemoryError"),
    ] {
        let cloud = Cloud::new();
        let manifest = cloud.publish();
        cloud.double.fail("ecs:RunTask", Failure::Task(failure));
        let ran = plan(&cloud, &manifest).exits(5).explains(&[code]);
        assert!(ran.all().contains(words), "{}", ran.all());
        plan(&cloud, &manifest).exits(0);
        assert_eq!(cloud.jobs("plan").len(), 2, "what ended so is tried again");
    }
}

#[test]
fn no_capacity_is_told_and_waited_for() {
    let cloud = Cloud::new();
    let manifest = cloud.publish();
    cloud.double.fail("ecs:RunTask", Failure::Task(TaskFailure::Capacity));
    let ran = plan(&cloud, &manifest).exits(0);
    assert!(ran.stderr.contains("trying again"), "{}", ran.all());
    assert_eq!(cloud.jobs("plan").len(), 1);
}

#[test]
fn who_may_not_call_a_function_is_told_which() {
    let mut cloud = Cloud::new();
    let stranger = cloud.double.account(PRODUCTION).user("stranger", &[]);
    for (name, value) in cloud.double.environment_of(&stranger) {
        cloud.scratch.set(name, value);
    }
    let ran = cloud.airlock(&["deployed"]).exits(1);
    let arn = cloud.function("get-deploy-job-status");
    assert!(ran.all().contains(&format!("allow lambda:InvokeFunction on {arn}")), "{}", ran.all());
}

#[test]
fn credentials_that_have_expired_are_told() {
    let mut cloud = Cloud::new();
    let role = cloud.double.account(PRODUCTION).role(aws_double::Role::open("reader"));
    let expired = cloud.double.session(&role, Duration::ZERO);
    for (name, value) in cloud.double.environment_of(&expired) {
        cloud.scratch.set(name, value);
    }
    let ran = cloud.airlock(&["deployed"]).exits(1);
    assert!(ran.all().contains("credentials have expired"), "{}", ran.all());
}

#[test]
fn a_function_cut_off_after_its_task_was_run_left_a_job_that_the_retry_finds() {
    let cloud = Cloud::new();
    let manifest = cloud.publish();
    // Carried out at once, answered when the function's time is up.
    cloud.double.fail("ecs:RunTask", Failure::Late(Duration::from_secs(20)));
    plan(&cloud, &manifest).exits(0);
    assert_eq!((cloud.jobs("plan").len(), cloud.double.tasks().len()), (1, 1));
}

#[test]
fn an_account_or_a_region_that_the_policy_does_not_mean_is_refused() {
    for (what, other) in [("account", "333333333333"), ("region", "us-east-1")] {
        let cloud = Cloud::new();
        cloud.next_policy(|policy| policy["environments"]["production"][what] = other.into());
        let manifest = cloud.publish();
        plan(&cloud, &manifest).exits(3).explains(&["environment.mismatch"]);
        assert!(cloud.double.tasks().is_empty(), "no task was run for it");
    }
}

#[test]
fn fifty_identical_launches_at_once_are_one_job_and_one_task() {
    let cloud = Cloud::new();
    let manifest = cloud.publish();
    let launch = ["launch-deploy-job", &manifest, "--action", "plan", "--idempotency-key", "one"];
    let launches: Vec<_> = (0..50).map(|_| cloud.start(&launch)).collect();
    let jobs: BTreeSet<String> = launches.into_iter().map(|launch| launch.end().exits(0).line()).collect();
    assert_eq!(jobs.len(), 1, "{jobs:?}");
    cloud.wait_for(jobs.first().unwrap(), "ended succeeded");
    assert_eq!((cloud.jobs("plan").len(), cloud.double.tasks().len()), (1, 1));
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
