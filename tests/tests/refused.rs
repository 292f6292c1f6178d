//! What Airlock exists to refuse: each attack, the reason code that answers it, and that nothing was done.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed helper is a failed test")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, SystemTime};

use flows::{APPROVER, Scratch};
use serde_json::Value;

/// Nothing was applied: no step was begun, nothing was recorded.
#[track_caller]
fn expect_nothing_done(scratch: &Scratch, records: usize) {
    assert_eq!(scratch.records().len(), records);
    for job in scratch.jobs("apply").iter().skip(records) {
        let story = scratch.story(job);
        assert!(!story.iter().any(|word| word.starts_with("intent")), "{story:?}");
    }
    assert_eq!(scratch.lease_holder(), None);
}

fn flip(path: &std::path::Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

/// A blob of the example's image, by the media type of its descriptor.
fn image_blob(scratch: &Scratch, kind: &str) -> std::path::PathBuf {
    let read = |digest: &Value| {
        let blob = digest.as_str().unwrap().trim_start_matches("sha256:").to_owned();
        scratch.artifacts("blobs/sha256").join(blob)
    };
    let index = scratch.read(&scratch.path("build/image/index.json"));
    let manifest = read(&index["manifests"][0]["digest"]);
    let image = scratch.read(&manifest);
    match kind {
        "manifest" => manifest,
        "config" => read(&image["config"]["digest"]),
        _ => read(&image["layers"][1]["digest"]),
    }
}

#[test]
fn a_tampered_blob() {
    let scratch = Scratch::new();
    let planned = scratch.planned();
    let yes = scratch.approve(&planned);
    for kind in ["manifest", "config", "layer"] {
        let blob = image_blob(&scratch, kind);
        flip(&blob, 40);
        let applied = scratch.apply(&planned, &[&yes]);
        applied.run.exits(3).because(&["blob.mismatch"]);
        assert_eq!(scratch.story(&applied.job.unwrap()).last().unwrap(), "ended refused");
        expect_nothing_done(&scratch, 0);
        flip(&blob, 40);
    }
    scratch.apply(&planned, &[&yes]).run.exits(0);
}

#[test]
fn a_blob_of_another_length_or_none_at_all() {
    let scratch = Scratch::new();
    let manifest = scratch.publish();
    let layer = image_blob(&scratch, "layer");
    let whole = fs::read(&layer).unwrap();
    let launch = ["launch-deploy-job", &manifest, "--action", "plan", "--follow"];
    fs::remove_file(&layer).unwrap();
    fs::write(&layer, &whole[1..]).unwrap();
    scratch.airlock(&launch).exits(3).explains(&["blob.mismatch"]);
    fs::remove_file(&layer).unwrap();
    scratch.airlock(&launch).exits(3).explains(&["blob.missing", "Publish the build again"]);
    fs::write(&layer, whole).unwrap();
    scratch.airlock(&launch).exits(0);
}

#[test]
fn a_forged_approval() {
    let scratch = Scratch::new();
    let planned = scratch.planned();
    scratch.ok(&["key", "generate", "nobody"]);
    let forged = scratch.approve_with(&planned, "nobody.pem", &[]);
    scratch.apply(&planned, &[&forged]).run.exits(4).because(&["approval.missing", "approval.untrusted"]);
    scratch.airlock(&["change", "wait", &planned.change, "--timeout", "0"]).exits(6);
    // No role but that of people approves: not even production's own.
    for key in ["root", "builder", "planner", "deployer"] {
        let forged = scratch.approve_with(&planned, &format!(".airlock/keys/{key}.pem"), &[]);
        let refused = scratch.apply(&planned, &[&forged]).run.exits(4);
        refused.because(&["approval.missing", "approval.untrusted"]);
    }
    expect_nothing_done(&scratch, 0);
    assert_eq!(scratch.jobs("apply").len(), 0, "refused at the door");
}

#[test]
fn an_approval_for_another_build() {
    let scratch = Scratch::new();
    let first = scratch.planned();
    let yes = scratch.approve(&first);
    scratch.change_page("something that nobody approved");
    let second = scratch.planned();
    scratch.apply(&second, &[&yes]).run.exits(4).because(&["approval.missing"]);

    // Whoever can write to the store puts the statement where the other build's are.
    let folder = |manifest: &str| {
        scratch.artifacts(&format!("attestations/{}/approval", manifest.trim_start_matches("sha256:")))
    };
    let statement = scratch.only_file(&folder(&first.manifest));
    fs::create_dir_all(folder(&second.manifest)).unwrap();
    fs::copy(&statement, folder(&second.manifest).join(statement.file_name().unwrap())).unwrap();
    scratch.apply(&second, &[&yes]).run.exits(4).because(&["approval.mismatch", "approval.missing"]);
    expect_nothing_done(&scratch, 0);
}

#[test]
fn an_approval_for_another_change_of_the_same_build() {
    let scratch = Scratch::new();
    let planned = scratch.planned();
    let yes = scratch.approve(&planned);
    let other = flows::Planned { change: "CHG-99".to_owned(), ..planned.clone() };
    scratch.apply(&other, &[&yes]).run.exits(4).because(&["approval.mismatch", "approval.missing"]);
    expect_nothing_done(&scratch, 0);
}

#[test]
fn an_approval_that_nobody_gave() {
    let scratch = Scratch::new();
    let planned = scratch.planned();
    scratch.apply(&planned, &[]).run.exits(4).because(&["approval.missing"]);
    expect_nothing_done(&scratch, 0);
}

#[test]
fn an_older_build_unless_a_rollback_is_approved() {
    let scratch = Scratch::new();
    scratch.deploy().exits(0);
    scratch.change_page("the update");
    scratch.deploy().exits(0);
    let first = scratch.records()[0]["manifest"].as_str().unwrap().to_owned();

    let replayed = scratch.plan_of(&first);
    let yes = scratch.approve(&replayed);
    scratch.apply(&replayed, &[&yes]).run.exits(3).because(&["manifest.rollback"]);
    expect_nothing_done(&scratch, 2);

    let wanted = scratch.approve_with(&replayed, APPROVER, &["--rollback"]);
    scratch.apply(&replayed, &[&wanted]).run.exits(0);
    assert_eq!(scratch.records().len(), 3);
    scratch.expect_consistent(&first);
}

#[test]
fn a_saved_plan_edited_in_the_production_store() {
    let scratch = Scratch::new();
    let planned = scratch.planned();
    let yes = scratch.approve(&planned);
    let saved = scratch.production(&format!("saved-plans/{}.tfplan", planned.job));
    let length = fs::metadata(&saved).unwrap().len();
    flip(&saved, usize::try_from(length / 2).unwrap());
    scratch.apply(&planned, &[&yes]).run.exits(3).because(&["plan.edited"]);
    expect_nothing_done(&scratch, 0);
}

/// What Terraform saved may hold secrets.
#[test]
fn a_saved_plan_is_its_owners_only_and_is_emptied_once_it_was_applied() {
    let scratch = Scratch::new();
    let planned = scratch.planned();
    let saved = scratch.production(&format!("saved-plans/{}.tfplan", planned.job));
    let (size, mode) = (fs::metadata(&saved).unwrap().len(), fs::metadata(&saved).unwrap().permissions().mode());
    assert!(size > 0);
    assert_eq!(mode & 0o777, 0o600);
    let yes = scratch.approve(&planned);
    scratch.apply(&planned, &[&yes]).run.exits(0);
    assert_eq!(fs::metadata(&saved).unwrap().len(), 0);
}

#[test]
fn a_saved_plan_that_another_job_made() {
    let scratch = Scratch::new();
    let planned = scratch.planned();
    let yes = scratch.approve(&planned);
    scratch.replace(&scratch.path("airlock.toml"), "greeting = \"hello\"", "greeting = \"evil\"");
    scratch.commit("Say something else");
    let other = scratch.planned();
    let saved = |job: &str| scratch.production(&format!("saved-plans/{job}.tfplan"));
    fs::remove_file(saved(&planned.job)).unwrap();
    fs::copy(saved(&other.job), saved(&planned.job)).unwrap();
    scratch.apply(&planned, &[&yes]).run.exits(3).because(&["plan.edited"]);
    expect_nothing_done(&scratch, 0);
}

#[test]
fn a_plan_summary_edited_in_the_production_store() {
    let scratch = Scratch::new();
    let planned = scratch.planned();
    let yes = scratch.approve(&planned);
    let summary = scratch.production(&format!("jobs/{}/plan/summary.json", planned.job));
    let text = fs::read_to_string(&summary).unwrap();
    fs::remove_file(&summary).unwrap();
    fs::write(&summary, text.replace("medium", "low")).unwrap();
    scratch.apply(&planned, &[&yes]).run.exits(3).because(&["plan.mismatch"]);
    expect_nothing_done(&scratch, 0);
}

#[test]
fn a_plan_when_something_else_was_deployed_since() {
    let scratch = Scratch::new();
    scratch.deploy().exits(0);
    scratch.change_page("the update");
    let planned = scratch.planned();
    let yes = scratch.approve(&planned);
    scratch.airlock(&["deploy", "--build", "0.1", "--again", "--approve-with", APPROVER]).exits(0);
    scratch.apply(&planned, &[&yes]).run.exits(3).because(&["plan.stale"]);
    expect_nothing_done(&scratch, 2);
    // The next step of the message: plan again.
    scratch.deploy().exits(0).says("deployed build 0.2");
}

#[test]
fn a_plan_that_was_applied_before() {
    let scratch = Scratch::new();
    let planned = scratch.planned();
    let yes = scratch.approve(&planned);
    scratch.apply(&planned, &[&yes]).run.exits(0);
    // The same launch is the same job; under a key of its own it is a replay.
    let mut replay = scratch.apply_arguments(&planned, &[&yes]);
    replay.extend(["--idempotency-key", "replay"]);
    let mut run = scratch.airlock(&replay).exits(3);
    run.stdout = run.stdout[run.stdout.rfind("\n{").unwrap()..].to_owned();
    run.because(&["plan.stale"]);
    assert_eq!(scratch.records().len(), 1);
}

#[test]
fn an_expired_approval() {
    let scratch = Scratch::new();
    let planned = scratch.planned();
    let validity = |seconds: u32| {
        scratch.next_policy(|policy| {
            policy["environments"]["production"]["approval"]["validitySeconds"] = seconds.into();
        });
    };
    // Signed while approvals held for a second only. Plans have their time, too, so it is put back.
    validity(1);
    let yes = scratch.approve(&planned);
    let until = SystemTime::now() + Duration::from_secs(1);
    validity(86400);
    flows::wait_until("the approval's end", || (SystemTime::now() > until).then_some(()));
    scratch.apply(&planned, &[&yes]).run.exits(4).because(&["approval.expired", "approval.missing"]);
    expect_nothing_done(&scratch, 0);
    let again = scratch.approve(&planned);
    scratch.apply(&planned, &[&again]).run.exits(0);
}

#[test]
fn an_expired_trust_policy() {
    let scratch = Scratch::new();
    let manifest = scratch.publish();
    scratch.next_policy(|policy| policy["expiresAt"] = "2020-01-01T00:00:00Z".into());
    let launch = ["launch-deploy-job", &manifest, "--action", "plan"];
    scratch.json(&launch).exits(3).because(&["trust.expired"]);
    scratch.airlock(&["trust", "verify"]).exits(3).explains(&["expired"]);
    scratch.next_policy(|policy| policy["expiresAt"] = later().into());
    scratch.ok(&launch);
}

/// A time well in the future, whenever this runs.
fn later() -> String {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    format!("{}-01-01T00:00:00Z", 1970 + since / 31_556_952 + 2)
}

#[test]
fn a_trust_policy_that_no_root_signed_changes_nothing() {
    let scratch = Scratch::new();
    let manifest = scratch.publish();
    let policy = scratch.artifacts("trust/000002");
    fs::create_dir_all(&policy).unwrap();
    let text = fs::read_to_string(scratch.artifacts("trust/000001/policy.json")).unwrap();
    fs::write(policy.join("policy.json"), text.replace("\"version\": 1", "\"version\": 2")).unwrap();
    fs::write(policy.join("0123456789abcdef.dsse.json"), "{}").unwrap();
    scratch.airlock(&["trust", "verify"]).exits(3);
    scratch.ok(&["launch-deploy-job", &manifest, "--action", "plan", "--follow"]).says("trust policy version 1");
}

#[test]
fn a_persons_no_until_that_person_takes_it_back() {
    let scratch = Scratch::new();
    let planned = scratch.planned();
    let yes = scratch.approve(&planned);
    let id = &planned.change;
    scratch.ok(&["change", "reject", id, "--key", APPROVER, "--comment", "not on a Friday"]);
    scratch.airlock(&["change", "wait", id]).exits(4).explains(&["was rejected by", "ada-example"]);
    scratch.apply(&planned, &[&yes]).run.exits(4).because(&["approval.rejected"]);
    let deploy = scratch.airlock(&["deploy"]).exits(4).explains(&["was rejected by", "change revoke"]);
    assert!(deploy.stderr.contains(id.as_str()));
    expect_nothing_done(&scratch, 0);

    scratch.ok(&["change", "revoke", id, "--key", APPROVER]);
    scratch.apply(&planned, &[&yes]).run.exits(0);
    scratch.expect_consistent(&planned.manifest);
}

#[test]
fn a_yes_that_was_taken_back() {
    let scratch = Scratch::new();
    let planned = scratch.planned();
    let yes = scratch.approve(&planned);
    scratch.ok(&["change", "revoke", &planned.change, "--key", APPROVER, "--statement", &yes]);
    scratch.apply(&planned, &[&yes]).run.exits(4).because(&["approval.missing", "approval.revoked"]);
    expect_nothing_done(&scratch, 0);
}

/// The launch was fine; the no comes while the worker prepares, and is seen just before it claims.
#[test]
fn a_no_that_comes_while_the_worker_prepares() {
    let scratch = Scratch::new();
    let planned = scratch.planned();
    let yes = scratch.approve(&planned);
    let pause = scratch.hold_work_directory();
    let apply = scratch.start(&scratch.apply_arguments(&planned, &[&yes]));
    let job = scratch.job("apply", 1);
    scratch.wait_for(&job, "verified");
    scratch.ok(&["change", "reject", &planned.change, "--key", APPROVER]);
    drop(pause);
    apply.end().exits(4).explains(&["approval.rejected"]);
    let story = scratch.story(&job);
    assert_eq!(story[story.len() - 2..], ["checked", "ended refused"]);
    expect_nothing_done(&scratch, 0);
}

#[test]
fn a_build_that_no_builder_signed() {
    let scratch = Scratch::new();
    scratch.ok(&["key", "generate", "somebody"]);
    let manifest = scratch.build();
    let key = ["--key", "somebody.pem", "--output", "build.dsse.json"];
    scratch.ok(&[&["manifest", "sign", "build-manifest.json"], &key[..]].concat());
    scratch.ok(&["publish", "build-manifest.json", "--envelope", "build.dsse.json"]);
    let launch = ["launch-deploy-job", &manifest, "--action", "plan"];
    scratch.json(&launch).exits(3).because(&["build.untrusted"]);
    assert_eq!(scratch.jobs("plan").len(), 0, "nothing is stored for a request that is refused");

    fs::remove_dir_all(scratch.artifacts("attestations").join(manifest.trim_start_matches("sha256:"))).unwrap();
    scratch.json(&launch).exits(3).because(&["build.untrusted"]);
}

#[test]
fn a_gateway_or_a_worker_in_another_place() {
    let scratch = Scratch::new();
    let manifest = scratch.publish();
    let launch = ["launch-deploy-job", &manifest, "--action", "plan", "--follow"];
    let (region, other) = ("\"region\": \"local\"", "\"region\": \"eu-west-1\"");
    scratch.replace(&scratch.production("config/gateway.json"), region, other);
    scratch.json(&launch[..4]).exits(3).because(&["environment.mismatch"]);
    scratch.replace(&scratch.production("config/gateway.json"), other, region);
    // The worker believes nobody, its launcher included.
    scratch.replace(&scratch.production("config/planner.json"), region, other);
    scratch.airlock(&launch).exits(3).explains(&["environment.mismatch"]);
}

#[test]
fn an_environment_or_a_project_that_the_policy_does_not_know() {
    let scratch = Scratch::new();
    let manifest = scratch.publish();
    scratch.replace(&scratch.path("airlock.toml"), "[environments.production]", "[environments.staging]");
    scratch.json(&["launch-deploy-job", &manifest, "--action", "plan"]).exits(3).because(&["environment.unknown"]);
    scratch.replace(&scratch.path("airlock.toml"), "[environments.staging]", "[environments.production]");
    scratch.replace(&scratch.path("airlock.toml"), "project = \"hello\"", "project = \"other\"");
    scratch.commit("Be somebody else");
    let other = scratch.publish();
    scratch.json(&["launch-deploy-job", &other, "--action", "plan"]).exits(3).because(&["project.not-allowed"]);
}

#[test]
fn an_idempotency_key_for_something_else() {
    let scratch = Scratch::new();
    let first = scratch.publish();
    let launch = |manifest: &str, key: &str| {
        scratch.json(&["launch-deploy-job", manifest, "--action", "plan", "--idempotency-key", key])
    };
    let one = launch(&first, "mine").exits(0).json();
    let again = launch(&first, "mine").exits(0).json();
    assert_eq!((&one["existing"], &again["existing"]), (&false.into(), &true.into()));
    assert_eq!(one["job"], again["job"]);

    scratch.change_page("another build");
    let second = scratch.publish();
    launch(&second, "mine").exits(3).because(&["request.key-reused"]);
    assert_eq!(scratch.jobs("plan").len(), 1);
}

#[test]
fn a_frozen_environment_unless_an_emergency_is_approved() {
    let scratch = Scratch::new();
    scratch.next_policy(|policy| {
        let freeze = serde_json::json!({ "from": "2020-01-01T00:00:00Z", "until": "2999-01-01T00:00:00Z",
            "reason": "holidays" });
        policy["environments"]["production"]["freezes"] = [freeze].into();
    });
    let planned = scratch.planned();
    let yes = scratch.approve(&planned);
    scratch.apply(&planned, &[&yes]).run.exits(3).because(&["freeze.active"]);
    expect_nothing_done(&scratch, 0);
    let urgent = scratch.approve_with(&planned, APPROVER, &["--emergency"]);
    scratch.apply(&planned, &[&urgent]).run.exits(0);
}
