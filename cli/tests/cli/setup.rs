//! `airlock init`, `airlock trust` and `airlock doctor`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::world::{World, assert_seen};

/// Every file below a directory, with what is in it.
fn files(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut waiting = vec![directory.to_owned()];
    while let Some(next) = waiting.pop() {
        for entry in fs::read_dir(next).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                waiting.push(entry.path());
            } else {
                found.push((entry.path().display().to_string(), fs::read(entry.path()).unwrap()));
            }
        }
    }
    found.sort();
    found
}

/// A scratch repository in which `git` knows who works.
fn repository() -> World {
    let world = World::empty();
    world.git(&["init", "--quiet", "--initial-branch=main"]);
    world.git(&["config", "user.name", "Alice Example"]);
    world
}

#[test]
fn init_makes_everything_once() {
    let world = repository();
    assert_seen!(world.transcript(&["init", "--project", "hello"]));
    let mode = |path: &str| fs::metadata(world.path(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(".airlock"), mode(".airlock/keys/root.pem")), (0o700, 0o600));
    let first = files(&world.path(""));
    assert_seen!(world.transcript(&["init"]));
    assert_eq!(files(&world.path("")), first, "the second run changed something");
    world.ok(&["trust", "verify"]);
    world.ok(&["manifest", "schema"]);
}

#[test]
fn git_does_not_see_what_init_keeps_to_itself() {
    let world = repository();
    world.ok(&["init", "--project", "hello"]);
    world.commit("one");
    let mut listing = std::process::Command::new("git");
    let listed = listing.args(["ls-files"]).current_dir(world.path("")).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.contains("airlock.toml") && !listed.contains(".airlock/"), "{listed}");
}

#[test]
fn init_adds_to_what_is_there() {
    let world = World::hello();
    let before = String::from_utf8(world.read("airlock.toml")).unwrap();
    world.ok(&["init"]);
    let after = String::from_utf8(world.read("airlock.toml")).unwrap();
    assert!(after.starts_with(&before) && after.contains("[environments.production]"), "{after}");
    assert_eq!(world.run(&["init", "--project", "other"]).code, 2);
    assert_eq!(World::empty().run(&["init"]).code, 1, "there is no repository");
}

#[test]
fn init_goes_on_where_it_was_stopped() {
    let world = repository();
    world.ok(&["init", "--project", "hello"]);
    let root = world.read(".airlock/keys/root.pem");
    fs::remove_file(world.path(".airlock/keys/builder.pub.pem")).unwrap();
    fs::remove_file(world.path(".airlock/production/config/deployer.json")).unwrap();
    world.ok(&["init"]);
    assert!(world.path(".airlock/keys/builder.pub.pem").exists());
    assert!(world.path(".airlock/production/config/deployer.json").exists());
    assert_eq!(world.read(".airlock/keys/root.pem"), root);
}

/// A policy by two roots' keys in files; signed by the first only.
fn policy() -> World {
    let world = World::empty();
    for name in ["root", "builder", "planner", "deployer", "alice", "stranger"] {
        world.ok(&["key", "generate", name]);
    }
    let arguments = "trust init --root root.pub.pem --builder builder.pub.pem --planner planner.pub.pem \
                     --deployer deployer.pub.pem --approver alice=alice.pub.pem --environment production --project hello";
    world.ok(&arguments.split_whitespace().collect::<Vec<_>>());
    world
}

fn sign<'a>(key: &'a str, output: &'a str) -> [&'a str; 7] {
    ["trust", "sign", "trust-policy.json", "--key", key, "--output", output]
}

const PUBLISH: [&str; 7] =
    ["trust", "publish", "trust-policy.json", "--envelope", "trust.dsse.json", "--store", "store"];
const VERIFY: [&str; 6] = ["trust", "verify", "--store", "store", "--root", "root.pub.pem"];

#[test]
fn a_policy_is_signed_published_and_verified() {
    let world = policy();
    assert_seen!(world.transcript(&sign("root.pem", "trust.dsse.json")));
    assert_seen!(world.transcript(&PUBLISH));
    assert_seen!(world.transcript(&VERIFY));
    assert_seen!(world.transcript(&["trust", "show", "--store", "store", "--root", "root.pub.pem"]));
    world.ok(&PUBLISH);
}

