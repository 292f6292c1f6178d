//! Whose targets are, by patterns of each kind.

use super::*;

const CONFIG: &str = r#"{
    "each": {
        "services": ["{project}", "{project}-*", "{project}/*"],
        "functions": ["{environment}-{project}"],
        "schedules": ["{project}/*"],
        "rules": ["{project}", "aws.partner/x/{project}-*"],
        "files": ["{project}-site", "assets/v1/{project}", "assets/{project}"]
    },
    "projects": {
        "hello": {"services": ["legacy"], "functions": ["resize"], "files": ["www.example.com"]},
        "other": {"services": ["legacy", "hello-of-other"], "files": ["www.example.com/other"]}
    }
}"#;

fn config() -> TargetsConfig {
    serde_json::from_str(CONFIG).unwrap()
}

/// A target as it is written here: its kind, and a pattern without anything to fill in.
fn target(text: &str) -> Target {
    let (kind, name) = text.split_once(' ').unwrap();
    let (place, last) = name.rsplit_once('/').map_or((None, name), |(place, last)| (Some(place), last));
    let default = "apps".parse().unwrap();
    match kind {
        "service" => {
            Target::service(&default, place.map(|place| place.parse().unwrap()).as_ref(), &last.parse().unwrap())
        }
        "function" => Target::function(&last.parse().unwrap()),
        "schedule" => Target::trigger(&Trigger::Schedule {
            name: last.parse().unwrap(),
            group: place.map(|place| place.parse().unwrap()),
        }),
        "rule" => Target::trigger(&Trigger::Rule {
            name: last.parse().unwrap(),
            event_bus: place.map(|place| place.parse().unwrap()),
            target: None,
        }),
        "files" => {
            let (bucket, prefix) = name.split_once('/').map_or((name, None), |(a, b)| (a, Some(b)));
            let step = serde_json::json!({"artifact": "site", "bucket": bucket, "prefix": prefix});
            Target::files(&serde_json::from_value(step).unwrap())
        }
        other => panic!("{other}"),
    }
}

#[test]
fn a_target_is_one_projects_own() {
    let others = |name: &str| Whose::Others(name.parse().unwrap());
    let shared = |name: &str| Whose::Shared("production".parse().unwrap(), name.parse().unwrap());
    let (own, nobodys) = (|| Whose::Own, || Whose::Nobodys);
    for (project, named, expected) in [
        ("hello", "service hello", own()),
        ("hello", "service apps/hello", own()),
        ("hello", "service hello-api", own()),
        ("hello", "service hello2", nobodys()),
        ("hello", "service hello/anything", own()),
        ("hello", "service elsewhere/hello", nobodys()),
        ("hello", "service Hello", nobodys()),
        // Two projects' by what every project has; the other one's by its own list.
        ("hello", "service hello-world", shared("hello-world")),
        ("hello-world", "service hello-world", shared("hello")),
        ("hello", "service hello-of-other", others("other")),
        ("other", "service hello-of-other", own()),
        ("hello", "service legacy", own()),
        ("other", "service legacy", own()),
        ("hello-world", "service legacy", others("hello")),
        ("hello", "function production-hello", own()),
        ("hello", "function staging-hello", nobodys()),
        // `shop` in `production-eu` has the same.
        (
            "eu-shop",
            "function production-eu-shop",
            Whose::Shared("production-eu".parse().unwrap(), "shop".parse().unwrap()),
        ),
        ("eu", "function production-eu", own()),
        ("hello", "function resize", own()),
        ("other", "function resize", others("hello")),
        ("hello", "schedule hello/nightly", own()),
        ("hello", "schedule nightly", nobodys()),
        ("hello", "schedule default/hello", nobodys()),
        ("hello", "rule hello", own()),
        ("hello", "rule default/hello", own()),
        ("hello", "rule aws.partner/x/hello-1", own()),
        ("hello", "rule aws.partner/x/hello-1/y", nobodys()),
        ("hello", "files hello-site", own()),
        ("hello", "files hello-site/docs", own()),
        ("hello", "files hello-site2", nobodys()),
        ("hello", "files assets/v1/hello", own()),
        ("hello", "files assets/v1/hello/a", own()),
        ("hello", "files assets/v1/hello-2", nobodys()),
        ("hello", "files assets/v1", nobodys()),
        ("hello", "files assets", nobodys()),
        // The place of a project of this name holds all others' that are listed so.
        ("v1", "files assets/v1", shared("hello")),
        ("hello", "files www.example.com", own()),
        ("other", "files www.example.com/other", own()),
        ("other", "files www.example.com/new", others("hello")),
    ] {
        let (here, elsewhere) =
            ("production".parse().unwrap(), ["staging", "production-eu"].map(|name| name.parse().unwrap()));
        let projects = ["hello", "hello-world", "other"].map(|name| name.parse().unwrap());
        let (shop, project) = ("shop".parse().unwrap(), project.parse().unwrap());
        let all: Vec<_> =
            projects.iter().map(|project| (&here, project)).chain(elsewhere.iter().map(|e| (e, &shop))).collect();
        let whose = |config: &TargetsConfig| config.whose(&target(named), (&here, &project), &all);
        assert_eq!(whose(&config()), expected, "{project} {named}");
        let none = whose(&TargetsConfig::default());
        assert_eq!(none, Whose::Nobodys, "{named}");
    }
}

