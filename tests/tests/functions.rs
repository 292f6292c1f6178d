//! Lambda functions: a version is published, the alias is moved there, and back when an alarm goes off.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed helper is a failed test")]

use std::fs;
use std::time::Duration;

use aws_double::{Failure, PRODUCTION};
use flows::{Functions, Scratch, wait_until};
use serde_json::{Value, json};

/// The rules of the findings of a plan, with what each is about.
fn rules(summary: &Value) -> Vec<String> {
    let told = |finding: &Value| [&finding["rule"], &finding["address"]].map(|part| part.as_str().unwrap()).join(" ");
    summary["findings"].as_array().unwrap().iter().map(told).collect()
}

fn at(version: &str, of: usize) -> (String, usize) {
    (version.to_owned(), of)
}

#[test]
fn a_build_is_published_and_its_callers_reach_it() {
    let world = Functions::new();
    let ran = world.cloud.deploys().exits(0);
    for words in [
        "update   function resize: live ",
        " (version 1) → ",
        "goes back within 1 s if there is an alarm: errors, everything",
        "update   function render: live ",
        "function.not-ours",
    ] {
        assert!(ran.stderr.contains(words), "{words:?} is not told:\n{}", ran.all());
    }
    assert!(!ran.all().contains("hunter2"));
    assert_eq!(rules(&world.planned_change()), ["function.not-ours render", "function.not-ours resize"]);
    let (resize, render) = (world.double.published(&world.resize), world.double.published(&world.render));
    for (told, digest) in [(&resize, None), (&render, Some(world.image_digest()))] {
        assert_eq!(told["aliases"]["live"]["FunctionVersion"], "2");
        let version = &told["versions"][1];
        let described = version["Description"].as_str().unwrap();
        assert!(described.starts_with("airlock hello 0."), "{described}");
        assert_eq!(version["CodeSha256"], told["latest"]["CodeSha256"]);
        assert_eq!(version["Environment"]["Variables"]["PASSWORD"], "hunter2", "the rest is as it was");
        if let Some(digest) = digest {
            assert_eq!(format!("sha256:{}", version["CodeSha256"].as_str().unwrap()), digest);
        }
    }
    let told = world.progress(&world.job("apply", 1)).join("\n");
    for words in [
        "function resize: it was given sha256:",
        "function resize: version 2 has the code of this build",
        "function resize: alias live names version 2 now, and no more 1",
    ] {
        assert!(told.contains(words), "{words:?} is not told:\n{told}");
    }
    let deployed = world.airlock(&["deployed"]).exits(0);
    assert!(deployed.all().contains("function resize"), "{}", deployed.all());
    assert!(!told.contains("hunter2") && !deployed.all().contains("hunter2"));

    // A second build of the archive: only that changes, and it is ours now.
    world.archive("the second archive");
    world.cloud.deploys().exits(0);
    assert_eq!((world.live(&world.resize), world.live(&world.render)), (at("3", 3), at("2", 2)));
    let planned = world.planned_change();
    assert_eq!(rules(&planned), Vec::<String>::new());
    assert_eq!((&planned["functions"][0]["ours"], &planned["functions"][0]["version"]), (&true.into(), &"2".into()));
    let told = world.progress(&world.job("apply", 2)).join("\n");
    assert!(told.contains("function render: alias live names version 2, which has this code already"), "{told}");
    assert_eq!(world.double.calls_of("lambda:UpdateFunctionCode").len(), 3);
    world.audit();
}

#[test]
fn a_version_takes_the_functions_own_configuration_and_the_plan_says_so() {
    let world = Functions::new();
    world.cloud.deploys().exits(0);
    let environment = json!({"Variables": {"PASSWORD": "hunter3"}});
    world.double.amend_function(&world.resize, &json!({"MemorySize": 256, "Environment": environment}));
    world.archive("the first archive");
    let ran = world.cloud.deploys().exits(0);
    assert!(ran.stderr.contains("as the function has them now: environment, memorySize"), "{}", ran.all());
    assert!(!ran.all().contains("hunter3") && !world.planned_change().to_string().contains("hunter3"));
    assert_eq!((world.live(&world.resize), world.live(&world.render)), (at("3", 3), at("2", 2)));
    assert_eq!(world.double.published(&world.resize)["versions"][2]["MemorySize"], 256);
    assert_eq!(world.double.calls_of("lambda:UpdateFunctionCode").len(), 2, "the code is there already");
}

