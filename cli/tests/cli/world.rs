//! A scratch repository and the binary to run in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A directory of its own, with nothing of the caller's environment but `PATH`.
pub(crate) struct World {
    scratch: TempDir,
    variables: Vec<(String, String)>,
}

/// How a run ended.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl World {
    /// An empty directory.
    pub(crate) fn empty() -> Self {
        Self { scratch: TempDir::new().unwrap(), variables: Vec::new() }
    }

    /// The example service in a repository with one commit, its image built, and a builder's key.
    pub(crate) fn hello() -> Self {
        let world = Self::empty();
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/hello"), &world.path(""));
        world.write(".gitignore", "build/\n/.airlock/\n*.pem\n*.json\n/store/\n");
        world.git(&["init", "--quiet", "--initial-branch=main"]);
        world.commit("one");
        world.image();
        world.ok(&["key", "generate", "builder"]);
        world
    }

    /// [`World::hello`] with a signed manifest.
    pub(crate) fn signed() -> Self {
        let world = Self::hello();
        world.build();
        world
    }

    /// Builds and signs a manifest under the usual names; its number comes from `store`.
    pub(crate) fn build(&self) {
        self.ok(&["manifest", "build", "--output", "build-manifest.json", "--store", "store"]);
        let sign = ["manifest", "sign", "build-manifest.json", "--key", "builder.pem", "--output", "build.dsse.json"];
        self.ok(&sign);
    }

    /// Publishes what [`World::build`] made into `store`.
    pub(crate) fn publish(&self) -> Ran {
        self.run(&["publish", "build-manifest.json", "--envelope", "build.dsse.json", "--store", "store"])
    }

    /// Lets all later runs find AWS, as the double plays it, and nothing else of AWS.
    pub(crate) fn in_cloud(self, double: &aws_double::Double) -> Self {
        double.environment().into_iter().fold(self, |world, (name, value)| world.with(name, &value))
    }

    /// Sets a variable for all later runs.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        self.scratch.path().join(inside)
    }

    pub(crate) fn write(&self, inside: &str, content: impl AsRef<[u8]>) {
        fs::create_dir_all(self.path(inside).parent().unwrap()).unwrap();
        fs::write(self.path(inside), content).unwrap();
    }

    pub(crate) fn read(&self, inside: &str) -> Vec<u8> {
        fs::read(self.path(inside)).unwrap()
    }

    /// Commits everything that is not ignored, always at the same time.
    pub(crate) fn commit(&self, message: &str) {
        self.git(&["add", "--all"]);
        self.git(&["-c", "user.name=alice", "-c", "user.email=alice@example.com", "commit", "--quiet", "-m", message]);
    }

    pub(crate) fn git(&self, arguments: &[&str]) {
        let mut command = self.command("git");
        command.env("GIT_COMMITTER_DATE", "2026-11-22T08:00:00Z").env("GIT_AUTHOR_DATE", "2026-11-22T08:00:00Z");
        assert!(command.args(arguments).status().unwrap().success(), "git {arguments:?}");
    }

    /// Builds the example's image from what is in the working directory.
    pub(crate) fn image(&self) {
        let built = self.command("sh").arg("build-image.sh").stderr(Stdio::piped()).output().unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    }

    pub(crate) fn airlock(&self) -> Command {
        self.command(env!("CARGO_BIN_EXE_airlock"))
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let path = std::env::var_os("PATH").unwrap_or_default();
        command.env_clear().env("PATH", path).env("HOME", self.scratch.path()).stdin(Stdio::null());
        command.envs(self.variables.iter().cloned()).current_dir(self.scratch.path());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        let output = self.airlock().args(arguments).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).expect("what is printed is UTF-8");
        Ran { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Runs, and expects success.
    pub(crate) fn ok(&self, arguments: &[&str]) -> Ran {
        let ran = self.run(arguments);
        assert_eq!(ran.code, 0, "airlock {arguments:?}\n{}{}", ran.stdout, ran.stderr);
        ran
    }

    /// Runs, and tells all that can be seen of it, without what differs from run to run.
    pub(crate) fn transcript(&self, arguments: &[&str]) -> String {
        let Ran { code, stdout, stderr } = self.run(arguments);
        let mut text = format!("$ airlock {}\nexit code {code}\n", arguments.join(" "));
        for (name, content) in [("stdout", stdout), ("stderr", stderr)] {
            if !content.is_empty() {
                text.push_str(&format!("--- {name}\n{content}"));
            }
        }
        let here = fs::canonicalize(self.scratch.path()).unwrap();
        text.replace(&*here.to_string_lossy(), "[HERE]")
    }
}

/// Compares what was seen with what is recorded, but for paths, digests, keys, sizes and times.
macro_rules! assert_seen {
    ($seen:expr) => {{
        let mut settings = insta::Settings::clone_current();
        settings.set_prepend_module_to_snapshot(false);
        settings.set_snapshot_path("snapshots");
        for (pattern, stand_in) in [
            (r"sha256:[0-9a-f]{64}", "sha256:[DIGEST]"),
            (r"SHA256:[A-Za-z0-9+/]{43}", "SHA256:[KEY]"),
            (r"\b[0-9a-f]{64}-[0-9a-f]{16}\.json", "[HEX]-[SHORT].json"),
            (r"\b[0-9a-f]{64}\b", "[HEX]"),
            (r"\b[0-9a-f]{40}\b", "[COMMIT]"),
            (r"\b[0-9a-f]{12}\b", "[SHORT]"),
            (r"\b20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "[TIME]"),
            (r"\b\d+(\.\d)? (B|KiB|MiB)\b  +", "[SIZE]  "),
            (r"\b\d+(\.\d)? (B|KiB|MiB)\b", "[SIZE]"),
            (r#""bytes": \d+"#, r#""bytes": [SIZE]"#),
            (r" +\n", "\n"),
        ] {
            settings.add_filter(pattern, stand_in);
        }
        settings.bind(|| insta::assert_snapshot!($seen));
    }};
    ($name:expr, $seen:expr) => {{
        let mut settings = insta::Settings::clone_current();
        settings.set_prepend_module_to_snapshot(false);
        settings.set_snapshot_path("snapshots");
        settings.bind(|| insta::assert_snapshot!($name, $seen));
    }};
}
pub(crate) use assert_seen;

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_name() == "build" {
            // What somebody built in the examples themselves.
        } else if entry.file_type().unwrap().is_dir() {
            copy(&source, &target);
        } else {
            fs::copy(&source, &target).unwrap();
        }
    }
}