#[test]
fn a_policy_is_refused_unless_the_pinned_roots_signed_it() {
    let world = policy();
    world.ok(&sign("root.pem", "trust.dsse.json"));
    world.ok(&PUBLISH);
    let mut stranger = VERIFY;
    stranger[5] = "stranger.pub.pem";
    let mut nonsense = VERIFY;
    nonsense[5] = "trust-policy.json";
    let mut missing = VERIFY;
    missing[3] = "nowhere";
    for (arguments, code) in [(stranger, 3), (nonsense, 3), (missing, 1)] {
        let ran = world.run(&arguments);
        assert_eq!(ran.code, code, "{arguments:?}\n{}", ran.stderr);
    }
    assert_seen!(world.transcript(&stranger));
}

#[test]
fn what_is_no_envelope_about_the_policy_is_never_stored() {
    let world = policy();
    world.write("trust.dsse.json", "not JSON");
    assert_seen!(world.transcript(&PUBLISH));
    assert!(!world.path("store").exists());
}

#[test]
fn one_version_is_one_policy() {
    let world = policy();
    world.ok(&sign("root.pem", "trust.dsse.json"));
    world.ok(&PUBLISH);
    let text = String::from_utf8(world.read("trust-policy.json")).unwrap();
    world.write(
        "trust-policy.json",
        text.replace("\"people\": 1", "\"people\": 2").replace("ForRisk\": 1", "ForRisk\": 2"),
    );
    assert_eq!(world.run(&PUBLISH).code, 3, "the envelope is about other bytes");
    world.ok(&sign("root.pem", "trust.dsse.json"));
    assert_eq!(world.run(&PUBLISH).code, 1, "the version is taken");
}

#[test]
fn the_doctor_finds_what_is_missing() {
    let world = repository().with("AIRLOCK_TERRAFORM", "no-such-terraform").with("AIRLOCK_WORKER", "no-such-worker");
    let seen = |world: &World| {
        let seen = world.transcript(&["doctor"]);
        seen.lines().filter(|line| !line.starts_with("ok: git:")).collect::<Vec<_>>().join("\n")
    };
    assert_seen!(seen(&world));
    world.ok(&["init", "--project", "hello"]);
    fs::remove_file(world.path(".airlock/keys/planner.pem")).unwrap();
    fs::remove_dir_all(world.path(".airlock/artifacts")).unwrap();
    assert_seen!(seen(&world));
    world.write("airlock.toml", "project = \"hello\"\nnonsense = 1\n");
    assert_seen!(seen(&world));
}

#[test]
fn the_doctor_is_content_with_what_init_made() {
    let world = repository();
    world.write("terraform", "#!/bin/sh\necho Terraform v1.9.0\n");
    world.write("worker", "#!/bin/sh\n");
    fs::set_permissions(world.path("terraform"), fs::Permissions::from_mode(0o755)).unwrap();
    let here = |name: &str| world.path(name).display().to_string();
    let (terraform, worker) = (here("terraform"), here("worker"));
    let world = world.with("AIRLOCK_TERRAFORM", &terraform).with("AIRLOCK_WORKER", &worker);
    world.ok(&["init", "--project", "hello"]);
    let told: serde_json::Value = serde_json::from_str(&world.ok(&["doctor", "--format", "json"]).stdout).unwrap();
    assert_eq!(told["ok"], true, "{told:#}");

    let deployer = world.path(".airlock/production/config/deployer.json");
    let text = fs::read_to_string(&deployer).unwrap();
    let registry =
        r#"{"registry": {"address": "registry.example.com", "login": {"user": "ci", "passwordFile": "pw"}},"#;
    fs::write(&deployer, text.replacen('{', registry, 1)).unwrap();
    let seen = world.transcript(&["doctor"]);
    assert!(seen.contains("correct `passwordFile` in the deployer's configuration"), "{seen}");
    world.write(".airlock/production/config/pw", "open\n");
    let told: serde_json::Value = serde_json::from_str(&world.ok(&["doctor", "--format", "json"]).stdout).unwrap();
    let found = told["checks"].as_array().unwrap().iter().find(|check| check["name"] == "registry");
    let expected = "images go to registry.example.com/{project}/{artifact}, as ci";
    assert_eq!(found.map(|check| &check["found"]), Some(&expected.into()), "{told:#}");

    // What `init` has no part in, it can't mend.
    fs::write(&deployer, text.replacen('{', r#"{"targets": {"each": {"services": ["web"]}},"#, 1)).unwrap();
    let seen = world.transcript(&["doctor"]);
    for words in
        ["\"web\" is not a pattern of every project's targets: name {project} in it once", "next: correct that file"]
    {
        assert!(seen.contains(words), "{words}: {seen}");
    }
}
