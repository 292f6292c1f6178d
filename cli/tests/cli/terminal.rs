//! Narrow terminals, none at all, programs that read, and readers that go away.

use std::io::Read as _;
use std::process::Stdio;

use crate::world::{World, assert_seen};

#[test]
fn forty_columns_are_enough() {
    let world = World::signed().with("COLUMNS", "40");
    assert_seen!(world.transcript(&["manifest", "show", "build-manifest.json"]));
    assert_seen!(world.transcript(&["explain", "approval.by-author"]));
    assert_seen!(world.transcript(&[
        "manifest",
        "sign",
        "build-manifest.json",
        "--key",
        "a/rather/long/path/to/a/key.pem"
    ]));
    let long: Vec<_> = world
        .ok(&["manifest", "show", "build-manifest.json"])
        .stdout
        .lines()
        .filter(|line| line.chars().count() > 40 && line.trim().contains(' '))
        .map(str::to_owned)
        .collect();
    assert!(long.is_empty(), "only single words may be wider than the terminal: {long:?}");
}

#[test]
fn colours_come_only_when_wanted() {
    let world = World::signed();
    let show = ["manifest", "show", "build-manifest.json"];
    assert!(!world.ok(&show).stdout.contains('\x1b'), "no terminal, no colours");
    assert!(world.ok(&[&show[..], &["--color", "always"]].concat()).stdout.contains('\x1b'));
}

#[test]
fn programs_read_json_whatever_happens() {
    let world = World::signed();
    for arguments in [
        &["explain"][..],
        &["explain", "plan.stale"],
        &["key", "id", "builder.pem"],
        &["key", "public", "builder.pem"],
        &["manifest", "schema"],
        &["manifest", "show", "build-manifest.json"],
        &["manifest", "build", "--output", "again.json"],
        &["manifest", "verify", "build-manifest.json", "--envelope", "build.dsse.json", "--key", "builder.pub.pem"],
        &["manifest", "verify", "build-manifest.json", "--envelope", "build.dsse.json", "--key", "build.dsse.json"],
        &["manifest", "show", "nowhere.json"],
        &["manifest", "show"],
        &["-C", "nowhere", "explain"],
        &["nonsense"],
    ] {
        let ran = world.run(&[arguments, &["--format", "json"]].concat());
        let answer: serde_json::Value = serde_json::from_str(&ran.stdout).expect("standard output is JSON");
        assert_eq!(answer.get("error").is_some(), ran.code != 0, "{arguments:?}: {answer}");
        assert_eq!(ran.code != 0, !ran.stderr.is_empty() && ran.stderr.starts_with("error"), "{arguments:?}");
        if let Some(error) = answer.get("error") {
            assert_eq!(error["exit"], ran.code, "{arguments:?}");
        }
    }
}

#[test]
fn a_refusal_as_json_has_its_reasons() {
    let world = World::signed();
    world.ok(&["key", "generate", "stranger"]);
    let verify = ["manifest", "verify", "build-manifest.json", "--envelope", "build.dsse.json"];
    assert_seen!(world.transcript(&[&verify[..], &["--key", "stranger.pub.pem", "--format", "json"]].concat()));
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let world = World::signed();
    for arguments in
        [&["explain"][..], &["manifest", "schema", "status-response"], &["completions", "bash"], &["--help"]]
    {
        let mut child = world.airlock().args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""), "{arguments:?}");
    }
}

#[test]
fn quiet_leaves_the_answer_only() {
    let world = World::hello();
    let ran = world.ok(&["--quiet", "manifest", "build"]);
    assert_eq!(ran.stderr, "");
    assert!(ran.stdout.starts_with("sha256:"));
}

#[test]
fn documents_can_not_steer_the_terminal() {
    let world = World::hello();
    let toml = String::from_utf8(world.read("airlock.toml")).unwrap();
    world.write("airlock.toml", toml.replace("\"hello\", image", "\"\\u001b]0;owned\\u0007\", image"));
    world.commit("two");
    world.ok(&["manifest", "build"]);
    let shown = world.ok(&["manifest", "show", "build-manifest.json"]).stdout;
    assert!(!shown.contains('\x1b') && shown.contains("owned"), "{shown:?}");
}
