//! What the next revision of a definition is, and what of it people are told.

use manifest_schema::manifest::ServiceStep;

use super::*;

const PLACE: &str = "222222222222.dkr.ecr.eu-central-1.amazonaws.com/hello/web";

fn digest(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

/// As `DescribeTaskDefinition` tells it, with fields that nobody here has ever heard of.
fn definition() -> Value {
    json!({
        "taskDefinitionArn": "arn:aws:ecs:eu-central-1:222222222222:task-definition/web:7", "family": "web", "revision": 7,
        "status": "ACTIVE", "requiresAttributes": [{"name": "x"}], "compatibilities": ["EC2", "FARGATE"],
        "registeredAt": 1.7e9, "registeredBy": "arn:aws:iam::222222222222:user/a",
        "requiresCompatibilities": ["FARGATE"], "networkMode": "awsvpc", "executionRoleArn": "arn:aws:iam::222222222222:role/web", "cpu": "256", "memory": "512", "volumes": [],
        "unheardOf": {"deeply": [{"nested": null}, 1.5]}, "tags": [{"key": "team", "value": "a"}],
        "containerDefinitions": [
            {
                "name": "web", "image": format!("{PLACE}@{}", digest("old")), "essential": true, "cpu": 0,
                "environment": [{"name": "LOG_LEVEL", "value": "info"}, {"name": "PASSWORD", "value": "hunter2"}],
                "secrets": [{"name": "DB", "valueFrom": "arn:aws:ssm:eu-central-1:222222222222:parameter/other"}],
                "newer": {"than": ["this"]},
            },
            {"name": "router", "image": "public.ecr.aws/fluent-bit:2", "essential": false, "logFilter": 7},
        ],
    })
}

fn step(change: impl FnOnce(&mut ServiceStep)) -> ServiceStep {
    let containers = BTreeMap::from([("web".parse().unwrap(), "web".parse().unwrap())]);
    let mut step = ServiceStep::new("web".parse().unwrap(), containers);
    change(&mut step);
    step
}

fn wanted<'a>(step: &'a ServiceStep, image: &str) -> Wanted<'a> {
    let pinned = Pinned { place: PLACE.to_owned(), digest: digest(image) };
    Wanted {
        revision: step.revision(),
        images: step.containers.keys().map(|name| (name, pinned.clone())).collect(),
        own: vec![PLACE.to_owned()],
        secrets: Some(SecretPlace {
            partition: "aws".to_owned(),
            region: "eu-central-1".to_owned(),
            account: "222222222222".to_owned(),
            prefix: "airlock/production/hello".to_owned(),
        }),
    }
}

fn text(step: &mut ServiceStep, container: &str, name: &str, text: &str) {
    let variables = step.environment.entry(container.parse().unwrap()).or_default();
    variables.insert(name.parse().unwrap(), text.to_owned());
}

fn secret(step: &mut ServiceStep, container: &str, name: &str, reference: SecretReference) {
    step.secrets.entry(container.parse().unwrap()).or_default().insert(name.parse().unwrap(), reference);
}

fn parameter(name: &str) -> SecretReference {
    SecretReference::Parameter(name.parse().unwrap())
}

/// Where two values differ, as JSON pointers.
fn differing(a: &Value, b: &Value, at: String, found: &mut Vec<String>) {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            let names: std::collections::BTreeSet<_> = a.keys().chain(b.keys()).collect();
            for name in names {
                let side = |side: &Map<String, Value>| side.get(name).cloned().unwrap_or_default();
                differing(&side(a), &side(b), format!("{at}/{name}"), found);
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            for index in 0..a.len().max(b.len()) {
                let side = |side: &[Value]| side.get(index).cloned().unwrap_or_default();
                differing(&side(a), &side(b), format!("{at}/{index}"), found);
            }
        }
        (a, b) if a == b => {}
        _ => found.push(at),
    }
}

/// What becomes of the definition under a step: places that differ, and what people are told.
fn outcome(step: &ServiceStep, image: &str) -> (Vec<String>, Vec<String>) {
    let wanted = wanted(step, image);
    let next = revise(&definition(), &wanted).unwrap();
    let mut places = Vec::new();
    differing(&registrable(&definition()), &next, String::new(), &mut places);
    let (images, mut settings) = differences(Some(&definition()), &wanted);
    settings.extend(size("desiredCount", Some(2), step.desired_count));
    let images = images.into_iter().filter(|(_, image)| image.changes()).map(|(name, _)| format!("image of {name}"));
    let settings = settings.into_iter().map(|(path, values)| {
        let side = |side: Option<String>| side.unwrap_or_else(|| "-".to_owned());
        format!("{path}: {} → {}", side(values.before), side(values.after))
    });
    // What was made of it is what would be made of it: a second time, nothing changes.
    assert_eq!(revise(&next, &wanted).unwrap(), next);
    (places, images.chain(settings).collect())
}

