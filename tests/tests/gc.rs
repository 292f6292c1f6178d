//! Blobs are removed while others publish and deploy: no build that looks whole ever lacks one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed helper is a failed test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use flows::{Scratch, wait_until};
use manifest_schema::manifest::BuildManifest;
use manifest_schema::{Digest, Document as _};

/// Checks every published build: its manifest is there only with all of its blobs, and each is what its name says.
/// Returns the builds that are whole. Looks while no collector removes, as publishers do: of a build that is being
/// removed, the manifest could be read before it goes, and the blobs looked for after.
fn expect_whole_or_gone(scratch: &Scratch) -> BTreeSet<String> {
    let no_collector = fs::File::open(scratch.artifacts("airlock-blobs-lock")).unwrap();
    no_collector.lock_shared().unwrap();
    let blob = |digest: Digest| fs::read(scratch.artifacts("blobs/sha256").join(digest.hex()));
    let mut whole = BTreeSet::new();
    for entry in fs::read_dir(scratch.artifacts("builds/hello")).unwrap() {
        let path = entry.unwrap().path();
        let number = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let manifest: Digest = scratch.read(&path)["manifest"].as_str().unwrap().parse().unwrap();
        let Ok(bytes) = blob(manifest) else { continue };
        assert_eq!(Digest::of(&bytes), manifest);
        for needed in BuildManifest::from_bytes(&bytes).unwrap().blobs() {
            let found = blob(needed.digest).unwrap_or_else(|_| panic!("build {number} lacks {}", needed.digest));
            assert_eq!(Digest::of(&found), needed.digest, "build {number}");
        }
        whole.insert(number);
    }
    whole
}

/// Where the manifest of a published build is.
fn manifest_of(scratch: &Scratch, number: &str) -> PathBuf {
    let pointer = scratch.read(&scratch.artifacts("builds/hello").join(format!("{number}.json")));
    let digest: Digest = pointer["manifest"].as_str().unwrap().parse().unwrap();
    scratch.artifacts("blobs/sha256").join(digest.hex())
}

/// Builds that share half of their files, each in a directory of its own, signed and not published.
fn builds(scratch: &Scratch, count: usize, files: usize) -> Vec<String> {
    let build = |number: usize| {
        for file in 0..files {
            let content = if file % 2 == 0 { format!("{file}") } else { format!("{file} of build {number}") };
            scratch.write(&format!("public/{file}.txt"), content);
        }
        scratch.commit(&format!("build {number}"));
        let place = scratch.outside(&format!("build-{number}"));
        let number = number.to_string();
        scratch.ok(&["manifest", "build", "--build-number", &number, "--output", "build-manifest.json"]);
        let key = ["--key", ".airlock/keys/builder.pem", "--output", "build.dsse.json"];
        scratch.ok(&[&["manifest", "sign", "build-manifest.json"], &key[..]].concat());
        let place = place.to_str().unwrap().to_owned();
        scratch.run("cp", &["-r", ".", &place]).exits(0);
        scratch.run("rm", &["-rf", &format!("{place}/.airlock"), &format!("{place}/.git")]).exits(0);
        place
    };
    (1..=count).map(build).collect()
}

fn publish<'a>(place: &'a str, store: &'a str) -> [&'a str; 8] {
    ["-C", place, "publish", "build-manifest.json", "--envelope", "build.dsse.json", "--store", store]
}

#[test]
fn publishers_and_collectors_at_once_leave_no_build_that_lacks_a_blob() {
    let scratch = Scratch::new();
    let places = builds(&scratch, 6, 40);
    let store = scratch.artifacts("").to_str().unwrap().to_owned();
    for _ in 0..4 {
        let mut running = Vec::new();
        for place in &places {
            running.push(scratch.start(&publish(place, &store)));
            if running.len() % 3 == 0 {
                running.push(scratch.start(&["gc", &store, "--keep", "last:2", "--delete"]));
            }
        }
        for ended in running {
            ended.end().exits(0);
            expect_whole_or_gone(&scratch);
        }
        // Who came last may have published builds that the collectors did not see.
        assert!(expect_whole_or_gone(&scratch).len() >= 2);
    }
    scratch.ok(&["gc", &store, "--keep", "last:2", "--delete"]);
    assert_eq!(expect_whole_or_gone(&scratch), ["0.5", "0.6"].map(str::to_owned).into());
    for place in &places {
        scratch.ok(&publish(place, &store));
    }
    assert_eq!(expect_whole_or_gone(&scratch).len(), 6, "what was collected is whole again");
}

