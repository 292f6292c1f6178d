//! Several at once: one key is one job, one project in one environment is one apply at a time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed helper is a failed test")]

use std::collections::BTreeSet;

use flows::Scratch;

#[test]
fn twenty_identical_launches_at_once_are_one_job() {
    let scratch = Scratch::new();
    let manifest = scratch.publish();
    let launch = ["launch-deploy-job", &manifest, "--action", "plan", "--idempotency-key", "one", "--format", "json"];
    let launches: Vec<_> = (0..20).map(|_| scratch.start(&launch)).collect();
    let answers: Vec<_> = launches.into_iter().map(|launch| launch.end().exits(0).json()).collect();
    let jobs: BTreeSet<_> = answers.iter().map(|answer| answer["job"].as_str().unwrap()).collect();
    assert_eq!(jobs.len(), 1, "{answers:?}");
    assert_eq!(answers.iter().filter(|answer| answer["existing"] == false).count(), 1, "{answers:?}");
    let job = answers[0]["job"].as_str().unwrap();
    assert_eq!(scratch.jobs("plan"), [job]);
    let story = scratch.wait_for(job, "ended");
    assert_eq!(story.iter().filter(|word| *word == "began").count(), 1, "{story:?}");
    assert_eq!(story.last().unwrap(), "ended succeeded");
}

#[test]
fn twenty_identical_applies_at_once_are_one_deployment() {
    let scratch = Scratch::new();
    let planned = scratch.planned();
    let yes = scratch.approve(&planned);
    let arguments = scratch.apply_arguments(&planned, &[&yes]);
    let applies: Vec<_> = (0..20).map(|_| scratch.start(&arguments)).collect();
    for apply in applies {
        apply.end().exits(0);
    }
    assert_eq!(scratch.jobs("apply").len(), 1);
    scratch.expect_consistent(&planned.manifest);
    assert_eq!(scratch.records().len(), 1);
}

#[test]
fn a_second_apply_is_refused_while_the_first_goes_on() {
    let mut scratch = Scratch::new();
    let first = scratch.planned();
    scratch.change_page("the second build");
    let second = scratch.planned();
    let (yes, also) = (scratch.approve(&first), scratch.approve(&second));
    scratch.close_door();
    let apply = scratch.start(&scratch.apply_arguments(&first, &[&yes]));
    scratch.wait_at_door();
    let holder = scratch.lease_holder().unwrap();
    let refused = scratch.apply(&second, &[&also]).run.exits(7).because(&["lease.held"]);
    assert!(refused.stderr.contains(&holder), "{}", refused.all());
    scratch.open_door();
    apply.end().exits(0);
    // Again, as the exit code says; but what it starts from has changed.
    scratch.apply(&second, &[&also]).run.exits(3).because(&["plan.stale"]);
    scratch.deploy().exits(0);
    assert_eq!(scratch.records().len(), 2);
    scratch.expect_consistent(&second.manifest);
}

/// Whatever were planned meanwhile would be stale at once, and somebody would have approved it in vain.
#[test]
fn a_deploy_gives_way_to_one_that_goes_on_before_it_plans() {
    let mut scratch = Scratch::new();
    scratch.close_door();
    let first = scratch.start(&["deploy", "--approve-with", flows::APPROVER]);
    scratch.wait_at_door();
    let holder = scratch.lease_holder().unwrap();
    scratch.change_page("the second build");
    let refused = scratch.deploy().exits(7).explains(&["lease.held", &holder, "--when-busy wait"]);
    assert_eq!(scratch.jobs("plan").len(), 1, "{}", refused.all());
    let wait = ["deploy", "--approve-with", flows::APPROVER, "--when-busy", "wait"];
    scratch.airlock(&[&wait[..], &["--timeout", "1"]].concat()).exits(6).explains(&[&holder]);

    // As airlock.toml says.
    scratch.replace(&scratch.path("airlock.toml"), "gateway = ", "when-busy = \"wait\"\ngateway = ");
    scratch.commit("Wait for others");
    let second = scratch.start(&wait[..3]);
    second.wait_for("waiting: job");
    scratch.open_door();
    first.end().exits(0);
    second.end().exits(0);
    assert_eq!(scratch.records().len(), 2);
}

/// Both pass the gateway before either has the lease.
#[test]
fn of_two_applies_at_once_of_different_builds_one_happens() {
    let scratch = Scratch::new();
    let first = scratch.planned();
    scratch.change_page("the second build");
    let second = scratch.planned();
    let (yes, also) = (scratch.approve(&first), scratch.approve(&second));
    // Both workers wait here, and go on together.
    let pause = scratch.hold_work_directory();
    let applies = [(&first, &yes), (&second, &also)];
    let running = applies.map(|(planned, yes)| scratch.start(&scratch.apply_arguments(planned, &[yes])));
    let jobs = {
        scratch.job("apply", 2);
        scratch.jobs("apply")
    };
    jobs.iter().for_each(|job| drop(scratch.wait_for(job, "verified")));
    drop(pause);
    let ended = running.map(|apply| apply.end());
    let mut codes = ended.each_ref().map(|run| run.code);
    codes.sort_unstable();
    let told = ended.each_ref().map(flows::Run::all).join("\n");
    assert!(codes[0] == 0 && [3, 7].contains(&codes[1]), "{told}");
    assert!(told.contains("lease.held") || told.contains("plan.stale") || told.contains("manifest.rollback"), "{told}");
    let records = scratch.records();
    assert_eq!(records.len(), 1);
    scratch.expect_consistent(records[0]["manifest"].as_str().unwrap());
}

#[test]
fn two_deploys_at_once_of_one_build_are_one_deployment() {
    let scratch = Scratch::new();
    let deploys = [scratch.start_deploy(), scratch.start_deploy()];
    let ended = deploys.map(|deploy| deploy.end());
    let told = ended.each_ref().map(flows::Run::all).join("\n");
    assert!(ended.iter().any(|run| run.code == 0), "{told}");
    assert!(ended.iter().all(|run| [0, 3, 7].contains(&run.code)), "{told}");
    let records = scratch.records();
    assert_eq!(records.len(), 1, "{told}");
    scratch.expect_consistent(records[0]["manifest"].as_str().unwrap());
}

/// A provider can go to the background, with the lock on the work directory in its hands.
#[test]
fn what_terraform_leaves_running_keeps_no_other_job_waiting() {
    let mut scratch = Scratch::new();
    scratch.leave_strays();
    scratch.deploy().exits(0);
    scratch.change_page("newer");
    scratch.deploy().exits(0);
    assert_eq!(scratch.strays(), Vec::<String>::new());
}
