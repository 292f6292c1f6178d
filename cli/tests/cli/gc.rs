//! `airlock gc`

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use manifest_schema::Digest;
use manifest_schema::dsse::Unsigned;
use manifest_schema::keys::SecretKey;
use manifest_schema::storage::{AttestationKind, Key};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::world::{World, assert_seen};

/// Three published builds that share all but a page.
fn three() -> World {
    let world = World::signed();
    assert_eq!(world.publish().code, 0);
    for page in ["two", "three"] {
        world.write("public/index.html", page);
        world.commit(page);
        world.build();
        assert_eq!(world.publish().code, 0);
    }
    world
}

/// The hex digests of all blobs in the store.
fn blobs(world: &World) -> BTreeSet<String> {
    let entries = fs::read_dir(world.path("store/blobs/sha256")).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// The digest of the manifest of a build.
fn manifest_of(world: &World, number: u64) -> Digest {
    let pointer = world.read(&format!("store/builds/hello/0.{number}.json"));
    serde_json::from_slice::<Value>(&pointer).unwrap()["manifest"].as_str().unwrap().parse().unwrap()
}

fn put_blob(world: &World, content: &str) -> Digest {
    let digest = Digest::of(content.as_bytes());
    world.write(&format!("store/{}", Key::Blob(digest)), content);
    digest
}

/// Puts a review about a build into the store that says `predicate`.
fn put_statement(world: &World, manifest: Digest, predicate: &Value) {
    let payload = json!({ "predicate": predicate }).to_string();
    let key = SecretKey::from_seed(&Zeroizing::new([7; 32]));
    let envelope = Unsigned::new(payload.as_bytes().into()).unwrap().sign(&key).envelope;
    let (statement, digest) = (Digest::of(payload.as_bytes()), Digest::of(&envelope));
    let key = Key::Attestation { manifest, kind: AttestationKind::Review, statement, envelope: digest };
    world.write(&format!("store/{key}"), envelope);
}

#[test]
fn without_delete_it_only_says_what_it_would_do() {
    let world = three();
    let before = blobs(&world);
    assert_seen!(world.transcript(&["gc", "store", "--keep", "last:1"]));
    assert_seen!(world.transcript(&["gc", "store", "--keep", "last:1", "--format", "json"]));
    assert_eq!(blobs(&world), before);
}

#[test]
fn what_no_kept_build_names_goes_and_all_else_stays() {
    let world = three();
    let orphan = put_blob(&world, "what an interrupted publish sent");
    let told = world.ok(&["gc", "store", "--keep", "hello#3", "--keep", "hello#1", "--delete", "--format", "json"]);
    let told: Value = serde_json::from_str(&told.stdout).unwrap();
    // The manifest and the page of the second.
    assert_eq!((&told["freed"]["blobs"], &told["orphans"]["blobs"]), (&json!(2), &json!(1)), "{told:#}");
    assert!(!blobs(&world).contains(&orphan.hex()));
    for number in [1, 3] {
        world.ok(&["manifest", "show", &format!("hello#{number}"), "--store", "store"]);
    }
    assert!(!blobs(&world).contains(&manifest_of(&world, 2).hex()), "a manifest without its blobs looks whole");
    assert_seen!(world.transcript(&["manifest", "show", "hello#2", "--store", "store"]));
    assert_seen!(world.transcript(&["gc", "store", "--keep", "last:9", "--delete"]));
}

#[test]
fn a_collected_build_that_is_published_again_is_whole_again() {
    let world = World::signed();
    assert_eq!(world.publish().code, 0);
    let whole = blobs(&world);
    fs::rename(world.path("build-manifest.json"), world.path("one.json")).unwrap();
    fs::rename(world.path("build.dsse.json"), world.path("one.dsse.json")).unwrap();
    let page = world.read("public/index.html");
    world.write("public/index.html", "two");
    world.commit("two");
    world.build();
    assert_eq!(world.publish().code, 0);
    world.ok(&["gc", "store", "--keep", "last:1", "--delete"]);
    assert!(!blobs(&world).is_superset(&whole));
    world.write("public/index.html", page);
    let again = ["publish", "one.json", "--envelope", "one.dsse.json", "--store", "store"];
    assert_seen!(world.transcript(&again));
    assert!(blobs(&world).is_superset(&whole));
    world.ok(&["manifest", "show", "hello#1", "--store", "store"]);
}

#[test]
fn what_statements_about_a_kept_build_name_is_kept() {
    let world = three();
    let [facts, people, others] = ["facts", "people", "others"].map(|content| put_blob(&world, content));
    put_statement(&world, manifest_of(&world, 3), &json!({ "facts": facts, "list": [{ "sha256": people.hex() }] }));
    put_statement(&world, manifest_of(&world, 1), &json!({ "facts": others }));
    world.ok(&["gc", "store", "--keep", "last:1", "--delete"]);
    let left = blobs(&world);
    assert!(left.contains(&facts.hex()) && left.contains(&people.hex()));
    assert!(!left.contains(&others.hex()), "a statement about a build that is not kept keeps nothing");
}

/// A plan names the build that ran before. Were that manifest kept without its blobs, the build would look whole.
#[test]
fn to_be_named_by_a_statement_keeps_no_build() {
    let world = three();
    put_statement(&world, manifest_of(&world, 3), &json!({ "base": { "manifest": manifest_of(&world, 2) } }));
    world.ok(&["gc", "store", "--keep", "last:1", "--delete"]);
    assert!(!blobs(&world).contains(&manifest_of(&world, 2).hex()));
}

/// The other way round: the manifest can't go, so its build doesn't.
#[test]
fn a_build_whose_manifest_is_a_file_of_a_kept_build_is_kept() {
    let world = World::signed();
    assert_eq!(world.publish().code, 0);
    fs::copy(world.path("build-manifest.json"), world.path("public/earlier.txt")).unwrap();
    world.write("public/index.html", "two");
    world.commit("two");
    world.build();
    assert_eq!(world.publish().code, 0);
    let before = blobs(&world);
    world.ok(&["gc", "store", "--keep", "last:1", "--delete"]);
    assert_eq!(blobs(&world), before);
}

#[test]
fn what_cannot_be_read_stops_it_before_anything_is_removed() {
    let kept_manifest = |world: &World| format!("store/{}", Key::Blob(manifest_of(world, 3)));
    let attestation = |world: &World| {
        let folder = format!("store/attestations/{}/build", manifest_of(world, 3).hex());
        let file = fs::read_dir(world.path(&folder)).unwrap().next().unwrap().unwrap();
        format!("{folder}/{}", file.file_name().into_string().unwrap())
    };
    let mut seen = String::new();
    for (path, content) in [
        (&kept_manifest as &dyn Fn(&World) -> String, "{}"),
        (&attestation, "{}"),
        (&|_: &World| "store/builds/hello/0.2.json".to_owned(), "{}"),
        (&|_: &World| "store/builds/hello/notes.txt".to_owned(), "mine"),
        (&|world: &World| format!("store/attestations/{}/verdict/1.json", manifest_of(world, 3).hex()), "{}"),
    ] {
        let world = three();
        let path = path(&world);
        world.write(&path, content);
        let before = blobs(&world);
        seen.push_str(&world.transcript(&["gc", "store", "--keep", "last:1", "--delete"]));
        assert_eq!(blobs(&world), before, "{path}");
    }
    assert_seen!(seen);
}

#[test]
fn a_rule_or_a_place_that_makes_no_sense_is_refused() {
    let world = three();
    let before = blobs(&world);
    let old = SystemTime::now() - Duration::from_hours(2);
    for number in 1..=3 {
        File::open(world.path(&format!("store/builds/hello/0.{number}.json"))).unwrap().set_modified(old).unwrap();
    }
    let mut seen = String::new();
    for arguments in [
        &["gc", "store", "--delete"][..],
        &["gc", "store", "--delete", "--keep", "latest"],
        &["gc", "store", "--delete", "--keep", "hello#99"],
        &["gc", "store", "--delete", "--keep", "last:1", "--keep", "deployed:production"],
        &["gc", "store", "--delete", "--keep", "newer:1h"],
        &["gc", "s3://bucket/builds", "--delete", "--keep", "last:1"],
        &["gc", "public", "--delete", "--keep", "last:1"],
        &["gc", "missing", "--delete", "--keep", "last:1"],
    ] {
        seen.push_str(&world.transcript(arguments));
    }
    assert_seen!(seen);
    assert_eq!(blobs(&world), before);
}

#[test]
fn whoever_has_to_wait_says_for_whom() {
    let world = three();
    let lock = File::open(world.path("store/airlock-blobs-lock")).unwrap();
    for (exclusive, arguments, told) in [
        (false, &["gc", "store", "--keep", "last:1", "--delete"][..], "waiting for whoever publishes into store"),
        (
            true,
            &["publish", "build-manifest.json", "--envelope", "build.dsse.json", "--store", "store"],
            "`airlock gc`",
        ),
    ] {
        if exclusive { lock.lock() } else { lock.lock_shared() }.unwrap();
        let waiting = world.airlock().args(arguments).stderr(std::process::Stdio::piped()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(1500));
        lock.unlock().unwrap();
        let ended = waiting.wait_with_output().unwrap();
        let stderr = String::from_utf8(ended.stderr).unwrap();
        assert!(ended.status.success() && stderr.contains("waiting for") && stderr.contains(told), "{stderr}");
    }
}