#[test]
fn what_a_step_says_changes_and_nothing_else() {
    /// What is changed, how, the image wanted; the places that differ, and what people are told.
    type Row = (&'static str, fn(&mut ServiceStep), &'static str, &'static [&'static str], &'static [&'static str]);
    let table: &[Row] = &[
        ("nothing", |_| {}, "old", &[], &[]),
        ("an image", |_| {}, "new", &["/containerDefinitions/0/image"], &["image of web"]),
        (
            "sizes",
            |s| (s.cpu, s.memory) = (Some(512), Some(1024)),
            "old",
            &["/cpu", "/memory"],
            &["cpu: 256 → 512", "memory: 512 → 1024"],
        ),
        ("the same sizes", |s| (s.cpu, s.memory) = (Some(256), Some(512)), "old", &[], &[]),
        ("a count, which is the service's", |s| s.desired_count = Some(3), "old", &[], &["desiredCount: 2 → 3"]),
        ("the same count", |s| s.desired_count = Some(2), "old", &[], &[]),
        (
            "a variable's text, and never what it was",
            |s| text(s, "web", "PASSWORD", "x"),
            "old",
            &["/containerDefinitions/0/environment/1/value"],
            &["containers.web.environment.PASSWORD: - → \"x\""],
        ),
        ("the same text", |s| text(s, "web", "LOG_LEVEL", "info"), "old", &[], &[]),
        (
            "a new variable of a sidecar",
            |s| text(s, "router", "A", "1"),
            "old",
            &["/containerDefinitions/1/environment"],
            &["containers.router.environment.A: - → \"1\""],
        ),
        (
            "a secret",
            |s| secret(s, "web", "DB", parameter("db/url")),
            "old",
            &["/containerDefinitions/0/secrets/0/valueFrom"],
            &[
                "containers.web.secrets.DB: \"arn:aws:ssm:eu-central-1:222222222222:parameter/other\" → \"parameter db/url\"",
            ],
        ),
        (
            "a text that becomes a secret",
            |s| secret(s, "web", "PASSWORD", parameter("password")),
            "old",
            &["/containerDefinitions/0/environment/1", "/containerDefinitions/0/secrets/1"],
            &[
                "containers.web.environment.PASSWORD: - → -",
                "containers.web.secrets.PASSWORD: - → \"parameter password\"",
            ],
        ),
        (
            "a secret that becomes a text",
            |s| text(s, "web", "DB", "none"),
            "old",
            &["/containerDefinitions/0/environment/2", "/containerDefinitions/0/secrets/0"],
            &[
                "containers.web.environment.DB: - → \"none\"",
                "containers.web.secrets.DB: \"arn:aws:ssm:eu-central-1:222222222222:parameter/other\" → -",
            ],
        ),
    ];
    for (case, change, image, places, told) in table {
        let (found, said) = outcome(&step(change), image);
        assert_eq!(found, *places, "{case}");
        assert_eq!(said, *told, "{case}");
    }
}

#[test]
fn images_are_pinned_and_secrets_named_by_their_arn() {
    let step = step(|step| {
        secret(step, "web", "DB", parameter("db/url"));
        secret(step, "web", "TOKEN", SecretReference::Secret("token".parse().unwrap()));
    });
    let next = revise(&definition(), &wanted(&step, "new")).unwrap();
    let web = &next["containerDefinitions"][0];
    assert_eq!(web["image"], format!("{PLACE}@{}", digest("new")));
    assert_eq!(
        web["secrets"],
        json!([
            {"name": "DB", "valueFrom": "arn:aws:ssm:eu-central-1:222222222222:parameter/airlock/production/hello/db/url"},
            {"name": "TOKEN",
             "valueFrom": "arn:aws:secretsmanager:eu-central-1:222222222222:secret:airlock/production/hello/token"},
        ])
    );
    for field in SAID {
        assert!(next.get(field).is_none(), "{field} is not for RegisterTaskDefinition");
    }
}

