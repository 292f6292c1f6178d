//! What a build says about its sources, asked of the `git` program.
//!
//! Variables that would make git look at another repository are not passed on, and neither hooks nor a file system
//! monitor of the repository's choice are run. A commit is what its id says, whatever the repository's replacements
//! claim. What git says is bytes: only what goes into a manifest has to be UTF-8.

mod address;
mod log;
mod run;
mod tracked;
mod worktree;

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use manifest_schema::Timestamp;
use manifest_schema::manifest::Commit;

pub(crate) use address::without_credentials;
use run::{GitError, run};
pub(crate) use tracked::tracked_file;

/// A repository that is checked out somewhere.
#[derive(Debug, Clone)]
pub(crate) struct Repository {
    /// Its working tree.
    pub(crate) toplevel: PathBuf,
}

/// What is checked out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    /// The commit.
    pub(crate) commit: Commit,
    /// The committer's date.
    pub(crate) committed_at: Timestamp,
    /// Whether the commit has several parents.
    pub(crate) is_merge: bool,
    /// The full ref of the branch that is checked out.
    pub(crate) branch: Option<String>,
    /// The full ref of a tag on the commit.
    pub(crate) tag: Option<String>,
}

/// Where a repository was cloned from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Remote {
    /// Its name here, mostly `origin`.
    pub(crate) name: String,
    /// Its address, without credentials.
    pub(crate) address: String,
}

/// Why there is no repository to use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DiscoverError {
    /// There is none.
    #[error("{} is not in a git repository", .0.display())]
    None(PathBuf),
    /// Git's `safe.directory` check.
    #[error("git doesn't trust the repository {0}: it belongs to another user")]
    NotOurs(String),
    /// Anything else.
    #[error("can't find the git repository of {}", directory.display())]
    Git {
        /// From where it was looked for.
        directory: PathBuf,
        /// What went wrong.
        source: GitError,
    },
}

impl DiscoverError {
    /// What a person can do about it; `none` where there is no repository.
    pub(crate) fn hint(&self, none: &str) -> String {
        match self {
            Self::None(_) => none.to_owned(),
            Self::NotOurs(path) => format!(
                "check it out as the user that builds; if you trust its owner, run \
                 `git config --global --add safe.directory {path}`"
            ),
            Self::Git { source: GitError::NotInstalled, .. } => {
                "a build names the commit it was made from: install git, and have it in PATH".to_owned()
            }
            Self::Git { .. } => "run `git status` there to see what git says".to_owned(),
        }
    }
}

impl Repository {
    /// The repository that holds `directory`.
    ///
    /// # Errors
    /// When there is none, git doesn't trust it, or git can't be run.
    pub(crate) fn discover(directory: &Path) -> Result<Self, DiscoverError> {
        let found = run(directory, &["rev-parse", "--show-toplevel"]).map_err(|source| match source {
            GitError::Refused { said, .. } if said.contains("not a git repository") => {
                DiscoverError::None(directory.to_owned())
            }
            GitError::Refused { said, .. }
                if said.contains("dubious ownership") || said.contains("unsafe repository") =>
            {
                // Git names it in quotes.
                let named = said.split('\'').nth(1).map(str::to_owned);
                DiscoverError::NotOurs(named.unwrap_or_else(|| directory.display().to_string()))
            }
            source @ (GitError::Refused { .. } | GitError::NotInstalled | GitError::Run { .. }) => {
                DiscoverError::Git { directory: directory.to_owned(), source }
            }
        })?;
        Ok(Self { toplevel: PathBuf::from(OsString::from_vec(found)) })
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
        let shown = self.text(&["show", "--no-patch", "--no-show-signature", "--format=%H %ct %P", "HEAD"])?;
        let unknown = || format!("git says {shown:?} of {path}");
        let mut words = shown.split_whitespace();
        let (commit, seconds) = words.next().zip(words.next()).with_context(unknown)?;
        let seconds: i64 = seconds.parse().with_context(unknown)?;
        let commit = Commit::try_from(commit.to_owned()).map_err(anyhow::Error::msg)?;
        let committed_at = Timestamp::from_millis(seconds.saturating_mul(1000))?;
        let branch = self.answer(&["symbolic-ref", "--quiet", "HEAD"])?;
        let tag = self.answer(&["describe", "--exact-match", "--tags", "HEAD"])?;
        let tag = tag.map(|tag| format!("refs/tags/{tag}"));
        Ok(Head { commit, committed_at, is_merge: words.count() > 1, branch, tag })
    }

    /// Where it was cloned from: `origin`, or the only remote there is.
    ///
    /// # Errors
    /// When git can't be run.
    pub(crate) fn remote(&self) -> anyhow::Result<Option<Remote>> {
        let remotes = self.text(&["remote"])?;
        let remotes: Vec<&str> = remotes.lines().collect();
        let name = match remotes.as_slice() {
            [only] => only,
            several if several.contains(&"origin") => "origin",
            _ => return Ok(None),
        };
        // Of several addresses, git fetches from the first.
        let addresses = self.answer(&["config", "--get-all", &format!("remote.{name}.url")])?;
        let first = addresses.as_deref().and_then(|addresses| addresses.lines().next());
        Ok(first.map(|address| Remote { name: name.to_owned(), address: without_credentials(address) }))
    }

    /// The full ref of the remote's branch that is at HEAD, as last fetched or pushed; `None` unless there is exactly
    /// one.
    ///
    /// # Errors
    /// When git can't be run.
    pub(crate) fn tracked(&self, remote: &Remote) -> anyhow::Result<Option<String>> {
        let prefix = format!("refs/remotes/{}/", remote.name);
        let listed = self.text(&["for-each-ref", "--points-at=HEAD", "--format=%(refname) %(symref)", &prefix])?;
        // origin/HEAD only repeats another one.
        let own = listed.lines().filter_map(|line| line.split_once(' ')).filter(|(_, target)| target.is_empty());
        let mut branches = own.filter_map(|(name, _)| name.strip_prefix(&prefix));
        let first = branches.next();
        Ok(first.filter(|_| branches.next().is_none()).map(|name| format!("refs/heads/{name}")))
    }

    /// A setting, such as `user.name`.
    ///
    /// # Errors
    /// When git can't be run.
    pub(crate) fn setting(&self, name: &str) -> anyhow::Result<Option<String>> {
        self.answer(&["config", "--get", name])
    }

    fn text(&self, arguments: &[&str]) -> anyhow::Result<String> {
        String::from_utf8(run(&self.toplevel, arguments)?).context("git's answer is not UTF-8")
    }

    /// For questions to which git's exit code 1 or 128 means "there is none".
    fn answer(&self, arguments: &[&str]) -> anyhow::Result<Option<String>> {
        match self.text(arguments) {
            Ok(text) => Ok(Some(text).filter(|text| !text.is_empty())),
            Err(error) if matches!(error.downcast_ref(), Some(GitError::Refused { .. })) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
