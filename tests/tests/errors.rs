//! What goes wrong on its own: one clear message with a next step, the right exit code, nothing half-written, nothing
//! lost.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed helper is a failed test")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use flows::{APPROVER, Run, Scratch};

/// No build can be seen in the store, and no file in it is one that was only begun.
#[track_caller]
fn expect_nothing_published(scratch: &Scratch, run: &Run) {
    assert!(!scratch.artifacts("builds/hello/0.1.json").exists(), "{}", run.all());
    let temporaries = scratch.artifacts("airlock-tmp");
    let left = fs::read_dir(temporaries).map_or(0, Iterator::count);
    assert_eq!(left, 0, "{}", run.all());
}

#[test]
fn a_missing_key() {
    let scratch = Scratch::new();
    scratch.build();
    fs::remove_file(scratch.path("build.dsse.json")).unwrap();
    let sign = ["manifest", "sign", "build-manifest.json", "--key", "nowhere.pem", "--output", "build.dsse.json"];
    scratch.airlock(&sign).exits(1).explains(&["can't read nowhere.pem", "airlock key generate"]);
    assert!(!scratch.path("build.dsse.json").exists());

    fs::rename(scratch.path(".airlock/keys/builder.pem"), scratch.path("builder.pem")).unwrap();
    let run = scratch.deploy().exits(1).explains(&["builder.pem", "--builder-key"]);
    expect_nothing_published(&scratch, &run);
    scratch.airlock(&["deploy", "--builder-key", "builder.pem", "--approve-with", APPROVER]).exits(0);
}

#[test]
fn a_worker_without_its_key() {
    let scratch = Scratch::new();
    let planner = scratch.path(".airlock/keys/planner.pem");
    fs::rename(&planner, scratch.path("elsewhere.pem")).unwrap();
    scratch.deploy().exits(5).explains(&["worker.failed", "can't read the key", "planner.pem"]);
    fs::rename(scratch.path("elsewhere.pem"), &planner).unwrap();
    scratch.deploy().exits(0);
}

