//! A repository of its own for each test, with both sides of the gap in it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;
use tempfile::TempDir;

use crate::{Background, Run, programs};

/// The approver's key that `airlock init` makes.
pub const APPROVER: &str = ".airlock/keys/approver.pem";

/// A git repository made from the example service, after `airlock init`. Its environment is empty but for what is set
/// here; its home is its own.
#[derive(Debug)]
pub struct Scratch {
    directory: TempDir,
    variables: BTreeMap<String, OsString>,
    started: AtomicU32,
}

impl Scratch {
    /// The repository, its image built, everything committed, nothing deployed.
    pub fn new() -> Self {
        let scratch = Self::without_init();
        scratch.ok(&["init"]);
        scratch.commit("Set Airlock up");
        scratch
    }

    /// The repository before `airlock init`.
    pub fn without_init() -> Self {
        // Fails here, with advice, rather than in the worker's log.
        let terraform = programs::terraform();
        let directory = TempDir::new().expect("a directory of its own");
        let mut variables = BTreeMap::from([
            ("PATH".to_owned(), programs::search_path()),
            ("HOME".to_owned(), directory.path().join("home").into()),
            ("GIT_CONFIG_NOSYSTEM".to_owned(), "1".into()),
            // Terraform asks its maker for newer versions otherwise.
            ("CHECKPOINT_DISABLE".to_owned(), "1".into()),
            ("LANG".to_owned(), "C.UTF-8".into()),
        ]);
        // Where Terraform has another name, the worker must be told as it is told outside of tests.
        if std::env::var_os("AIRLOCK_TERRAFORM").is_some() {
            variables.insert("AIRLOCK_TERRAFORM".to_owned(), terraform.into());
        }
        let scratch = Self { directory, variables, started: AtomicU32::new(0) };
        for name in ["home", "runs", "repository"] {
            fs::create_dir(scratch.directory.path().join(name)).unwrap();
        }
        copy(&programs::example(), &scratch.path(""));
        // Signed files lie beside the sources in these tests, and are none.
        scratch.write(".gitignore", "build/\n*.pem\n*.json\n");
        scratch.git(&["init", "--quiet", "--initial-branch=main"]);
        scratch.git(&["config", "user.name", "Ada Example"]);
        scratch.git(&["config", "user.email", "ada@example.com"]);
        scratch.commit("The service");
        scratch.image();
        scratch
    }

    /// Sets a variable for everything that is run from now on.
    pub fn set(&mut self, name: &str, value: impl Into<OsString>) {
        self.variables.insert(name.to_owned(), value.into());
    }

    /// Removes a variable again.
    pub fn unset(&mut self, name: &str) {
        self.variables.remove(name);
    }

    /// A path in the repository.
    pub fn path(&self, inside: &str) -> PathBuf {
        self.directory.path().join("repository").join(inside)
    }

    /// A path in the production store.
    pub fn production(&self, inside: &str) -> PathBuf {
        self.path(".airlock/production").join(inside)
    }

    /// A path in the artifacts store.
    pub fn artifacts(&self, inside: &str) -> PathBuf {
        self.path(".airlock/artifacts").join(inside)
    }

    /// A path outside of the repository.
    pub fn outside(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file of the repository.
    pub fn write(&self, inside: &str, content: impl AsRef<[u8]>) {
        let path = self.path(inside);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Replaces text in a file that must hold it.
    #[track_caller]
    pub fn replace(&self, path: &Path, old: &str, new: &str) {
        let text = fs::read_to_string(path).unwrap();
        assert!(text.contains(old), "{} has no {old:?}:\n{text}", path.display());
        fs::write(path, text.replacen(old, new, 1)).unwrap();
    }

    /// Reads a JSON file.
    #[track_caller]
    pub fn read(&self, path: &Path) -> Value {
        let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// The one file in a folder.
    #[track_caller]
    pub fn only_file(&self, folder: &Path) -> PathBuf {
        let files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(files.len(), 1, "{files:?}");
        files[0].clone()
    }

    /// Commits everything that is not ignored.
    pub fn commit(&self, message: &str) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message]);
    }

    /// Makes a change that visitors see, builds its image and commits it.
    pub fn change_page(&self, text: &str) {
        self.write("public/index.html", format!("<!doctype html><title>hello</title><p>{text}\n"));
        self.image();
        self.commit(&format!("Say {text}"));
    }

    /// Builds the image from what is in the working directory.
    pub fn image(&self) {
        self.run("sh", &["build-image.sh"]).exits(0);
    }

    /// The digest of the image that would be deployed.
    pub fn image_digest(&self) -> String {
        self.digest_of("image")
    }

    /// The same of another image, by its directory.
    pub fn digest_of(&self, name: &str) -> String {
        let index = self.read(&self.path(&format!("build/{name}/index.json")));
        index["manifests"][0]["digest"].as_str().expect("an image has a digest").to_owned()
    }

    /// Runs git.
    pub fn git(&self, arguments: &[&str]) {
        self.run("git", arguments).exits(0);
    }

    /// Runs `airlock`.
    #[track_caller]
    pub fn airlock(&self, arguments: &[&str]) -> Run {
        self.run("airlock", arguments)
    }

    /// Runs `airlock`, and expects success.
    #[track_caller]
    pub fn ok(&self, arguments: &[&str]) -> Run {
        self.airlock(arguments).exits(0)
    }

    /// Runs `airlock` with `--format json`.
    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> Run {
        self.airlock(&[arguments, &["--format", "json"]].concat())
    }

    /// Runs a program in the repository.
    #[track_caller]
    pub fn run(&self, program: &str, arguments: &[&str]) -> Run {
        let output = self.command(program, arguments).output();
        let output = output.unwrap_or_else(|error| panic!("can't run {program}: {error}"));
        Run::new(shown(program, arguments), output)
    }

    /// Starts `airlock` in the background.
    pub fn start(&self, arguments: &[&str]) -> Background {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let out = self.outside("runs").join(format!("{number}"));
        Background::start(shown("airlock", arguments), self.command("airlock", arguments), out)
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        // PATH of the parent decides where a program is found: ours has `airlock` only in the child's.
        let beside = programs::directory().join(program);
        let mut command = if beside.is_file() { Command::new(beside) } else { Command::new(program) };
        command.args(arguments).env_clear().envs(&self.variables).current_dir(self.path("")).stdin(Stdio::null());
        command
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.end_workers();
        if std::thread::panicking() && std::env::var_os("KEEP_SCRATCH").is_some() {
            self.directory.disable_cleanup(true);
            eprintln_kept(self.directory.path());
        }
    }
}

#[expect(clippy::print_stderr, reason = "for whoever looks for why a test failed")]
fn eprintln_kept(path: &Path) {
    eprintln!("kept {}", path.display());
}

fn shown(program: &str, arguments: &[&str]) -> String {
    format!("{program} {}", arguments.join(" "))
}

pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_name() == "build" {
            // What somebody built in the example itself.
        } else if entry.file_type().unwrap().is_dir() {
            copy(&source, &target);
        } else {
            fs::copy(&source, &target).unwrap();
        }
    }
}
