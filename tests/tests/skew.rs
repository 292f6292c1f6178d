//! A gateway and a worker of different versions. Threat model, row 42.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed helper is a failed test")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use flows::Scratch;

/// From now on workers are too old for what the gateway writes: each works on a copy of the production store in which
/// `file` of its job is of a schema that it doesn't know.
fn with_an_older_worker(scratch: &mut Scratch, file: &str) {
    let wrapper = scratch.outside("older-worker");
    let (mine, real) = (scratch.path(".airlock/newer-production"), flows::programs().join("airlock-worker"));
    let script = format!(
        "#!/bin/sh\nset -eu\nfor job; do :; done\ncp -R '{production}' '{mine}'\nfile='{mine}'/jobs/$job/{file}\n\
         chmod u+w \"$file\"\nsed -i 's,/v1\",/v2\",' \"$file\"\nexec '{real}' --config '{mine}/config/planner.json' \"$job\"\n",
        production = scratch.production("").display(),
        mine = mine.display(),
        real = real.display(),
    );
    fs::write(&wrapper, script).unwrap();
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).unwrap();
    scratch.set("AIRLOCK_WORKER", wrapper);
}

#[test]
fn a_job_that_its_worker_cannot_read_ends_and_its_log_names_both_versions() {
    for (file, schema) in [("request.json", "job-request"), ("events/000001.json", "job-event")] {
        let mut scratch = Scratch::new();
        with_an_older_worker(&mut scratch, file);
        let manifest = scratch.publish();
        let launch = ["launch-deploy-job", &manifest, "--action", "plan", "--follow"];
        let ran = scratch.airlock(&launch).exits(5).explains(&["worker.died", "before it took the job", "its log"]);
        let job = scratch.jobs("plan").remove(0);
        let log = fs::read_to_string(scratch.production(&format!("logs/{job}.log"))).unwrap();
        assert!(log.contains(&format!("airlock/{schema}/v2")), "{log}{}", ran.all());
        assert!(log.contains(&format!("airlock/{schema}/v1")) && log.contains("upgrade the older side"), "{log}");
        // Once both are of one version, the same launch is a new job.
        scratch.unset("AIRLOCK_WORKER");
        scratch.ok(&launch);
        assert_eq!(scratch.jobs("plan").len(), 2);
    }
}

#[test]
fn what_the_gateway_cannot_read_is_told_at_once_and_is_no_tampering() {
    for file in ["request.json", "events/000002.json"] {
        let scratch = Scratch::new();
        let manifest = scratch.publish();
        let job = scratch.ok(&["launch-deploy-job", &manifest, "--action", "plan", "--follow"]).line();
        let path = scratch.production(&format!("jobs/{job}/{file}"));
        let text = fs::read_to_string(&path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, text.replacen("/v1\"", "/v2\"", 1)).unwrap();
        for follow in [&[][..], &["--follow"]] {
            let ran = scratch.airlock(&[&["get-deploy-job-status", &job][..], follow].concat()).exits(1);
            ran.explains(&[file, "/v2\"; this version reads \"airlock/job-", "another version of airlock wrote it"]);
        }
        // Whoever cleans up after this reads it, too.
        fs::write(&path, text).unwrap();
    }
}

/// A chain of events holds the hash of each, so a code that its reader doesn't know must not change on the way.
#[test]
fn a_reason_code_of_a_newer_worker_is_folded_and_told() {
    let scratch = Scratch::new();
    scratch.replace(&scratch.production("config/planner.json"), "\"region\": \"local\"", "\"region\": \"moon\"");
    let manifest = scratch.publish();
    let launch = ["launch-deploy-job", &manifest, "--action", "plan", "--follow"];
    scratch.airlock(&launch).exits(3).explains(&["environment.mismatch"]);
    let job = scratch.jobs("plan").remove(0);
    let last = scratch.event_path(&job, scratch.events(&job).len());
    for (code, exit) in [("environment.eclipsed", 3), ("approval.outvoted", 4)] {
        let text = fs::read_to_string(&last).unwrap();
        let known = scratch.end_of(&job).1.remove(0);
        fs::remove_file(&last).unwrap();
        fs::write(&last, text.replacen(&known, code, 1)).unwrap();
        let ran = scratch.airlock(&["get-deploy-job-status", &job, "--follow"]).exits(exit);
        ran.explains(&[code, &format!("airlock explain {code}")]);
    }
    scratch.ok(&["audit", "log"]);
}
