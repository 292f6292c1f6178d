//! One-off tasks, such as migrations: they run before services change, once, and nothing goes on if they fail.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed helper is a failed test")]

use aws_double::{Failure, Fate, Script, TaskFailure, TaskStatus, TaskView};
use flows::{Background, Scratch, Services};
use serde_json::{Value, json};

/// A world whose deploy runs a program of its image for so many seconds.
fn sleeping(seconds: &str, settings: &str) -> Services {
    let world = Services::new();
    world.task(&["/migrate", seconds], settings);
    world.program("/migrate", "/bin/sleep");
    world
}

/// Starts a deploy, and waits until its task runs; it, the job and the task.
fn running(world: &Services) -> (Background, String, TaskView) {
    let deploy = world.start_deploy();
    let job = world.job("apply", 1);
    let task = flows::wait_until("a task that runs", || {
        let runs = world.progress(&job).iter().any(|line| line == "task migrate: RUNNING");
        world.tasks().pop().filter(|_| runs)
    });
    (deploy, job, task)
}

#[track_caller]
fn ended(world: &Services) -> TaskView {
    let task = world.tasks().pop().unwrap();
    world.double.wait_for(&task.arn, |task| task.status == TaskStatus::Stopped)
}

fn rules(summary: &Value) -> Vec<&str> {
    summary["findings"].as_array().unwrap().iter().map(|finding| finding["rule"].as_str().unwrap()).collect()
}

#[test]
fn a_migration_runs_with_the_builds_image_before_the_service_does() {
    let world = Services::new();
    world.task(&["/migrate", "all done"], "environment = { web = { STEPS = \"all\" } }");
    world.program("/migrate", "/bin/echo");
    let before = world.double.definition(&world.first);
    let ran = world.cloud.deploys().exits(0);
    assert!(world.double.calls_of("logs:GetLogEvents").is_empty(), "what it wrote stays in production");
    for words in ["run      task migrate like service hello in apps", "web runs \"/migrate\" \"all done\"", "task.new"]
    {
        assert!(ran.stderr.contains(words), "{}", ran.all());
    }
    // What runs is the service's definition with the image and what the step says, in a family of its own.
    let task = ended(&world);
    let definition = world.double.definition(&task.definition);
    assert_eq!(definition["family"], "hello-airlock-migrate");
    let mut expected = before["containerDefinitions"].clone();
    expected[0]["image"] = format!("{}/hello/web@{}", world.registry.address(), world.image_digest()).into();
    expected[0]["environment"] = json!([{"name": "PASSWORD", "value": "hunter2"}, {"name": "STEPS", "value": "all"}]);
    assert_eq!(definition["containerDefinitions"], expected);
    for field in ["cpu", "memory", "executionRoleArn", "networkMode", "unheardOf"] {
        assert_eq!(definition[field], before[field], "{field}");
    }
    let (job, run) = (world.job("apply", 1), world.double.calls_of("ecs:RunTask").pop().unwrap());
    assert_eq!(run.parameters["startedBy"], format!("airlock/{job}"));
    let told = world.progress(&job).join("\n");
    for words in ["task migrate: runs arn:aws:ecs:", "task migrate: EssentialContainerExited: ", "web exited with 0"] {
        assert!(told.contains(words), "{words:?} is not told:\n{told}");
    }
    assert!(!told.contains("web wrote") && !ran.all().contains("hunter2"), "{}", ran.all());
    assert_eq!(world.newest().rollout, "COMPLETED");
    let story = world.story(&job);
    assert!(story.windows(2).any(|pair| pair == ["done 2", "intent 3"]), "{story:?}");
    assert_eq!(rules(&world.planned_change()), ["task.new"]);

    // The same step with another image: it runs again, and nobody has to look at its command again.
    world.change_page("the second build");
    world.program("/migrate", "/bin/echo");
    world.cloud.deploys().exits(0);
    assert_eq!((world.tasks().len(), rules(&world.planned_change())), (2, vec![]));
    assert_eq!(world.planned_change()["tasks"][0]["repeats"], true);
    // Another command is another matter.
    world.replace(&world.path("airlock.toml"), "all done", "drop table");
    world.commit("Another migration");
    world.planned();
    assert_eq!(rules(&world.planned_change()), ["task.new"]);
    world.audit();
}

#[test]
fn a_migration_that_fails_stops_the_deploy_before_the_service_changes() {
    let world = sleeping("60", "");
    world.next_policy(|policy| policy["environments"]["production"]["applicationLogs"] = true.into());
    world.next_image(Script::new(Fate::Crash(3)).saying(["starting", "there is no table"]));
    world.cloud.deploys().exits(5).explains(&["task.failed", "web exited with 3"]);
    world.expect_as_before();
    assert!(world.double.calls_of("ecs:UpdateService").is_empty());
    let job = world.job("apply", 1);
    let (outcome, codes, _) = world.end_of(&job);
    assert_eq!((outcome.as_str(), codes), ("failed", vec!["task.failed".to_owned()]));
    let told = world.progress(&job).join("\n");
    assert!(told.contains("web exited with 3") && told.contains("web wrote: there is no table"), "{told}");
    let outcomes: Vec<_> = (0..3).map(|step| world.records()[0]["steps"][step]["outcome"].clone()).collect();
    assert_eq!(outcomes, ["done", "failed", "not-begun"]);
}

#[test]
fn a_task_whose_image_is_missing_says_so() {
    let world = sleeping("60", "");
    world.next_image(Script::new(Fate::ImageMissing));
    world.cloud.deploys().exits(5).explains(&["task.failed", "TaskFailedToStart: CannotPullContainerError"]);
    world.expect_as_before();
}

