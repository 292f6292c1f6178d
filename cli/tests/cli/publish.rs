//! `airlock publish`

use std::fs;

use crate::world::{World, assert_seen};

const PUBLISH: [&str; 6] = ["publish", "build-manifest.json", "--envelope", "build.dsse.json", "--store", "store"];

/// Every object of the store.
fn objects(world: &World) -> Vec<String> {
    fn walk(directory: &std::path::Path, prefix: &str, found: &mut Vec<String>) {
        let Ok(entries) = fs::read_dir(directory) else { return };
        for entry in entries.map(Result::unwrap) {
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if entry.file_type().unwrap().is_dir() {
                walk(&entry.path(), &format!("{name}/"), found);
            } else {
                found.push(name);
            }
        }
    }
    let mut found = Vec::new();
    walk(&world.path("store"), "", &mut found);
    found.sort();
    found
}

#[test]
fn a_build_is_sent_once() {
    let world = World::signed();
    assert_seen!(world.transcript(&PUBLISH));
    let first = objects(&world);
    assert!(first.iter().any(|key| key == "builds/hello/0.1.json"), "{first:?}");
    assert_eq!(first.iter().filter(|key| key.starts_with("attestations/")).count(), 1);
    assert_seen!(world.transcript(&[&PUBLISH[..], &["--format", "json"]].concat()));
    assert_eq!(objects(&world), first);
}

#[test]
fn what_the_store_has_needs_no_files() {
    let world = World::signed();
    assert_eq!(world.publish().code, 0);
    fs::remove_dir_all(world.path("build")).unwrap();
    fs::remove_file(world.path("airlock.toml")).unwrap();
    world.ok(&PUBLISH);
}

#[test]
fn an_unchanged_build_keeps_its_number_and_a_changed_one_gets_the_next() {
    let world = World::signed();
    let first = world.read("build-manifest.json");
    assert_eq!(world.publish().code, 0);
    world.build();
    assert_eq!(world.read("build-manifest.json"), first);
    world.write("public/index.html", "two");
    world.commit("two");
    world.build();
    assert!(world.publish().stderr.contains("build 0.2 of hello"));
    world.git(&["checkout", "--quiet", "HEAD~", "--detach"]);
    world.git(&["checkout", "--quiet", "-B", "main"]);
    world.build();
    assert_eq!(world.read("build-manifest.json"), first, "the first build was made again");
}

#[test]
fn a_number_stands_for_one_build() {
    let world = World::signed();
    assert_eq!(world.publish().code, 0);
    world.write("public/index.html", "two");
    world.commit("two");
    world.ok(&["manifest", "build", "--build-number", "1"]);
    world.ok(&["manifest", "sign", "build-manifest.json", "--key", "builder.pem"]);
    let before = objects(&world);
    assert_seen!(world.transcript(&PUBLISH));
    assert_eq!(objects(&world), before, "nothing may be written for a number that is taken");
}

#[test]
fn a_file_that_changed_or_vanished_since_stops_it_before_the_pointer() {
    for (file, change) in [("public/index.html", true), ("public/index.html", false), ("infra/main.tf", true)] {
        let world = World::signed();
        if change {
            world.write(file, "something else");
        } else {
            fs::remove_file(world.path(file)).unwrap();
        }
        assert_seen!(world.transcript(&PUBLISH));
        assert!(!objects(&world).iter().any(|key| key.starts_with("builds/")), "{file}");
    }
}

#[test]
fn an_envelope_about_something_else_is_refused() {
    let world = World::signed();
    world.ok(&["manifest", "build", "--build-number", "7", "--output", "other.json"]);
    world.ok(&["manifest", "sign", "other.json", "--key", "builder.pem", "--output", "other.dsse.json"]);
    let envelope = world.read("build.dsse.json");
    world.write("truncated", &envelope[..envelope.len() / 2]);
    world.write("text", "not JSON");
    let mut seen = String::new();
    for file in ["other.dsse.json", "truncated", "text"] {
        let mut arguments = PUBLISH;
        arguments[3] = file;
        seen.push_str(&world.transcript(&arguments));
    }
    assert_seen!(seen);
    assert!(!world.path("store").exists());
}

#[test]
fn what_is_no_store_stays_untouched() {
    let world = World::signed();
    world.write("store/holiday.jpg", "mine");
    let ran = world.publish();
    assert_eq!((ran.code, objects(&world)), (1, vec!["holiday.jpg".to_owned()]));
    assert!(ran.stderr.contains("store is not an Airlock store"), "{}", ran.stderr);
    let mut nowhere = PUBLISH;
    nowhere[5] = "s3:/typo";
    assert_seen!(world.transcript(&nowhere));
    assert_seen!(world.transcript(&PUBLISH[..4]));
    assert_seen!(world.transcript(&["manifest", "show", "hello#1", "--store", "missing"]));
}
