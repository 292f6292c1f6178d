//! Stopping a job: cancelled, told to end by the system, or past its deadline. What was done stays done and recorded.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed helper is a failed test")]

use std::fs;
use std::time::{Duration, Instant};

use flows::{APPROVER, Scratch};
use rustix::process::Signal;

/// Stops an apply while Terraform itself works: interrupted once, it finishes what it is at and saves its state.
fn stopped_while_applying(stop: impl Fn(&Scratch, &str), code: &str, outcome: &str) {
    let scratch = Scratch::new();
    scratch.slow_infrastructure();
    let deploy = scratch.start_deploy();
    let job = scratch.job("apply", 1);
    flows::wait_until("the first resource", || {
        scratch.progress(&job).iter().any(|line| line.contains("first: create done")).then_some(())
    });
    stop(&scratch, &job);
    deploy.end().exits(5).explains(&[code]);
    let (ended, codes, _) = scratch.end_of(&job);
    assert_eq!((ended.as_str(), codes), (outcome, vec![code.to_owned()]));
    assert_eq!(scratch.story(&job).iter().rfind(|word| word.starts_with("failed")).unwrap(), "failed 1");

    let resources = scratch.resources();
    assert!(resources.contains(&"terraform_data.first".to_owned()), "{resources:?}");
    assert!(!resources.contains(&"terraform_data.last".to_owned()), "{resources:?}");
    let records = scratch.records();
    assert_eq!((&records[0]["outcome"], records.len()), (&outcome.into(), 1));
    assert_eq!(scratch.lease_holder(), None);
    scratch.audit();

    let next = scratch.deploy().exits(0);
    assert!(!next.stderr.contains("create   terraform_data.first\n"), "{}", next.all());
    let records = scratch.records();
    scratch.expect_consistent(records[1]["manifest"].as_str().unwrap());
}

#[test]
fn an_apply_that_is_cancelled_saves_its_state() {
    let cancel = |scratch: &Scratch, job: &str| {
        scratch.ok(&["cancel-deploy-job", job]).says("asked job");
    };
    stopped_while_applying(cancel, "job.cancelled", "cancelled");
}

#[test]
fn an_apply_that_gets_sigterm_saves_its_state() {
    let terminate = |scratch: &Scratch, job: &str| scratch.signal_worker(job, Signal::TERM);
    stopped_while_applying(terminate, "job.cancelled", "cancelled");
}

/// Twice would make it give up what it is doing; that is only for when nothing else is left of the worker's time.
#[test]
fn terraform_is_interrupted_once_however_often_a_stop_is_asked_for_and_again_only_just_before_the_worker_is_killed() {
    let mut scratch = Scratch::new();
    let deployer = scratch.production("config/deployer.json");
    // The second interrupt comes 25 seconds before the end: three after the first SIGTERM.
    scratch.replace(&deployer, "\"deadlineSeconds\"", "\"stopTimeoutSeconds\": 28, \"deadlineSeconds\"");
    scratch.close_door_before_the_stubborn();
    let deploy = scratch.start_deploy();
    let job = scratch.job("apply", 1);
    scratch.wait_at_door();
    let more_than_a_look = Duration::from_millis(1500);
    let cancel = || drop(scratch.ok(&["cancel-deploy-job", &job]));
    let terminate = || {
        scratch.signal_worker(&job, Signal::TERM);
        std::thread::sleep(Duration::from_millis(100));
    };

    (0..2).for_each(|_| cancel());
    flows::wait_until("an interrupt", || (scratch.interrupts() > 0).then_some(()));
    std::thread::sleep(more_than_a_look);
    assert_eq!(scratch.interrupts(), 1, "cancelled twice");
    let told = Instant::now();
    (0..3).for_each(|_| terminate());
    cancel();
    assert_eq!(scratch.interrupts(), 1, "told to end three times since");
    flows::wait_until("the last interrupt", || (scratch.interrupts() > 1).then_some(()));
    assert!(told.elapsed() >= Duration::from_secs(3), "{:?}", told.elapsed());
    (0..2).for_each(|_| terminate());
    cancel();
    std::thread::sleep(more_than_a_look);
    assert_eq!(scratch.interrupts(), 2, "whatever comes after");

    scratch.open_door();
    deploy.end().exits(5).explains(&["job.cancelled"]);
    assert_eq!(scratch.records()[0]["outcome"], "cancelled");
    assert_eq!(scratch.lease_holder(), None);
}

