//! Attacks on what a plan summary shows: state changed behind a `no-op`, and state secrets carried out in keys. The
//! fixtures are plans that real Terraform 1.11 made of the attacks.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests are tests")]

use manifest_schema::plan::ResourceAction::{self, DeleteCreate, Forget, Import, Move, Update};
use manifest_schema::plan::{Finding, Severity, TerraformChanges};
use policy::plan::{Effects, PlanError, PlanParts, RULES, Verdict, Written, findings, verdict};
use serde_json::{Value, json};

/// `import` and `moved` blocks for resources that stay as they are, that change and that are replaced; a `removed`
/// block; two resources that really stay as they are.
const IMPORTS_AND_MOVES: &[u8] = include_bytes!("fixtures/imports-and-moves.json");

/// What a saved plan comes to whose output of `terraform show -json` this is: on no state, without providers, of authors
/// who wrote everything that is in it.
fn summarise(json: &[u8], shown: &[String]) -> Result<TerraformChanges, PlanError> {
    summarise_of(json, shown, &[str::from_utf8(json).unwrap()])
}

/// The same, of authors who wrote this.
fn summarise_of(json: &[u8], shown: &[String], texts: &[&str]) -> Result<TerraformChanges, PlanError> {
    let mut written = Written::default();
    texts.iter().for_each(|text| written.add(text));
    let state = br#"{"version":4,"serial":0,"lineage":""}"#;
    policy::plan::summarise(PlanParts { json, state, lock: b"", written: &written }, shown)
}

fn actions(plan: &[u8]) -> Vec<(String, ResourceAction)> {
    summarise(plan, &[]).unwrap().changes.into_iter().map(|change| (change.address, change.action)).collect()
}

fn of(terraform: &TerraformChanges) -> Effects<'_> {
    Effects { terraform: Some(terraform), ..Default::default() }
}

fn found(plan: &[u8]) -> Vec<Finding> {
    findings(of(&summarise(plan, &[]).unwrap()))
}

#[test]
fn an_import_or_a_move_cannot_hide_behind_a_no_op() {
    let listed = actions(IMPORTS_AND_MOVES);
    let listed: Vec<_> = listed.iter().map(|(address, action)| (address.as_str(), *action)).collect();
    assert_eq!(
        listed,
        [
            ("terraform_data.foreign", Import),
            ("terraform_data.foreign_changed", Update),
            ("terraform_data.foreign_changed", Import),
            ("terraform_data.foreign_replaced", DeleteCreate),
            ("terraform_data.foreign_replaced", Import),
            ("terraform_data.forgotten", Forget),
            ("terraform_data.renamed (moved from terraform_data.old)", Move),
            ("terraform_data.renamed_changed", Update),
            ("terraform_data.renamed_changed (moved from terraform_data.old_changed)", Move),
            ("terraform_data.renamed_replaced", DeleteCreate),
            ("terraform_data.renamed_replaced (moved from terraform_data.old_replaced)", Move),
        ]
    );
}

#[test]
fn every_import_move_and_removal_needs_a_person() {
    let found = found(IMPORTS_AND_MOVES);
    let rules: Vec<_> = found.iter().map(|f| format!("{} {}", f.rule, f.address)).collect();
    assert_eq!(
        rules,
        [
            "resource.forgotten terraform_data.forgotten",
            "resource.imported terraform_data.foreign",
            "resource.imported terraform_data.foreign_changed",
            "resource.imported terraform_data.foreign_replaced",
            "resource.moved terraform_data.renamed (moved from terraform_data.old)",
            "resource.moved terraform_data.renamed_changed (moved from terraform_data.old_changed)",
            "resource.moved terraform_data.renamed_replaced (moved from terraform_data.old_replaced)",
            "resource.replaced terraform_data.foreign_replaced",
            "resource.replaced terraform_data.renamed_replaced",
        ]
    );
    assert!(found.iter().all(|finding| finding.severity == Severity::High));
    assert_eq!(verdict(&found), Verdict::Person);
    assert_eq!(RULES, "2026-11-10", "plans that older rules judged are stale");
}

