//! Plans that real Terraform wrote (`terraform-data-*`) and hand-made ones for resources of AWS, against what may
//! leave production.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests are tests")]

use manifest_schema::plan::{
    ImageChange, LockedProvider, ResourceAction, ServiceChange, StateVersion, TerraformChanges,
};
use policy::plan::{Effects, PlanError, PlanParts, RULES, Verdict, Written, findings, verdict};
use proptest::prelude::*;
use serde_json::{Value, json};

const CREATE: &[u8] = include_bytes!("fixtures/terraform-data-create.json");
const CHANGE: &[u8] = include_bytes!("fixtures/terraform-data-change.json");
const NOTHING: &[u8] = include_bytes!("fixtures/terraform-data-no-op.json");
const AWS: &[u8] = include_bytes!("fixtures/aws-risky.json");

/// What a saved plan comes to whose output of `terraform show -json` this is: on a state, under a lock file.
fn summarise(json: &[u8], shown: &[String]) -> Result<TerraformChanges, PlanError> {
    let written = written_in(json);
    policy::plan::summarise(PlanParts { json, state: STATE, lock: b"", written: &written }, shown)
}

/// As if the authors had written everything that is in the plan.
fn written_in(json: &[u8]) -> Written {
    let mut written = Written::default();
    written.add(str::from_utf8(json).unwrap_or_default());
    written
}

const STATE: &[u8] = br#"{"version":4,"serial":7,"lineage":"4f38ec2a"}"#;

fn shown(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// A plan of Terraform and nothing else.
fn alone(terraform: &TerraformChanges) -> Effects<'_> {
    Effects { terraform: Some(terraform), ..Default::default() }
}

fn of(changes: &TerraformChanges, address: &str) -> (ResourceAction, Vec<String>, String) {
    let change = changes.changes.iter().find(|change| change.address == address).expect(address);
    (change.action, change.attributes.clone(), serde_json::to_string(&change.values).unwrap())
}

#[test]
fn a_summary_says_which_state_and_which_providers_the_plan_is_for() {
    let lock =
        b"provider \"registry.terraform.io/hashicorp/aws\" {\n  version = \"5.100.0\"\n  hashes = [\"zh:00\"]\n}\n";
    let written = written_in(CHANGE);
    let parts = PlanParts { json: CHANGE, state: STATE, lock, written: &written };
    let summary = policy::plan::summarise(parts, &[]).unwrap();
    assert_eq!(summary.state, Some(StateVersion { lineage: "4f38ec2a".to_owned(), serial: 7 }));
    let aws = LockedProvider {
        address: "registry.terraform.io/hashicorp/aws".to_owned(),
        version: "5.100.0".to_owned(),
        hashes: vec!["zh:00".to_owned()],
    };
    assert_eq!(summary.providers, [aws]);
    let unreadable = policy::plan::summarise(PlanParts { state: b"{}", ..parts }, &[]);
    assert!(matches!(unreadable, Err(PlanError::State(_))));
    let unreadable = policy::plan::summarise(PlanParts { lock: b"provider {", ..parts }, &[]);
    assert!(matches!(unreadable, Err(PlanError::Lock(_))));
}

#[test]
fn every_action_of_a_real_plan_is_named() {
    let summary = summarise(CHANGE, &[]).unwrap();
    let actions: Vec<_> = summary.changes.iter().map(|c| (c.address.as_str(), c.action)).collect();
    assert_eq!(
        actions,
        [
            ("data.terraform_remote_state.other", ResourceAction::Read),
            ("terraform_data.each[\"a\"]", ResourceAction::Delete),
            ("terraform_data.early", ResourceAction::CreateDelete),
            ("terraform_data.forgotten", ResourceAction::Forget),
            ("terraform_data.gone", ResourceAction::Delete),
            ("terraform_data.plain", ResourceAction::Update),
            ("terraform_data.replaced", ResourceAction::DeleteCreate),
            ("terraform_data.secret", ResourceAction::Update),
        ]
    );
    assert_eq!(summary.outputs, ["plain", "secret"]);
    assert_eq!(summary.version, "1.11.4");
    assert!(summary.changes.iter().all(|change| change.values.is_empty()));
}

