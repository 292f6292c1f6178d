//! Terraform's state in S3, which only Terraform's roles reach.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed helper is a failed test")]

use std::fs;

use aws_double::{PRODUCTION, REGION};
use flows::states::{LOCK, STATE};
use flows::{Scratch, States, wait_until};
use serde_json::{Value, json};

/// Kills the task of an apply between two of its resources.
fn dies_in_the_middle_of_an_apply(world: &States) {
    world.cloud.slow_infrastructure();
    let deploy = world.cloud.start_deploy();
    let job = world.cloud.job("apply", 1);
    wait_until("the first resource", || {
        world.cloud.progress(&job).iter().any(|line| line.contains("first: create done")).then_some(())
    });
    world.cloud.double.kill(&world.cloud.task_of(&job));
    deploy.end().exits(5).explains(&["worker.died"]);
    assert!(world.lock().is_some(), "a Terraform that is killed leaves its lock");
}

#[test]
fn a_first_deploy_makes_the_state_and_the_next_goes_on_from_it() {
    let world = States::new();
    let cloud = &world.cloud;
    assert_eq!(world.object(STATE), None);
    cloud.deploys().exits(0);
    let first = world.object(STATE).unwrap();
    assert_eq!((world.resources(), world.lock()), (vec!["release".to_owned()], None));

    cloud.change_page("again");
    cloud.deploys().exits(0);
    let second = world.object(STATE).unwrap();
    assert_eq!(second["lineage"], first["lineage"]);
    assert!(second["serial"].as_u64() > first["serial"].as_u64(), "{second:#}");
    cloud.audit();
    assert!(!cloud.production("state").exists(), "nothing is on the machine");
    let writers = cloud.double.calls_of("s3:PutObject").into_iter().filter_map(|call| call.caller);
    let deployer = format!("arn:aws:sts::{PRODUCTION}:assumed-role/terraform-deployer/");
    assert!(writers.into_iter().all(|by| by.starts_with(&deployer)));
    let regions: Vec<_> = cloud.double.calls_of("s3:GetObject").into_iter().filter_map(|call| call.region).collect();
    assert!(regions.iter().all(|region| region == REGION), "{regions:?}");
}

#[test]
fn a_state_that_could_not_be_saved_is_kept_and_nothing_is_planned_without_it() {
    let world = States::new();
    let cloud = &world.cloud;
    world.terraform_may("deployer", &["s3:GetObject"]);
    cloud.deploys().exits(5).explains(&["state.not-saved", "docs/operations.md"]);
    let kept = cloud.production(&format!("errored-states/production/hello/{}.tfstate", cloud.job("apply", 1)));
    let state: Value = serde_json::from_slice(&fs::read(&kept).unwrap()).unwrap();
    assert_eq!(state["resources"][0]["name"], "release");
    assert_eq!((world.object(STATE), world.lock()), (None, None));
    assert_eq!(cloud.records()[0]["steps"][0]["outcome"], "failed", "{:?}", cloud.records());

    world.terraform_may("deployer", &["s3:GetObject", "s3:PutObject"]);
    let again = cloud.deploys().exits(3).explains(&["state.not-saved"]);
    assert!(again.all().contains("lacks what job") && again.all().contains("then plan again"), "{}", again.all());

    world.push(&kept);
    let ran = cloud.deploys().exits(0);
    assert!(ran.all().contains("terraform: nothing would change"), "{}", ran.all());
    assert_eq!(fs::metadata(&kept).unwrap().len(), 0, "what is where it belongs is not kept twice");
    cloud.audit();
}

