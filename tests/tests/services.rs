//! Services of ECS: how they come to run a build, and what becomes of them when they can't.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed helper is a failed test")]

use std::time::Duration;

use aws_double::{Failure, Fate, HealthCheck, PRODUCTION, Script};
use flows::Services;
use serde_json::{Value, json};

#[test]
fn a_service_runs_the_build_and_nothing_else_of_it_changes() {
    let world = Services::new();
    let before = world.definition();
    world.cloud.deploys().exits(0);
    let only = world.newest();
    assert_eq!((only.rollout, only.running, world.now().deployments.len()), ("COMPLETED", 2, 1));
    let mut expected = before;
    expected["containerDefinitions"][0]["image"] =
        format!("{}/hello/web@{}", world.registry.address(), world.image_digest()).into();
    assert_eq!(world.definition(), expected);
    let job = world.job("apply", 1);
    let told = world.progress(&job).join("\n");
    for words in [
        "rolls out as ecs-svc/",
        "hello: 2 of 2 tasks running, 0 pending, 0 failed",
        "(service hello) has started",
        "deployment completed",
        "service hello: 2 running with the images of this build",
    ] {
        assert!(told.contains(words), "{words:?} is not told:\n{told}");
    }
    // Nothing else is said of the service: how it is placed, balanced and found stays.
    let sent: Vec<_> = world.double.calls_of("ecs:UpdateService")[0].parameters.keys().cloned().collect();
    assert_eq!(sent, ["cluster", "deploymentConfiguration", "service", "taskDefinition"]);
    let change = &world.planned_change()["services"][0];
    assert_eq!((&change["cluster"], &change["taskDefinition"]), (&"apps".into(), &world.first.as_str().into()));
    // The same build again: there is nothing to do.
    world.commit("Nothing");
    world.cloud.deploys().exits(0);
    assert_eq!(world.newest(), only);
    assert_eq!(world.double.calls_of("ecs:RegisterTaskDefinition").len(), 1);
    assert_eq!(world.double.calls_of("ecs:UpdateService").len(), 1);
    world.audit();
}

#[test]
fn what_a_step_says_is_in_the_plan_and_then_in_the_service() {
    let world = Services::new();
    world.step(
        "cpu = 512\nmemory = 1024\ndesired-count = 3\nenvironment = { web = { LOG_LEVEL = \"debug\", PASSWORD = \"\" } }\n\
         secrets = { router = { TOKEN = { parameter = \"router/token\" } } }",
    );
    let ran = world.cloud.deploys().exits(0);
    for words in ["cpu: 256 → 512", "desiredCount: 2 → 3", "containers.web.environment.LOG_LEVEL: → \"debug\""] {
        assert!(ran.stderr.contains(words), "{}", ran.all());
    }
    assert!(!ran.all().contains("hunter2"), "{}", ran.all());
    let definition = world.definition();
    assert_eq!((&definition["cpu"], &definition["memory"]), (&"512".into(), &"1024".into()));
    assert_eq!(
        definition["containerDefinitions"][0]["environment"],
        json!([{"name": "PASSWORD", "value": ""}, {"name": "LOG_LEVEL", "value": "debug"}])
    );
    let parameter = "arn:aws:ssm:eu-central-1:222222222222:parameter/airlock/production/hello/router/token";
    assert_eq!(definition["containerDefinitions"][1]["secrets"], json!([{"name": "TOKEN", "valueFrom": parameter}]));
    assert_eq!((world.now().desired, world.newest().running), (3, 3));
    assert!(world.double.calls_of("ssm:GetParameter").is_empty(), "nobody here reads it");
}

/// The rollout fails, ECS goes back, and the job says so.
fn goes_back(script: Script, words: &str) {
    let world = Services::new();
    world.step("desired-count = 3");
    world.next_image(script);
    let ran = world.cloud.deploys().exits(5).explains(&["service.failed", words, "tasks failed to start"]);
    assert!(ran.all().contains(&format!("it runs {} again", world.first)), "{}", ran.all());
    world.double.wait_for_service(&world.service, |service| service.deployments.len() == 1);
    world.expect_as_before();
    let job = world.job("apply", 1);
    assert_eq!(world.end_of(&job).0, "rolled back");
    assert!(world.story(&job).contains(&"rolled back 2".to_owned()), "{:?}", world.story(&job));
    let record = world.records().remove(0);
    assert_eq!((&record["outcome"], &record["steps"][1]["outcome"]), (&"rolled-back".into(), &"rolled-back".into()));
    assert_eq!(record["steps"][1]["live"], json!([]), "no build ran there before");
    world.audit();
}

