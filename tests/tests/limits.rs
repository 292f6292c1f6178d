//! What Terraform may use while it plans.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed helper is a failed test")]

use std::fs;

use flows::Scratch;

#[test]
fn a_plan_that_wants_more_memory_than_it_may_have_ends_before_the_machine_does() {
    let scratch = Scratch::new();
    let file = scratch.production("config/planner.json");
    let mut planner = scratch.read(&file);
    planner["terraformMemory"] = 256.into();
    fs::write(&file, planner.to_string()).unwrap();
    scratch.deploy().exits(0);

    let greedy = "output \"many\" {\n  value = length(setproduct(range(1000), range(1000), range(1000)))\n}\n";
    scratch.write("infra/greedy.tf", greedy);
    scratch.commit("Want a billion of something");
    let ran = scratch.deploy().exits(5).explains(&["terraform.failed", "raise terraformMemory"]);
    assert!(ran.all().contains("needed more than 256 MiB"), "{}", ran.all());
}
