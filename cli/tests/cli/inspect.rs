//! `airlock manifest show` and `airlock manifest verify`, with a store, a trust policy and files on disk.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;

use manifest_schema::Document as _;
use manifest_schema::report::{ManifestReport, Signature};

use crate::world::{World, assert_seen};

const SHOW: [&str; 3] = ["manifest", "show", "hello#1"];
const VERIFY: [&str; 3] = ["manifest", "verify", "hello#1"];
const STORE: &str = ".airlock/artifacts";

/// The example service set up for local mode, with a signed build that is not published.
fn built() -> World {
    let world = World::hello();
    world.git(&["config", "user.name", "Alice Example"]);
    world.ok(&["init"]);
    world.commit("two");
    world.ok(&["manifest", "build"]);
    sign(&world, ".airlock/keys/builder.pem");
    world
}

fn sign(world: &World, key: &str) {
    world.ok(&["manifest", "sign", "build-manifest.json", "--key", key, "--output", "build.dsse.json"]);
}

fn publish(world: &World) {
    world.ok(&["publish", "build-manifest.json", "--envelope", "build.dsse.json"]);
}

fn published() -> World {
    let world = built();
    publish(&world);
    world
}

/// Where the store has the bytes of a file.
fn blob(world: &World, file: &str) -> PathBuf {
    let digest = manifest_schema::Digest::of(&world.read(file));
    world.path(STORE).join("blobs/sha256").join(digest.hex())
}

fn overwrite(path: &PathBuf, content: impl AsRef<[u8]>) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(path, content).unwrap();
}

fn report(world: &World, arguments: &[&str]) -> ManifestReport {
    let answer = world.ok(&[arguments, &["--format", "json"]].concat()).stdout;
    ManifestReport::from_bytes(answer.as_bytes()).unwrap()
}

#[test]
fn a_build_is_shown_with_who_signed_it_and_what_the_store_has() {
    let world = built();
    assert_seen!(world.transcript(&["manifest", "show", "build-manifest.json"]));
    publish(&world);
    assert_seen!(world.transcript(&SHOW));
    let shown = report(&world, &SHOW);
    let stored = shown.stored.unwrap();
    assert_eq!((stored.published, stored.policy), (Some(shown.digest), Some(1)));
    assert!(stored.artifacts.iter().chain(&stored.evidence).all(manifest_schema::report::Presence::is_whole));
    let Signature::Valid { signers, .. } = &stored.statements[0].signature else { panic!("{stored:?}") };
    assert_eq!(signers[0].name.as_deref(), Some("builder"));
    let raw = world.ok(&[&SHOW[..], &["--raw"]].concat()).stdout;
    assert_eq!(raw.as_bytes(), world.read("build-manifest.json"));
    let narrow = world.with("COLUMNS", "40");
    assert_seen!(narrow.transcript(&SHOW));
}

#[test]
fn what_a_store_lacks_and_whom_nobody_trusts_is_shown() {
    let world = published();
    let other = world.read("build-manifest.json");
    world.ok(&["key", "generate", "stranger"]);
    sign(&world, "stranger.pem");
    publish(&world);
    fs::remove_file(blob(&world, "public/index.html")).unwrap();
    overwrite(&blob(&world, "public/style.css"), "short");
    assert_seen!(world.transcript(&SHOW));
    let stored = report(&world, &SHOW).stored.unwrap();
    let site = stored.artifacts.iter().find(|presence| presence.name.as_str() == "site").unwrap();
    assert_eq!((site.blobs, site.missing.len(), site.wrong.len()), (2, 1, 1));

    world.write("build-manifest.json", [&other[..], b" "].concat());
    let shown = world.run(&["manifest", "show", "build-manifest.json"]);
    assert!(shown.stdout.contains("another manifest is published under this number"), "{}", shown.stdout);
}