#[test]
fn an_alarm_moves_the_alias_back() {
    let world = Functions::new();
    let (deploy, job) = world.watching();
    assert_eq!(world.live(&world.resize), at("2", 2));
    world.double.ring("errors", "Threshold Crossed: 1 datapoint [5.0] was greater than the threshold (0.0).");
    deploy.end().exits(5).explains(&[
        "function.failed",
        "alarm errors went off: Threshold Crossed: 1 datapoint [5.0]",
        "its alias live names version 1 again",
    ]);
    assert_eq!((world.live(&world.resize), world.live(&world.render)), (at("1", 2), at("1", 1)));
    let (outcome, codes, _) = world.end_of(&job);
    assert_eq!((outcome.as_str(), codes), ("rolled back", vec!["function.failed".to_owned()]));
    let record = world.records().pop().unwrap();
    let outcomes: Vec<_> = (0..2).map(|step| record["steps"][step]["outcome"].clone()).collect();
    assert_eq!((&record["outcome"], outcomes), (&"rolled-back".into(), vec!["rolled-back".into(), "not-begun".into()]));
    world.audit();
}

#[test]
fn a_cancelled_job_and_an_alarm_that_is_deleted_move_it_back_too() {
    let world = Functions::new();
    let (deploy, job) = world.watching();
    world.ok(&["cancel-deploy-job", &job]);
    deploy
        .end()
        .exits(5)
        .explains(&["job.cancelled", "the job was cancelled before its alarms were watched to the end"]);
    assert_eq!((world.live(&world.resize), world.end_of(&job).0.as_str()), (at("1", 2), "rolled back"));

    let deploy = world.start_deploy();
    let job = world.job("apply", 2);
    flows::wait_until("a line about the alias", || {
        world.progress(&job).iter().any(|line| line.contains("alias live names version 2 now")).then_some(())
    });
    world.double.remove_alarm("everything");
    deploy.end().exits(5).explains(&["function.failed", "alarm everything is gone"]);
    // What was published before is published, and not once more.
    assert_eq!(world.live(&world.resize), at("1", 2));
}

#[test]
fn what_can_not_be_judged_or_taken_back_is_refused_before_anything_begins() {
    let world = Functions::new();
    let planned = world.planned();
    let approval = world.approve(&planned);
    world.double.ring("errors", "Threshold Crossed");
    world.apply(&planned, &[&approval]).run.exits(3).because(&["function.unsupported"]);
    world.double.account(PRODUCTION).alarm("errors");
    world.double.remove_alarm("everything");
    world.archive("another archive");
    world.double.amend_alias(
        &world.resize,
        "live",
        &json!({"RoutingConfig": {"AdditionalVersionWeights": {"1": 0.1}}}),
    );
    world.double.amend_alias(&world.render, "live", &json!({"FunctionVersion": "$LATEST"}));
    world.cloud.plans(&world.publish()).exits(3).explains(&[
        "function.unsupported",
        "function resize: its alias live sends some calls to another version",
        "function render: its alias live names $LATEST",
    ]);
    world.double.amend_alias(&world.resize, "live", &json!({"RoutingConfig": null}));
    // Nor what isn't the project's.
    world.configure(|config| config["targets"]["projects"]["hello"] = json!({"functions": ["resize"]}));
    world.cloud.plans(&world.publish()).exits(3).explains(&[
        "target.forbidden",
        "function render: the workers' configuration (`targets`) doesn't say that it is",
    ]);
    world.configure(|_| {});
    world.replace(&world.path("airlock.toml"), "image = \"web\"", "zip = \"bundle\"");
    world.commit("An archive for a function of images");
    world.cloud.plans(&world.publish()).exits(3).explains(&[
        "function resize: there is no alarm everything",
        "function render: it takes images, and no zip archive",
    ]);
    for action in ["lambda:UpdateFunctionCode", "lambda:PublishVersion", "lambda:UpdateAlias"] {
        assert!(world.double.calls_of(action).is_empty(), "{action}");
    }
}

