//! `airlock manifest`

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use crate::world::{World, assert_seen};

const BUILD: [&str; 2] = ["manifest", "build"];
const VERIFY: [&str; 7] =
    ["manifest", "verify", "build-manifest.json", "--envelope", "build.dsse.json", "--key", "builder.pub.pem"];

#[test]
fn a_build_is_described_signed_verified_and_shown() {
    let world = World::hello();
    assert_seen!(world.transcript(&BUILD));
    assert_seen!(world.transcript(&["manifest", "sign", "build-manifest.json", "--key", "builder.pem"]));
    assert_seen!(world.transcript(&VERIFY));
    assert_seen!(world.transcript(&["manifest", "show", "build-manifest.json"]));
}

/// Another directory, user, umask, locale and time zone; files made in another order at other times.
#[test]
fn the_same_inputs_give_the_same_bytes() {
    let world = World::hello();
    world.ok(&["manifest", "build", "--output", "a.json"]);
    world.ok(&["-C", "public", "manifest", "build", "--output", "../b.json"]);
    assert_eq!(world.read("a.json"), world.read("b.json"));

    let other = World::empty();
    let script = format!(
        r#"set -eu
        umask 077
        git clone --quiet '{}' 'else where'
        cd 'else where'
        git remote remove origin
        mv public public.old && mkdir public
        for file in $(ls -r public.old); do cp "public.old/$file" public/; done
        rm -r public.old
        sh build-image.sh 2>/dev/null
        mv build/image build/image.old && mkdir -m 700 build/image
        for file in $(ls -r build/image.old); do cp -r "build/image.old/$file" build/image/; done
        find public build infra -exec touch -d 2001-02-03T04:05:06Z {{}} +
        '{}' manifest build --output ../c.json"#,
        world.path("").display(),
        env!("CARGO_BIN_EXE_airlock"),
    );
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).current_dir(other.path("")).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    shell.env("HOME", other.path("")).env("USER", "bob").env("TZ", "Asia/Kathmandu").env("LC_ALL", "de_DE.UTF-8");
    let output = shell.env("LANG", "ja_JP.UTF-8").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (a, c) = (world.read("a.json"), other.read("c.json"));
    assert_eq!(String::from_utf8(a).unwrap(), String::from_utf8(c).unwrap());
}

/// Builds, and does `change` while `file`, which is large enough for that, is being read.
fn build_while(world: &World, file: &str, change: impl FnOnce()) -> (Option<i32>, String) {
    fs::File::create(world.path(file)).unwrap().set_len(256 << 20).unwrap();
    let mut child = world.airlock().args(BUILD).stderr(Stdio::piped()).spawn().unwrap();
    let is_open = |entry: fs::DirEntry| fs::read_link(entry.path()).is_ok_and(|path| path.ends_with(file));
    let descriptors = format!("/proc/{}/fd", child.id());
    while !fs::read_dir(&descriptors).is_ok_and(|mut entries| entries.any(|entry| entry.is_ok_and(is_open))) {
        assert_eq!(child.try_wait().unwrap(), None, "it ended before it read the file");
    }
    let signal = |name: &str| {
        assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
    };
    signal("-STOP");
    change();
    signal("-CONT");
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (child.wait().unwrap().code(), said)
}

/// A log that something still writes to, as an artifact, in one, and as a report.
#[test]
fn a_file_that_changes_while_it_is_read_fails_the_build() {
    for section in [
        "[artifacts.log]\nkind = \"file\"\npath = \"logs/build.log\"\n",
        "[artifacts.logs]\nkind = \"directory\"\npath = \"logs\"\n",
        "[[evidence]]\nname = \"log\"\nkind = \"tests\"\npath = \"logs/build.log\"\nmedia-type = \"text/plain\"\n",
    ] {
        let world = World::empty();
        world.write("airlock.toml", format!("project = \"hello\"\n{section}"));
        world.git(&["init", "--quiet", "--initial-branch=main"]);
        world.commit("one");
        fs::create_dir(world.path("logs")).unwrap();
        let (code, said) = build_while(&world, "logs/build.log", || {
            let mut log = fs::File::options().append(true).open(world.path("logs/build.log")).unwrap();
            log.write_all(b"one more line\n").unwrap();
        });
        assert_eq!(code, Some(1), "{section}: {said}");
        assert!(said.contains("build.log changed while it was read"), "{said}");
        assert!(!world.path("build-manifest.json").exists(), "{section}");
    }
}