#[test]
fn a_task_that_takes_too_long_is_stopped() {
    let world = sleeping("60", "timeout-seconds = 1");
    world.cloud.deploys().exits(5).explains(&["task.failed", "it took longer than 1 seconds", "it was stopped"]);
    let task = world.tasks().remove(0);
    assert_eq!((task.status, task.stop_code), (TaskStatus::Stopped, Some("UserInitiated")));
    world.expect_as_before();
}

#[test]
fn a_task_of_a_cancelled_job_is_stopped() {
    let world = sleeping("60", "");
    let (deploy, job, task) = running(&world);
    world.ok(&["cancel-deploy-job", &job]);
    deploy.end().exits(5).explains(&["job.cancelled", "it was stopped"]);
    assert_eq!(world.double.task(&task.arn).status, TaskStatus::Stopped);
    assert_eq!(world.end_of(&job).0, "cancelled");
    world.expect_as_before();
}

#[test]
fn a_task_is_stopped_with_the_worker_that_follows_it() {
    let world = sleeping("60", "");
    let (deploy, job, task) = running(&world);
    world.double.interrupt(&world.task_of(&job));
    deploy.end().exits(5).explains(&["it was stopped"]);
    assert_eq!(world.double.task(&task.arn).status, TaskStatus::Stopped);
    world.expect_as_before();
    assert_eq!(world.records()[0]["steps"][2]["outcome"], "not-begun");
}

#[test]
fn a_task_that_would_have_what_another_project_has_needs_a_person() {
    let world = Services::running("billing/web:7");
    world.task(&["/migrate"], "");
    world.planned();
    assert_eq!(rules(&world.planned_change()), ["service.other-images", "task.new", "task.other-images"]);
}

#[test]
fn a_task_like_a_service_that_is_not_there_needs_a_person_and_then_the_service() {
    let world = Services::new();
    world.task(&["/migrate"], "");
    world.double.delete_service(&world.service);
    world.double.wait_for_service(&world.service, |service| service.status == "INACTIVE");
    let planned = world.planned();
    let summary = world.planned_change();
    assert_eq!(
        (&summary["tasks"][0]["taskDefinition"], rules(&summary)),
        (&Value::Null, vec!["task.new", "service.created"])
    );
    let yes = world.approve(&planned);
    // Terraform was to make it, and didn't.
    world.apply(&planned, &[&yes]).run.exits(5);
    assert!(world.tasks().is_empty());
}

/// The first two calls are the gateway's, which starts workers.
#[test]
fn one_task_is_run_whatever_becomes_of_the_calls() {
    let world = sleeping("0", "");
    let no_room = Failure::Task(TaskFailure::Capacity);
    for failure in [Failure::None, Failure::None, Failure::Throttled, no_room, Failure::Broken, Failure::Lost] {
        world.double.fail("ecs:RunTask", failure);
    }
    for failure in [Failure::Throttled, Failure::Broken] {
        world.double.fail("ecs:RegisterTaskDefinition", failure);
    }
    world.cloud.deploys().exits(0);
    assert_eq!((world.tasks().len(), world.newest().rollout), (1, "COMPLETED"));
    let told = world.progress(&world.job("apply", 1)).join("\n");
    assert!(told.contains("task migrate: ECS starts none yet: Capacity is unavailable"), "{told}");
    let calls = world.double.calls_of("ecs:RunTask");
    let tokens: std::collections::BTreeSet<_> = calls[2..].iter().map(|call| &call.parameters["clientToken"]).collect();
    assert_eq!((calls.len() > 5, tokens.len()), (true, 1));
}

#[test]
fn how_the_task_of_a_worker_that_died_ended_is_unknown() {
    let world = sleeping("60", "");
    let (deploy, job, task) = running(&world);
    world.double.kill(&world.task_of(&job));
    deploy.end().exits(5).explains(&["worker.died"]);
    assert_eq!(world.double.task(&task.arn).status, TaskStatus::Running, "nobody is there to stop it");
    world.program("/migrate", "/bin/true");
    world.cloud.deploys().exits(0);
    assert_eq!((world.tasks().len(), &world.records()[0]["steps"][1]["outcome"]), (2, &"unknown".into()));
    let outcomes: Vec<_> = world.records().iter().map(|record| record["outcome"].clone()).collect();
    assert_eq!(outcomes, ["interrupted", "succeeded"]);
    world.audit();
}

#[test]
fn what_can_not_run_is_refused_while_planning() {
    let world = sleeping("60", "");
    world.replace(
        &world.path("airlock.toml"),
        "containers = { web = \"web\" }\ncommand",
        "containers = { gone = \"web\" }\ncommand",
    );
    world.commit("A container that isn't there");
    world.cloud.plans(&world.publish()).exits(3).explains(&[
        "task.unsupported",
        "task migrate: ",
        "has no container gone",
    ]);
    assert!(world.double.calls_of("ecs:RegisterTaskDefinition").is_empty());
}

#[test]
fn no_task_is_said_to_have_run_where_a_directory_is_the_cluster() {
    let scratch = Scratch::new();
    let toml = scratch.path("airlock.toml");
    let text = std::fs::read_to_string(&toml).unwrap();
    let step = "\n[[deploy]]\ntask = \"migrate\"\nservice = \"hello\"\ncontainers = { web = \"web\" }\ncommand = [\"migrate\"]\n";
    std::fs::write(&toml, text + step).unwrap();
    scratch.commit("Migrate");
    scratch.deploy().exits(3).explains(&["task.unsupported", "a directory stands in for the cluster"]);
}
