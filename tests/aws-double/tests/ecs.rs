//! ECS, with boto3 as the client and a shell script as the task.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed helper is a failed test")]

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use aws_double::{Failure, TaskFailure, TaskStatus};
use common::ecs::{IMAGE, World};
use common::{Boto, program};
use serde_json::{Value, json};

#[test]
fn a_task_is_its_program_with_exactly_the_arguments_and_environment_that_it_is_given() {
    let mut world = World::new();
    let mut request = world.request("job-1");
    request["overrides"]["containerOverrides"][0]["environment"] = json!([
        { "name": "TWICE", "value": "override" },
        { "name": "ECS_CONTAINER_METADATA_URI_V4", "value": "http://evil" },
        { "name": "AWS_CONTAINER_CREDENTIALS_FULL_URI", "value": "http://evil" },
        { "name": "LD_PRELOAD", "value": "/nowhere" },
    ]);
    let answer = world.run(request);
    let task = &answer["tasks"][0];
    assert_eq!((&task["lastStatus"], &task["desiredStatus"]), (&"PROVISIONING".into(), &"RUNNING".into()), "{answer}");
    assert_eq!(task["taskDefinitionArn"], world.definition);
    assert_eq!((&task["startedBy"], &task["launchType"]), (&"airlock".into(), &"FARGATE".into()));
    let arn = task["taskArn"].as_str().unwrap().to_owned();
    assert!(arn.starts_with("arn:aws:ecs:eu-central-1:222222222222:task/airlock/"), "{arn}");
    let task = world.stopped(&arn);
    assert_eq!(task.arguments, ["exit", "0", "job-1"], "the entry point's, then the override's");
    let said = |what: &str| -> Vec<&str> { task.log.lines().filter_map(|line| line.strip_prefix(what)).collect() };
    assert_eq!(said("argument="), ["exit", "0", "job-1"]);
    assert_eq!(said("to standard "), ["error"]);
    let environment: BTreeMap<_, _> =
        said("environment ").into_iter().filter_map(|pair| pair.split_once('=')).collect();
    // The shell adds the last two.
    let names: Vec<_> =
        environment.keys().copied().filter(|name| !["PWD", "_", "SHLVL", "OLDPWD"].contains(name)).collect();
    assert_eq!(
        names,
        [
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "AWS_DEFAULT_REGION",
            "AWS_EXECUTION_ENV",
            "AWS_REGION",
            "DECLARED",
            "ECS_CONTAINER_METADATA_URI_V4",
            "HOME",
            "HOSTNAME",
            "LD_PRELOAD",
            "PATH",
            "TWICE",
        ]
    );
    assert_eq!((environment["TWICE"], environment["DECLARED"]), ("override", "1"));
    assert_eq!(environment["AWS_EXECUTION_ENV"], "AWS_ECS_FARGATE");
    assert!(environment["ECS_CONTAINER_METADATA_URI_V4"].starts_with(&world.double.url()));

    let told = world.describe(&arn);
    let task = &told["tasks"][0];
    assert_eq!(
        (&task["stopCode"], &task["stoppedReason"]),
        (&"EssentialContainerExited".into(), &"Essential container in task exited".into())
    );
    assert_eq!(
        (&task["containers"][0]["exitCode"], &task["containers"][0]["lastStatus"]),
        (&0.into(), &"STOPPED".into())
    );
    for time in ["createdAt", "startedAt", "stoppingAt", "stoppedAt"] {
        assert!(task[time].is_string(), "{time}: {task}");
    }
}

#[test]
fn a_task_finds_its_role_and_itself_where_ecs_says() {
    let mut world = World::of(&["wait"]);
    let arn = world.start();
    let task = world.said(&arn, "environment ECS_CONTAINER_METADATA_URI_V4=");
    let variable = |name: &str| {
        let line = task.log.lines().find_map(|line| line.strip_prefix(&format!("environment {name}=")));
        line.unwrap().to_owned()
    };
    let mut within = Boto::new(
        ["AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_REGION"]
            .map(|name| (name, variable(name)))
            .into_iter()
            .chain([("AWS_ENDPOINT_URL", world.double.url())]),
    );
    let identity = within.call("sts", "get_caller_identity", json!({}));
    let id = arn.rsplit('/').next().unwrap();
    assert_eq!(identity["Arn"], format!("arn:aws:sts::222222222222:assumed-role/deployer/{id}"), "{identity}");
    let metadata = get(&format!("{}/task", variable("ECS_CONTAINER_METADATA_URI_V4")));
    assert_eq!(
        (&metadata["TaskARN"], &metadata["Family"], &metadata["Revision"]),
        (&arn.as_str().into(), &"deployer".into(), &"1".into())
    );
    assert_eq!(metadata["Cluster"], "arn:aws:ecs:eu-central-1:222222222222:cluster/airlock");
}