/// A checkout in the middle of a build would mix two commits.
#[test]
fn a_source_that_changes_while_files_are_read_fails_the_build() {
    let world = World::empty();
    world.write("airlock.toml", "project = \"hello\"\n[artifacts.big]\nkind = \"file\"\npath = \"big\"\n");
    world.write(".gitignore", "big\n");
    world.git(&["init", "--quiet", "--initial-branch=main"]);
    world.commit("one");
    let (code, said) = build_while(&world, "big", || {
        world.git(&["-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--allow-empty", "-m", "two"]);
    });
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("error: a source repository changed while the build was described"), "{said}");
}

#[test]
fn ci_says_number_page_and_job() {
    let world = World::hello()
        .with("BUILD_NUMBER", "12")
        .with("JOB_NAME", "hello/main")
        .with("BUILD_URL", "https://user:secret@ci.example/job/hello/12/");
    world.ok(&[&BUILD[..], &["--epoch", "3"]].concat());
    let manifest: serde_json::Value = serde_json::from_slice(&world.read("build-manifest.json")).unwrap();
    let expected = serde_json::json!({ "epoch": 3, "number": 12, "url": "https://ci.example/job/hello/12/",
        "builder": "jenkins:hello/main" });
    assert_eq!(manifest["build"], expected);
}

#[test]
fn a_detached_head_has_the_ref_that_the_ci_checked_out() {
    let world = World::hello().with("GIT_BRANCH", "origin/main").with("BUILD_NUMBER", "1");
    world.git(&["checkout", "--quiet", "--detach"]);
    world.git(&["remote", "add", "origin", "https://token:x@git.example/hello.git"]);
    world.ok(&BUILD);
    let manifest: serde_json::Value = serde_json::from_slice(&world.read("build-manifest.json")).unwrap();
    assert_eq!(manifest["sources"][0]["ref"], "refs/heads/main");
    assert_eq!(manifest["sources"][0]["uri"], "https://git.example/hello.git");
}

#[test]
fn a_dirty_tree_is_refused_unless_allowed() {
    let world = World::hello();
    world.write("public/index.html", "changed");
    world.write("untracked", "nobody minds");
    assert_seen!(world.transcript(&BUILD));
    assert_seen!(world.transcript(&[&BUILD[..], &["--allow-dirty"]].concat()));
}

#[test]
fn what_can_not_be_packed_is_named() {
    let world = World::hello();
    fs::remove_dir_all(world.path("build")).unwrap();
    assert_seen!(world.transcript(&BUILD));

    let world = World::empty();
    world.write("airlock.toml", "project = \"x\"\n[artifacts.a]\nkind = \"file\"\npath = \"link\"\n");
    world.git(&["init", "--quiet", "--initial-branch=main"]);
    assert_seen!(world.transcript(&BUILD));
    world.commit("one");
    std::os::unix::fs::symlink("airlock.toml", world.path("link")).unwrap();
    assert_seen!(world.transcript(&BUILD));
}

#[test]
fn an_unreadable_artifact_is_named() {
    let world = World::hello();
    fs::set_permissions(world.path("public/style.css"), fs::Permissions::from_mode(0o000)).unwrap();
    let unreadable = fs::read(world.path("public/style.css")).is_err();
    let ran = world.run(&[&BUILD[..], &["--allow-dirty"]].concat());
    // The superuser reads everything.
    assert_eq!(ran.code, if unreadable { 1 } else { 0 });
    assert!(!unreadable || ran.stderr.contains("error: can't read public/style.css"), "{}", ran.stderr);
}

#[test]
fn without_a_repository_or_a_configuration_it_says_what_is_missing() {
    let world = World::empty();
    assert_seen!(world.transcript(&BUILD));
    world.write("airlock.toml", "project = \"x\"\n");
    assert_seen!(world.transcript(&BUILD));
    world.write("airlock.toml", "project = \"x\"\n[artifacts.a]\nkind = \"zip\"\npath = \"a\"\n");
    assert_seen!(world.transcript(&BUILD));
}

