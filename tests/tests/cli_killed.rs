//! The command line is killed with `kill -9` wherever it may be; run again, it continues, and exactly one apply happens.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed helper is a failed test")]

use flows::Scratch;

fn killed_when_it_says(text: &str) {
    let scratch = Scratch::new();
    let deploy = scratch.start_deploy();
    deploy.wait_for(text);
    deploy.kill();
    let again = scratch.deploy().exits(0);
    assert_eq!(scratch.jobs("apply").len(), 1, "{}", again.all());
    assert_eq!(scratch.jobs("plan").len(), 1, "{}", again.all());
    let records = scratch.records();
    assert_eq!(records.len(), 1, "exactly one apply");
    scratch.expect_consistent(records[0]["manifest"].as_str().unwrap());
    assert!(!scratch.path(".airlock/changes/CHG-2.json").exists(), "the open change is found again");
    let change = scratch.json(&["change", "show", "CHG-1"]).exits(0).json();
    assert_eq!(change["change"]["status"], "resolved", "{change:#}");
}

macro_rules! killed {
    ($($test:ident: $text:literal,)*) => {$(
        #[test]
        fn $test() {
            killed_when_it_says($text);
        }
    )*};
}

killed! {
    a_deploy_killed_when_it_has_built: "build 0.1 of hello",
    a_deploy_killed_when_it_has_published: "published: ",
    a_deploy_killed_when_it_has_launched_the_plan: "plan job ",
    a_deploy_killed_while_the_worker_plans: "fetched and checked",
    a_deploy_killed_when_the_plan_is_made: "ended: succeeded",
    a_deploy_killed_when_the_change_is_open: "change CHG-1",
    a_deploy_killed_when_it_has_approved: "approved with",
    a_deploy_killed_when_it_has_launched_the_apply: "apply job ",
    a_deploy_killed_while_the_worker_applies: "step 1, terraform infra: begins",
    a_deploy_killed_when_all_is_recorded: "recorded as deployment 1",
}
