//! Whether something on disk came out of a commit.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::run::run;
use super::{DiscoverError, Repository};

/// A file that git tracks, whichever repository it is in: `path` itself, or one below it. Links are followed.
///
/// # Errors
/// When `path` isn't there, or git can't be asked about it.
pub(crate) fn tracked_file(path: &Path) -> anyhow::Result<Option<PathBuf>> {
    let path = path.canonicalize().with_context(|| format!("can't read {}", path.display()))?;
    let (directory, name) = match (path.is_dir(), path.parent(), path.file_name()) {
        (false, Some(parent), Some(name)) => (parent, Some(name)),
        _ => (path.as_path(), None),
    };
    match Repository::discover(directory) {
        Ok(_) => {}
        Err(DiscoverError::None(_)) => return Ok(None),
        Err(problem) => return Err(problem.into()),
    }
    // Asked for nothing by name: names in a pattern could mean others.
    let listed = run(directory, &["ls-files", "-z"])?;
    let mut tracked = listed.split(|byte| *byte == 0).filter(|listed| !listed.is_empty()).map(OsStr::from_bytes);
    let found = tracked.find(|tracked| name.is_none_or(|name| *tracked == name));
    Ok(found.map(|found| directory.join(found)))
}
