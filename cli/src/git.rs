//! What a build says about its sources, asked of the `git` program.
//!
//! Variables that would make git look at another repository are not passed on, and neither hooks nor a file system
//! monitor of the repository's choice are run.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};
use manifest_schema::Timestamp;
use manifest_schema::manifest::Commit;

/// A repository that is checked out somewhere.
#[derive(Debug, Clone)]
pub(crate) struct Repository {
    /// Its working tree.
    pub(crate) toplevel: PathBuf,
}

/// What is checked out.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    /// The commit.
    pub(crate) commit: Commit,
    /// The committer's date.
    pub(crate) committed_at: Timestamp,
    /// The full ref of the branch that is checked out.
    pub(crate) branch: Option<String>,
    /// The full ref of a tag on the commit.
    pub(crate) tag: Option<String>,
}

impl Repository {
    /// The repository that holds `directory`.
    ///
    /// # Errors
    /// When there is none, or git can't be run.
    pub(crate) fn discover(directory: &Path) -> anyhow::Result<Self> {
        let found = run(directory, &["rev-parse", "--show-toplevel"]);
        let shown = found.with_context(|| format!("{} is not in a git repository", directory.display()))?;
        Ok(Self { toplevel: PathBuf::from(shown) })
    }

    /// What is checked out.
    ///
    /// # Errors
    /// When there is no commit yet, or git can't be run.
    pub(crate) fn head(&self) -> anyhow::Result<Head> {
        let path = self.toplevel.display();
        if self.answer(&["rev-parse", "--verify", "--quiet", "HEAD"])?.is_none() {
            bail!("the repository {path} has no commit to build from: commit first");
        }
        let shown = self.run(&["show", "--no-patch", "--no-show-signature", "--format=%H %ct", "HEAD"])?;
        let (commit, seconds) = shown.split_once(' ').with_context(|| format!("git says {shown:?} of {path}"))?;
        let seconds: i64 = seconds.parse().with_context(|| format!("git says {shown:?} of {path}"))?;
        let commit = Commit::try_from(commit.to_owned()).map_err(anyhow::Error::msg)?;
        let committed_at = Timestamp::from_millis(seconds.saturating_mul(1000))?;
        let branch = self.answer(&["symbolic-ref", "--quiet", "HEAD"])?;
        let tag = self.answer(&["describe", "--exact-match", "--tags", "HEAD"])?;
        Ok(Head { commit, committed_at, branch, tag: tag.map(|tag| format!("refs/tags/{tag}")) })
    }

    /// Where it was cloned from, without credentials: `origin`, or the only remote there is.
    ///
    /// # Errors
    /// When git can't be run.
    pub(crate) fn remote(&self) -> anyhow::Result<Option<String>> {
        let remotes = self.run(&["remote"])?;
        let remotes: Vec<&str> = remotes.lines().collect();
        let name = match remotes.as_slice() {
            [only] => only,
            several if several.contains(&"origin") => "origin",
            _ => return Ok(None),
        };
        let url = self.answer(&["config", "--get", &format!("remote.{name}.url")])?;
        Ok(url.map(|url| without_credentials(&url)))
    }

    /// Tracked files that differ from the commit.
    ///
    /// # Errors
    /// When git can't be run.
    pub(crate) fn changed_files(&self) -> anyhow::Result<Vec<String>> {
        let status = self.run(&["status", "--porcelain=v1", "-z", "--untracked-files=no", "--no-renames"])?;
        Ok(status.split('\0').filter_map(|entry| entry.get(3..)).map(str::to_owned).collect())
    }

    /// A setting, such as `user.name`.
    ///
    /// # Errors
    /// When git can't be run.
    pub(crate) fn setting(&self, name: &str) -> anyhow::Result<Option<String>> {
        self.answer(&["config", "--get", name])
    }

    fn run(&self, arguments: &[&str]) -> anyhow::Result<String> {
        run(&self.toplevel, arguments)
    }

    /// For questions to which git's exit code 1 or 128 means "there is none".
    fn answer(&self, arguments: &[&str]) -> anyhow::Result<Option<String>> {
        let output = output(&self.toplevel, arguments)?;
        let text = String::from_utf8(output.stdout).context("git's answer is not UTF-8")?;
        Ok(Some(text.trim_end_matches('\n').to_owned()).filter(|text| output.status.success() && !text.is_empty()))
    }
}

fn run(directory: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let output = output(directory, arguments)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("git {}: {}", arguments.first().unwrap_or(&""), said.trim().trim_start_matches("fatal: "));
    }
    let text = String::from_utf8(output.stdout).context("git's answer is not UTF-8")?;
    Ok(text.trim_end_matches('\n').to_owned())
}

fn output(directory: &Path, arguments: &[&str]) -> anyhow::Result<std::process::Output> {
    let mut command = Command::new("git");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("GIT_")) {
        command.env_remove(name);
    }
    command.env("LC_ALL", "C").env("GIT_OPTIONAL_LOCKS", "0").env("GIT_TERMINAL_PROMPT", "0");
    command.args(["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"]).args(arguments);
    command.current_dir(directory).output().map_err(|error| {
        if error.kind() == io::ErrorKind::NotFound && directory.is_dir() {
            anyhow::anyhow!("the program git is not installed")
        } else {
            anyhow::Error::new(error).context(format!("can't run git in {}", directory.display()))
        }
    })
}

/// An address as a manifest may show it: no password, no token, no query.
pub(crate) fn without_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (authority, path) = rest.split_once('/').map_or((rest, None), |(authority, path)| (authority, Some(path)));
    let host = match authority.rsplit_once('@') {
        None => authority.to_owned(),
        // The user of an SSH address (git@) is part of it; a password never is.
        Some((user, host)) if scheme.ends_with("ssh") => {
            format!("{}@{host}", user.split_once(':').map_or(user, |(user, _)| user))
        }
        Some((_, host)) => host.to_owned(),
    };
    let path = path.map(|path| path.split(['?', '#']).next().unwrap_or_default());
    path.map_or_else(|| format!("{scheme}://{host}"), |path| format!("{scheme}://{host}/{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lose_their_credentials() {
        for (url, clean) in [
            ("https://github.com/a/b.git", "https://github.com/a/b.git"),
            ("https://token@github.com/a/b", "https://github.com/a/b"),
            ("https://user:p@ss@host:8443/a/b?token=x#y", "https://host:8443/a/b"),
            ("ssh://git@host/a", "ssh://git@host/a"),
            ("ssh://git:secret@host:22/a", "ssh://git@host:22/a"),
            ("git@github.com:a/b.git", "git@github.com:a/b.git"),
            ("https://token@host", "https://host"),
            ("/srv/git/a.git", "/srv/git/a.git"),
        ] {
            assert_eq!(without_credentials(url), clean);
        }
    }
}