#[test]
fn changed_attributes_are_paths_and_shown_ones_have_values() {
    let summary = summarise(CHANGE, &shown(&["terraform_data.input", "terraform_data.triggers_replace"])).unwrap();
    let (_, attributes, values) = of(&summary, "terraform_data.plain");
    assert_eq!(attributes, ["input.extra", "input.image", "input.ports[1]", "output"]);
    assert_eq!(
        values,
        r#"{"input.extra":{"after":"\"x\""},"input.image":{"before":"\"sha256:aa\"","after":"\"sha256:bb\""},"input.ports[1]":{"before":"443","after":"8443"}}"#
    );
    let (_, attributes, values) = of(&summary, "terraform_data.replaced");
    assert_eq!(attributes, ["id", "output", "triggers_replace"]);
    assert_eq!(values, r#"{"triggers_replace":{"before":"\"v1\"","after":"\"v2\""}}"#);
    let (_, attributes, values) = of(&summary, "terraform_data.gone");
    assert_eq!((attributes.len(), values.as_str()), (0, r#"{"input":{"before":"\"bye\""}}"#));
}

#[test]
fn an_attribute_that_is_sensitive_in_part_is_not_shown() {
    let summary = summarise(CHANGE, &shown(&["terraform_data.input", "terraform_data.output"])).unwrap();
    let (_, attributes, values) = of(&summary, "terraform_data.secret");
    assert_eq!(attributes, ["input.token", "input.user", "output"]);
    assert_eq!(values, "{}");
    let part = summarise(CHANGE, &shown(&["terraform_data.input.user", "terraform_data.input.token"])).unwrap();
    let (_, _, values) = of(&part, "terraform_data.secret");
    assert_eq!(values, r#"{"input.user":{"before":"\"app\"","after":"\"app2\""}}"#);
}

#[test]
fn planted_secrets_never_leave() {
    let names = [
        "terraform_data.input",
        "terraform_data.output",
        "terraform_data",
        "data.terraform_remote_state.outputs",
        "terraform_data.input.token",
        "aws_db_instance.password",
        "aws_secretsmanager_secret_version.secret_string",
        "output.password",
        "password",
    ];
    for plan in [CREATE, CHANGE, NOTHING, AWS] {
        for shown in [shown(&[]), shown(&names)] {
            let summary = summarise(plan, &shown).unwrap();
            let text = serde_json::to_string(&(findings(alone(&summary)), summary)).unwrap();
            assert!(!text.contains("PLANTED"), "{text}");
        }
    }
}

#[test]
fn errors_never_quote_the_plan() {
    for bytes in [
        &br#"{"format_version":"1.2","terraform_version":"1","resource_changes":["PLANTED"]}"#[..],
        br#"{"format_version":"1.2","terraform_version":"1","errored":"PLANTED"}"#,
        br#"{"format_version":"1.2","terraform_version":"1","output_changes":{"a":"PLANTED"}}"#,
        br#"{"format_version":"1.2","terraform_version":"1","resource_changes":[{"address":"a","mode":"managed","type":"t","change":{"actions":["update"],"before":{"x":"PLANTED","x":"PLANTED"}}}]}"#,
    ] {
        let error = summarise(bytes, &[]).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("PLANTED"), "{error}");
    }
}

fn aws_with(edit: impl Fn(&mut Value)) -> Result<TerraformChanges, PlanError> {
    let mut plan: Value = serde_json::from_slice(AWS).unwrap();
    edit(&mut plan);
    summarise(&serde_json::to_vec(&plan).unwrap(), &[])
}

#[test]
fn what_cannot_be_summarised_whole_is_refused() {
    let actions =
        |actions: Value| move |plan: &mut Value| plan["resource_changes"][0]["change"]["actions"] = actions.clone();
    assert!(matches!(aws_with(|plan| plan["format_version"] = json!("2.0")), Err(PlanError::Version(_))));
    assert!(matches!(aws_with(|plan| plan["format_version"] = json!("1")), Err(PlanError::Version(_))));
    assert!(matches!(aws_with(|plan| plan["errored"] = json!(true)), Err(PlanError::Errored)));
    assert!(matches!(aws_with(|plan| plan["complete"] = json!(false)), Err(PlanError::Incomplete)));
    assert!(matches!(aws_with(|plan| plan["deferred_changes"] = json!([{}])), Err(PlanError::Incomplete)));
    assert!(matches!(aws_with(|plan| plan["action_invocations"] = json!([{}])), Err(PlanError::Invokes)));
    for unknown in
        [json!([]), json!(["create", "forget"]), json!(["read"]), json!(["update", "delete"]), json!(["open"])]
    {
        assert!(matches!(aws_with(actions(unknown.clone())), Err(PlanError::Action { .. })), "{unknown} was taken");
    }
    assert!(matches!(
        aws_with(|plan| plan["resource_changes"][0]["mode"] = json!("ephemeral")),
        Err(PlanError::Action { .. })
    ));
    assert!(aws_with(|plan| plan["new_field"] = json!(1)).is_ok(), "minor versions add fields");
    assert!(
        aws_with(|plan| {
            plan.as_object_mut().unwrap().remove("complete");
        })
        .is_ok(),
        "OpenTofu has none"
    );
    for bad in [&b""[..], b"{}", b"null", b"[]", b"\xff"] {
        assert!(matches!(summarise(bad, &[]), Err(PlanError::Malformed { .. })));
    }
}

#[test]
fn aws_resources_are_summarised_by_path() {
    let summary = summarise(AWS, &[]).unwrap();
    assert_eq!(of(&summary, "aws_security_group.web").1, ["ingress[0].cidr_blocks[0]", "tags[\"a b\"]"]);
    assert_eq!(of(&summary, "aws_iam_role.task").1, ["arn", "assume_role_policy", "id", "name"]);
    assert_eq!(of(&summary, "aws_db_instance.main (deposed object ab12cd34)").0, ResourceAction::Delete);
    assert_eq!(summary.drift.len(), 1);
    assert_eq!(summary.outputs, ["password"]);
}

#[test]
fn each_risk_is_found_once_and_the_worst_comes_first() {
    let summary = summarise(AWS, &[]).unwrap();
    let service = |name: &str, task_definition: Option<&str>, elsewhere: Option<&str>| {
        let elsewhere = elsewhere.map(str::to_owned);
        let image = ImageChange { before: None, elsewhere, after: manifest_schema::digest::Digest::of(b"x") };
        ServiceChange {
            service: name.parse().unwrap(),
            cluster: Some("main".parse().unwrap()),
            task_definition: task_definition.map(str::to_owned),
            containers: [("web".parse().unwrap(), image)].into(),
            settings: Default::default(),
        }
    };
    let services = [
        service("new", None, None),
        service("hello", Some("arn:aws:ecs:…"), None),
        service("taken", Some("arn:aws:ecs:…"), Some("registry.example/other/web")),
    ];
    let found = findings(Effects { services: &services, ..alone(&summary) });
    let rules: Vec<_> = found.iter().map(|f| (f.rule.as_str(), f.address.as_str())).collect();
    assert_eq!(
        rules,
        [
            ("iam.changed", "aws_iam_role.task"),
            ("policy.changed", "aws_iam_role.task"),
            ("policy.changed", "aws_s3_bucket_policy.logs"),
            ("resource.deleted", "aws_db_instance.main (deposed object ab12cd34)"),
            ("security-group.changed", "aws_security_group.web"),
            ("service.other-images", "taken"),
            ("data.deferred", "data.aws_secretsmanager_secret_version.db"),
            ("drift.found", "aws_ecs_service.web"),
            ("service.created", "new"),
        ]
    );
    assert_eq!(
        found[5].message,
        "taken runs registry.example/other/web in its container web, which is from no repository of this build."
    );
    assert_eq!(
        found[7].message,
        "aws_ecs_service.web was changed outside of Terraform since the last apply (desired_count)."
    );
    assert!(!RULES.is_empty());
}

#[test]
fn lost_resources_need_a_person_and_new_ones_do_not() {
    let rules = |plan| -> Vec<String> {
        findings(alone(&summarise(plan, &[]).unwrap()))
            .into_iter()
            .map(|f| format!("{} {}", f.rule, f.address))
            .collect()
    };
    assert_eq!(
        rules(CHANGE),
        [
            "resource.deleted terraform_data.each[\"a\"]",
            "resource.deleted terraform_data.gone",
            "resource.forgotten terraform_data.forgotten",
            "resource.replaced terraform_data.early",
            "resource.replaced terraform_data.replaced",
            "data.deferred data.terraform_remote_state.other",
        ]
    );
    for plan in [CREATE, NOTHING] {
        assert_eq!(rules(plan), Vec::<String>::new());
    }
    assert_eq!(serde_json::to_value(verdict(&[])).unwrap(), "clear");
    let risky = findings(alone(&summarise(CHANGE, &[]).unwrap()));
    assert_eq!(verdict(&risky), Verdict::Person);
    assert_eq!(serde_json::to_value(verdict(&risky)).unwrap(), "person");
}

#[test]
fn numbers_beyond_a_float_still_differ() {
    let plan = |after: &str| {
        format!(
            r#"{{"format_version":"1.2","terraform_version":"1","resource_changes":[{{"address":"a","mode":"managed","type":"t",
            "change":{{"actions":["update"],"before":{{"n":18446744073709551616}},"after":{{"n":{after}}}}}}}]}}"#
        )
    };
    let summary = summarise(plan("18446744073709551617").as_bytes(), &shown(&["t.n"])).unwrap();
    assert_eq!(summary.changes[0].values["n"].after.as_deref(), Some("18446744073709551617"));
}

