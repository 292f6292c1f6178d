//! What the trust policy says about Terraform: which rules about configuration hold, and which versions run.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed helper is a failed test")]

use flows::Scratch;

fn rules(scratch: &Scratch, change: impl FnOnce(&mut serde_json::Value)) {
    scratch.next_policy(|policy| change(&mut policy["environments"]["production"]["terraform"]));
}

/// The real Terraform shows what the rule kept out: once it is relaxed, the command runs.
#[test]
fn a_rule_holds_until_the_trust_policy_relaxes_that_very_rule() {
    let scratch = Scratch::new();
    let proof = scratch.outside("the-command-ran");
    let text = format!(
        "resource \"terraform_data\" \"run\" {{\n  provisioner \"local-exec\" {{\n    command = \"touch {}\"\n  }}\n}}\n",
        proof.display()
    );
    scratch.write("infra/run.tf", text);
    scratch.commit("Run a command");
    rules(&scratch, |terraform| terraform["relaxed"] = ["configuration.override"].into());
    scratch.deploy().exits(3).explains(&["terraform.forbidden"]);
    assert!(!proof.exists());

    rules(&scratch, |terraform| terraform["relaxed"] = ["configuration.provisioner"].into());
    scratch.deploy().exits(0);
    assert!(proof.exists());
}

#[test]
fn what_leads_out_of_the_bundle_can_be_relaxed_by_nobody() {
    let scratch = Scratch::new();
    let mut policy = scratch.json(&["trust", "show"]).exits(0).json();
    policy["version"] = 2.into();
    for rule in ["configuration.file-path", "configuration.module-source", "configuration.backend", "anything"] {
        policy["environments"]["production"]["terraform"]["relaxed"] = [rule].into();
        scratch.write("trust-policy.json", policy.to_string());
        let sign =
            ["trust", "sign", "trust-policy.json", "--key", ".airlock/keys/root.pem", "--output", "trust.dsse.json"];
        let refused = scratch.airlock(&sign).exits(1);
        assert!(refused.all().contains(rule), "{}", refused.all());
    }
}

#[test]
fn a_version_of_terraform_that_the_trust_policy_does_not_allow_does_nothing() {
    let scratch = Scratch::new();
    rules(&scratch, |terraform| terraform["versions"] = ["terraform 0.11", "opentofu 0.1"].into());
    let refused = scratch.deploy().exits(3).explains(&["terraform.version"]);
    assert!(refused.all().contains("allowed is terraform 0.11, opentofu 0.1"), "{}", refused.all());

    // Any of the installed one's major version.
    let allowed = scratch.terraform_version();
    let allowed = allowed.split('.').next().unwrap();
    rules(&scratch, |terraform| terraform["versions"] = [allowed].into());
    scratch.deploy().exits(0);
}