#[test]
fn the_id_of_an_import_does_not_leave() {
    let shown = ["terraform_data.id".to_owned()];
    for shown in [&[][..], &shown] {
        let summary = summarise(IMPORTS_AND_MOVES, shown).unwrap();
        let imports = summary.changes.iter().filter(|change| change.action == Import);
        assert!(imports.clone().count() == 3 && imports.into_iter().all(|change| change.values.is_empty()));
    }
    let text = serde_json::to_string(&summarise(IMPORTS_AND_MOVES, &[]).unwrap()).unwrap();
    assert!(!text.contains("PLANTED"), "{text}");
}

/// One resource that stays as it is, but for `edit`.
fn no_op(edit: impl Fn(&mut Value)) -> Vec<u8> {
    let mut resource = json!({"address": "t.a", "mode": "managed", "type": "t",
        "change": {"actions": ["no-op"], "before": {"x": 1}, "after": {"x": 1}}});
    edit(&mut resource);
    serde_json::to_vec(&json!({"format_version": "1.2", "terraform_version": "1", "resource_changes": [resource]}))
        .unwrap()
}

#[test]
fn whatever_shape_an_import_or_a_move_has_it_is_seen() {
    for importing in
        [json!({"id": "x"}), json!({"identity": {"a": 1}}), json!({"unknown": true}), json!({}), json!("x")]
    {
        let plan = no_op(|resource| resource["change"]["importing"] = importing.clone());
        assert_eq!(actions(&plan), [("t.a".to_owned(), Import)], "{importing}");
    }
    let both = no_op(|resource| {
        resource["change"]["importing"] = json!({"id": "x"});
        resource["previous_address"] = json!("t.b");
    });
    assert_eq!(actions(&both), [("t.a".to_owned(), Import), ("t.a (moved from t.b)".to_owned(), Move)]);
    let neither = no_op(|resource| {
        resource["change"]["importing"] = Value::Null;
        resource["previous_address"] = Value::Null;
    });
    assert_eq!(actions(&neither), []);
}

/// A refresh-only plan lists moves as drift alone.
#[test]
fn a_move_that_is_listed_as_drift_is_found() {
    let mut plan: Value = serde_json::from_slice(&no_op(|r| r["previous_address"] = json!("t.b"))).unwrap();
    plan["resource_drift"] = plan["resource_changes"].take();
    let rules: Vec<_> = found(&serde_json::to_vec(&plan).unwrap()).into_iter().map(|f| f.rule).collect();
    assert_eq!(rules, ["resource.moved"]);
}

/// A resource's state has a token; other resources use it in a key of `for_each`, of a module and of a map. The token
/// is marked in the state, in what would be, in an output and in the resource itself, which stays as it is.
const STATE_SECRET: &[u8] = include_bytes!("fixtures/state-secret-in-keys.json");

/// The plan, but only those of its changed resources that `keep` wants, and the sensitive places that `edit` leaves.
fn secret_plan(keep: &[&str], edit: impl Fn(&mut Value)) -> Vec<u8> {
    let mut plan: Value = serde_json::from_slice(STATE_SECRET).unwrap();
    let wanted = |resource: &Value| keep.iter().any(|keep| resource["address"].as_str().unwrap().contains(keep));
    plan["resource_changes"].as_array_mut().unwrap().retain(wanted);
    edit(&mut plan);
    serde_json::to_vec(&plan).unwrap()
}

fn refused(plan: &[u8]) -> String {
    let error = summarise(plan, &["terraform_data.input".to_owned()]).unwrap_err();
    assert!(matches!(error, PlanError::SensitiveKey { .. }), "{error}");
    assert!(!format!("{error} {error:?}").contains("PLANTED"), "{error}");
    error.to_string()
}

#[test]
fn a_state_secret_cannot_leave_in_a_key() {
    for (attack, place) in [
        ("terraform_data.copy", "terraform_data.copy[…]: "),
        ("module.m", "module.m[…].terraform_data.in: "),
        ("terraform_data.map", "terraform_data.map in input: "),
    ] {
        let said = refused(&secret_plan(&[attack], |_| {}));
        assert!(said.starts_with(place), "{said}");
    }
    refused(STATE_SECRET);
    assert!(summarise(&secret_plan(&["terraform_data.secret"], |_| {}), &[]).unwrap().changes.is_empty());
}

