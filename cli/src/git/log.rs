//! The commits between two commits.

use anyhow::Context as _;
use manifest_schema::Timestamp;
use manifest_schema::diff::{CommitList, CommitState};
use manifest_schema::manifest::Commit;

use super::Repository;
use super::run::{GitError, run};

/// Commit, committer's date, parents, author, subject. A NUL can be in none of them, so no text can pass for another
/// field or another commit.
const FIELDS: &str = "--format=%H%x00%ct%x00%P%x00%an%x00%s";

/// How many fields those are.
const NUMBER: usize = 5;

impl Repository {
    /// Whether the commit is here.
    ///
    /// # Errors
    /// When git can't be run.
    pub(crate) fn has(&self, commit: &Commit) -> anyhow::Result<bool> {
        let object = format!("{}^{{commit}}", commit.as_str());
        match run(&self.toplevel, &["cat-file", "-e", &object]) {
            Ok(_) => Ok(true),
            Err(GitError::Refused { .. }) => Ok(false),
            Err(error @ (GitError::NotInstalled | GitError::Run { .. })) => Err(error.into()),
        }
    }

    /// Whether it was cloned without all of its history.
    ///
    /// # Errors
    /// When git can't be run.
    pub(crate) fn is_shallow(&self) -> anyhow::Result<bool> {
        Ok(self.text(&["rev-parse", "--is-shallow-repository"])? == "true")
    }

    /// What `from` reaches and `without` doesn't, merged branches included: how many commits, and the newest `most`.
    ///
    /// # Errors
    /// When one of the commits isn't here, or git can't be run.
    pub(crate) fn commits(&self, from: &Commit, without: &Commit, most: usize) -> anyhow::Result<CommitList> {
        let without = format!("^{}", without.as_str());
        let count = self.text(&["rev-list", "--count", from.as_str(), &without, "--"])?;
        let count = count.parse().with_context(|| format!("git counts {count:?} commits"))?;
        let most = format!("--max-count={most}");
        let quiet = ["--no-show-signature", "--no-color", "--no-decorate", "--encoding=UTF-8"];
        let arguments = [&["log", "-z", &most, FIELDS], &quiet[..], &[from.as_str(), &without, "--"]].concat();
        let log = run(&self.toplevel, &arguments)?;
        // Old commits may be in any encoding.
        let text = String::from_utf8_lossy(&log);
        let fields: Vec<&str> = text.split('\0').collect();
        let commits = fields.chunks_exact(NUMBER).map(commit).collect::<anyhow::Result<_>>()?;
        Ok(CommitList { count, commits })
    }
}

fn commit(fields: &[&str]) -> anyhow::Result<CommitState> {
    let [id, seconds, parents, author, subject] = fields else { anyhow::bail!("git log left something out") };
    let seconds: i64 = seconds.parse().with_context(|| format!("git says {seconds:?} of {id}"))?;
    Ok(CommitState {
        commit: Commit::try_from((*id).to_owned()).map_err(anyhow::Error::msg)?,
        committed_at: Timestamp::from_millis(seconds.saturating_mul(1000))?,
        author: (*author).to_owned(),
        subject: (*subject).to_owned(),
        merge: parents.contains(' '),
    })
}
