//! The whole way, step by step and as one command.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed helper is a failed test")]

use std::os::unix::fs::PermissionsExt as _;

use flows::{APPROVER, Scratch};

/// What a job that applies a Terraform step and a service step goes through.
const APPLIED: [&str; 12] = [
    "requested",
    "began",
    "verified",
    "fetched",
    "checked",
    "claimed",
    "intent 1",
    "done 1",
    "intent 2",
    "done 2",
    "recorded succeeded",
    "ended succeeded",
];

#[test]
fn the_commands_that_scripts_rely_on_take_a_build_to_production() {
    let scratch = Scratch::new();
    let s = &scratch;

    s.ok(&["key", "generate", "somebody"]);
    let mode = |name: &str| std::fs::metadata(s.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("somebody.pem"), 0o600);
    assert!(s.path("somebody.pub.pem").is_file());

    s.ok(&["manifest", "build", "--output", "build-manifest.json"]);
    let key = [".airlock/keys/builder.pem", ".airlock/keys/builder.pub.pem"];
    s.ok(&["manifest", "sign", "build-manifest.json", "--key", key[0], "--output", "build.dsse.json"]);
    let verify = ["manifest", "verify", "build-manifest.json", "--envelope", "build.dsse.json", "--key"];
    s.ok(&[&verify[..], &[key[1]]].concat());
    s.airlock(&[&verify[..], &["somebody.pub.pem"]].concat()).exits(3).explains(&[]);
    let store = [".airlock/artifacts", "build-manifest.json", "build.dsse.json"];
    let manifest = s.ok(&["publish", store[1], "--envelope", store[2], "--store", store[0]]).line();

    let plan_job = s.ok(&["launch-deploy-job", &manifest, "--action", "plan"]).line();
    s.ok(&["get-deploy-job-status", &plan_job, "--follow"]).says("planned: ");
    let status = s.json(&["get-deploy-job-status", &plan_job]).exits(0).json();
    assert_eq!(status["outcome"], "succeeded");
    let plan = status["plan"]["statement"].as_str().unwrap();

    let change = s.ok(&["change", "open", &manifest, "--plan", plan, "--justification", "it is wanted"]).line();
    s.airlock(&["change", "wait", &change, "--timeout", "0"]).exits(6).explains(&["not approved yet", &change]);
    let yes = s.ok(&["change", "approve", &change, "--key", APPROVER]).line();
    assert_eq!(s.ok(&["change", "wait", &change]).line(), yes);

    let asked = [&manifest, "--action", "apply", "--plan", plan, "--change", &change, "--approval", &yes, "--follow"];
    let apply = s.ok(&[&["launch-deploy-job"], &asked[..]].concat()).says("recorded as deployment 1: succeeded").line();
    // Who started the worker notes that, unless the worker was quicker.
    let story: Vec<_> = s.story(&apply).into_iter().filter(|word| word != "started").collect();
    assert_eq!(story, APPLIED);
    let status = s.json(&["get-deploy-job-status", &apply]).exits(0).json();
    assert_eq!((&status["outcome"], &status["phase"]), (&"succeeded".into(), &"ended".into()));

    s.ok(&["manifest", "verify", &manifest, "--deep", "--artifacts", "."]);
    let report = s.json(&["manifest", "show", &manifest]).exits(0).json();
    let signed: Vec<_> = report["stored"]["statements"].as_array().unwrap().iter().map(signed).collect();
    let yes = "approval by ada-example: approve";
    assert_eq!(signed, ["build by builder: ", "plan by planner: ", yes, "deployment by deployer: succeeded"]);
    assert_eq!(status["deployment"]["record"]["sequence"], 1);
    let after = s.json(&["get-deploy-job-status", &apply, "--after", "9"]).exits(0).json();
    assert_eq!(after["events"][0]["number"], 10, "events come after the cursor");
    s.ok(&["change", "close", &change, "--resolution", "deployed"]);
    assert_eq!(s.json(&["change", "show", &change]).exits(0).json()["change"]["status"], "closed");

    let deployed = s.json(&["deployed"]).exits(0).json();
    let latest = &deployed["latest"];
    assert_eq!(latest["complete"]["manifest"], manifest.as_str());
    assert_eq!((&latest["approvedBy"][0], &latest["job"]), (&"ada-example".into(), &apply.as_str().into()));
    assert_eq!(s.resources(), ["terraform_data.release"]);
    s.audit();
    let log = s.json(&["audit", "log"]).exits(0).json();
    assert_eq!(log["jobs"].as_array().unwrap().len(), 2);
    assert_eq!(s.lease_holder(), None);
}

#[test]
fn one_command_does_it_all_and_the_next_build_sends_and_changes_only_what_is_new() {
    let scratch = Scratch::new();
    let s = &scratch;
    let first = s.deploy().exits(0).says("sent 7 blobs").says("deployed build 0.1 of hello");
    assert_eq!(first.stdout, "", "programs read nothing that they did not ask for");
    s.audit();

    s.change_page("something new");
    let manifest = s.build();
    let diff = s.json(&["manifest", "diff", "0.1", "build-manifest.json"]).exits(0).json();
    let text = diff.to_string();
    assert!(text.contains("index.html") && text.contains("image") && !text.contains("infra/main.tf"), "{text}");

    let diff = s.json(&["manifest", "diff", "deployed:production", "build-manifest.json"]).exits(0).json();
    assert_eq!((&diff["old"]["build"], &diff["old"]["deployed"]["sequence"]), (&"0.1".into(), &1.into()));

    let second = s.airlock(&["deploy", "--approve-with", APPROVER, "--format", "json"]).exits(0);
    second
        .clone()
        .says("update   terraform_data.release")
        .says("sent 4 blobs")
        .says("already there: 3 blobs")
        .says("build 0.2");
    let answer = second.json();
    assert_eq!(answer["deployment"], 2);
    assert_eq!(answer["manifest"], manifest.as_str());
    assert_eq!(answer["build"], "0.2");

    let records = s.records();
    assert_eq!(records.len(), 2);
    assert_eq!(records[1]["complete"]["manifest"], manifest.as_str());
    assert_eq!(records[1]["change"], answer["change"]);
    s.audit();
}

#[test]
fn a_deploy_of_what_runs_already_does_nothing() {
    let scratch = Scratch::new();
    scratch.deploy().exits(0);
    scratch.deploy().exits(0).says("runs in production already (deployment 1)");
    assert_eq!((scratch.jobs("plan").len(), scratch.jobs("apply").len()), (1, 1));
    scratch.airlock(&["deploy", "--approve-with", APPROVER, "--again"]).exits(0).says("deployment 2");
}

#[test]
fn a_deploy_waits_for_a_person_and_goes_on_by_itself() {
    let scratch = Scratch::new();
    let deploy = scratch.start(&["deploy"]);
    deploy.wait_for("waiting for change CHG-1: 1 ");
    assert_eq!(scratch.jobs("apply").len(), 0);
    scratch.ok(&["change", "approve", "CHG-1", "--key", APPROVER]);
    deploy.end().exits(0).says("deployed build 0.1");
    scratch.audit();
}

/// One statement of a manifest report: its kind, by whom, and what it decides.
fn signed(statement: &serde_json::Value) -> String {
    let signature = &statement["signature"];
    assert_eq!(signature["state"], "valid", "{statement}");
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let signer = &signature["signers"][0];
    let by = if signer["person"].is_string() { text(&signer["person"]) } else { text(&signer["name"]) };
    format!("{} by {by}: {}", text(&statement["kind"]), text(&signature["said"]["verdict"]))
}
