//! Production in an account of its own: the CLI calls the real functions in Lambda, which run the real worker in ECS.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed helper is a failed test")]

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use aws_double::{Failure, PRODUCTION, TaskFailure};
use flows::Cloud;
use manifest_schema::gateway::{Answer, StatusResponse};
use manifest_schema::manifest::BuildManifest;
use manifest_schema::{Document as _, schema};

#[test]
fn a_build_goes_the_whole_way_and_only_through_the_functions() {
    let mut cloud = Cloud::new();
    let url = "https://jenkins.example.com/job/hello/1/";
    for (name, value) in [("JENKINS_URL", "https://jenkins.example.com/"), ("BUILD_NUMBER", "1"), ("BUILD_URL", url)] {
        cloud.scratch.set(name, value);
    }
    // Nothing on this side may know more of production than its functions say.
    fs::remove_dir_all(cloud.production("config")).unwrap();
    let ran = cloud.deploys().exits(0);
    assert!(ran.stderr.contains("deployed build 0.1 of hello to production"), "{}", ran.all());
    assert!(ran.stderr.contains("apply of hello in production: succeeded after"), "{}", ran.all());
    let tasks = cloud.double.tasks();
    let task = tasks.last().unwrap().arn.rsplit('/').next().unwrap().to_owned();
    let page = "https://eu-central-1.console.aws.amazon.com/ecs/v2/clusters/airlock/tasks";
    let end = format!(
        "  recorded as deployment 1: succeeded\n  change: CHG-1\n  task: {page}/{task}?region=eu-central-1\n  \
         built by: {url}\nchange CHG-1 is resolved\n"
    );
    ran.says(&end);
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
    let job = cloud.plans(&manifest).exits(0).line();
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
    cloud.plans(&manifest).exits(0);
    assert_eq!(cloud.jobs("plan").len(), 1);
    assert_eq!(cloud.double.tasks().len(), 1, "one job, one task");
}

/// Whoever only asks waits, too: but not for somebody to log in again (`credentials_that_have_expired_are_told`).
#[test]
fn every_command_that_asks_production_waits_out_what_passes() {
    let cloud = Cloud::new();
    let manifest = cloud.publish();
    let job = cloud.plans(&manifest).exits(0).line();
    for command in [
        &["deployed"][..],
        &["audit", "log"],
        &["get-deploy-job-status", &job],
        &["change", "open", &manifest, "--plan-job", &job],
        &["cancel-deploy-job", &job],
        &["doctor"],
    ] {
        // The function is being updated: nothing that the SDK itself repeats.
        let message = "The operation cannot be performed at this time.";
        let busy = Failure::Error { status: 409, code: "ResourceConflictException", message };
        (0..2).for_each(|_| cloud.double.fail("lambda:Invoke", busy.clone()));
        let ran = cloud.ok(command).says("ResourceConflictException").says("trying again for up to 1 min");
        ran.says("production answers again");
    }
}

#[test]
fn no_capacity_is_told_and_waited_for() {
    let cloud = Cloud::new();
    let manifest = cloud.publish();
    cloud.double.fail("ecs:RunTask", Failure::Task(TaskFailure::Capacity));
    let ran = cloud.plans(&manifest).exits(0);
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

/// A build that production can't read is not even made.
#[test]
fn a_production_that_does_not_read_what_this_cli_writes_is_told_before_anything_is_built_or_launched() {
    let cloud = Cloud::new();
    let published = cloud.publish();
    let reads = schema::READS.iter().filter(|name| **name != BuildManifest::SCHEMA).map(|name| (*name).to_owned());
    let answer = Answer::Deployed { deployments: Vec::new(), more: false, applying: None };
    cloud.always_says(&StatusResponse { schema: Default::default(), reads: reads.collect(), answer });
    cloud.change_page("the next build");
    for command in [
        &["deploy", "--approve-with", flows::APPROVER][..],
        &["deploy", "--approve-with", flows::APPROVER, "--build", &published],
        &["launch-deploy-job", &published, "--action", "plan"],
    ] {
        let ran = cloud.airlock(command).exits(1);
        ran.explains(&["production in production doesn't read airlock/build-manifest/v1", "have production upgraded"]);
    }
    let builds = fs::read_dir(cloud.artifacts("builds/hello")).unwrap().count();
    assert_eq!(builds, 1, "nothing was published");
    assert!(cloud.double.calls_of("ecs:RunTask").is_empty());
    assert!(cloud.jobs("plan").is_empty());
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
    cloud.plans(&manifest).exits(0);
    assert_eq!((cloud.jobs("plan").len(), cloud.double.tasks().len()), (1, 1));
}

#[test]
fn an_account_or_a_region_that_the_policy_does_not_mean_is_refused() {
    for (what, other) in [("account", "333333333333"), ("region", "us-east-1")] {
        let cloud = Cloud::new();
        cloud.next_policy(|policy| policy["environments"]["production"][what] = other.into());
        let manifest = cloud.publish();
        cloud.plans(&manifest).exits(3).explains(&["environment.mismatch"]);
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
