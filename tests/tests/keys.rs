//! Keys of instances: those that authors wrote are told, those that are made of what production knows are not.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed helper is a failed test")]

use flows::Scratch;

const SECRET: &str = "PLANTED-IN-THE-STATE";
/// [`SECRET`] in base64.
const KEY: &str = "UExBTlRFRC1JTi1USEUtU1RBVEU=";

fn resources(scratch: &Scratch, tiers: &str, more: &str) {
    let text = format!(
        "resource \"terraform_data\" \"secret\" {{\n  input = \"{SECRET}\"\n}}\n\n\
         resource \"terraform_data\" \"tier\" {{\n  for_each = toset([{tiers}])\n  input    = each.key\n}}\n{more}"
    );
    scratch.write("infra/keys.tf", text);
    scratch.commit("Change the keys");
}

/// Threat model, row 37. The second build's text has neither the secret's encoding nor the tier that goes away.
#[test]
fn threat_37_a_key_made_of_state_is_withheld_and_one_that_an_older_build_wrote_is_told() {
    let scratch = Scratch::new();
    resources(&scratch, "\"blue\", \"green\"", "");
    scratch.deploy().exits(0);
    let copy = "\nresource \"terraform_data\" \"copy\" {\n  for_each = toset([base64encode(terraform_data.secret.output)])\n}\n";
    resources(&scratch, "\"green\"", copy);

    let planned = scratch.planned();
    let summary = scratch.read(&scratch.production(&format!("jobs/{}/plan/summary.json", planned.job)));
    let changes = summary["terraform"]["changes"].as_array().unwrap();
    let told: Vec<_> = changes.iter().map(|change| (change["address"].as_str().unwrap(), &change["action"])).collect();
    let expected = [
        ("terraform_data.copy[\"(withheld 1)\"]", &"create".into()),
        ("terraform_data.tier[\"blue\"]", &"delete".into()),
    ];
    assert_eq!(told, expected);
    let findings = summary["findings"].as_array().unwrap();
    let withheld = findings.iter().find(|finding| finding["rule"] == "key.withheld").unwrap();
    assert_eq!(withheld["address"], expected[0].0);

    let approval = scratch.approve(&planned);
    let applied = scratch.apply(&planned, &[&approval]).run.exits(0);
    assert!(scratch.state().to_string().contains(KEY), "{}", scratch.state());
    let jobs = ["plan", "apply"].into_iter().flat_map(|action| scratch.jobs(action));
    let told = jobs.map(|job| format!("{:?}", scratch.events(&job))).collect::<String>()
        + &applied.all()
        + &summary.to_string();
    assert!(!told.contains(KEY) && !told.contains(SECRET), "{told}");
}