#[test]
fn a_list_that_is_not_there_is_not_made_for_what_is_not_in_it() {
    let step = step(|step| text(step, "router", "A", "1"));
    let router = revise(&definition(), &wanted(&step, "new")).unwrap()["containerDefinitions"][1].take();
    assert_eq!((&router["environment"], router.get("secrets")), (&json!([{"name": "A", "value": "1"}]), None));
}

/// Terraform names secrets with the characters that Secrets Manager appends.
#[test]
fn a_secret_is_the_same_by_its_whole_arn() {
    let wanted_step = step(|step| secret(step, "web", "TOKEN", SecretReference::Secret("token".parse().unwrap())));
    let wanted = wanted(&wanted_step, "old");
    let place = wanted.secrets.clone().unwrap();
    let arn = place.arn(&SecretReference::Secret("token".parse().unwrap()));
    for (now, same) in [
        (arn.clone(), true),
        (format!("{arn}-a1B2c3"), true),
        (format!("{arn}-a1B2c3:key::"), false),
        (format!("{arn}-other-a1B2c3"), false),
        (format!("{arn}-a1B2"), false),
    ] {
        let mut definition = definition();
        definition["containerDefinitions"][0]["secrets"] = json!([{"name": "TOKEN", "valueFrom": now}]);
        assert_eq!(revise(&definition, &wanted).unwrap() == registrable(&definition), same, "{now}");
        assert_eq!(differences(Some(&definition), &wanted).1.is_empty(), same, "{now}");
    }
}

#[test]
fn images_from_elsewhere_are_told_without_tag_and_digest() {
    let (new, plain) = (digest("new"), step(|_| {}));
    let other = "registry.example:5000/other/app";
    for (now, before, elsewhere, changes) in [
        (format!("{PLACE}@{new}"), Some(new), None, false),
        (format!("{PLACE}:7@{new}"), Some(new), None, false),
        (format!("{PLACE}:7"), None, None, true),
        (format!("{other}@{new}"), Some(new), Some(other), true),
        (format!("{other}:1"), None, Some(other), true),
        (other.to_owned(), None, Some(other), true),
        ("nginx".to_owned(), None, Some("nginx"), true),
        ("nginx:1@sha256:short".to_owned(), None, Some("nginx"), true),
    ] {
        let mut definition = definition();
        definition["containerDefinitions"][0]["image"] = now.clone().into();
        let wanted = wanted(&plain, "new");
        let (images, _) = differences(Some(&definition), &wanted);
        let expected = ImageChange { before, elsewhere: elsewhere.map(str::to_owned), after: new };
        assert_eq!(images.into_values().collect::<Vec<_>>(), [expected], "{now}");
        assert_eq!(revise(&definition, &wanted).unwrap() != registrable(&definition), changes, "{now}");
    }
}

#[test]
fn every_container_that_is_not_there_is_named() {
    let step = step(|step| {
        text(step, "gone", "A", "1");
        secret(step, "lost", "B", parameter("b"));
    });
    let problems = revise(&definition(), &wanted(&step, "new")).unwrap_err();
    let arn = "arn:aws:ecs:eu-central-1:222222222222:task-definition/web:7";
    assert_eq!(problems, ["gone", "lost"].map(|name| format!("{arn} has no container {name}; it has web, router")));
}

#[test]
fn secrets_need_somebody_who_reads_them() {
    let step = step(|step| secret(step, "web", "DB", parameter("db")));
    let mut definition = definition();
    definition["executionRoleArn"] = Value::Null;
    let problems = revise(&definition, &wanted(&step, "new")).unwrap_err();
    assert!(problems.len() == 1 && problems[0].contains("no execution role"), "{problems:?}");
}

#[test]
fn of_a_service_that_is_not_there_everything_is_new() {
    let step = step(|step| {
        step.cpu = Some(256);
        secret(step, "web", "DB", parameter("db"));
    });
    let (images, settings) = differences(None, &Wanted { secrets: None, ..wanted(&step, "new") });
    assert_eq!(images[&"web".parse().unwrap()], ImageChange { before: None, elsewhere: None, after: digest("new") });
    let after: Vec<_> = settings.values().map(|values| (values.before.clone(), values.after.clone())).collect();
    assert_eq!(after, [(None, Some("\"parameter db\"".to_owned())), (None, Some("256".to_owned()))]);
}
