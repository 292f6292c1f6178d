//! `airlock explain`: every name that a refusal or a plan says, with what to do about it.

use policy::configuration::Rule;
use policy::plan::FINDING_RULES;
use serde_json::Value;

use crate::world::World;

#[test]
fn every_rule_about_configuration_and_every_finding_is_explained() {
    let world = World::empty();
    let listed = world.ok(&["explain"]).stdout;
    let told: Value = serde_json::from_str(&world.ok(&["explain", "--format", "json"]).stdout).unwrap();
    let rules = Rule::ALL.iter().map(|rule| (rule.code(), rule.meaning(), rule.advice()));
    for (code, meaning, advice) in rules.chain(FINDING_RULES.iter().map(|rule| (rule.name, rule.meaning, rule.advice)))
    {
        assert!(listed.lines().any(|line| line.starts_with(code)), "{code} isn't listed:\n{listed}");
        let expected = serde_json::json!({ "code": code, "meaning": meaning, "advice": advice });
        assert!(told.as_array().unwrap().contains(&expected), "{expected}");
        let one: Value = serde_json::from_str(&world.ok(&["explain", code, "--format", "json"]).stdout).unwrap();
        assert_eq!(one, expected);
    }
    let seen = world.transcript(&["explain", "configuration.data-source"]);
    assert!(seen.contains("reaches outside while Terraform plans") && seen.contains("relax the rule"), "{seen}");
}
