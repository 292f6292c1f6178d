//! `airlock manifest build` in repositories as CI systems check them out.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use crate::world::{Ran, World, assert_seen};

/// A forge with a project on `main`, a change request on top of it, a tag before it, and a library.
struct Forge {
    world: World,
    main: String,
    request: String,
}

/// Variables of a CI, as `NAME=value`; `MAIN` and `REQUEST` stand for commits.
type Variables<'a> = &'a [&'a str];

impl Forge {
    fn new() -> Self {
        let world = World::empty();
        world.write("seed/airlock.toml", "project = \"hello\"\n");
        world.git(&["init", "--quiet", "--initial-branch=main", "seed"]);
        let commit = |message: &str| {
            world.git(&["-C", "seed", "add", "--all"]);
            let who = ["-c", "user.name=alice", "-c", "user.email=alice@example.com"];
            world.git(&[&["-C", "seed"], &who[..], &["commit", "--quiet", "-m", message]].concat());
            asked(&world, &["-C", "seed", "rev-parse", "HEAD"])
        };
        commit("one");
        world.git(&["-C", "seed", "tag", "v1"]);
        world.write("seed/two", "two");
        let main = commit("two");
        world.git(&["-C", "seed", "checkout", "--quiet", "-b", "feature"]);
        world.write("seed/three", "three");
        let request = commit("three");
        world.git(&["-C", "seed", "update-ref", "refs/pull/12/head", "HEAD"]);
        world.git(&["-C", "seed", "checkout", "--quiet", "main"]);
        world.git(&["clone", "--quiet", "--mirror", "seed", "forge.git"]);
        Self { world, main, request }
    }

    fn address(&self) -> String {
        format!("file://{}", self.world.path("forge.git").display())
    }

    /// What Jenkins' git plugin does for one ref of the forge.
    fn fetch(&self, directory: &str, refspec: &str, commit: &str) {
        self.world.git(&["init", "--quiet", "--initial-branch=unborn", directory]);
        let git = |arguments: &[&str]| self.world.git(&[&["-C", directory], arguments].concat());
        git(&["remote", "add", "origin", &self.address()]);
        git(&["fetch", "--quiet", "--no-tags", "--depth=1", "--no-recurse-submodules", "origin", refspec]);
        git(&["checkout", "--quiet", "-f", commit]);
    }

    fn main(&self, directory: &str) {
        self.fetch(directory, "+refs/heads/main:refs/remotes/origin/main", &self.main);
    }

    fn request(&self, directory: &str) {
        self.fetch(directory, "+refs/pull/12/head:refs/remotes/origin/PR-12", &self.request);
    }

    fn build(&self, directory: &str, variables: Variables<'_>) -> Ran {
        let mut command = self.world.airlock();
        for variable in variables {
            let (name, value) = variable.split_once('=').unwrap();
            command.env(name, value.replace("MAIN", &self.main).replace("REQUEST", &self.request));
        }
        let output = command.args(["-C", directory, "manifest", "build"]).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ran { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// The sources of what was built, as `<uri> <ref>`, with `FORGE` for the forge's address.
    fn sources(&self, directory: &str) -> Vec<String> {
        let manifest = self.world.read(&format!("{directory}/build-manifest.json"));
        let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
        let told = |source: &serde_json::Value| {
            let text = |name: &str| source[name].as_str().unwrap().to_owned();
            format!("{} {}", text("uri").replace(&self.address(), "FORGE"), text("ref"))
        };
        manifest["sources"].as_array().unwrap().iter().map(told).collect()
    }
}

fn asked(world: &World, arguments: &[&str]) -> String {
    let output = Command::new("git").args(arguments).current_dir(world.path("")).output().unwrap();
    assert!(output.status.success(), "git {arguments:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn the_ref_is_what_the_ci_says_of_this_commit_and_else_what_git_knows() {
    let forge = Forge::new();
    type Prepare<'a> = (&'static str, &'a dyn Fn(&str));
    let prepare: [Prepare<'_>; 6] = [
        ("main", &|directory| forge.main(directory)),
        ("request", &|directory| forge.request(directory)),
        ("merge", &|directory| {
            // Jenkins' merge strategy: the target, and the request merged into it here.
            forge.main(directory);
            let git = |arguments: &[&str]| forge.world.git(&[&["-C", directory], arguments].concat());
            git(&["fetch", "--quiet", "--unshallow", "origin", "+refs/pull/12/head:refs/remotes/origin/PR-12"]);
            let who = ["-c", "user.name=Jenkins", "-c", "user.email=nobody@nowhere"];
            git(&[&who[..], &["merge", "--quiet", "--no-ff", "-m", "Merge", &forge.request]].concat());
        }),
        ("branch", &|directory| {
            forge.main(directory);
            forge.world.git(&["-C", directory, "checkout", "--quiet", "-b", "local"]);
        }),
        ("bumped", &|directory| {
            forge.main(directory);
            forge.world.write(&format!("{directory}/version"), "1.0.1");
            forge.world.git(&["-C", directory, "add", "--all"]);
            let who = ["-c", "user.name=bot", "-c", "user.email=bot@example.com"];
            forge.world.git(&[&["-C", directory], &who[..], &["commit", "--quiet", "-m", "1.0.1"]].concat());
        }),
        ("tag", &|directory| {
            forge.world.git(&["clone", "--quiet", &forge.address(), directory]);
            forge.world.git(&["-C", directory, "checkout", "--quiet", "--detach", "v1"]);
        }),
    ];
    let cases: [(&str, Variables<'_>, &str, Option<&str>); 18] = [
        ("main", &["GIT_COMMIT=MAIN", "GIT_BRANCH=origin/main"], "refs/heads/main", None),
        ("main", &["GIT_BRANCH=origin/main"], "refs/heads/main", None),
        ("main", &["BRANCH_NAME=main"], "refs/heads/main", None),
        ("main", &["GIT_COMMIT=MAIN", "GIT_BRANCH=detached"], "refs/heads/main", None),
        ("main", &[], "refs/heads/main", None),
        ("main", &["GITLAB_CI=true", "CI_COMMIT_SHA=MAIN", "CI_COMMIT_BRANCH=main"], "refs/heads/main", None),
        // pull_request_target: the variables are about the target, what is checked out is the request.
        (
            "request",
            &["GITHUB_ACTIONS=true", "GITHUB_SHA=MAIN", "GITHUB_REF=refs/heads/main"],
            "refs/heads/PR-12",
            Some("GITHUB_SHA is"),
        ),
        ("request", &["BRANCH_NAME=PR-12", "CHANGE_ID=12", "GIT_COMMIT=REQUEST"], "refs/pull/12/head", None),
        ("request", &["BRANCH_NAME=PR-12", "CHANGE_ID=12"], "refs/pull/12/head", None),
        ("merge", &["BRANCH_NAME=PR-12", "CHANGE_ID=12"], "refs/pull/12/merge", None),
        ("merge", &[], "HEAD", Some("is on no branch and no tag")),
        // The CI knows what it built; a local branch may have any name.
        ("branch", &["GIT_COMMIT=MAIN", "GIT_BRANCH=origin/main"], "refs/heads/main", None),
        ("branch", &["BRANCH_NAME=main"], "refs/heads/local", None),
        ("bumped", &["GIT_COMMIT=MAIN", "GIT_BRANCH=origin/main"], "HEAD", Some("GIT_COMMIT is")),
        ("bumped", &["BRANCH_NAME=main"], "refs/heads/main", None),
        ("bumped", &[], "HEAD", Some("is on no branch and no tag")),
        ("tag", &[], "refs/tags/v1", None),
        ("tag", &["GIT_COMMIT=MAIN", "BRANCH_NAME=main"], "refs/tags/v1", Some("GIT_COMMIT is")),
    ];
    for (directory, checkout) in prepare {
        checkout(directory);
    }
    for (directory, variables, reference, warning) in cases {
        let ran = forge.build(directory, variables);
        assert_eq!(ran.code, 0, "{directory} {variables:?}: {}", ran.stderr);
        assert_eq!(forge.sources(directory), [format!("FORGE {reference}")], "{directory} {variables:?}");
        let warned = ran.stderr.contains("warning:");
        assert_eq!(warned, warning.is_some(), "{directory} {variables:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(warning.unwrap_or_default()), "{directory} {variables:?}: {}", ran.stderr);
    }
}

/// A clone of everything has several branches at a commit: which one was built can't be told.
#[test]
fn of_several_branches_at_the_commit_none_is_claimed() {
    let forge = Forge::new();
    forge.world.git(&["-C", "forge.git", "branch", "release", "main"]);
    forge.world.git(&["clone", "--quiet", &forge.address(), "clone"]);
    forge.world.git(&["-C", "clone", "checkout", "--quiet", "--detach"]);
    assert_eq!(forge.build("clone", &[]).code, 0);
    assert_eq!(forge.sources("clone"), ["FORGE HEAD"]);
}

#[test]
fn a_pipeline_library_beside_the_workspace_is_a_source_of_its_own() {
    let forge = Forge::new();
    forge.main("hello");
    forge.request("hello@libs/library");
    forge.world.write(
        "hello/airlock.toml",
        "project = \"hello\"\n[[sources]]\npath = \"../hello@libs/library\"\nuri = \"https://me:x@forge/library\"\n",
    );
    forge.world.git(&["-C", "hello", "update-index", "--assume-unchanged", "airlock.toml"]);
    let ran = forge.build("hello", &["GIT_COMMIT=REQUEST", "CHANGE_ID=12"]);
    assert!(ran.stderr.contains("differ from its commit: airlock.toml"), "nothing is hidden: {}", ran.stderr);

    forge.world.git(&["-C", "hello", "update-index", "--no-assume-unchanged", "airlock.toml"]);
    let who = ["-c", "user.name=alice", "-c", "user.email=alice@example.com"];
    forge.world.git(&[&["-C", "hello"], &who[..], &["commit", "--quiet", "-am", "library"]].concat());
    // Of several checkouts, GIT_* tell about one: here the library.
    assert_eq!(forge.build("hello", &["GIT_COMMIT=REQUEST", "CHANGE_ID=12"]).code, 0);
    assert_eq!(forge.sources("hello"), ["FORGE HEAD", "https://forge/library refs/pull/12/head"]);
}

#[test]
fn a_clone_without_a_remote_has_the_address_that_the_ci_says() {
    let forge = Forge::new();
    forge.main("hello");
    forge.world.git(&["-C", "hello", "remote", "remove", "origin"]);
    let cases: [(Variables<'_>, &str); 5] = [
        (&["GIT_URL=https://me:secret@forge/hello.git"], "https://forge/hello.git HEAD"),
        (
            &["GIT_URL=git@forge:hello.git", "GIT_COMMIT=MAIN", "GIT_BRANCH=origin/main"],
            "git@forge:hello.git refs/heads/main",
        ),
        (&["GIT_URL=https://forge/other.git", "GIT_COMMIT=REQUEST"], "local:hello HEAD"),
        (
            &["GITHUB_ACTIONS=true", "GITHUB_REPOSITORY=acme/hello", "GITHUB_SHA=MAIN"],
            "https://github.com/acme/hello HEAD",
        ),
        (
            &["GITLAB_CI=true", "CI_REPOSITORY_URL=https://gitlab-ci-token:x@gitlab/hello.git", "CI_COMMIT_TAG=v2"],
            "https://gitlab/hello.git refs/tags/v2",
        ),
    ];
    for (variables, expected) in cases {
        assert_eq!(forge.build("hello", variables).code, 0);
        assert_eq!(forge.sources("hello"), [expected], "{variables:?}");
    }
}

#[test]
fn names_that_no_text_can_hold_are_told_all_the_same() {
    let world = World::empty();
    world.write("airlock.toml", "project = \"hello\"\n");
    for name in ["with space", "line\nbreak", "colon:\tand tab"] {
        world.write(name, "1");
    }
    let latin = world.path("").join(std::ffi::OsStr::from_bytes(b"caf\xe9"));
    fs::write(&latin, "1").unwrap();
    world.git(&["init", "--quiet", "--initial-branch=main"]);
    world.commit("one");
    for name in ["with space", "line\nbreak", "colon:\tand tab"] {
        world.write(name, "2");
    }
    fs::write(&latin, "2").unwrap();
    assert_seen!(world.transcript(&["manifest", "build"]));
}

#[test]
fn a_submodule_at_another_commit_is_a_difference_whatever_gitmodules_say() {
    let forge = Forge::new();
    forge.main("hello");
    let git = |arguments: &[&str]| forge.world.git(&[&["-C", "hello"], arguments].concat());
    git(&["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", &forge.address(), "part"]);
    git(&["config", "-f", ".gitmodules", "submodule.part.ignore", "all"]);
    git(&["add", "--all"]);
    git(&["-c", "user.name=alice", "-c", "user.email=a@b", "commit", "--quiet", "-m", "part"]);
    forge.world.write("hello/part/untracked", "nobody minds");
    assert_eq!(forge.build("hello", &[]).code, 0);
    forge.world.git(&["-C", "hello/part", "checkout", "--quiet", "--detach", "HEAD^"]);
    let ran = forge.build("hello", &[]);
    assert!(ran.code == 1 && ran.stderr.contains("differ from its commit: part"), "{}", ran.stderr);
}

#[test]
fn worktrees_sparse_checkouts_and_line_endings_are_no_differences() {
    let forge = Forge::new();
    forge.world.git(&["clone", "--quiet", &forge.address(), "hello"]);
    forge.world.git(&["-C", "hello", "worktree", "add", "--quiet", "../beside", "main~1"]);
    assert_eq!(forge.build("beside", &[]).code, 0);
    assert_eq!(forge.sources("beside"), ["FORGE refs/tags/v1"]);

    forge.world.git(&["-C", "hello", "sparse-checkout", "set", "--no-cone", "/airlock.toml"]);
    assert!(!forge.world.path("hello/two").exists());
    assert_eq!(forge.build("hello", &[]).code, 0);
    assert_eq!(forge.sources("hello"), ["FORGE refs/heads/main"]);

    let address = forge.address();
    forge.world.git(&["clone", "--quiet", "-c", "core.autocrlf=true", &address, "windows"]);
    assert!(forge.world.read("windows/airlock.toml").ends_with(b"\r\n"));
    let touched = fs::File::options().append(true).open(forge.world.path("windows/airlock.toml")).unwrap();
    touched.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(forge.build("windows", &[]).code, 0);
}

/// Git's own switch stands in for the other user, whom only the superuser could make.
#[test]
fn a_repository_of_another_user_and_a_missing_git_are_told_with_what_to_do() {
    let world = World::hello();
    let real = std::env::split_paths(&std::env::var_os("PATH").unwrap())
        .map(|directory| directory.join("git"))
        .find(|path| path.is_file())
        .expect("git is installed");
    let script = format!("#!/bin/sh\nGIT_TEST_ASSUME_DIFFERENT_OWNER=1 exec '{}' \"$@\"\n", real.display());
    world.write("bin/git", script);
    fs::set_permissions(world.path("bin/git"), fs::Permissions::from_mode(0o755)).unwrap();
    let with_path = |directory: &Path| {
        let mut command = world.airlock();
        let output = command.env("PATH", directory).args(["manifest", "build"]).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let here = fs::canonicalize(world.path("")).unwrap();
        String::from_utf8(output.stderr).unwrap().replace(&*here.to_string_lossy(), "[HERE]")
    };
    assert_seen!(format!("{}{}", with_path(&world.path("bin")), with_path(&world.path("public"))));

    // What a CI image says through variables counts as much as what a file says.
    let trusted = world
        .airlock()
        .env("PATH", world.path("bin"))
        .args(["manifest", "build"])
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "safe.directory")
        .env("GIT_CONFIG_VALUE_0", "*")
        .output();
    assert_eq!(trusted.unwrap().status.code(), Some(0));
}

/// `chmod 000` doesn't stop the superuser: if that is who runs the tests, somebody else builds.
#[test]
fn a_tracked_file_that_can_not_be_read_is_not_called_different() {
    let world = World::hello();
    fs::set_permissions(world.path("public/style.css"), fs::Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(world.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_airlock"), world.path("airlock")).unwrap();
    let mut command = Command::new(world.path("airlock"));
    let path = std::env::var_os("PATH").unwrap();
    command.args(["manifest", "build"]).current_dir(world.path("")).env_clear().env("PATH", path);
    if fs::metadata(world.path("")).unwrap().uid() == 0 {
        command.uid(65534).gid(65534);
        command.env("GIT_CONFIG_COUNT", "1").env("GIT_CONFIG_KEY_0", "safe.directory").env("GIT_CONFIG_VALUE_0", "*");
    }
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.starts_with("error: can't compare ") && said.contains("public/style.css with its commit"), "{said}");
    assert!(said.contains("hint: check who owns what it names"), "{said}");
}