/// Everything that is wrong inside a file is a refused verification; only a file that isn't there is a failure.
#[test]
fn verification_refuses_whatever_is_wrong() {
    let world = World::signed();
    let envelope = world.read("build.dsse.json");
    let text = String::from_utf8(envelope.clone()).unwrap();
    world.ok(&["key", "generate", "stranger"]);
    world.write("empty", "");
    world.write("binary", [0xff, 0xfe, 0x00]);
    world.write("truncated", &envelope[..envelope.len() / 2]);
    world.write("huge", vec![b' '; 70_000]);
    world.write("brackets", "[".repeat(50_000));
    world.write("other-type", text.replace("vnd.in-toto", "x.in-toto"));
    world.write("unsigned", text.replace("\"sig\": \"", "\"sig\": \"AAAA"));
    world.write("private", world.read("builder.pem"));
    let mut seen = String::new();
    let cases = ["empty", "binary", "truncated", "huge", "brackets", "other-type", "unsigned", "private"];
    for file in cases {
        for place in [4, 6] {
            let mut arguments = VERIFY;
            arguments[place] = file;
            let ran = world.run(&arguments);
            assert_eq!(ran.code, 3, "{arguments:?}\n{}", ran.stderr);
            assert_eq!(ran.stdout, "");
        }
        let mut arguments = VERIFY;
        arguments[4] = file;
        seen.push_str(&world.transcript(&arguments));
    }
    let mut stranger = VERIFY;
    stranger[6] = "stranger.pub.pem";
    seen.push_str(&world.transcript(&stranger));
    seen.push_str(&world.transcript(&[&VERIFY[..], &["--key", "stranger.pub.pem", "--threshold", "2"]].concat()));
    assert_seen!(seen);
}

#[test]
fn verification_fails_on_files_that_are_not_there() {
    let world = World::signed();
    for place in [2, 4, 6] {
        let mut arguments = VERIFY;
        arguments[place] = "nowhere";
        let ran = world.run(&arguments);
        assert_eq!(ran.code, 1, "{}", ran.stderr);
        assert!(ran.stderr.starts_with("error: can't read nowhere\n"), "{}", ran.stderr);
    }
}

#[test]
fn one_changed_byte_of_the_manifest_is_refused() {
    let world = World::signed();
    let mut manifest = world.read("build-manifest.json");
    for position in [0, manifest.len() / 2, manifest.len() - 1] {
        manifest[position] ^= 1;
        world.write("build-manifest.json", &manifest);
        assert_eq!(world.run(&VERIFY).code, 3);
        manifest[position] ^= 1;
    }
    world.write("build-manifest.json", &manifest);
    assert_eq!(world.run(&VERIFY).code, 0);
    world.write("build-manifest.json", "");
    assert_eq!(world.run(&VERIFY).code, 3);
}

#[test]
fn two_builds_are_compared() {
    let world = World::signed();
    assert_eq!(world.publish().code, 0);
    world.write("public/index.html", "<p>two");
    world.write("public/new.html", "<p>new");
    fs::remove_file(world.path("public/style.css")).unwrap();
    let toml = String::from_utf8(world.read("airlock.toml")).unwrap();
    world.write("airlock.toml", toml.replace("\"hello\", image", "\"good morning\", image"));
    world.commit("two");
    world.image();
    world.build();
    assert_eq!(world.publish().code, 0);
    let diff = ["manifest", "diff", "--store", "store", "hello#1", "0.2"];
    assert_seen!(world.transcript(&diff));
    let json = world.ok(&[&diff[..], &["--format", "json"]].concat()).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["schema"], "airlock/manifest-diff/v1");
    assert_eq!(json["artifacts"].as_array().unwrap().len(), 2);
    assert_eq!(world.run(&[&diff[..], &["--exit-code"]].concat()).code, 1);
    assert_seen!(world.transcript(&["manifest", "diff", "hello#2", "0.2", "--store", "store", "--exit-code"]));
    assert_seen!(world.transcript(&["manifest", "diff", "hello#1", "hello#9", "--store", "store"]));
    assert_seen!(world.transcript(&["manifest", "diff", "hello#1", "nowhere.json", "--store", "store"]));
}

#[test]
fn schemas_are_listed_and_printed() {
    let world = World::empty();
    let names = world.ok(&["manifest", "schema"]).stdout;
    for name in names.lines() {
        let schema: serde_json::Value = serde_json::from_str(&world.ok(&["manifest", "schema", name]).stdout).unwrap();
        assert_eq!(schema["title"], name);
    }
    assert_eq!(world.run(&["manifest", "schema", "nothing"]).code, 2);
}
