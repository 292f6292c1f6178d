//! Does reality still match what was deployed?
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed helper is a failed test")]

use std::fs;

use flows::{Run, Scratch};
use serde_json::Value;

/// The service, deployed.
fn deployed() -> (Scratch, String) {
    let scratch = Scratch::new();
    scratch.deploy().exits(0);
    let manifest = scratch.records().pop().unwrap()["manifest"].as_str().unwrap().to_owned();
    (scratch, manifest)
}

fn drift(scratch: &Scratch) -> Run {
    scratch.json(&["drift", "production"])
}

/// Somebody changes the resource by hand: what Terraform reads of it is another thing now.
fn change_the_resource(scratch: &Scratch) {
    let path = scratch.production("state/production/hello/terraform.tfstate");
    scratch.replace(&path, "\"greeting\": \"hello\"", "\"greeting\": \"goodbye\"");
}

#[test]
fn what_was_never_deployed_cannot_drift() {
    let scratch = Scratch::new();
    scratch.publish();
    scratch.airlock(&["drift", "production"]).exits(1).explains(&["no deployment of hello to production"]);
}

#[test]
fn reality_matches_until_somebody_changes_it_and_each_call_looks_anew() {
    let (scratch, manifest) = deployed();
    // A newer build that nobody deployed changes nothing about what runs.
    scratch.change_page("newer");
    scratch.publish();
    let found = drift(&scratch).exits(0).json();
    assert_eq!((&found["matches"], &found["manifest"]), (&true.into(), &manifest.clone().into()));
    let ran = scratch.airlock(&["drift", "production", "hello"]).exits(0);
    assert!(ran.stdout.starts_with("hello in production is as build 0.1 wants it"), "{}", ran.all());

    let ran = scratch.airlock(&["deployed", "--check"]).exits(0);
    assert!(ran.stdout.ends_with("\n  checked now: everything is as build 0.1 wants it\n"), "{}", ran.all());

    change_the_resource(&scratch);
    let found = drift(&scratch).exits(4).json();
    assert_eq!(found["matches"], false);
    assert_eq!(found["summary"]["terraform"]["changes"][0]["address"], "terraform_data.release");
    let ran = scratch.airlock(&["drift", "production"]).exits(4);
    assert!(ran.stdout.starts_with("hello in production is not as build 0.1 wants it"), "{}", ran.all());
    assert!(ran.stdout.contains("update   terraform_data.release"), "{}", ran.all());
    let found = scratch.json(&["deployed", "--check"]).exits(4).json();
    assert_eq!((&found["check"]["matches"], &found["latest"]["sequence"]), (&false.into(), &1.into()));
    let ran = scratch.airlock(&["deployed", "--check"]).exits(4);
    assert!(ran.stdout.contains("\n  checked now: not everything is as build 0.1 wants it\n"), "{}", ran.all());
    assert!(ran.stdout.contains("update   terraform_data.release"), "{}", ran.all());
    assert_eq!(scratch.jobs("drift").len(), 7, "each call is a job of its own");
    let ran = scratch.airlock(&["deployed"]).exits(0);
    assert!(!ran.stdout.contains("checked"), "{}", ran.all());
    assert_eq!(scratch.records().len(), 1, "nothing was deployed");
}

#[test]
fn a_service_that_runs_another_image_is_drift() {
    let (scratch, _) = deployed();
    let service = scratch.production("cluster/production/hello.json");
    let mut revision = scratch.read(&service);
    revision["containers"]["web"] = format!("sha256:{}", "0".repeat(64)).into();
    fs::write(&service, revision.to_string()).unwrap();
    let found = drift(&scratch).exits(4).json();
    assert_eq!(found["summary"]["services"][0]["service"], "hello");
}

#[test]
fn what_a_drift_job_found_can_be_applied_by_nobody() {
    let (scratch, manifest) = deployed();
    change_the_resource(&scratch);
    let job = drift(&scratch).exits(4).json()["job"].as_str().unwrap().to_owned();
    let status = scratch.json(&["get-deploy-job-status", &job]).exits(0).json();
    assert_eq!(status["plan"]["spent"], "it is a drift job's, and only says what differs");
    assert!(!scratch.production(&format!("saved-plans/{job}.tfplan")).exists(), "no saved plan is kept");
    let plan = status["plan"]["statement"].as_str().unwrap();
    scratch.airlock(&["change", "open", &manifest, "--plan", plan]).exits(3);

    // Even with somebody's yes to another plan, for there is no plan of that name.
    let planned = scratch.plan_of(&manifest);
    let yes = scratch.approve(&planned);
    let stolen = flows::Planned { plan: plan.to_owned(), ..planned };
    scratch.airlock(&scratch.apply_arguments(&stolen, &[&yes])).because(&["plan.missing"]);
}

/// DESIGN §6: drift also accepts the keys under which the build was deployed.
#[test]
fn a_build_whose_builder_was_replaced_since_is_still_compared() {
    let (scratch, manifest) = deployed();
    scratch.ok(&["key", "generate", "successor"]);
    let successor = fs::read_to_string(scratch.path("successor.pub.pem")).unwrap();
    scratch.next_policy(|policy| {
        let builders = policy["roles"]["builder"]["keys"].as_array().unwrap().clone();
        for name in builders {
            policy["keys"][name.as_str().unwrap()] = Value::from(successor.clone());
        }
    });
    let plan = ["launch-deploy-job", &manifest, "--action", "plan", "--attempt", "2"];
    scratch.airlock(&plan).exits(3).explains(&["build.untrusted"]);
    drift(&scratch).exits(0);
}