/// Without the roots that the local gateway pins, somebody has to name them.
#[test]
fn without_roots_nothing_is_called_valid() {
    let world = published().with("AIRLOCK_PRODUCTION", "nowhere");
    let shown = world.ok(&SHOW).stdout;
    assert!(shown.contains("not checked") && shown.contains("--root names the roots that you trust"), "{shown}");
    let stored = report(&world, &SHOW).stored.unwrap();
    assert!(matches!(&stored.statements[..], [only] if matches!(only.signature, Signature::Unchecked { .. })));
    assert_eq!(world.run(&VERIFY).code, 1);

    let root = ["--root", ".airlock/keys/root.pub.pem"];
    let stored = report(&world, &[&SHOW[..], &root].concat()).stored.unwrap();
    assert!(matches!(&stored.statements[..], [only] if matches!(only.signature, Signature::Valid { .. })));
    world.ok(&[&VERIFY[..], &root].concat());
    let wrong = [&VERIFY[..], &["--root", ".airlock/keys/builder.pub.pem"]].concat();
    let refused = world.run(&wrong);
    assert!(refused.code == 3 && refused.stderr.contains("trust.broken"), "{}", refused.stderr);
}

#[test]
fn a_published_build_is_verified_by_name() {
    let world = published();
    assert_seen!(world.transcript(&VERIFY));
    assert_seen!(world.transcript(&[&VERIFY[..], &["--deep", "--artifacts", "."]].concat()));
    let answer = world.ok(&[&VERIFY[..], &["--format", "json", "--artifacts", "."]].concat()).stdout;
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((&answer["verified"], &answer["store"]["blobs"]), (&true.into(), &7.into()));
    assert_eq!(answer["artifacts"][1]["state"], "same");
    let digest = answer["manifest"].as_str().unwrap();
    for build in [digest, "0.1", "build-manifest.json"] {
        world.ok(&["manifest", "verify", build]);
    }
    // Keys and envelopes that are named come before the policy's and the store's.
    world.ok(&[&VERIFY[..], &["--key", ".airlock/keys/builder.pub.pem"]].concat());
    world.ok(&[&VERIFY[..], &["--envelope", "build.dsse.json"]].concat());
}

/// Before a build is published, what is in files is all there is, whatever the CI's variables name.
#[test]
fn files_are_verified_without_a_store() {
    let world = built().with("AIRLOCK_ARTIFACTS", STORE);
    let key = ["--key", ".airlock/keys/builder.pub.pem"];
    let files = [&["manifest", "verify", "build-manifest.json", "--envelope", "build.dsse.json"], &key[..]].concat();
    world.ok(&files);
    for asks in [&["--store", STORE][..], &["--deep"]] {
        let refused = world.run(&[&files[..], asks].concat());
        assert!(refused.code == 3 && refused.stderr.contains("blob.missing"), "{}", refused.stderr);
    }
    let elsewhere = World::empty();
    elsewhere.write("build-manifest.json", world.read("build-manifest.json"));
    assert_seen!(elsewhere.transcript(&["manifest", "verify", "build-manifest.json"]));
    assert_seen!(elsewhere.transcript(&["manifest", "verify", "nowhere.json", "--envelope", "e", "--key", "k"]));
}

#[test]
fn every_reason_to_refuse_is_listed() {
    type Attack = fn(&World);
    let cases: [(Attack, &[&str], i32, &[&str]); 9] = [
        (|world| overwrite(&blob(world, "public/index.html"), flipped(world, "public/index.html")), &[], 0, &[]),
        (
            |world| overwrite(&blob(world, "public/index.html"), flipped(world, "public/index.html")),
            &["--deep"],
            3,
            &["blob.mismatch: 1 blob of site"],
        ),
        (
            |world| {
                fs::remove_file(blob(world, "public/index.html")).unwrap();
                overwrite(&blob(world, "public/style.css"), "short");
            },
            &[],
            3,
            &["blob.missing: 1 of 2 blobs of site", "blob.mismatch: 1 blob of site", "it has 5 bytes"],
        ),
        (|world| fs::remove_file(blob(world, "build-manifest.json")).unwrap(), &[], 3, &["manifest.missing"]),
        (
            |world| overwrite(&blob(world, "build-manifest.json"), flipped(world, "build-manifest.json")),
            &[],
            3,
            &["manifest.mismatch"],
        ),
        (|world| overwrite(&attestation(world), "{}"), &[], 3, &["altered"]),
        (
            |world| {
                fs::remove_file(attestation(world)).unwrap();
                fs::remove_file(blob(world, "public/index.html")).unwrap();
            },
            &[],
            3,
            &["build.untrusted", "blob.missing"],
        ),
        (|world| fs::remove_dir_all(world.path(STORE).join("trust")).unwrap(), &[], 3, &["trust.missing"]),
        (|world| fs::remove_dir_all(world.path(STORE).join("builds")).unwrap(), &[], 1, &["has no build 1 of hello"]),
    ];
    let world = published();
    for (number, (attack, flags, code, said)) in cases.into_iter().enumerate() {
        let kept = world.path("kept");
        let copy = |from: &str, to: &str| {
            let status = std::process::Command::new("cp").args(["-a", from, to]).current_dir(world.path("")).status();
            assert!(status.unwrap().success());
        };
        copy(STORE, "kept");
        attack(&world);
        let ran = world.run(&[&VERIFY[..], flags].concat());
        assert_eq!(ran.code, code, "attack {number}: {}{}", ran.stdout, ran.stderr);
        for words in said {
            assert!(ran.stderr.contains(words), "attack {number}: {words}: {}", ran.stderr);
        }
        fs::remove_dir_all(world.path(STORE)).unwrap();
        fs::rename(kept, world.path(STORE)).unwrap();
    }
    world.ok(&VERIFY);
}

