//! Running the `git` program: always the same questions get the same answers, whoever asks.

use std::ffi::OsStr;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Why git gave no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GitError {
    /// There is no such program.
    #[error("the program git is not installed")]
    NotInstalled,
    /// It couldn't be started.
    #[error("can't run git in {}", directory.display())]
    Run {
        /// Where.
        directory: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It said no.
    #[error("git {command}: {said}")]
    Refused {
        /// What it was asked.
        command: String,
        /// What it said.
        said: String,
    },
}

/// Runs git in a directory; what it answers, without the line break at its end.
pub(super) fn run(directory: &Path, arguments: &[&str]) -> Result<Vec<u8>, GitError> {
    run_with(directory, arguments, None, &[])
}

/// The same with another index, or with something to read.
pub(super) fn run_with(
    directory: &Path,
    arguments: &[&str],
    index: Option<&Path>,
    input: &[u8],
) -> Result<Vec<u8>, GitError> {
    let failed = |source: io::Error| {
        if source.kind() == io::ErrorKind::NotFound && directory.is_dir() {
            GitError::NotInstalled
        } else {
            GitError::Run { directory: directory.to_owned(), source }
        }
    };
    let mut command = command(directory, arguments);
    if let Some(index) = index {
        command.env("GIT_INDEX_FILE", index);
    }
    let Output { status, mut stdout, stderr } = feed(command, input).map_err(failed)?;
    if !status.success() {
        let said = String::from_utf8_lossy(&stderr).trim().trim_start_matches("fatal: ").to_owned();
        let command = arguments.first().copied().unwrap_or_default().to_owned();
        return Err(GitError::Refused { command, said });
    }
    if stdout.last() == Some(&b'\n') {
        stdout.pop();
    }
    Ok(stdout)
}

fn feed(mut command: Command, input: &[u8]) -> io::Result<Output> {
    if input.is_empty() {
        return command.stdin(Stdio::null()).output();
    }
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // Git reads all of it before it answers; one that stops reading tells why by itself.
        match stdin.write_all(input) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    child.wait_with_output()
}

fn command(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("git");
    for (name, _) in std::env::vars_os().filter(|(name, _)| leads_elsewhere(name)) {
        command.env_remove(name);
    }
    command.env("LC_ALL", "C").env("GIT_OPTIONAL_LOCKS", "0").env("GIT_TERMINAL_PROMPT", "0");
    // A partial clone would fetch what it lacks: the answers would depend on its remote.
    command.env("GIT_NO_REPLACE_OBJECTS", "1").env("GIT_NO_LAZY_FETCH", "1");
    command.args(["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"]).args(arguments);
    command.current_dir(directory);
    command
}

/// Git's own variables, but for those with which people and CI images say what git's configuration files also say.
fn leads_elsewhere(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let settings = ["GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_COUNT"];
    let setting = settings.contains(&&*name)
        || name.starts_with("GIT_CONFIG_KEY_")
        || name.starts_with("GIT_CONFIG_VALUE_")
        || name == "GIT_DISCOVERY_ACROSS_FILESYSTEM";
    name.starts_with("GIT_") && !setting
}
