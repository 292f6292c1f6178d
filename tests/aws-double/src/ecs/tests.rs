//! Task definitions.

use serde_json::{Value, json};

use super::Ecs;
use crate::{ACCOUNT, USER};

fn add(definition: &Value) -> Result<Value, String> {
    let added = Ecs::default().add_definition(ACCOUNT, definition, USER);
    added.map_err(|refusal| format!("{}: {}", refusal.code, refusal.message))
}

#[test]
fn a_definition_is_described_with_every_field_that_it_was_registered_with() {
    let definition = json!({
        "family": "web", "futureField": { "of": ["any", 1, null] }, "volumes": [{ "name": "data" }],
        "containerDefinitions": [
            { "name": "app", "image": "app", "futureField": true, "portMappings": [{ "containerPort": 80, "name": "http" }] },
            { "name": "proxy", "image": "proxy", "essential": false, "dependsOn": [{ "containerName": "app" }] },
        ],
        "tags": [{ "key": "team", "value": "web" }],
    });
    let added = add(&definition).unwrap_or_else(|error| panic!("{error}"));
    let described = &added["taskDefinition"];
    for field in ["family", "futureField", "volumes"] {
        assert_eq!(described[field], definition[field], "{field}");
    }
    let [app, proxy] = [0, 1].map(|number| &described["containerDefinitions"][number]);
    assert_eq!((&app["futureField"], &app["essential"], &app["cpu"]), (&true.into(), &true.into(), &0.into()));
    assert_eq!(
        app["portMappings"],
        json!([{ "containerPort": 80, "hostPort": 80, "name": "http", "protocol": "tcp" }])
    );
    assert_eq!(proxy["dependsOn"], definition["containerDefinitions"][1]["dependsOn"]);
    assert_eq!((&added["tags"], &described["tags"]), (&definition["tags"], &Value::Null));
    assert_eq!((&described["revision"], &described["registeredBy"]), (&1.into(), &USER.into()));
}

#[test]
fn what_is_no_definition_is_refused() {
    let app = json!({ "name": "app", "image": "app" });
    let with = |field: &str, value: Value| {
        let mut definition = json!({ "family": "web", "containerDefinitions": [app] });
        definition[field] = value;
        definition
    };
    let optional = json!([{ "name": "app", "image": "app", "essential": false }]);
    let secret = json!([{ "name": "app", "image": "app", "secrets": [{ "name": "A", "valueFrom": "a" }] }]);
    let cases = [
        (with("family", Value::Null), "ClientException: Family should not be null or empty."),
        (
            with("containerDefinitions", json!([])),
            "ClientException: Container definitions should not be null or empty.",
        ),
        (with("containerDefinitions", optional), "ClientException: A task definition must have at least one essential"),
        (with("containerDefinitions", secret), "ClientException: When you are specifying container secrets"),
        (with("requiresCompatibilities", json!(["FARGATE"])), "ClientException: Fargate only supports network mode"),
        (with("revision", json!(3)), "NotDoubled: a task definition with revision, which only ECS says"),
        (with("compatibilities", json!(["EC2"])), "NotDoubled: a task definition with compatibilities"),
    ];
    for (definition, refusal) in cases {
        let error = add(&definition).err().unwrap_or_else(|| panic!("{definition} is taken"));
        assert!(error.starts_with(refusal), "{error}");
    }
}