/// A GET without any AWS in it.
fn get(url: &str) -> Value {
    let code = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1]).read().decode())";
    let mut command = std::process::Command::new(emulators::tool("python3"));
    serde_json::from_slice(&command.args(["-c", code, url]).output().unwrap().stdout).unwrap()
}

#[test]
fn a_task_goes_through_its_states_in_order() {
    let mut world = World::of(&["wait"]);
    world.double.pace(Duration::from_millis(60));
    let arn = world.start();
    let mut seen = vec![TaskStatus::Provisioning];
    let mut stopped = false;
    while seen.last() != Some(&TaskStatus::Stopped) {
        let status = world.double.task(&arn).status;
        if seen.last() != Some(&status) {
            seen.push(status);
        }
        if status == TaskStatus::Running && !stopped {
            stopped = true;
            world.double.kill(&arn);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let names: Vec<_> = seen.into_iter().map(TaskStatus::name).collect();
    let expected = "PROVISIONING PENDING ACTIVATING RUNNING DEACTIVATING STOPPING DEPROVISIONING STOPPED";
    assert_eq!(names.join(" "), expected);
}

#[test]
fn one_client_token_is_one_task() {
    let mut world = World::of(&["wait"]);
    let request = world.request("job-1");
    let answers = world.boto.calls(50, "ecs", "run_task", request.clone());
    let mut arns: Vec<_> = answers.iter().map(|answer| answer["tasks"][0]["taskArn"].as_str().unwrap()).collect();
    arns.sort_unstable();
    arns.dedup();
    assert_eq!((arns.len(), world.double.tasks().len()), (1, 1));
    let arn = arns[0].to_owned();

    let mut other = request.clone();
    other["overrides"]["containerOverrides"][0]["command"] = json!(["another"]);
    let refused = world.run(other);
    assert_eq!((&refused["error"], &refused["status"]), (&"ConflictException".into(), &400.into()), "{refused}");
    assert_eq!(refused["more"]["resourceIds"], json!([arn]));

    world.double.kill(&arn);
    world.stopped(&arn);
    let again = world.run(request.clone());
    assert_eq!(again["tasks"][0]["taskArn"], arn, "a task that has stopped is still the token's");
    assert_eq!(again["tasks"][0]["lastStatus"], "STOPPED");

    let second = world.run(world.request("job-2"));
    assert_ne!(second["tasks"][0]["taskArn"], arn);

    world.double.forget(&arn);
    assert_eq!(world.describe(&arn)["failures"], json!([{ "arn": arn, "reason": "MISSING" }]));
    let anew = world.run(request);
    assert_ne!(anew["tasks"][0]["taskArn"], arn, "the token is forgotten with its task");

    let long = world.run(world.request(&"x".repeat(65)));
    assert_eq!(long["error"], "InvalidParameterException", "{long}");
}

#[test]
fn a_task_is_stopped_with_sigterm_and_killed_after_its_stop_timeout() {
    for (program, exit_code, at_least) in [("polite", 7, 0), ("deaf", 137, 2)] {
        let mut world = World::of(&[program]);
        let arn = world.start();
        world.said(&arn, "to standard error");
        std::thread::sleep(Duration::from_millis(100));
        let begun = Instant::now();
        let stop = json!({ "cluster": "airlock", "task": arn, "reason": "job-1 was cancelled" });
        let answer = world.boto.call("ecs", "stop_task", stop);
        assert_eq!(answer["task"]["desiredStatus"], "STOPPED", "{answer}");
        let task = world.stopped(&arn);
        assert!(begun.elapsed() >= Duration::from_secs(at_least), "{program} had {:?}", begun.elapsed());
        assert_eq!(task.exit_code, Some(exit_code), "{task:#?}");
        assert_eq!(task.stop_code, Some("UserInitiated"));
        assert_eq!(task.stopped_reason.as_deref(), Some("job-1 was cancelled"));
    }
}

#[test]
fn a_task_that_fails_says_how() {
    let exited = "Essential container in task exited";
    let pull = "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref";
    let memory = Some("OutOfMemoryError: Container killed due to memory usage");
    let soon = Duration::from_millis(200);
    type Ends = (&'static str, &'static str, Option<i32>, Option<&'static str>);
    let cases: [(TaskFailure, Ends); 4] = [
        (TaskFailure::Image, ("TaskFailedToStart", pull, None, Some(pull))),
        (TaskFailure::Killed(Duration::ZERO), ("EssentialContainerExited", exited, Some(137), None)),
        (TaskFailure::Killed(soon), ("EssentialContainerExited", exited, Some(137), None)),
        (TaskFailure::OutOfMemory(soon), ("EssentialContainerExited", exited, Some(137), memory)),
    ];
    for (failure, (code, reason, exit_code, container)) in cases {
        let mut world = World::of(&["wait"]);
        world.double.fail("ecs:RunTask", Failure::Task(failure.clone()));
        let arn = world.start();
        let task = world.stopped(&arn);
        assert_eq!((task.stop_code, task.exit_code), (Some(code), exit_code), "{failure:?}");
        assert!(task.stopped_reason.unwrap().starts_with(reason), "{failure:?}");
        assert_eq!(task.reason.is_some(), container.is_some(), "{failure:?}");
        assert!(task.reason.unwrap_or_default().starts_with(container.unwrap_or_default()), "{failure:?}");
        let immediately = failure == TaskFailure::Killed(Duration::ZERO);
        assert!(!immediately || task.log.is_empty(), "it did something: {}", task.log);
    }
    // Without any order: an image that isn't there, a program that isn't in it.
    let mut world = World::new();
    world.double.remove_image(IMAGE);
    let arn = world.start();
    assert!(world.stopped(&arn).stopped_reason.unwrap().starts_with("CannotPullContainerError"));
    world.double.image(IMAGE, "/other", program("task.sh"));
    let second = world.run(world.request("job-2"))["tasks"][0]["taskArn"].as_str().unwrap().to_owned();
    assert!(world.stopped(&second).stopped_reason.unwrap().starts_with("CannotStartContainerError"));
}

#[test]
fn capacity_slowness_and_lost_answers_are_ordered_by_the_test() {
    let mut world = World::of(&["wait"]);
    world.double.fail("ecs:RunTask", Failure::Task(TaskFailure::Capacity));
    let answer = world.run(world.request("job-1"));
    assert_eq!(answer["tasks"], json!([]));
    let reason = answer["failures"][0]["reason"].as_str().unwrap();
    assert!(reason.starts_with("Capacity is unavailable at this time."), "{reason}");

    world.double.fail("ecs:RunTask", Failure::Lost);
    assert_eq!(world.run(world.request("job-1"))["error"], "ConnectionClosedError");
    let [task] = &world.double.tasks()[..] else { panic!("it was started all the same") };
    assert_eq!(world.run(world.request("job-1"))["tasks"][0]["taskArn"], task.arn);

    for (failure, error, status) in [
        (Failure::Throttled, "ThrottlingException", 400),
        (Failure::Broken, "ServerException", 500),
        (Failure::Error { status: 400, code: "BlockedException", message: "blocked" }, "BlockedException", 400),
    ] {
        world.double.fail("ecs:RunTask", failure);
        let answer = world.run(world.request("job-2"));
        assert_eq!((&answer["error"], &answer["status"]), (&error.into(), &status.into()));
    }

    world.double.fail("ecs:RunTask", Failure::Task(TaskFailure::SlowStart(Duration::from_secs(60))));
    let slow = world.run(world.request("job-3"))["tasks"][0]["taskArn"].as_str().unwrap().to_owned();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(world.double.task(&slow).status, TaskStatus::Provisioning);
    let stop = json!({ "cluster": "airlock", "task": slow });
    world.boto.call("ecs", "stop_task", stop);
    let stopped = world.stopped(&slow);
    assert_eq!((stopped.stop_code, stopped.exit_code, stopped.log.as_str()), (Some("UserInitiated"), None, ""));
}

#[test]
fn what_a_task_started_ends_with_it_and_all_of_it_with_the_double() {
    let child = |world: &World, arn: &str| {
        let log = world.said(arn, "child=").log;
        let id = log.lines().find_map(|line| line.strip_prefix("child=")).unwrap().to_owned();
        move || lives(&id)
    };
    let mut world = World::of(&["family"]);
    let arn = world.start();
    let lives = child(&world, &arn);
    world.double.freeze(&arn);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(world.double.task(&arn).status, TaskStatus::Running, "frozen, it neither goes on nor ends");
    world.double.thaw(&arn);
    assert!(lives());
    world.double.kill(&arn);
    world.stopped(&arn);
    assert!(!lives());

    let mut world = World::of(&["family"]);
    let arn = world.start();
    let lives = child(&world, &arn);
    drop(world);
    let begun = Instant::now();
    while lives() {
        assert!(begun.elapsed() < Duration::from_secs(10), "it outlives the double");
    }

    let mut world = World::of(&["polite"]);
    let arn = world.start();
    world.said(&arn, "to standard error");
    std::thread::sleep(Duration::from_millis(100));
    world.double.interrupt(&arn);
    let task = world.stopped(&arn);
    assert_eq!((task.stop_code, task.exit_code), (Some("SpotInterruption"), Some(7)));
}

/// Whether there is a process that hasn't ended, though its end may not have been asked for yet.
fn lives(id: &str) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(id).join("stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}