#[test]
fn an_apply_past_its_deadline() {
    let mut scratch = Scratch::new();
    let deployer = scratch.production("config/deployer.json");
    scratch.replace(&deployer, "\"deadlineSeconds\": 14400", "\"deadlineSeconds\": 6");
    scratch.close_door();
    scratch.deploy().exits(5).explains(&["job.deadline", "raise the deadline"]);
    let records = scratch.records();
    assert_eq!((&records[0]["outcome"], records.len()), (&"failed".into(), 1));
    assert_eq!(scratch.lease_holder(), None);
    // What may run is never silently taken for what does.
    let diff = scratch.ok(&["manifest", "diff", "deployed:production", "0.1"]);
    diff.says(
        "the steps in production don't all run the same build: terraform infra runs 0.1, service hello runs nothing",
    );
    scratch.replace(&deployer, "\"deadlineSeconds\": 6", "\"deadlineSeconds\": 14400");
    scratch.open_door();
    scratch.deploy().exits(0);
}

#[test]
fn a_plan_that_is_cancelled_or_gets_sigterm() {
    let scratch = Scratch::new();
    let manifest = scratch.publish();
    let launch = ["launch-deploy-job", &manifest, "--action", "plan"];
    for (number, terminate) in [(1, false), (2, true)] {
        let pause = scratch.hold_work_directory();
        let job = scratch.ok(&launch).line();
        assert_eq!(scratch.jobs("plan").len(), number, "what was cancelled is tried again");
        scratch.wait_for(&job, "verified");
        if terminate {
            scratch.signal_worker(&job, Signal::TERM);
        } else {
            scratch.ok(&["cancel-deploy-job", &job]);
        }
        let story = scratch.wait_for(&job, "ended");
        drop(pause);
        assert_eq!(story.last().unwrap(), "ended cancelled");
        scratch.airlock(&["get-deploy-job-status", &job]).exits(5).says("job.cancelled");
        scratch.ok(&["cancel-deploy-job", &job]).says("is over already");
    }
    let planned = scratch.plan_of(&manifest);
    assert_eq!(scratch.jobs("plan").len(), 3);
    assert!(!planned.plan.is_empty());
}

#[test]
fn a_plan_past_its_deadline() {
    let scratch = Scratch::new();
    let planner = scratch.production("config/planner.json");
    scratch.replace(&planner, "\"deadlineSeconds\": 14400", "\"deadlineSeconds\": 1");
    let manifest = scratch.publish();
    let _pause = scratch.hold_work_directory();
    let launch = ["launch-deploy-job", &manifest, "--action", "plan", "--follow"];
    scratch.airlock(&launch).exits(5).explains(&["job.deadline"]);
}

#[test]
fn a_job_that_no_worker_has_taken_is_cancelled_at_once() {
    let mut scratch = Scratch::new();
    let manifest = scratch.publish();
    let idle = scratch.outside("idle-worker");
    fs::write(&idle, "#!/bin/sh\nexec sleep 600\n").unwrap();
    fs::set_permissions(&idle, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    scratch.set("AIRLOCK_WORKER", idle);
    let launch = ["launch-deploy-job", &manifest, "--action", "plan"];
    let job = scratch.ok(&launch).line();
    scratch.ok(&["cancel-deploy-job", &job]);
    let (outcome, codes, text) = scratch.end_of(&job);
    assert_eq!((outcome.as_str(), codes), ("cancelled", vec!["job.cancelled".to_owned()]));
    assert!(text.contains("nothing was done"), "{text}");
    scratch.unset("AIRLOCK_WORKER");
    let again = scratch.ok(&[&launch[..], &["--follow"]].concat()).line();
    assert_ne!(again, job);
}

#[test]
fn whoever_looks_may_look_away_and_the_job_goes_on() {
    let mut scratch = Scratch::new();
    scratch.close_door();
    let deploy = scratch.start_deploy();
    scratch.wait_at_door();
    deploy.signal(Signal::INT);
    let job = scratch.job("apply", 1);
    deploy.end().exits(6).explains(&["goes on", &job, "cancel-deploy-job"]);
    let look = ["get-deploy-job-status", &job, "--follow", "--timeout", "0"];
    scratch.airlock(&look).exits(6).explains(&["goes on"]);
    let status = scratch.json(&["get-deploy-job-status", &job]).exits(0).json();
    assert_eq!((&status["phase"], status["outcome"].is_null()), (&"applying".into(), true));
    assert!(status["task"].as_str().unwrap().starts_with("process "), "{status:#}");
    scratch.open_door();
    let again = scratch.airlock(&["deploy", "--approve-with", APPROVER]).exits(0);
    assert_eq!(scratch.records().len(), 1, "{}", again.all());
}