#[test]
fn tasks_that_run_something_else_than_the_build_go_back() {
    let world = Services::new();
    let other = format!("sha256:{}", "2".repeat(64));
    world.double.resolve_image(&world.image_digest(), &other);
    let words = format!("runs {other} in its container web, and not {}", world.image_digest());
    world.cloud.deploys().exits(5).explains(&["service.failed", &words]);
    world.double.wait_for_service(&world.service, |service| service.deployments.len() == 1);
    world.expect_as_before();
    assert_eq!(world.end_of(&world.job("apply", 1)).0, "rolled back");
    // What has never run anything of it says so.
    let ran = world.airlock(&["deployed"]).exits(0);
    assert!(ran.stdout.contains("service hello: nothing (the last deployment was rolled back here)"), "{}", ran.all());
}

#[test]
fn a_rollback_finds_its_images_there() {
    let world = Services::new();
    let image = format!("{}/hello/web@{}", world.registry.address(), world.image_digest());
    world.cloud.deploys().exits(0);
    world.change_page("the second build");
    world.cloud.deploys().exits(0);
    let back = ["deploy", "--rollback-to", "previous", "--approve-with", flows::APPROVER];
    world.airlock(&back).exits(0).says("deployed build 0.1 of hello");
    assert_eq!(world.definition()["containerDefinitions"][0]["image"], image);
    let told = world.progress(&world.job("apply", 3)).join("\n");
    assert!(told.contains("0 sent (0 bytes), 0 mounted, 4 there"), "{told}");
    let ran = world.airlock(&["deployed", "--check"]).exits(0);
    assert!(ran.stdout.contains("service hello: 0.1\n"), "{}", ran.all());
}

#[test]
fn a_crash_loop_goes_back() {
    goes_back(Script::new(Fate::Crash(3)), "web exited with 3");
}

#[test]
fn tasks_that_fail_their_containers_health_check_go_back() {
    goes_back(Script::new(Fate::Unhealthy(HealthCheck::Container)), "Task failed container health checks");
}

#[test]
fn tasks_that_fail_the_load_balancers_health_check_go_back() {
    goes_back(Script::new(Fate::Unhealthy(HealthCheck::LoadBalancer)), "Task failed ELB health checks");
}

#[test]
fn an_image_that_is_missing_goes_back() {
    goes_back(Script::new(Fate::ImageMissing), "CannotPullContainerError");
}

#[test]
fn what_containers_wrote_leaves_production_only_if_the_trust_policy_says_so() {
    for may_leave in [false, true] {
        let world = Services::new();
        world.next_policy(|policy| policy["environments"]["production"]["applicationLogs"] = may_leave.into());
        world.next_image(Script::new(Fate::Crash(1)).saying(["starting", "there is no database"]));
        world.cloud.deploys().exits(5);
        let told = world.progress(&world.job("apply", 1)).join("\n");
        assert!(told.contains("web exited with 1"), "{told}");
        assert_eq!(told.contains("web wrote: there is no database"), may_leave, "{told}");
        assert_eq!(world.double.calls_of("logs:GetLogEvents").is_empty(), !may_leave);
    }
}

#[test]
fn tasks_that_never_start_go_back_at_the_deadline() {
    let world = Services::new();
    world.configure(|name, config| {
        if name == "deployer" {
            config["deadlineSeconds"] = 8.into();
        }
    });
    world.next_image(Script::new(Fate::Stuck));
    world.cloud.deploys().exits(5).explains(&["job.deadline", "it runs"]);
    world.expect_as_before();
    assert_eq!(world.end_of(&world.job("apply", 1)).0, "rolled back");
}

