//! Listing a directory: every file below it, in an order that no file system decides.

use std::fs;
use std::path::{Path, PathBuf};

use manifest_schema::names::RelativePath;

use crate::error::PackError;
use crate::read::{Stamp, kind};

/// Most files of one artifact; a build manifest reads no more either.
const MOST_FILES: usize = 1_000_000;

/// The files below a directory, sorted by the bytes of their paths inside it.
pub(crate) struct Tree {
    pub(crate) files: Vec<(RelativePath, PathBuf)>,
    directories: Vec<(PathBuf, Stamp)>,
}

impl Tree {
    /// Lists everything below `root` for which `skip`, asked with the last part of the path, says no. Directories
    /// count only for the files in them.
    pub(crate) fn list(root: &Path, skip: impl Fn(&str) -> bool) -> Result<Self, PackError> {
        let mut tree = Self { files: Vec::new(), directories: Vec::new() };
        let mut open = vec![(String::new(), root.to_owned())];
        while let Some((prefix, directory)) = open.pop() {
            tree.directories.push((directory.clone(), stamp(&directory)?));
            for entry in fs::read_dir(&directory).map_err(PackError::read(&directory))? {
                let path = entry.map_err(PackError::read(&directory))?.path();
                let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
                    return Err(PackError::NotUtf8 { path });
                };
                if skip(name) {
                    continue;
                }
                let inside = format!("{prefix}{name}");
                let found = fs::symlink_metadata(&path).map_err(PackError::read(&path))?.file_type();
                if found.is_dir() {
                    open.push((format!("{inside}/"), path));
                } else if found.is_file() {
                    match RelativePath::new(inside) {
                        Ok(inside) => tree.files.push((inside, path)),
                        Err(source) => return Err(PackError::Name { path, source }),
                    }
                } else {
                    return Err(PackError::Kind { path, found: kind(found), expected: "a file or a directory" });
                }
            }
            if tree.files.len() > MOST_FILES {
                return Err(PackError::TooMany { path: root.to_owned(), limit: MOST_FILES });
            }
        }
        if tree.files.is_empty() {
            return Err(PackError::Empty { path: root.to_owned() });
        }
        tree.files.sort();
        Ok(tree)
    }

    /// Whether no file appeared in, or left, any of the directories since they were listed.
    pub(crate) fn expect_unchanged(&self) -> Result<(), PackError> {
        for (path, before) in &self.directories {
            if stamp(path)? != *before {
                return Err(PackError::Changed { path: path.clone() });
            }
        }
        Ok(())
    }
}

fn stamp(directory: &Path) -> Result<Stamp, PackError> {
    let metadata = fs::symlink_metadata(directory).map_err(PackError::read(directory))?;
    if !metadata.is_dir() {
        let found = kind(metadata.file_type());
        return Err(PackError::Kind { path: directory.to_owned(), found, expected: "a directory" });
    }
    Ok(Stamp::of(&metadata))
}
