//! `airlock audit verify` finds whatever was changed after the fact.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed helper is a failed test")]

use std::fs;
use std::path::{Path, PathBuf};

use flows::Scratch;

/// A deployment, and where its documents are.
struct Deployed {
    scratch: Scratch,
    job: String,
    manifest: String,
}

fn deployed() -> Deployed {
    let scratch = Scratch::new();
    scratch.deploy().exits(0);
    scratch.audit();
    let job = scratch.job("apply", 1);
    let manifest = scratch.records()[0]["manifest"].as_str().unwrap().trim_start_matches("sha256:").to_owned();
    Deployed { scratch, job, manifest }
}

impl Deployed {
    fn attestation(&self, kind: &str) -> PathBuf {
        self.scratch.only_file(&self.scratch.artifacts(&format!("attestations/{}/{kind}", self.manifest)))
    }

    fn record(&self) -> PathBuf {
        self.scratch.production("environments/production/hello/deployed/000001.json")
    }

    /// Expects that the audit refuses, and says this.
    #[track_caller]
    fn is_found(&self, says: &str) {
        let audit = self.scratch.airlock(&["audit", "verify"]);
        assert_eq!(audit.code, 3, "{}", audit.all());
        assert!(audit.all().contains(says), "{says:?} is not said:\n{}", audit.all());
    }
}

fn put(path: &Path, bytes: impl AsRef<[u8]>) {
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

fn edit(path: &Path, old: &str, new: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(old), "{text}");
    put(path, text.replace(old, new));
}

#[test]
fn an_event_that_was_edited() {
    let deployed = deployed();
    // In the middle of the chain, and one that decides nothing.
    let events = deployed.scratch.events(&deployed.job);
    let number = events.iter().position(|event| format!("{:?}", event.event).starts_with("Progress")).unwrap() + 1;
    edit(&deployed.scratch.event_path(&deployed.job, number), "terraform_data", "terraform_lies");
    deployed.is_found("doesn't hold the hash of the event before");
}

#[test]
fn the_last_event_edited() {
    let deployed = deployed();
    let last = deployed.scratch.events(&deployed.job).len();
    edit(&deployed.scratch.event_path(&deployed.job, last), "\"succeeded\"", "\"failed\"");
    deployed.is_found("the job ended as failed, but the record says succeeded");
}

#[test]
fn an_event_that_was_removed() {
    let deployed = deployed();
    fs::remove_file(deployed.scratch.event_path(&deployed.job, 4)).unwrap();
    deployed.is_found("missing");
}

/// Whoever looks closes a job without an end as interrupted; but the record says what it had done.
#[test]
fn the_end_of_the_events_removed() {
    let deployed = deployed();
    let last = deployed.scratch.events(&deployed.job).len();
    for number in (last - 2)..=last {
        fs::remove_file(deployed.scratch.event_path(&deployed.job, number)).unwrap();
    }
    deployed.is_found("step 2 is Done in the record, Unknown in the events");
}

#[test]
fn a_record_that_was_edited() {
    let deployed = deployed();
    for (old, new) in [("ada-example", "eve-example"), ("\"done\"", "\"failed\""), ("\"succeeded\"", "\"cancelled\"")] {
        edit(&deployed.record(), old, new);
        deployed.is_found("problem");
        edit(&deployed.record(), new, old);
        deployed.scratch.audit();
    }
}

#[test]
fn a_record_that_was_removed() {
    let deployed = deployed();
    deployed.scratch.change_page("the second");
    deployed.scratch.deploy().exits(0);
    deployed.scratch.audit();
    fs::remove_file(deployed.record()).unwrap();
    deployed.is_found("number 1 is missing");
    // With the last one gone, too, only the jobs tell of them.
    fs::remove_file(deployed.record().with_file_name("000002.json")).unwrap();
    deployed.is_found("wrote it, and it is gone");
}

#[test]
fn an_envelope_that_was_swapped() {
    let deployed = deployed();
    for (kind, other) in [("build", "plan"), ("plan", "approval"), ("approval", "build")] {
        let envelope = deployed.attestation(kind);
        let own = fs::read(&envelope).unwrap();
        put(&envelope, fs::read(deployed.attestation(other)).unwrap());
        deployed.is_found("problem");
        put(&envelope, own);
        deployed.scratch.audit();
    }
}

#[test]
fn the_deployers_envelope_swapped_for_another_of_its_own() {
    let deployed = deployed();
    deployed.scratch.change_page("the second");
    deployed.scratch.deploy().exits(0);
    let second = deployed.scratch.job("apply", 2);
    let envelope =
        |job: &str| deployed.scratch.only_file(&deployed.scratch.production(&format!("jobs/{job}/deployment")));
    put(&envelope(&deployed.job), fs::read(envelope(&second)).unwrap());
    deployed.is_found("the signed statement is about another record");
}

#[test]
fn an_approval_that_was_removed() {
    let deployed = deployed();
    fs::remove_file(deployed.attestation("approval")).unwrap();
    deployed.is_found("is missing, or of nobody who may approve");
}

#[test]
fn a_build_manifest_that_was_edited() {
    let deployed = deployed();
    let blob = deployed.scratch.artifacts("blobs/sha256").join(&deployed.manifest);
    edit(&blob, "hello", "hullo");
    deployed.is_found("problem");
}

#[test]
fn a_trust_policy_that_was_edited() {
    let deployed = deployed();
    edit(&deployed.scratch.artifacts("trust/000001/policy.json"), "\"people\": 1", "\"people\": 0");
    deployed.is_found("trust");
}
