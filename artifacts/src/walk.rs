//! Listing a directory: every file below it, in an order that no file system decides.

use std::fs;
use std::path::{Path, PathBuf};

use manifest_schema::manifest::{LinkEntry, TreeProblem};
use manifest_schema::names::{LinkTarget, RelativePath};

use crate::error::PackError;
use crate::read::{Stamp, kind};

/// Most files of one artifact; a build manifest reads no more either.
const MOST_FILES: usize = 1_000_000;

/// The files and symbolic links below a directory, sorted by the bytes of their paths inside it.
pub(crate) struct Tree {
    pub(crate) files: Vec<(RelativePath, PathBuf)>,
    pub(crate) links: Vec<LinkEntry>,
    directories: Vec<(PathBuf, Stamp)>,
}

impl Tree {
    /// Lists everything below `root` for which `skip`, asked with the last part of the path, says no. Directories
    /// count only for the files in them.
    pub(crate) fn list(root: &Path, skip: impl Fn(&str) -> bool) -> Result<Self, PackError> {
        let mut tree = Self { files: Vec::new(), links: Vec::new(), directories: Vec::new() };
        let mut open = vec![(String::new(), root.to_owned())];
        while let Some((prefix, directory)) = open.pop() {
            tree.directories.push((directory.clone(), stamp(&directory)?));
            for entry in fs::read_dir(&directory).map_err(PackError::read(&directory))? {
                let entry = entry.map_err(PackError::read(&directory))?;
                let path = entry.path();
                let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
                    return Err(PackError::NotUtf8 { path });
                };
                if skip(name) {
                    continue;
                }
                let inside = format!("{prefix}{name}");
                let found = entry.file_type().map_err(PackError::read(&path))?;
                if found.is_dir() {
                    open.push((format!("{inside}/"), path));
                } else if found.is_file() {
                    let inside = RelativePath::new(inside).map_err(PackError::name(&path))?;
                    tree.files.push((inside, path));
                } else if found.is_symlink() {
                    tree.links.push(read_link(inside, &path)?);
                } else {
                    return Err(PackError::Kind { path, found: kind(found), expected: "a file or a directory" });
                }
            }
            if tree.files.len() + tree.links.len() > MOST_FILES {
                return Err(PackError::TooMany { path: root.to_owned(), limit: MOST_FILES });
            }
        }
        if tree.files.is_empty() {
            return Err(PackError::Empty { path: root.to_owned() });
        }
        tree.files.sort();
        tree.links.sort();
        Ok(tree)
    }

    /// Whether no file or link appeared in, left, or was replaced in any of the directories since they were listed.
    pub(crate) fn expect_unchanged(&self) -> Result<(), PackError> {
        for (path, before) in &self.directories {
            if stamp(path)? != *before {
                return Err(PackError::Changed { path: path.clone() });
            }
        }
        Ok(())
    }
}

fn read_link(inside: String, path: &Path) -> Result<LinkEntry, PackError> {
    let target = fs::read_link(path).map_err(PackError::read(path))?;
    let target = target.into_os_string().into_string().map_err(|_| PackError::NotUtf8 { path: path.to_owned() })?;
    let inside = RelativePath::new(inside).map_err(PackError::name(path))?;
    if target.starts_with('/') {
        let source = TreeProblem::LinkOut { path: inside.to_string(), target };
        return Err(PackError::List { path: path.to_owned(), source });
    }
    let target = LinkTarget::new(target).map_err(PackError::name(path))?;
    Ok(LinkEntry { path: inside, target })
}

fn stamp(directory: &Path) -> Result<Stamp, PackError> {
    let metadata = fs::symlink_metadata(directory).map_err(PackError::read(directory))?;
    if !metadata.is_dir() {
        let found = kind(metadata.file_type());
        return Err(PackError::Kind { path: directory.to_owned(), found, expected: "a directory" });
    }
    Ok(Stamp::of(&metadata))
}
