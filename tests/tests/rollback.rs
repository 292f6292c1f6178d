//! `airlock deploy --rollback-to`.
#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

use flows::{Run, Scratch};

const APPROVER: &str = ".airlock/keys/approver.pem";

fn back(scratch: &Scratch, to: &str) -> Run {
    scratch.airlock(&["deploy", "--rollback-to", to, "--approve-with", APPROVER])
}

/// Production after builds 0.1, 0.2 and 0.3.
fn after_three() -> Scratch {
    let scratch = Scratch::new();
    for page in ["one", "two", "three"] {
        scratch.change_page(page);
        scratch.deploy().exits(0);
    }
    scratch
}

#[test]
fn it_goes_back_to_what_was_deployed_before_and_further_back_each_time() {
    let mut scratch = after_three();
    scratch.write("not-committed", "what is here doesn't matter");
    back(&scratch, "previous").exits(0).says("deployed build 0.2 of hello");
    back(&scratch, "previous").exits(0).says("deployed build 0.1 of hello");
    let end = back(&scratch, "previous").exits(1).says("no build below 0.1 was ever deployed completely to production");
    assert!(end.all().contains("airlock audit log"), "{}", end.all());
    back(&scratch, "1").exits(0).says("build 0.1 of hello runs in production already");
    back(&scratch, "3").exits(1).says("build 0.3 is above 0.1").says("--build");
    back(&scratch, "7").exits(1).says("has no build 7 of hello");
    let builds: Vec<_> = scratch.records().iter().map(|record| record["build"].clone()).collect();
    assert_eq!(builds, ["0.1", "0.2", "0.3", "0.2", "0.1"]);
    scratch.audit();
    // On a narrow terminal, too.
    scratch.set("COLUMNS", "40");
    let told = scratch.ok(&["deployed"]).stdout;
    assert!(told.lines().all(|line| line.len() <= 40), "{told}");
}

#[test]
fn a_person_must_say_rollback() {
    let scratch = after_three();
    let waited = scratch.airlock(&["deploy", "--rollback-to", "0.1", "--timeout", "1"]).exits(6);
    assert!(waited.all().contains("they must approve with --rollback"), "{}", waited.all());
    assert_eq!(scratch.records().len(), 3);
}

#[test]
fn where_nothing_runs_there_is_nothing_to_go_back_to() {
    let scratch = Scratch::new();
    back(&scratch, "previous").exits(1).says("nothing runs in production that could be rolled back");
    back(&scratch, "yesterday").exits(2).says("expected previous, a build's number, or epoch.number");
}
