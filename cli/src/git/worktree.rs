//! Whether a working tree is what its commit says.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::Repository;
use super::run::{run, run_with};

/// Untracked files in a submodule are as harmless as in the repository itself; anything else in one is a difference,
/// whatever `.gitmodules` says.
const STATUS: [&str; 6] =
    ["status", "--porcelain=v1", "-z", "--untracked-files=no", "--no-renames", "--ignore-submodules=untracked"];

impl Repository {
    /// Tracked files that differ from the commit, submodules at another commit among them.
    ///
    /// # Errors
    /// When git can't be run, or a file can't be read: git would call it different.
    pub(crate) fn changed_files(&self) -> anyhow::Result<Vec<PathBuf>> {
        let hidden = self.hidden_files()?;
        let status = if hidden.is_empty() { run(&self.toplevel, &STATUS)? } else { self.status_with(&hidden)? };
        let entries =
            status.split(|byte| *byte == 0).filter_map(|entry| entry.get(3..)).filter(|path| !path.is_empty());
        let changed: Vec<PathBuf> = entries.map(|path| PathBuf::from(OsStr::from_bytes(path))).collect();
        changed.iter().try_for_each(|path| expect_readable(&self.toplevel.join(path)))?;
        Ok(changed)
    }

    /// Files that git was told not to look at (`update-index --assume-unchanged` and `--skip-worktree`), but for those
    /// that a sparse checkout leaves out.
    fn hidden_files(&self) -> anyhow::Result<Vec<u8>> {
        let listed = run(&self.toplevel, &["ls-files", "-v", "-z"])?;
        let mut hidden = Vec::new();
        for entry in listed.split(|byte| *byte == 0) {
            let (Some(tag), Some(path)) = (entry.first(), entry.get(2..)) else { continue };
            let is_hidden = tag.is_ascii_lowercase() || *tag == b'S';
            if is_hidden && fs::symlink_metadata(self.toplevel.join(OsStr::from_bytes(path))).is_ok() {
                hidden.extend_from_slice(path);
                hidden.push(0);
            }
        }
        Ok(hidden)
    }

    /// Asks with a copy of the index in which nothing is hidden: the repository itself stays as it is.
    fn status_with(&self, hidden: &[u8]) -> anyhow::Result<Vec<u8>> {
        let index = run(&self.toplevel, &["rev-parse", "--git-path", "index"])?;
        let index = self.toplevel.join(OsStr::from_bytes(&index));
        let scratch = tempfile::tempdir().context("can't make a temporary directory")?;
        let copy = scratch.path().join("index");
        copy_file(&index, &copy).with_context(|| format!("can't copy {}", index.display()))?;
        for flag in ["--no-assume-unchanged", "--no-skip-worktree"] {
            run_with(&self.toplevel, &["update-index", flag, "-z", "--stdin"], Some(&copy), hidden)?;
        }
        Ok(run_with(&self.toplevel, &STATUS, Some(&copy), &[])?)
    }
}

/// With its time, by which git tells what may have changed since.
fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    let modified = fs::metadata(from)?.modified()?;
    fs::copy(from, to)?;
    File::options().write(true).open(to)?.set_modified(modified)
}

/// What can't be read can't be compared. That it is gone, or no file, is a difference.
fn expect_readable(path: &Path) -> anyhow::Result<()> {
    if fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file()) {
        File::open(path).with_context(|| format!("can't compare {} with its commit", path.display()))?;
    }
    Ok(())
}
