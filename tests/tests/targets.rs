//! What a build may deploy to, the workers' configuration says, and not the build.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed helper is a failed test")]

use flows::{Run, Services};
use serde_json::{Value, json};

const MAY: &str = r#"{"each": {"services": ["{project}"]}}"#;

/// The workers' configuration says this from now on.
fn targets(world: &Services, targets: &Value) {
    world.configure(|_, config| config["targets"] = targets.clone());
}

fn refused(world: &Services, said: Value, words: &str) -> Run {
    targets(world, &said);
    world.cloud.deploys().exits(3).explains(&["target.forbidden", words])
}

#[test]
fn a_build_deploys_only_to_what_is_its_projects() {
    let world = Services::new();
    refused(&world, json!({}), "service hello: the workers' configuration (`targets`) doesn't say that it is hello's");
    refused(&world, json!({"each": {"services": ["{project}-*", "other/{project}"]}}), "list `hello` under `services`");
    let others = json!({"projects": {"shop": {"services": ["hello"]}}});
    refused(&world, others, "says that it is shop's: if hello may change it, too, list `hello` under `services`");
    let listed = json!({"each": {"services": ["{project}"]}, "projects": {"shop": {"services": ["*"]}}});
    refused(
        &world,
        listed,
        "says that it is shop's: if hello may change it, too, list `hello` under `services` for hello there",
    );
    // Of two projects of this environment whose names fit, neither has it.
    world.next_policy(|policy| {
        let projects = &mut policy["environments"]["production"]["projects"];
        projects["hell"] = projects["hello"].clone();
    });
    refused(&world, json!({"each": {"services": ["{project}*"]}}), "it is both hello's and hell's");
    assert!(world.double.calls_of("ecs:DescribeServices").is_empty(), "it was looked at");

    targets(&world, &serde_json::from_str(MAY).unwrap());
    world.cloud.deploys().exits(0);
    // A task runs like the service, with its roles and secrets: it is the service that counts.
    world.task(&["/bin/migrate"], "");
    refused(
        &world,
        json!({"each": {"services": ["migrate-{project}"]}}),
        "task migrate: the workers' configuration (`targets`) doesn't say that it is hello's: list its service, `hello` under `services`",
    );
}

#[test]
fn what_was_the_projects_when_it_was_planned_must_be_so_when_it_is_applied() {
    let world = Services::new();
    let planned = world.planned();
    let yes = world.approve(&planned);
    targets(&world, &json!({}));
    world.apply(&planned, &[&yes]).run.exits(3).because(&["target.forbidden"]);
    assert!(world.double.calls_of("ecs:UpdateService").is_empty());
    targets(&world, &serde_json::from_str(MAY).unwrap());
    world.apply(&planned, &[&yes]).run.exits(0);
}