#[test]
fn what_somebody_else_moves_is_left_alone() {
    let world = Functions::new();
    // What differs is a person's to see, and its values, too, are what was agreed to.
    world.double.amend_function(&world.resize, &json!({"MemorySize": 256}));
    let planned = world.planned();
    assert_eq!(world.planned_change()["functions"][0]["settings"], json!(["memorySize"]));
    let approval = world.approve(&planned);
    world.double.amend_alias(&world.resize, "live", &json!({"Description": "mine"}));
    world.double.amend_function(&world.resize, &json!({"MemorySize": 512}));
    world.apply(&planned, &[&approval]).run.exits(3).because(&["plan.stale"]);

    let (deploy, job) = world.watching();
    assert_eq!(world.live(&world.resize), at("2", 2));
    world.double.amend_alias(&world.resize, "live", &json!({"FunctionVersion": "$LATEST"}));
    world.double.ring("errors", "");
    deploy.end().exits(5).explains(&["function.failed", "somebody else moved its alias live to version $LATEST"]);
    assert_eq!((world.live(&world.resize).0.as_str(), world.end_of(&job).0.as_str()), ("$LATEST", "failed"));
}

#[test]
fn what_somebody_else_changes_while_the_job_runs_is_left_alone() {
    let world = Functions::new();
    // Terraform that changes something, but no function, makes no difference.
    let terraform = "terraform = \"infra\"\nvariables = { greeting = \"hello\", image = { digest-of = \"web\" } }";
    let first = "[[deploy]]\nfunction = \"resize\"";
    world.replace(&world.path("airlock.toml"), first, &format!("[[deploy]]\n{terraform}\n\n{first}"));
    world.commit("Have Terraform, too");
    let while_called = |action: &str, failure: fn(Duration) -> Failure, function: &str, setting: Value| {
        world.double.fail(action, failure(Duration::from_secs(3)));
        let before = world.double.calls_of(action).len();
        let deploy = world.start_deploy();
        wait_until("the call", || (world.double.calls_of(action).len() > before).then_some(()));
        world.double.amend_function(function, &setting);
        deploy.end().exits(5)
    };
    // Right when the code is on its way.
    while_called("lambda:UpdateFunctionCode", Failure::Slow, &world.resize, json!({"Timeout": 9}))
        .explains(&["function.failed", "function resize: somebody else changes it at the same time"]);
    assert_eq!((world.live(&world.resize), world.double.calls_of("lambda:PublishVersion").len()), (at("1", 1), 0));
    // Before what has it is published: what would be is not what was agreed to.
    while_called("lambda:PublishVersion", Failure::Slow, &world.resize, json!({"MemorySize": 512}))
        .explains(&["function.failed", "function resize: somebody else changed its memorySize meanwhile"]);
    assert_eq!(world.live(&world.resize), at("1", 1));
    // And before a later step.
    while_called("lambda:UpdateAlias", Failure::Late, &world.render, json!({"Timeout": 9})).explains(&[
        "function.failed",
        "function render: somebody, or what Terraform did, changed it since the plan was approved",
    ]);
    assert_eq!((world.live(&world.resize), world.live(&world.render)), (at("2", 2), at("1", 1)));
    world.cloud.deploys().exits(0);
    assert_eq!(world.live(&world.render), at("2", 2));
}

