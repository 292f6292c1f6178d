//! Services that roll out together, and go back together.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed helper is a failed test")]

use aws_double::{Fate, PRODUCTION, Script};
use flows::{Background, Services, wait_until};

/// The services `hello` and `api` of one group, and `last` after them; the ARNs of the other two.
fn group() -> (Services, String, String) {
    let world = Services::new();
    world.step("group = \"front\"");
    let (api, last) = (world.another("api", "group = \"front\""), world.another("last", ""));
    (world, api, last)
}

/// Lets the tasks of the new image of `api` fare like this.
fn next(world: &Services, fate: Fate) {
    world.double.script_image(&world.digest_of("api"), Script::new(fate));
}

/// Starts a deploy in which `hello` is done and `api` never comes up; it and the job.
fn half_done(world: &Services) -> (Background, String) {
    next(world, Fate::Stuck);
    let deploy = world.start_deploy();
    let job = world.job("apply", 1);
    wait_until("one of them to be done", || {
        let done = |line: &String| line.starts_with("service hello: 2 running with the images of this build");
        world.progress(&job).iter().any(done).then_some(())
    });
    (deploy, job)
}

/// Outcomes of the steps in a deployment record, Terraform's left out.
fn outcomes(world: &Services, record: usize) -> Vec<String> {
    let record = world.records().remove(record);
    let steps = record["steps"].as_array().unwrap().iter().skip(1);
    steps.map(|step| format!("{} {}", step["name"].as_str().unwrap(), step["outcome"].as_str().unwrap())).collect()
}

#[test]
fn services_of_a_group_roll_out_at_the_same_time() {
    let (world, api, last) = group();
    world.cloud.deploys().exits(0);
    let job = world.job("apply", 1);
    let story = world.story(&job);
    let steps: Vec<_> = story.iter().filter(|word| word.starts_with("intent") || word.starts_with("done")).collect();
    assert_eq!(steps, ["intent 1", "done 1", "intent 2", "intent 3", "done 2", "done 3", "intent 4", "done 4"]);
    let told = world.progress(&job);
    let at = |words: &str| told.iter().position(|line| line.contains(words)).unwrap_or_else(|| panic!("{told:#?}"));
    assert!(at("service api: ") < at("service hello: 2 running with"), "{told:#?}");
    for service in [&world.service, &api, &last] {
        let newest = world.double.service(service).deployments.remove(0);
        assert_eq!((newest.rollout, newest.running), ("COMPLETED", 2));
        assert_ne!(newest.definition, world.first);
    }
    world.audit();
}

#[test]
fn when_one_of_a_group_fails_all_of_it_go_back_and_nothing_comes_after() {
    let (world, api, last) = group();
    next(&world, Fate::Crash(3));
    let ran = world.cloud.deploys().exits(5).explains(&["service.failed", "service api: ", "web exited with 3"]);
    assert!(ran.all().contains("service hello goes back with its group: service api: "), "{}", ran.all());
    for service in [&world.service, &api, &last] {
        world.double.wait_for_service(service, |service| service.deployments.len() == 1);
        world.expect_first(service);
    }
    assert_eq!(outcomes(&world, 0), ["service hello rolled-back", "service api rolled-back", "service last not-begun"]);
    assert_eq!(world.end_of(&world.job("apply", 1)).0, "rolled back");
    world.audit();
}

#[test]
fn what_somebody_else_deploys_while_it_waits_for_its_group_is_left_alone() {
    let (world, api, _) = group();
    let (deploy, job) = half_done(&world);
    let other = world.double.definition(&world.first);
    let other = world.double.account(PRODUCTION).task_definition(&other);
    world.double.update_service(&world.service, &other);
    world.ok(&["cancel-deploy-job", &job]);
    deploy.end().exits(5).explains(&["service.replaced", &other]);
    assert_eq!(world.newest().definition, other);
    world.expect_first(&api);
    assert_eq!(outcomes(&world, 0), ["service hello failed", "service api rolled-back", "service last not-begun"]);
}

#[test]
fn a_worker_that_died_leaves_a_group_to_the_next_job() {
    let (world, api, last) = group();
    let (deploy, job) = half_done(&world);
    world.double.kill(&world.task_of(&job));
    deploy.end().exits(5).explains(&["worker.died", "in step 2 (service hello) and step 3 (service api)"]);
    next(&world, Fate::Healthy);
    world.cloud.deploys().exits(0);
    for service in [&world.service, &api, &last] {
        assert_eq!(world.double.service(service).deployments[0].rollout, "COMPLETED");
    }
    assert_eq!(outcomes(&world, 0), ["service hello unknown", "service api unknown", "service last not-begun"]);
    assert_eq!(outcomes(&world, 1), ["service hello done", "service api done", "service last done"]);
    world.audit();
}
