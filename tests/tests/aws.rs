//! Production in an account of its own: the CLI calls the real functions in Lambda, which run the real worker in ECS.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed helper is a failed test")]

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use aws_double::{Failure, PRODUCTION, TaskFailure};
use flows::{Cloud, Run};
use manifest_schema::gateway::{Answer, StatusResponse};
use manifest_schema::manifest::BuildManifest;
use manifest_schema::{Document as _, schema};

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

/// Whoever only asks waits, too: but not for somebody to log in again (`credentials_that_have_expired_are_told`).
#[test]
fn every_command_that_asks_production_waits_out_what_passes() {
    let cloud = Cloud::new();
    let manifest = cloud.publish();
    let job = plan(&cloud, &manifest).exits(0).line();
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

/// A task that comes to nothing: the job ends with what ECS says, and the next launch is another try.
fn cannot_run(failure: TaskFailure, code: &str, words: &str) {
    let cloud = Cloud::new();
    let manifest = cloud.publish();
    cloud.double.fail("ecs:RunTask", Failure::Task(failure));
    let ran = plan(&cloud, &manifest).exits(5).explains(&[code]);
    assert!(ran.all().contains(words), "{}", ran.all());
    plan(&cloud, &manifest).exits(0);
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
    plan(&cloud, &manifest).exits(0);
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