#[test]
fn patterns_are_checked_when_they_are_read() {
    assert_eq!(serde_json::from_str::<TargetsConfig>(&serde_json::to_string(&config()).unwrap()).unwrap(), config());
    assert_eq!(serde_json::to_string(&TargetsConfig::default()).unwrap(), "{}");
    for (text, problem) in [
        (r#"{"each": {"services": ["web"]}}"#, "name {project} in it once"),
        (r#"{"each": {"files": ["{project}/{project}"]}}"#, "name {project} in it once"),
        (r#"{"each": {"services": ["*{project}"]}}"#, "such as {project} or apps/{project}-*"),
        (r#"{"each": {"services": ["{project}*/a"]}}"#, "such as {project} or apps/{project}-*"),
        (r#"{"each": {"functions": ["a/{project}"]}}"#, "use a function's name"),
        (r#"{"each": {"schedules": ["a/b/{project}"]}}"#, "use [GROUP/]SCHEDULE"),
        (r#"{"each": {"rules": ["{project} "]}}"#, "use [BUS/]RULE"),
        (r#"{"each": {"files": ["{project}-*"]}}"#, "use BUCKET or BUCKET/PREFIX"),
        (r#"{"each": {"files": ["{project}-site/x-*"]}}"#, "use BUCKET or BUCKET/PREFIX"),
        (r#"{"each": {"files": ["{project}-site/{enviroment}"]}}"#, "use BUCKET or BUCKET/PREFIX"),
        (r#"{"each": {"files": ["{project}_site"]}}"#, "use BUCKET or BUCKET/PREFIX"),
        (r#"{"projects": {"a": {"files": ["B"]}}}"#, "use BUCKET or BUCKET/PREFIX"),
        (r#"{"projects": {"a": {"services": ["{name}"]}}}"#, "use [CLUSTER/]SERVICE"),
        (r#"{"projects": {"a": {"buckets": []}}}"#, "unknown field `buckets`"),
        (r#"{"all": {}}"#, "unknown field `all`"),
    ] {
        let error = serde_json::from_str::<TargetsConfig>(text).unwrap_err().to_string();
        assert!(error.contains(problem), "{text}: {error}");
    }
    for (named, entry) in [
        ("service apps/hello", "`hello` under `services`"),
        ("service other/hello", "`other/hello` under `services`"),
        ("rule default/placed", "`placed` under `rules`"),
        ("function resize", "`resize` under `functions`"),
        ("files site/v1", "`site/v1` under `files`"),
    ] {
        assert_eq!(target(named).entry(), entry);
    }
    let any = r#"{"projects": {"a": {"services": ["*", "other/*"], "schedules": ["{environment}/*"]}}}"#;
    assert!(serde_json::from_str::<TargetsConfig>(any).is_ok());
}
