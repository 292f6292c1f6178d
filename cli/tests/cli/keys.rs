//! `airlock key`, and what is said about keys that can't be used.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::world::{World, assert_seen};

const SIGN: [&str; 5] = ["manifest", "sign", "build-manifest.json", "--output", "out.json"];

fn sign_with<'a>(rest: &[&'a str]) -> Vec<&'a str> {
    [&SIGN, rest].concat()
}

#[test]
fn a_pair_is_made_once_and_only_its_owner_reads_the_private_half() {
    let world = World::empty();
    assert_seen!(world.transcript(&["key", "generate", "builder"]));
    let mode = |name: &str| fs::metadata(world.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("builder.pem"), 0o600);
    let before = world.read("builder.pem");
    assert!(before.starts_with(b"-----BEGIN PRIVATE KEY-----\n"));
    assert!(world.read("builder.pub.pem").starts_with(b"-----BEGIN PUBLIC KEY-----\n"));
    assert_seen!(world.transcript(&["key", "generate", "builder"]));
    assert_eq!(world.read("builder.pem"), before);
}

#[test]
fn both_halves_have_one_id() {
    let world = World::empty();
    let made = world.ok(&["key", "generate", "a"]).stdout;
    for file in ["a.pem", "a.pub.pem"] {
        assert_eq!(world.ok(&["key", "id", file]).stdout, made);
    }
    assert_eq!(world.ok(&["key", "public", "a.pem"]).stdout.as_bytes(), world.read("a.pub.pem"));
    world.write("a.ssh", world.ok(&["key", "public", "--ssh", "a.pem"]).stdout);
    assert_eq!(world.ok(&["key", "id", "a.ssh"]).stdout, made);
}

#[test]
fn an_encrypted_key_wants_its_passphrase() {
    let world = World::signed();
    world.write("right", "correct horse\n");
    world.write("wrong", "battery staple\n");
    world.ok(&["key", "generate", "sealed", "--passphrase-file", "right"]);
    assert!(world.read("sealed.pem").starts_with(b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n"));
    world.ok(&sign_with(&["--key", "sealed.pem", "--passphrase-file", "right"]));
    assert_seen!(world.transcript(&sign_with(&["--key", "sealed.pem"])));
    assert_seen!(world.transcript(&sign_with(&["--key", "sealed.pem", "--passphrase-file", "wrong"])));
    let world = world.with("AIRLOCK_PASSPHRASE", "correct horse").with("AIRLOCK_KEY", "sealed.pem");
    world.ok(&SIGN);
}

#[test]
fn a_missing_key_is_named() {
    assert_seen!(World::signed().transcript(&sign_with(&["--key", "nowhere/builder.pem"])));
}

#[test]
fn a_public_key_does_not_sign() {
    assert_seen!(World::signed().transcript(&sign_with(&["--key", "builder.pub.pem"])));
}

#[test]
fn a_private_key_that_others_can_read_is_warned_about() {
    let world = World::signed();
    fs::set_permissions(world.path("builder.pem"), fs::Permissions::from_mode(0o644)).unwrap();
    assert_seen!(world.transcript(&sign_with(&["--key", "builder.pem"])));
}
