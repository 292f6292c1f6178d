//! Trees: the files, and for directories the symbolic links, of an artifact; and which lists of them can exist on
//! every file system at once.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::{Digest, Hasher};
use crate::names::{LinkTarget, RelativePath};

/// One file of a directory or of a Terraform bundle.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Where it is inside the artifact.
    pub path: RelativePath,
    /// Whether it may be executed. Nothing else of its mode crosses the gap, so that the same checkout gives the same
    /// manifest under any umask.
    pub mode: FileMode,
    /// SHA-256 of the bytes.
    pub digest: Digest,
    /// Length in bytes.
    pub size: u64,
}

/// The two modes a file can have, as git records them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum FileMode {
    /// `0644`.
    #[serde(rename = "0644")]
    Regular,
    /// `0755`.
    #[serde(rename = "0755")]
    Executable,
}

impl FileMode {
    /// The permission bits.
    pub fn bits(self) -> u32 {
        match self {
            Self::Regular => 0o644,
            Self::Executable => 0o755,
        }
    }
}

/// A symbolic link of a directory. It leads to a file or a directory of the same artifact.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkEntry {
    /// Where it is inside the artifact.
    pub path: RelativePath,
    /// What it says, relative to the directory that it is in.
    pub target: LinkTarget,
}

/// The identity of a directory: SHA-256 over one line per file, `<mode octal> <size> <hex digest> <path>\n`, and one
/// per link, as if it were a file of mode 120000 that holds its target (as git has it); sorted by path.
pub fn tree_digest(files: &[FileEntry], links: &[LinkEntry]) -> Digest {
    let mut lines = Lines::default();
    let mut links = links.iter().peekable();
    for file in files {
        while let Some(link) = links.next_if(|link| link.path < file.path) {
            lines.link(link);
        }
        lines.add(file.mode.bits(), file.size, file.digest, &file.path);
    }
    links.for_each(|link| lines.link(link));
    lines.hasher.finish().0
}

/// Hashes one line after the other.
#[derive(Default)]
struct Lines {
    hasher: Hasher,
    /// Used again for each line.
    line: Vec<u8>,
}

impl Lines {
    fn link(&mut self, LinkEntry { path, target }: &LinkEntry) {
        let target = target.as_str().as_bytes();
        self.add(0o120_000, target.len() as u64, Digest::of(target), path);
    }

    fn add(&mut self, mode: u32, size: u64, digest: Digest, path: &RelativePath) {
        self.line.clear();
        self.line.extend_from_slice(format!("{mode:04o} {size} ").as_bytes());
        self.line.extend_from_slice(&digest.digits());
        self.line.push(b' ');
        self.line.extend_from_slice(path.as_str().as_bytes());
        self.line.push(b'\n');
        self.hasher.update(&self.line);
    }
}

/// Paths that do not fit together in one tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeProblem {
    /// Not in the order of their bytes, or listed twice.
    #[error("{0:?} is listed twice or out of order")]
    Order(String),
    /// On a case-insensitive file system the second would overwrite the first.
    #[error("{0:?} differs only in case from another path")]
    Case(String),
    /// A file, or a link, where another path needs a directory.
    #[error("{0:?} is both a directory and something else")]
    FileAndDirectory(String),
    /// A link out of the artifact.
    #[error("the link {path:?} leads out of the directory, to {target:?}: only links inside are taken")]
    LinkOut {
        /// The link.
        path: String,
        /// What it says.
        target: String,
    },
    /// A link that ends at no file and no directory that holds one, or runs in a circle.
    #[error("the link {path:?} leads nowhere: no file or directory of the artifact is {target:?}")]
    LinkNowhere {
        /// The link.
        path: String,
        /// What it says.
        target: String,
    },
}

/// Checks that files and links can exist together: sorted and each path once; none that differs only in case, which
/// would overwrite its twin on a case-insensitive file system; nothing below a file or a link; every link leads to a
/// file or a directory of the tree, by way of the tree alone.
///
/// # Errors
/// With the first rule that is broken.
pub fn check_tree(files: &[FileEntry], links: &[LinkEntry]) -> Result<(), TreeProblem> {
    expect_sorted(files.iter().map(|file| &file.path))?;
    expect_sorted(links.iter().map(|link| &link.path))?;
    let paths = || files.iter().map(|file| &file.path).chain(links.iter().map(|link| &link.path));
    // Almost always sorted already, and then sorting is one pass.
    let mut folded: Vec<Cow<'_, str>> = paths().map(|path| fold(path.as_str())).collect();
    folded.sort_unstable();
    if let Some(pair) = folded.windows(2).find(|pair| pair[0] == pair[1]) {
        let twins = paths().filter(|path| fold(path.as_str()) == pair[0]);
        return Err(TreeProblem::Case(twins.max().map_or_else(|| pair[0].to_string(), ToString::to_string)));
    }
    expect_no_file_above(&folded)?;
    if links.is_empty() { Ok(()) } else { Places::of(files, links).expect_inside(links) }
}

