//! `airlock image`

use std::process::Command;

use crate::world::{World, assert_seen};

#[test]
fn an_image_is_told_from_a_layout_and_from_an_archive() {
    let world = World::hello();
    let layout = world.ok(&["image", "inspect", "build/image"]).stdout;
    let mut tar = Command::new("tar");
    tar.args(["-cf", "image.tar", "-C", "build/image", "."]).current_dir(world.path(""));
    assert!(tar.status().unwrap().success());
    assert_eq!(world.ok(&["image", "inspect", "image.tar"]).stdout, layout);
    let json = |image| world.ok(&["image", "inspect", image, "--format", "json"]).stdout;
    assert_eq!(json("image.tar"), json("build/image"));
    assert_seen!(world.transcript(&["image", "inspect", "build/image"]));
    assert_seen!(world.transcript(&["image", "inspect", "build/image", "--format", "json"]));
}

#[test]
fn what_is_no_image_is_refused() {
    let world = World::hello();
    world.write("text", "hello");
    assert_seen!(world.transcript(&["image", "inspect", "nowhere"]));
    assert_seen!(world.transcript(&["image", "inspect", "text"]));
}

/// Of a published build, the documents come from the store; what the other build has already is said of each layer.
#[test]
fn a_published_image_is_compared_with_another_build() {
    let world = World::signed();
    world.ok(&["publish", "build-manifest.json", "--envelope", "build.dsse.json", "--store", "store"]);
    let told = ["image", "inspect", "build-manifest.json", "--store", "store", "--with", "build-manifest.json"];
    assert_seen!(world.transcript(&told));
    let failed = world.run(&[&told[..], &["--artifact", "other"]].concat());
    assert_eq!(failed.code, 1);
    assert!(failed.stderr.contains("the build has no image other"), "{}", failed.stderr);
}

#[test]
fn values_that_are_named_like_secrets_are_hidden() {
    let world = World::hello();
    let config = r#"{"os":"linux","architecture":"amd64","rootfs":{"diff_ids":[]},"config":{"Env":["DB_PASSWORD=hunter2","A=b"],
        "Labels":{"registry-token":"hunter2"},"User":"\u001b[31mred"}}"#;
    world.write("saved/manifest.json", r#"[{"Config":"c.json","Layers":[]}]"#);
    world.write("saved/c.json", config);
    let mut tar = Command::new("tar");
    tar.args(["-cf", "saved.tar", "-C", "saved", "."]).current_dir(world.path(""));
    assert!(tar.status().unwrap().success());
    for format in ["text", "json"] {
        let told = world.ok(&["image", "inspect", "saved.tar", "--format", format]).stdout;
        assert!(told.contains("DB_PASSWORD") && told.contains("registry-token"), "{told}");
        assert!(!told.contains("hunter2") && !told.contains('\u{1b}'), "{told}");
    }
}
