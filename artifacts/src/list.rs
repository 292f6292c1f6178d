//! Which file lists can exist on every file system at once.

use std::collections::BTreeSet;

use manifest_schema::manifest::FileEntry;

/// Paths that do not fit together in one tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListProblem {
    /// Not in the order of their bytes, or listed twice.
    #[error("{0:?} is listed twice or out of order")]
    Order(String),
    /// On a case-insensitive file system the second would overwrite the first.
    #[error("{0:?} differs only in case from another file")]
    Case(String),
    /// A file where another path needs a directory.
    #[error("{0:?} is both a file and a directory")]
    FileAndDirectory(String),
}

/// The rules that a build manifest has for its trees, checked where the list is made or used.
pub(crate) fn check(files: &[FileEntry]) -> Result<(), ListProblem> {
    if let Some(pair) = files.windows(2).find(|pair| pair[0].path >= pair[1].path) {
        return Err(ListProblem::Order(pair[1].path.to_string()));
    }
    let mut folded = BTreeSet::new();
    for file in files {
        if !folded.insert(file.path.as_str().to_lowercase()) {
            return Err(ListProblem::Case(file.path.to_string()));
        }
    }
    for path in &folded {
        let mut parent = path.as_str();
        while let Some((shorter, _)) = parent.rsplit_once('/') {
            if folded.contains(shorter) {
                return Err(ListProblem::FileAndDirectory(shorter.to_owned()));
            }
            parent = shorter;
        }
    }
    Ok(())
}