#[test]
fn a_job_that_is_cancelled_goes_back() {
    let world = Services::new();
    let (deploy, job) = world.stuck();
    world.ok(&["cancel-deploy-job", &job]);
    deploy.end().exits(5).explains(&["job.cancelled", "it runs"]);
    world.expect_as_before();
    assert_eq!(world.end_of(&job).0, "rolled back");
}

#[test]
fn a_busy_aws_is_waited_for() {
    let world = Services::new();
    for action in ["ecs:DescribeServices", "ecs:RegisterTaskDefinition", "ecs:UpdateService", "ecs:DescribeTasks"] {
        for failure in [Failure::Throttled, Failure::Broken, Failure::Throttled] {
            world.double.fail(action, failure);
        }
    }
    world.cloud.deploys().exits(0);
    assert_eq!(world.newest().rollout, "COMPLETED");
    assert_eq!(world.records()[0]["outcome"], "succeeded");
}

/// The update is carried out, but its answer never comes: it is asked for again, which changes nothing more.
#[test]
fn an_update_whose_answer_is_lost_is_one_rollout() {
    let world = Services::new();
    world.double.fail("ecs:UpdateService", Failure::Lost);
    world.cloud.deploys().exits(0);
    let only = world.newest();
    assert_eq!((only.rollout, world.now().deployments.len()), ("COMPLETED", 1));
    assert_eq!(world.double.calls_of("ecs:UpdateService").len(), 2);
}

#[test]
fn the_job_after_a_worker_that_died_finds_the_rollout_and_finishes_it() {
    let world = Services::new();
    let (deploy, job) = world.stuck();
    let ours = world.newest().id;
    world.double.kill(&world.task_of(&job));
    deploy.end().exits(5).explains(&["worker.died"]);
    let begun = world.start_deploy();
    let next = world.job("apply", 2);
    flows::wait_until("the rollout to be taken up", || {
        world.progress(&next).iter().any(|line| line.contains("its rollout of this build goes on")).then_some(())
    });
    world.next_image(Script::new(Fate::Healthy));
    begun.end().exits(0);
    assert_eq!((world.newest().id, world.newest().rollout), (ours, "COMPLETED"));
    let outcomes: Vec<_> = world.records().iter().map(|record| record["outcome"].clone()).collect();
    assert_eq!(outcomes, ["interrupted", "succeeded"]);
    assert_eq!(world.records()[0]["steps"][1]["outcome"], "unknown");
    world.audit();
}

#[test]
fn the_job_after_a_worker_that_died_reverts_what_can_not_be_finished() {
    let world = Services::new();
    let (deploy, job) = world.stuck();
    world.double.kill(&world.task_of(&job));
    deploy.end().exits(5);
    world.next_image(Script::new(Fate::Crash(1)));
    world.cloud.deploys().exits(5).explains(&["service.failed"]);
    world.expect_as_before();
}

#[test]
fn a_service_that_is_deleted_meanwhile_is_told() {
    let world = Services::new();
    let (deploy, job) = world.stuck();
    world.double.delete_service(&world.service);
    deploy.end().exits(5).explains(&["service.failed", "somebody deleted it"]);
    assert_eq!(world.end_of(&job).0, "failed");
}

#[test]
fn what_somebody_else_deploys_meanwhile_is_left_alone() {
    let world = Services::new();
    let (deploy, job) = world.stuck();
    let mut other = world.double.definition(&world.first);
    other["containerDefinitions"][0]["image"] = "registry.example/hello/web:by-hand".into();
    let other = world.double.account(PRODUCTION).task_definition(&other);
    world.double.update_service(&world.service, &other);
    deploy.end().exits(5).explains(&["service.replaced", &other]);
    assert_eq!(world.end_of(&job).0, "failed");
    let now = world.double.wait_for_service(&world.service, |service| service.deployments.len() == 1);
    assert_eq!(now.deployments[0].definition, other);
    assert_eq!(world.double.calls_of("ecs:UpdateService").len(), 1);
}

#[test]
fn somebody_who_goes_back_by_hand_is_believed() {
    let world = Services::new();
    let (deploy, job) = world.stuck();
    world.double.update_service(&world.service, &world.first);
    deploy.end().exits(5).explains(&["service.failed", "it runs"]);
    assert_eq!(world.end_of(&job).0, "rolled back");
    world.expect_as_before();
}

