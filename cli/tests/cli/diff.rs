//! `airlock manifest diff`, with a real store and real repositories.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use serde_json::Value;

use crate::world::{World, assert_seen};

const DIFF: [&str; 6] = ["manifest", "diff", "hello#1", "hello#2", "--store", "store"];

/// Two published builds of the example service; `edit` is what lies between.
fn two_builds(edit: impl Fn(&World)) -> World {
    let world = World::signed();
    assert_eq!(world.publish().code, 0);
    world.write("old.json", world.read("build-manifest.json"));
    edit(&world);
    world.commit("Say good morning");
    world.image();
    world.build();
    assert_eq!(world.publish().code, 0);
    world
}

/// A change of everything that the example has.
fn change_all(world: &World) {
    let replace = |path: &str, old: &str, new: &str| {
        let text = String::from_utf8(world.read(path)).unwrap();
        assert!(text.contains(old), "{path} has no {old}");
        world.write(path, text.replace(old, new));
    };
    replace("airlock.toml", "\"hello\", image", "\"good morning\", image");
    replace("infra/main.tf", "terraform {", "# Asked for in the diff's test.\nterraform {");
    replace("build-image.sh", "\"User\":\"10001:10001\"", "\"User\":\"0\"");
    replace("build-image.sh", "\"GREETING=hello\"", "\"GREETING=good morning\",\"DB_PASSWORD=hunter2\"");
    replace("build-image.sh", "[\"/app/start\"]", "[\"/app/start\",\"-v\"]");
    world.write("public/new.html", "<p>new\n");
    world.write("public/logo.bin", [0, 1, 2]);
    fs::set_permissions(world.path("public/style.css"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("index.html", world.path("public/start.html")).unwrap();
}

fn json(world: &World, arguments: &[&str]) -> Value {
    serde_json::from_str(&world.ok(&[arguments, &["--format", "json"]].concat()).stdout).unwrap()
}

fn unseen(diff: &Value) -> String {
    diff["unseen"].as_array().into_iter().flatten().map(|line| line.as_str().unwrap().to_owned() + "\n").collect()
}

#[test]
fn what_differs_is_told_down_to_lines_settings_and_commits() {
    let world = two_builds(change_all);
    assert_seen!(world.transcript(&DIFF));
    let diff = json(&world, &DIFF);
    assert_eq!(unseen(&diff), "");
    let [infra, site, web] = [0, 1, 2].map(|index| &diff["artifacts"][index]);
    let lines = infra["files"][0]["lines"]["text"]["hunks"][0]["lines"].as_array().unwrap();
    assert!(lines.iter().any(|line| line["added"] == "# Asked for in the diff's test."), "{lines:?}");
    assert_eq!(site["links"][0]["change"]["added"], "index.html");
    let settings = web["image"]["platforms"][0]["settings"].as_array().unwrap();
    let password = settings.iter().find(|setting| setting["setting"]["key"] == "DB_PASSWORD").unwrap();
    assert_eq!(password["change"]["added"], "hidden");
    assert!(!diff.to_string().contains("hunter2"), "no format tells what a variable's name says is a secret");
    assert_eq!(diff["sources"][0]["commits"]["added"]["commits"][0]["subject"], "Say good morning");
}

#[test]
fn pages_are_for_this_command_only() {
    let world = two_builds(change_all);
    let html = world.ok(&[&DIFF[..], &["--format", "html"]].concat()).stdout;
    assert!(html.starts_with("<!doctype html>") && html.contains("Say good morning"), "{html}");
    let markdown = world.ok(&[&["--format", "markdown"], &DIFF[..]].concat()).stdout;
    assert!(markdown.starts_with("## hello 0.1 → 0.2") && markdown.contains("<details"), "{markdown}");
    assert_seen!(world.transcript(&["manifest", "show", "hello#1", "--store", "store", "--format", "markdown"]));
    assert_eq!(world.run(&["--format", "html", "explain"]).code, 2);
    assert_eq!(world.run(&[&DIFF[..], &["--format", "pdf"]].concat()).code, 2);
    let world = world.with("AIRLOCK_FORMAT", "json");
    assert!(world.ok(&DIFF).stdout.starts_with('{'), "the variable is a default here as elsewhere");
}

#[test]
fn scripts_ask_with_the_exit_code() {
    let world = two_builds(change_all);
    for format in ["text", "json", "markdown", "html"] {
        assert_eq!(world.run(&[&DIFF[..], &["--exit-code", "--format", format]].concat()).code, 1);
    }
    assert_eq!(world.run(&["manifest", "diff", "hello#1", "0.1", "--exit-code", "--store", "store"]).code, 0);
}

#[test]
fn without_a_store_or_a_repository_it_says_what_it_could_not_look_at() {
    let world = two_builds(change_all);
    world.write("new.json", world.read("build-manifest.json"));
    fs::rename(world.path(".git"), world.path("elsewhere")).unwrap();
    fs::remove_file(world.path("airlock.toml")).unwrap();
    assert_seen!(world.transcript(&["manifest", "diff", "old.json", "new.json"]));
    fs::create_dir(world.path("empty")).unwrap();
    let diff = json(&world, &["manifest", "diff", "old.json", "new.json", "--store", "empty"]);
    assert!(unseen(&diff).contains("empty is not an Airlock store"), "{}", unseen(&diff));
}

/// Whoever can write the store can't make a comparison show what isn't in the builds.
#[test]
fn blobs_that_are_missing_or_altered_are_named() {
    let world = two_builds(|world| {
        world.write("public/index.html", "<p>two\n");
        world.write("public/style.css", "p { }\n");
        change_all(world);
    });
    let file = |artifact: usize, path: &str| {
        let diff = json(&world, &DIFF);
        let files = diff["artifacts"][artifact]["files"].as_array().unwrap().clone();
        let file = files.into_iter().find(|file| file["path"] == path).unwrap();
        let digest = file["change"]["changed"]["new"]["digest"].as_str().unwrap().to_owned();
        (file, world.path(&format!("store/blobs/sha256/{}", &digest["sha256:".len()..])))
    };
    let (whole, page) = file(1, "index.html");
    assert!(whole.get("lines").is_some());
    fs::remove_file(&page).unwrap();
    let (_, style) = file(1, "style.css");
    fs::set_permissions(&style, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&style, "x { }\n").unwrap();
    let diff = json(&world, &DIFF);
    assert!(unseen(&diff).contains("(site/index.html) are not compared: store lacks their bytes"), "{}", unseen(&diff));
    assert!(unseen(&diff).contains("(site/style.css) are not compared: the blob sha256:"), "{}", unseen(&diff));
    assert!(unseen(&diff).contains("was damaged or tampered with"), "{}", unseen(&diff));
    assert!(file(1, "style.css").0.get("lines").is_none());

    let bundle = diff["artifacts"][0]["change"]["changed"]["new"]["digest"].as_str().unwrap().to_owned();
    let bundle = world.path(&format!("store/blobs/sha256/{}", &bundle["sha256:".len()..]));
    fs::set_permissions(&bundle, fs::Permissions::from_mode(0o644)).unwrap();
    let mut bytes = fs::read(&bundle).unwrap();
    bytes[600] ^= 1;
    fs::write(&bundle, bytes).unwrap();
    assert!(
        unseen(&json(&world, &DIFF)).contains("the bundle infra can't be read: the blob"),
        "a bundle is checked whole"
    );
}

#[test]
fn commits_are_told_in_both_directions_and_merges_marked() {
    let world = two_builds(|world| {
        world.git(&["checkout", "--quiet", "-b", "side"]);
        world.write("public/side.html", "side\n");
        world.commit("Beside the road");
        world.git(&["checkout", "--quiet", "main"]);
        world.write("public/new.html", "new\n");
        world.commit("On the road");
        let name = ["-c", "user.name=bob", "-c", "user.email=bob@example.com"];
        world.git(&[&name[..], &["merge", "--quiet", "--no-ff", "side", "-m", "Join the road"]].concat());
        world.write("public/index.html", "<p>two\n");
    });
    let commits = |diff: &Value, side: &str| -> Vec<(String, bool)> {
        let list = diff["sources"][0]["commits"][side]["commits"].as_array().unwrap().clone();
        let commit = |commit: Value| (commit["subject"].as_str().unwrap().to_owned(), commit["merge"] == true);
        list.into_iter().map(commit).collect()
    };
    let diff = json(&world, &DIFF);
    let told = commits(&diff, "added");
    assert_eq!(told.len(), 4);
    assert_eq!(told[..2], [("Say good morning".to_owned(), false), ("Join the road".to_owned(), true)]);
    assert_eq!(diff["sources"][0]["commits"]["added"]["count"], 4);
    let back = ["manifest", "diff", "hello#2", "hello#1", "--store", "store"];
    assert_eq!(commits(&json(&world, &back), "removed"), told, "an older build takes them back");
    assert!(world.ok(&back).stdout.contains("(back by 4 commits)"));

    // Rewritten: the commit of build 3 is no descendant of build 2's.
    world.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
    world.write("public/index.html", "<p>three\n");
    world.commit("Say good evening");
    world.build();
    assert_eq!(world.publish().code, 0);
    let rewritten = world.ok(&["manifest", "diff", "hello#2", "hello#3", "--store", "store"]).stdout;
    assert!(rewritten.contains("diverged: 1 commit only in the new build, 1 commit only in the old"), "{rewritten}");
}

#[test]
fn a_shallow_clone_says_what_it_lacks() {
    let world = two_builds(change_all);
    let here = format!("file://{}", world.path("").display());
    world.git(&["clone", "--quiet", "--depth", "1", &here, "shallow"]);
    let diff = json(&world, &["-C", "shallow", "manifest", "diff", "../old.json", "../build-manifest.json"]);
    assert!(unseen(&diff).contains("is a shallow clone without"), "{}", unseen(&diff));
    assert!(unseen(&diff).contains("git fetch --unshallow"), "{}", unseen(&diff));
}

/// Threat 35, with a real commit: git hands over whatever somebody wrote.
#[test]
fn what_a_commit_says_stays_text() {
    let world = two_builds(|world| {
        world.write("public/index.html", "<p>two\n");
        world.commit("<script>alert(1)</script>\x1b[31m [x](https://evil.example) \u{202e}");
        world.write("public/index.html", "<p>three\n");
    });
    for format in ["text", "markdown", "html"] {
        let told = world.ok(&[&DIFF[..], &["--format", format]].concat()).stdout;
        assert!(told.contains("alert(1)"), "{told}");
        assert!(!told.contains('\x1b') && !told.contains('\u{202e}'), "{told}");
        assert!(format != "html" || !told.contains("<script"), "{told}");
    }
}

#[test]
fn an_environment_must_be_one_that_can_be_asked() {
    let world = two_builds(change_all);
    assert_seen!(world.transcript(&["manifest", "diff", "deployed:Not an environment", "hello#2", "--store", "store"]));
    assert_eq!(world.run(&["manifest", "diff", "deployed:production", "hello#2", "--store", "store"]).code, 1);
    world.ok(&["init"]);
    assert_seen!(world.transcript(&["manifest", "diff", "deployed:production", "build-manifest.json"]));
}

#[test]
fn three_hundred_files_stay_readable() {
    let page = |number: usize, text: &str| (format!("public/{}/{number}.html", number % 6), text.to_owned());
    let world = World::hello();
    for number in 0..300 {
        let (path, text) = page(number, "<p>one\n");
        world.write(&path, text);
    }
    world.commit("Three hundred pages");
    world.build();
    assert_eq!(world.publish().code, 0);
    for number in 0..300 {
        let (path, text) = page(number, "<p>two\n");
        world.write(&path, text);
    }
    world.commit("Change all of them");
    world.build();
    assert_eq!(world.publish().code, 0);
    let text = world.ok(&DIFF).stdout;
    assert!(text.lines().count() < 60, "{text}");
    assert!(text.contains("0/ (50 changed)") && text.contains("… and 47 more files: 47 changed"), "{text}");
    let html = world.ok(&[&DIFF[..], &["--format", "html"]].concat()).stdout;
    assert_eq!(html.matches("<ins>+&lt;p&gt;two</ins>").count(), 300, "a page has them all, folded");
    let markdown = world.ok(&[&DIFF[..], &["--format", "markdown"]].concat()).stdout;
    assert!(markdown.len() < 65_536);
}

#[test]
fn a_change_among_many_new_files_comes_first_with_its_lines() {
    let world = two_builds(|world| {
        for number in 0..40 {
            world.write(&format!("public/assets/{}/{number}.txt", number % 3), "new\n");
        }
        world.write("public/style.css", "/* changed */\n");
    });
    let text = world.ok(&DIFF).stdout;
    let at = |what: &str| text.find(what).unwrap_or_else(|| panic!("no {what} in {text}"));
    assert!(at("+/* changed */") < at("assets/ (40 added)"), "{text}");
    assert!(text.contains("the lines of 40 files are not compared"), "{text}");
}