fn flipped(world: &World, file: &str) -> Vec<u8> {
    let mut bytes = world.read(file);
    bytes[3] ^= 1;
    bytes
}

fn attestation(world: &World) -> PathBuf {
    let manifest = manifest_schema::Digest::of(&world.read("build-manifest.json"));
    let directory = world.path(STORE).join("attestations").join(manifest.hex()).join("build");
    fs::read_dir(directory).unwrap().next().unwrap().unwrap().path()
}

#[test]
fn files_that_are_no_longer_what_was_built_are_named() {
    let world = published();
    let verify = [&VERIFY[..], &["--artifacts", "."]].concat();
    world.ok(&verify);
    world.write("public/index.html", "changed");
    fs::remove_file(world.path("public/style.css")).unwrap();
    for number in 10..40 {
        world.write(&format!("public/new-{number}.html"), "new");
    }
    symlink("index.html", world.path("public/again")).unwrap();
    fs::set_permissions(world.path("infra/main.tf"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::remove_dir_all(world.path("build/image")).unwrap();
    assert_seen!(world.transcript(&verify));
    let answer = world.run(&[&verify[..], &["--format", "json"]].concat());
    let answer: serde_json::Value = serde_json::from_str(&answer.stdout).unwrap();
    let artifacts = &answer["error"]["details"]["artifacts"];
    assert_eq!(artifacts[0]["changed"], serde_json::json!(["main.tf"]));
    assert_eq!(artifacts[1]["added"].as_array().unwrap().len(), 31, "programs get all of them");
    assert_eq!(artifacts[1]["removed"], serde_json::json!(["style.css"]));
    assert_eq!(artifacts[2]["state"], "missing");
    assert_eq!(answer["error"]["reasons"].as_array().unwrap().len(), 3);

    fs::remove_file(world.path("public/again")).unwrap();
    symlink("/etc/passwd", world.path("public/out")).unwrap();
    let ran = world.run(&verify);
    assert!(ran.code == 3 && ran.stderr.contains("artifact.mismatch: site: ") && ran.stderr.contains("public/out"));
    assert_eq!(world.run(&[&VERIFY[..], &["--artifacts", "nowhere"]].concat()).code, 1);
}

/// What a deployment left somewhere, or what somebody fetched: a directory that has what the manifest names.
#[test]
fn without_a_configuration_artifacts_are_under_their_names() {
    let world = published();
    fs::create_dir(world.path("fetched")).unwrap();
    for (from, to) in [("public", "site"), ("infra", "infra"), ("build/image", "web")] {
        fs::rename(world.path(from), world.path("fetched").join(to)).unwrap();
    }
    let verify = [&VERIFY[..], &["--artifacts", "fetched"]].concat();
    world.ok(&verify);
    world.write(
        "fetched/airlock.toml",
        "project = \"hello\"\n[artifacts.site]\nkind = \"file\"\npath = \"infra/main.tf\"\n",
    );
    assert_seen!(world.transcript(&verify));
}
