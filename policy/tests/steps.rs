//! What about the steps of a plan beside Terraform a person must see.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use manifest_schema::manifest::Trigger;
use manifest_schema::plan::{FilesChange, FunctionChange, ImageChange, Keys, ScheduleChange, Severity, TaskRun};
use policy::plan::{Effects, findings};

#[test]
fn what_a_schedule_starts_needs_a_person_the_first_time_and_if_it_is_anothers() {
    for (case, definition, elsewhere, expected) in [
        ("another image of its own", Some("nightly:1"), None, &[][..]),
        ("for the first time", None, None, &[("schedule.created", Severity::Medium)]),
        (
            "of another project",
            Some("other:1"),
            Some("registry.example/other"),
            &[("schedule.other-images", Severity::High)],
        ),
    ] {
        let elsewhere = elsewhere.map(str::to_owned);
        let image = ImageChange { before: None, elsewhere, after: manifest_schema::digest::Digest::of(b"x") };
        let schedule = ScheduleChange {
            trigger: Trigger::Schedule { name: "nightly".parse().unwrap(), group: Some("jobs".parse().unwrap()) },
            cluster: Some("main".parse().unwrap()),
            task_definition: definition.map(str::to_owned),
            containers: [("web".parse().unwrap(), image)].into(),
            settings: Default::default(),
        };
        let found = findings(Effects { schedules: &[schedule], ..Default::default() });
        let rules: Vec<_> = found.iter().map(|finding| (finding.rule.as_str(), finding.severity)).collect();
        assert_eq!(rules, expected, "{case}");
        assert!(found.iter().all(|finding| finding.address == "schedule jobs/nightly"), "{case}: {found:?}");
    }
}

#[test]
fn what_runs_once_needs_a_person_unless_it_ran_before_and_has_nothing_of_others() {
    for (case, definition, repeats, elsewhere, rules) in [
        ("the same again", Some("hello:1"), true, None, &[][..]),
        ("for the first time, or otherwise", Some("hello:1"), false, None, &["task.new"]),
        ("of a service that isn't there", None, true, None, &["task.new"]),
        ("of another project", Some("other:1"), true, Some("registry.example/other"), &["task.other-images"]),
        ("both", Some("other:1"), false, Some("registry.example/other"), &["task.new", "task.other-images"]),
    ] {
        let elsewhere = elsewhere.map(str::to_owned);
        let image = ImageChange { before: None, elsewhere, after: manifest_schema::digest::Digest::of(b"x") };
        let task = TaskRun {
            task: "migrate".parse().unwrap(),
            service: "hello".parse().unwrap(),
            cluster: "main".parse().unwrap(),
            task_definition: definition.map(str::to_owned),
            container: "web".parse().unwrap(),
            command: vec!["migrate".to_owned()],
            repeats,
            containers: [("web".parse().unwrap(), image)].into(),
            settings: Default::default(),
        };
        let found = findings(Effects { tasks: &[task], ..Default::default() });
        assert_eq!(found.iter().map(|finding| finding.rule.as_str()).collect::<Vec<_>>(), rules, "{case}");
        assert!(
            found.iter().all(|finding| (finding.address.as_str(), finding.severity) == ("migrate", Severity::High))
        );
    }
}

#[test]
fn what_goes_from_a_bucket_needs_a_person_most_of_all_what_is_anothers() {
    let keys = |count: usize| Keys::of(["a", "b"].into_iter().take(count));
    for (case, missing, deleted, foreign, expected) in [
        ("new and changed objects", false, 0, 0, &[][..]),
        (
            "a bucket that isn't there",
            true,
            0,
            0,
            &["files.created site/docs isn't there yet; this deploy is the first to put files into it."],
        ),
        ("objects deleted", false, 2, 0, &["files.deleted site/docs would lose 2 objects."]),
        (
            "another's objects",
            false,
            1,
            1,
            &[
                "files.foreign site/docs has 1 object that would go and that no deploy of this project put there.",
                "files.deleted site/docs would lose 1 object.",
            ],
        ),
    ] {
        let change = FilesChange {
            bucket: "site".parse().unwrap(),
            prefix: Some("docs".to_owned().try_into().unwrap()),
            missing,
            added: keys(1),
            changed: keys(2),
            deleted: keys(deleted),
            before: None,
            foreign: keys(foreign),
        };
        let found = findings(Effects { files: &[change], ..Default::default() });
        let found: Vec<_> = found.iter().map(|finding| format!("{} {}", finding.rule, finding.message)).collect();
        assert_eq!(found, expected, "{case}");
    }
}

#[test]
fn a_function_needs_a_person_if_it_is_new_or_not_ours() {
    for (case, version, ours, elsewhere, rules) in [
        ("published by us", Some("7"), true, None, &[][..]),
        ("not there yet", None, false, None, &[("function.created", Severity::Medium)]),
        (
            "there, without the alias",
            None,
            false,
            Some("registry.example/other"),
            &[("function.not-ours", Severity::High), ("function.created", Severity::Medium)],
        ),
        ("by hand", Some("7"), false, None, &[("function.not-ours", Severity::High)]),
        ("said to be ours", Some("7"), true, Some("registry.example/other"), &[("function.not-ours", Severity::High)]),
    ] {
        let elsewhere = elsewhere.map(str::to_owned);
        let function = FunctionChange {
            function: "resize".parse().unwrap(),
            alias: "live".parse().unwrap(),
            version: version.map(str::to_owned),
            ours,
            code: ImageChange { before: None, elsewhere, after: manifest_schema::digest::Digest::of(b"x") },
            settings: Vec::new(),
            revision: None,
            alarms: Vec::new(),
            watch_seconds: 0,
        };
        let found = findings(Effects { functions: &[function], ..Default::default() });
        let told: Vec<_> = found.iter().map(|finding| (finding.rule.as_str(), finding.severity)).collect();
        assert_eq!(told, rules, "{case}");
        assert!(found.iter().all(|finding| finding.address == "resize"), "{case}");
    }
}