/// In lower case; most paths are already.
fn fold(path: &str) -> Cow<'_, str> {
    if path.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
        Cow::Borrowed(path)
    } else {
        Cow::Owned(path.to_lowercase())
    }
}

fn expect_sorted<'a>(paths: impl Iterator<Item = &'a RelativePath>) -> Result<(), TreeProblem> {
    let mut before: Option<&RelativePath> = None;
    for path in paths {
        if before.is_some_and(|before| before >= path) {
            return Err(TreeProblem::Order(path.to_string()));
        }
        before = Some(path);
    }
    Ok(())
}

fn expect_no_file_above(sorted: &[Cow<'_, str>]) -> Result<(), TreeProblem> {
    let mut before = "";
    for path in sorted {
        // Directories that the path before is in as well were looked up then.
        let shared = path.bytes().zip(before.bytes()).take_while(|(a, b)| a == b).count();
        for (end, _) in path.match_indices('/').filter(|(end, _)| *end >= shared) {
            let parent = &path[..end];
            if sorted.binary_search_by(|listed| (**listed).cmp(parent)).is_ok() {
                return Err(TreeProblem::FileAndDirectory(parent.to_owned()));
            }
        }
        before = path;
    }
    Ok(())
}

/// Most links followed on the way to one place, as Linux has it.
const MOST_FOLLOWED: usize = 40;

/// What is where, for following links.
struct Places<'a> {
    files: BTreeSet<&'a str>,
    directories: BTreeSet<&'a str>,
    links: BTreeMap<&'a str, &'a str>,
}

/// Where following a path ended.
enum End {
    Inside,
    Outside,
    Nowhere,
}

impl<'a> Places<'a> {
    fn of(files: &'a [FileEntry], links: &'a [LinkEntry]) -> Self {
        let links: BTreeMap<_, _> = links.iter().map(|link| (link.path.as_str(), link.target.as_str())).collect();
        let files: BTreeSet<_> = files.iter().map(|file| file.path.as_str()).collect();
        let above = |path: &'a str| path.match_indices('/').map(move |(end, _)| &path[..end]);
        let directories = files.iter().chain(links.keys()).copied().flat_map(above).collect();
        Self { files, directories, links }
    }

    fn expect_inside(&self, links: &[LinkEntry]) -> Result<(), TreeProblem> {
        for link in links {
            let (path, target) = (link.path.to_string(), link.target.as_str().to_owned());
            match self.follow(&link.path) {
                End::Inside => {}
                End::Outside => return Err(TreeProblem::LinkOut { path, target }),
                End::Nowhere => return Err(TreeProblem::LinkNowhere { path, target }),
            }
        }
        Ok(())
    }

    /// Goes where the kernel would go (POSIX.1-2024, 4.16 pathname resolution), inside the tree.
    fn follow(&self, path: &'a RelativePath) -> End {
        let mut left: VecDeque<&str> = path.as_str().split('/').collect();
        let mut at = String::new();
        let mut followed = 0;
        while let Some(part) = left.pop_front() {
            match part {
                "." => {}
                ".." if at.is_empty() => return End::Outside,
                ".." => at.truncate(at.rfind('/').unwrap_or(0)),
                name => {
                    let parent = at.len();
                    if parent > 0 {
                        at.push('/');
                    }
                    at.push_str(name);
                    if let Some(target) = self.links.get(at.as_str()) {
                        followed += 1;
                        if followed > MOST_FOLLOWED {
                            return End::Nowhere;
                        }
                        at.truncate(parent);
                        target.split('/').rev().for_each(|part| left.push_front(part));
                        continue;
                    }
                    let is_last_file = self.files.contains(at.as_str()) && left.is_empty();
                    if !is_last_file && !self.directories.contains(at.as_str()) {
                        return End::Nowhere;
                    }
                }
            }
        }
        End::Inside
    }
}

#[cfg(test)]
mod tests;
