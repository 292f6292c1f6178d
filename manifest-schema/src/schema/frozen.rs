//! Threat model, row 42: documents of version 1 as programs wrote them are read for as long as there is a version 1, and
//! are the same bytes when they are written again. They are in `fixtures/v1/`, each named after its schema.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::*;
use crate::keys::PublicKey;
use crate::statement::Verified;

/// Nothing writes them yet.
const NOT_WRITTEN: [&str; 2] = ["authors", "review-statement"];
/// People's tools read them, ours never do.
const NEVER_READ: [&str; 4] = ["envelope", "image-report", "manifest-diff", "manifest-report"];
const HINT: &str = "version 1 has changed: make a version 2 and keep reading this one. Only if version 1 was never \
                    released: `make freeze`";

/// All fixtures by their names without `.json`.
fn fixtures() -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/v1")).unwrap();
    let files = entries.map(|entry| entry.unwrap().path());
    files.map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap())).collect()
}

fn document<D: Document>(name: &str, bytes: &[u8]) -> D {
    let read = D::from_bytes(bytes).unwrap_or_else(|error| panic!("{name}: {error}; {HINT}"));
    assert_eq!(String::from_utf8(read.to_bytes()), String::from_utf8(bytes.to_vec()), "{name}: {HINT}");
    read
}

fn statement<P: Predicate>(name: &str, envelope: &[u8], keys: &[PublicKey]) {
    let verified = Verified::<P>::open(envelope, keys).unwrap_or_else(|error| panic!("{name}: {error}; {HINT}"));
    let payload = crate::dsse::inspect(envelope).unwrap().payload;
    let read: Statement<P> = serde_json::from_slice(&payload).unwrap();
    assert_eq!(String::from_utf8(crate::json::to_bytes(&read)), String::from_utf8(payload), "{name}: {HINT}");
    assert_eq!(verified.signers().len(), 1);
}

#[test]
fn what_was_written_is_read_and_written_again_byte_for_byte() {
    let all = fixtures();
    let policy: TrustPolicy = document("trust-policy", &all["trust-policy"]);
    let (keys, roles) = (|role| policy.keys_of(role), &policy.roles);
    let approvers: Vec<PublicKey> = policy.keys.values().copied().collect();
    for (name, bytes) in &all {
        match name.split('.').next().unwrap_or(name) {
            "approval-statement" => statement::<statement::Approval>(name, bytes, &approvers),
            "build-manifest" => drop(document::<BuildManifest>(name, bytes)),
            "build-pointer" => drop(document::<BuildPointer>(name, bytes)),
            "build-statement" => statement::<statement::Build>(name, bytes, &keys(&roles.builder)),
            "cancel-request" => drop(document::<CancelRequest>(name, bytes)),
            "cancel-response" => drop(document::<CancelResponse>(name, bytes)),
            "claim" => drop(document::<Claim>(name, bytes)),
            "deployment-record" => drop(document::<DeploymentRecord>(name, bytes)),
            "deployment-statement" => statement::<statement::Deployment>(name, bytes, &keys(&roles.deployer)),
            "heartbeat" => drop(document::<Heartbeat>(name, bytes)),
            "job-event" => drop(document::<Event>(name, bytes)),
            "job-request" => drop(document::<JobRequest>(name, bytes)),
            "launch-pointer" => drop(document::<LaunchPointer>(name, bytes)),
            "launch-request" => drop(document::<LaunchRequest>(name, bytes)),
            "launch-response" => drop(document::<LaunchResponse>(name, bytes)),
            "lease" => drop(document::<Lease>(name, bytes)),
            "plan-pointer" => drop(document::<PlanPointer>(name, bytes)),
            "plan-statement" => statement::<statement::Plan>(name, bytes, &keys(&roles.planner)),
            "plan-summary" => drop(document::<PlanSummary>(name, bytes)),
            "status-request" => drop(document::<StatusRequest>(name, bytes)),
            "status-response" => drop(document::<StatusResponse>(name, bytes)),
            "trust-policy" => drop(document::<TrustPolicy>(name, bytes)),
            "trust-policy-statement" => statement::<statement::TrustPolicy>(name, bytes, &keys(&roles.root)),
            "trust-record" => drop(document::<TrustRecord>(name, bytes)),
            _ => panic!("{name} is no document of ours"),
        }
    }
}

/// Or it could change without anybody noticing.
#[test]
fn every_kind_of_artifact_and_of_variable_is_frozen() {
    let manifest: BuildManifest = document("build-manifest.everything", &fixtures()["build-manifest.everything"]);
    let kinds: BTreeSet<String> = manifest.artifacts.iter().map(|artifact| artifact.kind().to_string()).collect();
    assert_eq!(kinds, ["directory", "file", "image", "provider", "terraform"].map(str::to_owned).into());
    let written: serde_json::Value = serde_json::from_slice(&manifest.to_bytes()).unwrap();
    let fields = |list: &serde_json::Value| -> BTreeSet<String> {
        list.as_array().unwrap().iter().flat_map(|one| one.as_object().unwrap().keys().cloned()).collect()
    };
    let artifacts = fields(&written["artifacts"]);
    assert!(["files", "links", "modules", "blobs", "provider"].iter().all(|field| artifacts.contains(*field)));
    let variables = manifest.terraform().unwrap().1.values().map(|variable| serde_json::to_value(variable).unwrap());
    let variables = fields(&variables.collect());
    assert_eq!(variables, ["digestOf", "parameter", "secret", "value"].map(str::to_owned).into());
}

#[test]
fn every_document_and_every_kind_of_event_is_frozen() {
    let all = fixtures();
    let kinds: BTreeSet<&str> = all.keys().filter_map(|name| name.split('.').next()).collect();
    let missing: Vec<_> = names().iter().filter(|name| !kinds.contains(*name)).copied().collect();
    let mut expected = [&NOT_WRITTEN[..], &NEVER_READ].concat();
    expected.sort_unstable();
    assert_eq!(missing, expected, "of a new document there must be a fixture: `make freeze`");
    for happening in strict::happenings() {
        let tag = serde_json::to_value(happening).unwrap()["type"].as_str().unwrap().to_owned();
        assert!(
            all.contains_key(&format!("job-event.{tag}")),
            "a new kind of event, {tag}, is a new version of job-event"
        );
    }
}
