//! Recognising, making and tidying the directory of a store.

use std::fs::{DirBuilder, File};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::tree::{TEMPORARIES, Tree, open_folder};
use crate::error::StoreError;
use crate::marker;

/// No writer is busy with one file for so long; in seconds.
const LEFT_BEHIND: i64 = 24 * 60 * 60;

pub(super) fn open(path: &Path) -> Result<Tree, StoreError> {
    let tree = open_root(path)?;
    if is_marked(&tree)? {
        return Ok(tree);
    }
    let reason = format!("no {}", marker::NAME);
    let hint = "name the directory that `airlock init` or `airlock publish` made";
    Err(StoreError::NotAStore { store: tree.shown().to_owned(), reason, hint })
}

pub(super) fn open_or_create(path: &Path) -> Result<Tree, StoreError> {
    create_directory(path)?;
    let tree = open_root(path)?;
    if !is_marked(&tree)? {
        // Somebody else may be creating the same store: what isn't empty now may be marked now.
        if !is_empty(&tree)? && !is_marked(&tree)? {
            let reason = format!("it is not empty and has no {}", marker::NAME);
            let hint = "name a store, or a directory that is empty or missing";
            return Err(StoreError::NotAStore { store: tree.shown().to_owned(), reason, hint });
        }
        // Created or there already: either way it is a store now.
        let _ = tree.create(marker::NAME, &marker::bytes())?;
    }
    let cleared = clear_temporaries(&tree)?;
    if cleared > 0 {
        tracing::debug!(cleared, "removed what killed writers left");
    }
    Ok(tree)
}

fn open_root(path: &Path) -> Result<Tree, StoreError> {
    let store = path.display().to_string();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(root) => Ok(Tree::new(path, File::from(root))),
        Err(Errno::NOENT) => Err(StoreError::NotFound { store }),
        Err(Errno::NOTDIR) => Err(no_directory(store)),
        Err(error) => Err(StoreError::from_io(&store, "open", "the directory", error.into())),
    }
}

fn no_directory(store: String) -> StoreError {
    let hint = "name a directory, or s3://bucket/prefix";
    StoreError::NotAStore { store, reason: "it is, or passes through, a file".to_owned(), hint }
}

fn is_marked(tree: &Tree) -> Result<bool, StoreError> {
    let Some(object) = tree.get(marker::NAME, marker::LIMIT)? else { return Ok(false) };
    marker::check(tree.shown().to_owned(), &object.bytes).map(|()| true)
}

/// Whether there is nothing but what a creator that was interrupted leaves.
fn is_empty(tree: &Tree) -> Result<bool, StoreError> {
    for entry in Dir::read_from(tree.root()).map_err(tree.failed("list", "the directory"))? {
        let entry = entry.map_err(tree.failed("list", "the directory"))?;
        if ![".", "..", TEMPORARIES].iter().any(|name| entry.file_name().to_bytes() == name.as_bytes()) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Creates the directory and what is missing above it, for this user only, so that it is there after a power cut. One
/// that exists keeps its mode: everything that is put into it is closed to others anyway.
fn create_directory(path: &Path) -> Result<(), StoreError> {
    let store = path.display().to_string();
    let failed = |error: std::io::Error| {
        if matches!(error.kind(), ErrorKind::NotADirectory | ErrorKind::AlreadyExists) {
            return no_directory(store.clone());
        }
        StoreError::from_io(&store, "create", "the directory", error)
    };
    let missing: Vec<&Path> = path.ancestors().take_while(|p| *p != Path::new("") && !p.exists()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
    for created in missing {
        let parent = match created.parent() {
            Some(parent) if parent != Path::new("") => parent.to_owned(),
            Some(_) | None => PathBuf::from("."),
        };
        File::open(parent).and_then(|parent| parent.sync_all()).map_err(failed)?;
    }
    Ok(())
}

/// Removes what writers that were killed have left. Age is measured by the file system's own clock: that of a temporary
/// file made just now. Returns how many there were.
pub(super) fn clear_temporaries(tree: &Tree) -> Result<usize, StoreError> {
    let mut cleared = 0;
    let failed = || tree.failed("clear", TEMPORARIES);
    let now = tree.temporary(TEMPORARIES)?.written_at().map_err(failed())?;
    let folder = open_folder(tree.root(), TEMPORARIES).map_err(failed())?;
    for entry in Dir::read_from(&folder).map_err(failed())? {
        let entry = entry.map_err(failed())?;
        let name = entry.file_name();
        if !is_temporary_name(name.to_bytes()) {
            continue;
        }
        let data = match rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(data) => data,
            Err(Errno::NOENT) => continue,
            Err(error) => return Err(failed()(error)),
        };
        if FileType::from_raw_mode(data.st_mode) == FileType::RegularFile && now - data.st_mtime > LEFT_BEHIND {
            match rustix::fs::unlinkat(&folder, name, AtFlags::empty()) {
                Ok(()) => cleared += 1,
                Err(Errno::NOENT) => {}
                Err(error) => return Err(failed()(error)),
            }
        }
    }
    Ok(cleared)
}

/// Whether a temporary file of ours has such a name.
fn is_temporary_name(name: &[u8]) -> bool {
    name.iter().all(|byte| byte.is_ascii_digit() || *byte == b'-')
}