#[test]
fn code_that_lambda_does_not_take_changes_nothing_for_callers() {
    let world = Functions::new();
    world.double.reject_code(&world.resize, "The image can't be read.");
    world
        .cloud
        .deploys()
        .exits(5)
        .explains(&["function.failed", "Lambda doesn't take its code: The image can't be read."]);
    assert_eq!(world.live(&world.resize), at("1", 1));
    // The same code is sent again.
    world.cloud.deploys().exits(0);
    assert_eq!((world.live(&world.resize), world.live(&world.render)), (at("2", 2), at("2", 2)));
}

#[test]
fn what_is_not_the_archive_is_never_sent() {
    let world = Functions::new();
    let manifest = world.publish();
    let digest = manifest_schema::Digest::of(b"the first archive").hex();
    let blob = world.artifacts(&format!("blobs/sha256/{digest}"));
    fs::remove_file(&blob).unwrap();
    fs::write(&blob, b"the wrong archive").unwrap();
    world.cloud.plans(&manifest).exits(3).explains(&["blob.mismatch", &digest]);
    assert!(world.double.calls_of("lambda:UpdateFunctionCode").is_empty());
}

#[test]
fn one_version_is_published_whatever_becomes_of_the_calls() {
    let world = Functions::new();
    for action in ["lambda:UpdateFunctionCode", "lambda:PublishVersion", "lambda:UpdateAlias"] {
        for failure in [Failure::Throttled, Failure::Broken, Failure::Lost] {
            world.double.fail(action, failure);
        }
    }
    for action in ["lambda:GetFunction", "lambda:GetAlias", "cloudwatch:DescribeAlarms"] {
        for failure in [Failure::Throttled, Failure::Broken, Failure::Cut] {
            world.double.fail(action, failure);
        }
    }
    world.cloud.deploys().exits(0);
    assert_eq!((world.live(&world.resize), world.live(&world.render)), (at("2", 2), at("2", 2)));
}

#[test]
fn a_job_that_dies_after_publishing_is_finished_by_the_next() {
    let world = Functions::new();
    (0..9).for_each(|_| world.double.fail("lambda:UpdateAlias", Failure::Cut));
    let deploy = world.start_deploy();
    let job = world.job("apply", 1);
    flows::wait_until("a version", || {
        (world.live(&world.resize).1 == 2 && !world.double.calls_of("lambda:UpdateAlias").is_empty()).then_some(())
    });
    world.double.kill(&world.task_of(&job));
    deploy.end().exits(5).explains(&["worker.died"]);
    assert_eq!(world.live(&world.resize), at("1", 2), "nobody who calls it sees anything");
    world.cloud.deploys().exits(0);
    assert_eq!((world.live(&world.resize), world.live(&world.render)), (at("2", 2), at("2", 2)));
    let outcomes: Vec<_> = world.records().iter().map(|record| record["outcome"].clone()).collect();
    assert_eq!(outcomes, ["interrupted", "succeeded"]);
    world.audit();
}

#[test]
fn an_alias_that_is_to_be_made_must_be_there_in_time() {
    let world = Functions::new();
    world.double.remove_alias(&world.resize, "live");
    let ran = world.cloud.deploys().exits(5);
    assert!(ran.stderr.contains(", for the new alias live and all without one"), "{}", ran.all());
    let found = ["function.not-ours render", "function.not-ours resize", "function.created resize"];
    assert_eq!(rules(&world.planned_change()), found);
    ran.explains(&["function.failed", "has no alias live: Terraform was to make it"]);
    assert!(world.double.calls_of("lambda:UpdateFunctionCode").is_empty());
}

#[test]
fn no_function_is_said_to_run_where_there_is_no_aws() {
    let scratch = Scratch::new();
    let toml = scratch.path("airlock.toml");
    let text = fs::read_to_string(&toml).unwrap();
    let step = "\n[[deploy]]\nfunction = \"resize\"\nimage = \"web\"\nalias = \"live\"\n";
    fs::write(&toml, text + step).unwrap();
    scratch.commit("A function");
    scratch.deploy().exits(3).explains(&["function.unsupported", "this worker has no AWS, and nothing can run here"]);
}