#[test]
fn a_state_secret_cannot_leave_in_the_address_that_a_move_comes_from() {
    refused(&secret_plan(&["terraform_data.secret"], |plan| {
        plan["resource_changes"][0]["previous_address"] = json!("terraform_data.x[\"PLANTED-STATE-SECRET\"]");
    }));
    refused(&secret_plan(&["terraform_data.copy"], |plan| plan["resource_drift"] = plan["resource_changes"].take()));
}

#[test]
fn quoting_does_not_hide_a_secret_in_a_key() {
    for (secret, key) in [
        ("say \"hello\"", r#"say \"hello\""#),
        ("back\\slash", r"x-back\\slash"),
        ("two\nlines", r"two\nlines"),
        ("dollar${x}%{y}", "dollar$${x}%%{y}"),
        ("bell\u{7}rings", r"bell\u0007rings"),
        ("closes\"].early", r#"closes\"].early"#),
        ("four", "four"),
    ] {
        refused(&secret_plan(&["terraform_data.copy"], |plan| {
            plan["resource_changes"][0]["address"] = json!(format!("terraform_data.copy[\"{key}\"]"));
            plan["output_changes"]["password"]["before"] = json!(secret);
        }));
    }
}

/// Wherever the plan marks the secret, one mark is enough.
#[test]
fn each_mark_alone_is_seen() {
    let unmark = |plan: &mut Value| {
        for part in ["planned_values", "prior_state", "output_changes"] {
            plan.as_object_mut().unwrap().remove(part).expect(part);
        }
    };
    let attack = "terraform_data.copy";
    assert!(summarise(&secret_plan(&[attack], unmark), &[]).is_ok(), "nothing else marks it");
    let whole: Value = serde_json::from_slice(STATE_SECRET).unwrap();
    for part in ["planned_values", "prior_state", "output_changes"] {
        refused(&secret_plan(&[attack], |plan| {
            unmark(plan);
            plan[part] = whole[part].clone();
        }));
    }
    refused(&secret_plan(&[attack, "terraform_data.secret"], unmark));
    let values = |plan: &mut Value, values: Value| {
        unmark(plan);
        plan["prior_state"] = json!({"values": values});
    };
    let output = json!({"outputs": {"x": {"sensitive": true, "value": ["PLANTED-STATE-SECRET"]}}});
    refused(&secret_plan(&[attack], |plan| values(plan, output.clone())));
    let resource = json!({"address": "t.a", "values": {"x": "PLANTED-STATE-SECRET"}, "sensitive_values": {"x": true}});
    let nested = json!({"root_module": {"child_modules": [{"child_modules": [{"resources": [resource]}]}]}});
    refused(&secret_plan(&[attack], |plan| values(plan, nested.clone())));
}

#[test]
fn chance_does_not_refuse_a_plan() {
    for (secret, key) in [("web", "web"), ("user", "user-a"), ("prod", "production"), ("longer secret", "longer")] {
        let plan = secret_plan(&["terraform_data.copy"], |plan| {
            plan["resource_changes"][0]["address"] = json!(format!("terraform_data.copy[\"{key}\"]"));
            plan["output_changes"]["password"]["before"] = json!(secret);
        });
        assert!(summarise(&plan, &[]).is_ok(), "{key}");
    }
}

#[test]
fn other_errors_do_not_tell_keys_either() {
    let actions = |plan: &mut Value| plan["resource_changes"][0]["change"]["actions"] = json!(["open"]);
    let error = summarise(&secret_plan(&["terraform_data.copy"], actions), &[]).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("PLANTED"), "{error}");
    let plan = no_op(|_| {});
    let twice = String::from_utf8(plan).unwrap().replace("t.a", "t.a[\\\"PLANTED\\\"]").replace("no-op", "update");
    let twice = twice.replace("{\"x\":1}", "{\"x\":1,\"x\":1}");
    let error = summarise(twice.as_bytes(), &[]).unwrap_err();
    assert_eq!(error.to_string(), "t.a[…]: its values can't be read: a key is repeated");
}

/// A plan that changes the maps of two instances with these keys, and deletes one.
fn with_keys(key: &str, member: &str) -> Vec<u8> {
    let change = |address: String, actions: &[&str], after: Value| {
        let before = json!({"input": {"kind": "old", member: "1"}});
        json!({"address": address, "mode": "managed", "type": "terraform_data",
            "change": {"actions": actions, "before": before, "after": after, "after_unknown": {}}})
    };
    let after = json!({"input": {"kind": "new", member: "2"}});
    let plan = json!({"format_version": "1.2", "terraform_version": "1.11.0", "complete": true, "resource_changes": [
        change(format!("module.zone[\"{key}\"].terraform_data.copy[\"{key}\"]"), &["update"], after.clone()),
        change(format!("terraform_data.copy[\"{key}\"]"), &["delete"], Value::Null),
        change("terraform_data.copy[\"web\"]".to_owned(), &["update"], after.clone()),
        change("terraform_data.counted[4711]".to_owned(), &["update"], after),
    ]});
    plan.to_string().into_bytes()
}

/// Threat model, row 37: `for_each = toset([base64encode(x.output)])`, and the names that a data source found.
#[test]
fn a_key_that_nobody_wrote_is_withheld_and_needs_a_person() {
    let authors = ["for_each = toset([\"web\"])", "resource \"terraform_data\" \"copy\" { input = { kind = 1 } }"];
    let plan = with_keys("aHVudGVyMg==", "c2VjcmV0");
    let summary = summarise_of(&plan, &[], &authors).unwrap();
    let told: Vec<_> =
        summary.changes.iter().map(|change| (change.address.as_str(), change.attributes.join(" "))).collect();
    let told: Vec<_> = told.iter().map(|(address, attributes)| (*address, attributes.as_str())).collect();
    let paths = "input.kind input[…]";
    assert_eq!(
        told,
        [
            ("module.zone[\"(withheld 1)\"].terraform_data.copy[\"(withheld 1)\"]", paths),
            ("terraform_data.copy[\"(withheld 1)\"]", ""),
            ("terraform_data.copy[\"web\"]", paths),
            ("terraform_data.counted[4711]", paths),
        ]
    );
    let text = serde_json::to_string(&summary).unwrap() + &serde_json::to_string(&findings(of(&summary))).unwrap();
    assert!(!text.contains("aHVudGVyMg") && !text.contains("c2VjcmV0"), "{text}");
    let found: Vec<_> = findings(of(&summary)).into_iter().map(|f| (f.rule, f.address)).collect();
    let rules: Vec<_> = found.iter().map(|(rule, address)| format!("{rule} {address}")).collect();
    assert_eq!(
        rules,
        [
            "resource.deleted terraform_data.copy[\"(withheld 1)\"]",
            "key.withheld module.zone[\"(withheld 1)\"].terraform_data.copy[\"(withheld 1)\"]",
            "key.withheld terraform_data.copy[\"(withheld 1)\"]",
        ]
    );
}

#[test]
fn a_member_of_a_map_is_named_if_somebody_wrote_it_or_the_trust_policy_shows_the_map() {
    let plan = with_keys("web", "c2VjcmV0");
    let texts = ["\"web\" kind"];
    let attributes = |shown: &[&str], texts: &[&str]| {
        let shown: Vec<_> = shown.iter().map(|name| (*name).to_owned()).collect();
        summarise_of(&plan, &shown, texts).unwrap().changes.swap_remove(0).attributes.join(" ")
    };
    assert_eq!(attributes(&[], &texts), "input.kind input[…]");
    assert_eq!(attributes(&["terraform_data.input"], &texts), "input.c2VjcmV0 input.kind");
    assert_eq!(attributes(&["terraform_data.input.c2VjcmV0"], &texts), "input.c2VjcmV0 input.kind");
    assert_eq!(attributes(&[], &["\"web\" kind", "c2VjcmV0"]), "input.c2VjcmV0 input.kind");
}