#[test]
fn a_state_that_could_neither_be_saved_nor_kept_is_not_forgotten() {
    let world = States::new();
    let cloud = &world.cloud;
    world.terraform_may("deployer", &["s3:GetObject"]);
    let kept = cloud.production("errored-states");
    cloud.slow_infrastructure();
    let deploy = cloud.start_deploy();
    cloud.job("apply", 1);
    fs::write(&kept, "in the way").unwrap();
    let ran = deploy.end().exits(5).explains(&["state.not-saved"]);
    assert!(ran.all().contains("nor could it be kept"), "{}", ran.all());

    world.terraform_may("deployer", &["s3:GetObject", "s3:PutObject"]);
    fs::remove_file(&kept).unwrap();
    // A task's disk goes with it.
    fs::remove_dir_all(cloud.production("work")).unwrap();
    let refused = cloud.deploys().exits(3).explains(&["state.not-saved"]);
    assert!(
        refused.all().contains("that state is lost") && refused.all().contains("an empty object"),
        "{}",
        refused.all()
    );
    let place = kept.join(format!("production/hello/{}.tfstate", cloud.job("apply", 1)));
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    fs::write(&place, "").unwrap();
    cloud.deploys().exits(0);
}

#[test]
fn a_later_state_that_lacks_what_a_kept_one_knows_replaces_it_not() {
    let scratch = Scratch::new();
    scratch.deploy().exits(0);
    let job = scratch.job("apply", 1);
    let mut kept = scratch.state();
    let mut unknown = kept["resources"][0].clone();
    unknown["name"] = "made-by-the-dead".into();
    kept["resources"].as_array_mut().unwrap().push(unknown);
    let place = scratch.production(&format!("errored-states/production/hello/{job}.tfstate"));
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    fs::write(&place, kept.to_string()).unwrap();
    scratch.change_page("again");
    scratch.deploy().exits(3).explains(&["state.not-saved"]);
    assert_eq!(scratch.read(&place), kept, "it is still kept");
}

#[test]
fn a_state_that_a_dead_worker_left_in_its_work_directory_is_kept_by_the_next() {
    let scratch = Scratch::new();
    scratch.deploy().exits(0);
    let job = scratch.job("apply", 1);
    let mut later = scratch.state();
    later["serial"] = (later["serial"].as_u64().unwrap() + 1).into();
    let work = scratch.production("work/production-hello");
    fs::create_dir_all(work.join("bundle")).unwrap();
    fs::write(work.join("bundle/errored.tfstate"), later.to_string()).unwrap();
    fs::write(work.join("job"), &job).unwrap();

    scratch.change_page("again");
    scratch.deploy().exits(3).explains(&["state.not-saved"]);
    let kept = scratch.production(&format!("errored-states/production/hello/{job}.tfstate"));
    assert_eq!(scratch.read(&kept), later);
    fs::copy(&kept, scratch.production("state/production/hello/terraform.tfstate")).unwrap();
    scratch.deploy().exits(0);
    scratch.audit();
}

/// Threat model, row 29.
#[test]
fn threat_29_the_lock_of_a_killed_apply_goes_with_its_lease() {
    let world = States::new();
    let cloud = &world.cloud;
    dies_in_the_middle_of_an_apply(&world);
    cloud.deploys().exits(0);
    let told = cloud.progress(&cloud.job("apply", 2)).join("\n");
    assert!(
        told.contains("removing its lock") && told.contains(&format!("s3://{}/{STATE}", world.bucket.name)),
        "{told}"
    );
    assert_eq!(world.lock(), None);
    let resources = world.resources();
    assert!(resources.contains(&"last".to_owned()), "{resources:?}");
    assert_eq!(cloud.records().len(), 2);
    cloud.audit();
}

#[test]
fn a_lock_that_somebody_else_made_stays() {
    let world = States::new();
    dies_in_the_middle_of_an_apply(&world);
    let lock = json!({ "ID": "6b2f", "Operation": "OperationTypeApply", "Who": "ada@laptop" });
    world.bucket.put(&world.cloud, LOCK, &lock.to_string(), &[]);
    world.cloud.deploys().exits(5).explains(&["terraform.failed", "lock"]);
    let told = world.cloud.progress(&world.cloud.job("apply", 2)).join("\n");
    assert!(told.contains("lock 6b2f of ada@laptop (OperationTypeApply)") && told.contains("it stays"), "{told}");
    assert!(world.lock().is_some());
}