#[test]
fn the_order_of_the_plan_does_not_matter() {
    let mut plan: Value = serde_json::from_slice(CHANGE).unwrap();
    plan["resource_changes"].as_array_mut().unwrap().reverse();
    let names = shown(&["terraform_data.input", "terraform_data.id"]);
    let swapped: Vec<String> = names.iter().rev().cloned().collect();
    let other = summarise(&serde_json::to_vec_pretty(&plan).unwrap(), &swapped).unwrap();
    assert_eq!(other, summarise(CHANGE, &names).unwrap());
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z.\\[\\]\"é]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("[a-c.\" ]{0,2}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_values_and_marks_are_summarised_without_panic_and_hide_what_is_sensitive(
        before in any_json(), after in any_json(), unknown in any_json(), marks in any_json(), field in 0..5usize,
    ) {
        let mut plan: Value = serde_json::from_slice(CHANGE).unwrap();
        let change = &mut plan["resource_changes"][5]["change"];
        change["before"] = json!({"input": before, "output": "PLANTED"});
        change["after"] = json!({"input": after, "output": {"PLANTED": 1}});
        change["after_unknown"] = json!({"input": unknown});
        change["before_sensitive"] = json!({"input": marks});
        change["after_sensitive"] = json!({"output": true});
        let names = shown(&["terraform_data.input", "terraform_data.output"]);
        let summary = summarise(&serde_json::to_vec(&plan).unwrap(), &names).unwrap();
        prop_assert!(!serde_json::to_string(&summary).unwrap().contains("PLANTED"));
        // The same with a whole field replaced: an error or a summary, never a panic.
        let name = ["resource_changes", "output_changes", "resource_drift", "complete", "format_version"][field];
        plan[name] = marks;
        let _ = summarise(&serde_json::to_vec(&plan).unwrap(), &names);
    }
}