#[test]
fn a_rollout_is_over_once_old_tasks_have_gone() {
    let world = Services::new();
    let lingering = Script::new(Fate::Healthy).lingering(Duration::from_secs(4));
    world.double.script_service("hello", lingering);
    world.cloud.deploys().exits(0);
    world.change_page("the second build");
    let begun = std::time::Instant::now();
    world.cloud.deploys().exits(0);
    assert!(begun.elapsed() > Duration::from_secs(4), "{:?}", begun.elapsed());
    assert_eq!((world.newest().rollout, world.now().deployments.len()), ("COMPLETED", 1));
}

#[test]
fn a_service_that_changed_since_the_plan_makes_it_stale() {
    let world = Services::new();
    let planned = world.planned();
    let yes = world.approve(&planned);
    let other = world.double.definition(&world.first);
    let other = world.double.account(PRODUCTION).task_definition(&other);
    world.double.update_service(&world.service, &other);
    world.apply(&planned, &[&yes]).run.exits(3).because(&["plan.stale"]);
    assert!(world.double.calls_of("ecs:UpdateService").is_empty());
}

#[test]
fn services_that_something_else_deploys_are_refused_before_anything_begins() {
    for (field, value, words) in [
        ("deploymentController", json!({"type": "CODE_DEPLOY"}), "is deployed by CODE_DEPLOY"),
        ("deploymentController", json!({"type": "EXTERNAL"}), "is deployed by EXTERNAL"),
        ("taskSets", json!([{"id": "ecs-svc/1"}]), "has task sets"),
        ("deploymentConfiguration", json!({"strategy": "BLUE_GREEN"}), "has the deployment strategy BLUE_GREEN"),
    ] {
        let world = Services::new();
        let manifest = world.publish();
        world.double.amend_service(&world.service, field, value);
        world.cloud.plans(&manifest).exits(3).explains(&["service.unsupported", words]);
        assert!(world.double.calls_of("ecs:RegisterTaskDefinition").is_empty());
    }
}

#[test]
fn every_reason_against_every_service_is_told_at_once() {
    let world = Services::new();
    world.step("environment = { lost = { A = \"1\" } }");
    world.another("other", "environment = { gone = { A = \"1\" } }");
    let manifest = world.publish();
    let ran = world.cloud.plans(&manifest).exits(3);
    for words in ["service hello: ", "has no container lost", "service other: ", "has no container gone"] {
        assert!(ran.stderr.contains(words), "{}", ran.all());
    }
}

#[test]
fn whether_the_cluster_agrees_is_told() {
    let world = Services::new();
    world.cloud.deploys().exits(0);
    let ran = world.airlock(&["deployed", "--check"]).exits(0);
    assert!(ran.stdout.contains("checked now: everything is as build 0.1 wants it"), "{}", ran.all());
    world.double.update_service(&world.service, &world.first);
    let ran = world.airlock(&["deployed", "--check"]).exits(4);
    assert!(ran.stdout.contains("update   service hello in apps: web 111111111111 → "), "{}", ran.all());
}

#[test]
fn what_another_project_runs_needs_a_person() {
    let world = Services::running("billing/web:7");
    world.planned();
    let summary = world.planned_change();
    let elsewhere = format!("{}/billing/web", world.registry.address());
    assert_eq!(summary["services"][0]["containers"]["web"]["elsewhere"], elsewhere);
    let findings: Vec<_> = summary["findings"].as_array().unwrap().iter().map(|finding| &finding["rule"]).collect();
    assert_eq!(findings, ["service.other-images"]);
}

#[test]
fn a_service_that_is_not_there_is_planned_from_its_step() {
    let world = Services::new();
    world.double.delete_service(&world.service);
    world.double.wait_for_service(&world.service, |service| service.status == "INACTIVE");
    let planned = world.planned();
    let summary = world.planned_change();
    assert_eq!(summary["services"][0]["taskDefinition"], Value::Null);
    assert_eq!(summary["findings"][0]["rule"], "service.created");
    let yes = world.approve(&planned);
    // Terraform was to make it, and didn't.
    world.apply(&planned, &[&yes]).run.exits(5).because(&["service.failed"]);
}