#[test]
fn a_worker_whose_configuration_is_none() {
    let scratch = Scratch::new();
    let planner = scratch.production("config/planner.json");
    let sound = fs::read_to_string(&planner).unwrap();
    fs::write(&planner, sound.replacen('{', r#"{"targets": {"each": {"services": ["web"]}},"#, 1)).unwrap();
    let words = ["planner.json can't be used", "name {project} in it once", "correct that file"];
    scratch.deploy().exits(1).explains(&words);
}

#[test]
fn a_wrong_passphrase_or_none() {
    let scratch = Scratch::new();
    scratch.build();
    fs::remove_file(scratch.path("build.dsse.json")).unwrap();
    scratch.write("right.txt", "correct horse\n");
    scratch.write("wrong.txt", "battery staple\n");
    scratch.ok(&["key", "generate", "locked", "--passphrase-file", "right.txt"]);
    let sign = ["manifest", "sign", "build-manifest.json", "--key", "locked.pem", "--output", "build.dsse.json"];
    scratch.airlock(&sign).exits(1).explains(&["locked.pem", "passphrase"]);
    let wrong = scratch.airlock(&[&sign[..], &["--passphrase-file", "wrong.txt"]].concat());
    let wrong = wrong.exits(1).explains(&["wrong passphrase", "check the passphrase file"]);
    assert!(!wrong.all().contains("battery"), "a passphrase is told to nobody: {}", wrong.all());
    assert!(!scratch.path("build.dsse.json").exists());
    scratch.ok(&[&sign[..], &["--passphrase-file", "right.txt"]].concat());
}

/// Root reads everything, unless it gives the right to do so up.
fn without_privilege(scratch: &Scratch, arguments: &[&str]) -> Run {
    if rustix::process::geteuid().is_root() {
        let caps = "-dac_override,-dac_read_search";
        let set = ["--bounding-set", caps, "--inh-caps", caps, "airlock"];
        return scratch.run("setpriv", &[&set, arguments].concat());
    }
    scratch.airlock(arguments)
}

#[test]
fn an_unreadable_artifact() {
    let scratch = Scratch::new();
    let index = scratch.read(&scratch.path("build/image/index.json"));
    let digest = index["manifests"][0]["digest"].as_str().unwrap().trim_start_matches("sha256:").to_owned();
    let part = scratch.path("build/image/blobs/sha256").join(&digest);
    let mode = |mode| fs::set_permissions(&part, fs::Permissions::from_mode(mode)).unwrap();
    mode(0o000);
    let build = ["manifest", "build", "--output", "build-manifest.json"];
    without_privilege(&scratch, &build).exits(1).explains(&[&digest, "ermission denied"]);
    assert!(!scratch.path("build-manifest.json").exists());

    mode(0o644);
    scratch.build();
    mode(0o000);
    let publish = ["publish", "build-manifest.json", "--envelope", "build.dsse.json"];
    let run = without_privilege(&scratch, &publish).exits(1).explains(&[&digest, "ermission denied"]);
    expect_nothing_published(&scratch, &run);
    mode(0o644);
    scratch.ok(&publish);
}

#[test]
fn an_artifact_that_vanished_or_changed_since_it_was_described() {
    let scratch = Scratch::new();
    scratch.build();
    let publish = ["publish", "build-manifest.json", "--envelope", "build.dsse.json"];
    let page = scratch.path("public/style.css");
    let text = fs::read(&page).unwrap();
    fs::remove_file(&page).unwrap();
    let run = scratch.airlock(&publish).exits(1).explains(&["style.css"]);
    expect_nothing_published(&scratch, &run);
    fs::write(&page, "other").unwrap();
    let run = scratch.airlock(&publish).exits(1).explains(&["style.css", "build the manifest again"]);
    expect_nothing_published(&scratch, &run);
    fs::write(&page, text).unwrap();
    scratch.ok(&publish);
}

#[test]
fn an_artifact_that_is_not_there() {
    let scratch = Scratch::new();
    fs::remove_dir_all(scratch.path("build/image")).unwrap();
    let run = scratch.deploy().exits(1).explains(&["build/image"]);
    expect_nothing_published(&scratch, &run);
}

#[test]
fn a_truncated_envelope_and_bytes_that_are_no_json() {
    let scratch = Scratch::new();
    let manifest = scratch.build();
    let verify = ["manifest", "verify", "build-manifest.json", "--envelope", "build.dsse.json"];
    let verify = [&verify[..], &["--key", ".airlock/keys/builder.pub.pem"]].concat();
    let publish = ["publish", "build-manifest.json", "--envelope", "build.dsse.json"];
    let whole = fs::read(scratch.path("build.dsse.json")).unwrap();
    scratch.ok(&verify);
    for bytes in [&whole[..whole.len() / 2], b"", b"\xff\xfe\x00", b"{}", b"null", b"[]"] {
        scratch.write("build.dsse.json", bytes);
        scratch.airlock(&verify).exits(3).explains(&["build.dsse.json"]);
        let run = scratch.airlock(&publish).exits(3).explains(&["build.dsse.json"]);
        expect_nothing_published(&scratch, &run);
    }

    // Cut off in the store, behind everybody's back.
    scratch.write("build.dsse.json", &whole);
    scratch.ok(&publish);
    let folder = scratch.artifacts(&format!("attestations/{}/build", manifest.trim_start_matches("sha256:")));
    let stored = scratch.only_file(&folder);
    fs::remove_file(&stored).unwrap();
    fs::write(&stored, &whole[..whole.len() / 2]).unwrap();
    let launch = ["launch-deploy-job", &manifest, "--action", "plan"];
    scratch.airlock(&launch).exits(3).explains(&["was altered", "find out who changed it"]);
    assert!(scratch.jobs("plan").is_empty());
    fs::remove_file(&stored).unwrap();
    fs::write(&stored, &whole).unwrap();
    scratch.ok(&launch);
}

#[test]
fn a_key_that_is_none_refuses_a_verification() {
    let scratch = Scratch::new();
    scratch.build();
    let verify = ["manifest", "verify", "build-manifest.json", "--envelope", "build.dsse.json", "--key", "k.pem"];
    for content in [&b""[..], b"\xff", b"ssh-ed25519 AAAA", b"-----BEGIN PUBLIC KEY-----\n"] {
        scratch.write("k.pem", content);
        scratch.airlock(&verify).exits(3).explains(&["k.pem"]);
    }
}

#[test]
fn a_store_that_is_not_one() {
    let scratch = Scratch::new();
    let manifest = scratch.build();
    let publish = ["publish", "build-manifest.json", "--envelope", "build.dsse.json", "--store"];
    let not_one = scratch.airlock(&[&publish[..], &["public"]].concat());
    not_one.exits(1).explains(&["is not an Airlock store"]);
    let names: Vec<_> = fs::read_dir(scratch.path("public")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    let a_file = scratch.airlock(&[&publish[..], &["airlock.toml"]].concat());
    a_file.exits(1).explains(&["airlock.toml"]);

    let launch = ["launch-deploy-job", &manifest, "--action", "plan", "--store", "nowhere"];
    scratch.airlock(&launch).exits(1).explains(&["there is no store at nowhere", "check the path"]);
    fs::remove_file(scratch.production("airlock-store.json")).unwrap();
    scratch.publish();
    scratch.airlock(&launch[..4]).exits(1).explains(&["is not an Airlock store"]);
    assert!(!scratch.production("jobs").exists());
}

/// A store on a file system of 64 KiB. Where mounting is not allowed, files may have no more than that instead.
#[test]
fn a_full_disk_while_publishing() {
    let scratch = Scratch::new();
    let noise: String =
        (0..100_000u32).map(|i| char::from(b'a' + (i.wrapping_mul(2_654_435_761) >> 24) as u8 % 26)).collect();
    scratch.write("public/large.txt", noise);
    scratch.commit("Something large");
    scratch.build();
    let script = r#"
        mkdir full
        if mount -t tmpfs -o size=64k none full 2>/dev/null; then echo mounted >how.txt; else
            echo limited >how.txt; trap '' XFSZ; ulimit -f 64
        fi
        airlock publish build-manifest.json --envelope build.dsse.json --store full
        code=$?
        find full -type f >left.txt
        exit $code
    "#;
    let isolated = ["--user", "--map-root-user", "--mount", "sh", "-c", script];
    let mut run = scratch.run("unshare", &isolated);
    if run.stderr.starts_with("unshare: ") {
        run = scratch.run("sh", &["-c", script]);
    }
    run.exits(1).explains(&["no space left on full", "free space and run again", "nothing was half-written"]);
    let left = fs::read_to_string(scratch.path("left.txt")).unwrap();
    let wrong =
        |line: &&str| line.contains("airlock-tmp") || line.contains("builds/") || line.contains("attestations/");
    assert_eq!(left.lines().find(wrong), None, "nothing half-written, nothing that can be seen:\n{left}");
    let large = scratch.build();
    scratch.ok(&["publish", "build-manifest.json", "--envelope", "build.dsse.json"]);
    scratch.ok(&["launch-deploy-job", &large, "--action", "plan", "--follow"]);
}

#[test]
fn a_full_disk_while_the_worker_fetches() {
    let scratch = Scratch::new();
    let large: String = "# a comment that fills the bundle, a line of many\n".repeat(4000);
    scratch.write("infra/large.tf", large);
    scratch.commit("Something large");
    let manifest = scratch.publish();
    let script =
        format!("trap '' XFSZ; ulimit -f 64; exec airlock launch-deploy-job {manifest} --action plan --follow");
    let run = scratch.run("sh", &["-c", &script]).exits(5);
    run.explains(&["worker.failed", "File too large"]);
    assert_eq!(fs::read_dir(scratch.production("work")).unwrap().count(), 1, "only the lock is left");
    scratch.ok(&["launch-deploy-job", &manifest, "--action", "plan", "--follow"]);
}

#[test]
fn an_unknown_job() {
    let scratch = Scratch::new();
    let nobody = "01939c7e-5d2f-7c3a-9b1e-0123456789ab";
    for command in ["get-deploy-job-status", "cancel-deploy-job"] {
        scratch.airlock(&[command, nobody]).exits(1).explains(&["has no job", "airlock audit log"]);
        scratch.airlock(&[command, "../../etc"]).exits(2);
    }
    assert!(!scratch.production(&format!("jobs/{nobody}")).exists());
}

#[test]
fn a_terraform_configuration_that_is_wrong() {
    let scratch = Scratch::new();
    scratch.write("infra/wrong.tf", "resource \"terraform_data\" \"wrong\" {\n  input = var.no_such_variable\n}\n");
    scratch.commit("Get it wrong");
    scratch.deploy().exits(5).explains(&["terraform.failed", "undeclared input variable"]);
    assert!(scratch.jobs("apply").is_empty());
    fs::remove_file(scratch.path("infra/wrong.tf")).unwrap();
    scratch.commit("Get it right");
    scratch.deploy().exits(0);
}

#[test]
fn a_terraform_error_in_the_middle_of_an_apply() {
    let scratch = Scratch::new();
    let failing = r#"
resource "terraform_data" "fails" {
  depends_on = [terraform_data.release]
  lifecycle {
    postcondition {
      condition     = self.id == "never"
      error_message = "The thing did not come up."
    }
  }
}
"#;
    scratch.write("infra/failing.tf", failing);
    scratch.commit("Fail at apply");
    scratch.deploy().exits(5).explains(&["terraform.failed", "postcondition failed", "failing.tf:6", "plan again"]);
    let records = scratch.records();
    assert_eq!((&records[0]["outcome"], records.len()), (&"failed".into(), 1));
    assert_eq!(records[0]["steps"][0]["outcome"], "failed");
    assert_eq!(records[0]["steps"][1]["outcome"], "not-begun");
    assert!(scratch.resources().contains(&"terraform_data.release".to_owned()), "what was made is in the state");
    assert_eq!(scratch.lease_holder(), None);
    scratch.audit();
    scratch.ok(&["deployed"]);

    fs::remove_file(scratch.path("infra/failing.tf")).unwrap();
    scratch.commit("Succeed at apply");
    scratch.deploy().exits(0);
    let records = scratch.records();
    scratch.expect_consistent(records[1]["manifest"].as_str().unwrap());
}

#[test]
fn no_terraform() {
    let mut scratch = Scratch::new();
    scratch.set("AIRLOCK_TERRAFORM", "/nowhere/terraform");
    scratch.deploy().exits(5).explains(&["terraform.missing", "/nowhere/terraform", "Install it"]);
    let bin = scratch.outside("bin");
    fs::create_dir(&bin).unwrap();
    for program in ["git", "sh"] {
        let found = scratch.run("sh", &["-c", &format!("command -v {program}")]).line();
        std::os::unix::fs::symlink(found, bin.join(program)).unwrap();
    }
    scratch.unset("AIRLOCK_TERRAFORM");
    scratch.set("PATH", bin);
    scratch.deploy().exits(5).explains(&["terraform.missing", "neither terraform nor tofu is on PATH"]);
    assert!(scratch.jobs("apply").is_empty());
}

#[test]
fn no_worker() {
    let mut scratch = Scratch::new();
    let manifest = scratch.publish();
    scratch.set("AIRLOCK_WORKER", "/nowhere/airlock-worker");
    let launch = ["launch-deploy-job", &manifest, "--action", "plan", "--follow"];
    scratch.airlock(&launch).exits(1).explains(&["airlock-worker"]);
    assert!(!scratch.production("jobs").exists(), "nothing is stored for a job that nobody can do");
    scratch.unset("AIRLOCK_WORKER");
    scratch.ok(&launch);
}

#[test]
fn a_command_line_that_makes_no_sense() {
    let scratch = Scratch::new();
    scratch.airlock(&["lunch-deploy-job"]).exits(2);
    let json = scratch.json(&["launch-deploy-job", "0.1", "--action", "destroy"]).exits(2).json();
    assert_eq!(json["error"]["exit"], 2);
    scratch.airlock(&["launch-deploy-job", "0.7", "--action", "plan"]).exits(1).explains(&["0.7"]);
}