#[test]
fn a_collector_that_is_killed_anywhere_leaves_no_build_that_lacks_a_blob_and_the_next_goes_on() {
    let scratch = Scratch::new();
    let places = builds(&scratch, 3, 400);
    let store = scratch.artifacts("").to_str().unwrap().to_owned();
    let gc = ["gc", &store, "--keep", "last:1", "--delete", "--format", "json"];
    let left = || {
        let told = scratch.json(&gc[..4]).exits(0).json();
        told["freed"]["blobs"].as_u64().unwrap() + told["orphans"]["blobs"].as_u64().unwrap()
    };
    let mut halfway = 0;
    for round in 0..6 {
        places.iter().for_each(|place| drop(scratch.ok(&publish(place, &store))));
        let before = left();
        let first = manifest_of(&scratch, "0.1");
        let collector = scratch.start(&gc);
        if round < 4 {
            wait_until("the first blob is removed", || (!first.exists()).then_some(()));
        } else {
            std::thread::sleep(Duration::from_millis(20 * (round - 3)));
        }
        collector.kill();
        assert!(expect_whole_or_gone(&scratch).contains("0.3"));
        let after = left();
        halfway += usize::from(after > 0 && after < before);
        scratch.ok(&gc);
        assert_eq!(expect_whole_or_gone(&scratch), ["0.3".to_owned()].into());
        assert_eq!(left(), 0);
    }
    // Otherwise the kills came too early or too late to tell anything.
    assert!(halfway > 0, "no collector was killed while it removed");
}

#[test]
fn a_publisher_that_is_killed_anywhere_leaves_nothing_half_written_and_the_next_sends_the_rest() {
    let scratch = Scratch::new();
    let places = builds(&scratch, 4, 300);
    let store = scratch.artifacts("").to_str().unwrap().to_owned();
    let mut halfway = 0;
    for (round, place) in (0..).zip(&places) {
        let count = || fs::read_dir(scratch.artifacts("blobs/sha256")).map_or(0, Iterator::count);
        // However fast the machine is: after so many blobs.
        let enough = count() + 20 + 70 * round;
        let mut publisher = scratch.start(&publish(place, &store));
        while count() < enough && !publisher.has_ended() {
            std::thread::sleep(Duration::from_millis(1));
        }
        publisher.kill();
        let number = format!("0.{}", round + 1);
        let there = count();
        let pointer = scratch.artifacts("builds/hello").join(format!("{number}.json")).exists();
        let told = scratch.json(&publish(place, &store)).exits(0).json();
        assert_eq!(told["created"], !pointer, "{told:#}");
        let (sent, present) = (told["sent"]["blobs"].as_u64().unwrap(), told["present"]["blobs"].as_u64().unwrap());
        let now = fs::read_dir(scratch.artifacts("blobs/sha256")).unwrap().count();
        // The manifest is a blob, too, and no part of what is counted.
        assert!(now - there <= usize::try_from(sent).unwrap() + 1, "{told:#}");
        assert!(now - there >= usize::try_from(sent).unwrap(), "a blob that was there was sent again: {told:#}");
        halfway += usize::from(sent > 0 && present > 150);
        assert!(expect_whole_or_gone(&scratch).contains(&number));
    }
    assert!(halfway > 0, "no publisher was killed while it sent");
}

#[test]
fn what_runs_is_kept_even_when_newer_builds_were_published() {
    let scratch = Scratch::new();
    scratch.deploy().exits(0);
    scratch.change_page("the second build");
    scratch.deploy().exits(0);
    for page in ["the third build", "the fourth build"] {
        scratch.change_page(page);
        scratch.publish();
    }
    let store = scratch.artifacts("").to_str().unwrap().to_owned();
    scratch.ok(&["gc", &store, "--keep", "deployed:production", "--keep", "last:1", "--delete"]);
    assert_eq!(expect_whole_or_gone(&scratch), ["0.2", "0.4"].map(str::to_owned).into());
    // The plan of the second names the first, and its summary travels as a blob.
    scratch.ok(&["deployed"]);
    let plan = scratch.json(&["deploy", "--build", "hello#2", "--again", "--approve-with", flows::APPROVER]);
    plan.exits(0);
}
