//! Listing: in the order of the keys' bytes, with memory bounded by the caller's limit however full a folder is.

use std::collections::BinaryHeap;
use std::fs::File;

use rustix::fs::{AtFlags, Dir, FileType};
use rustix::io::Errno;

use super::tree::{OURS, Tree, open_folder};
use crate::error::StoreError;
use crate::object::Listed;

pub(super) fn list(tree: &Tree, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Listed>, StoreError> {
    let mut listing = Listing { tree, after: after.unwrap_or_default(), limit, found: Vec::new() };
    if limit > 0
        && !prefix.starts_with(OURS)
        && let Some(folder) = tree.find_folder(prefix.strip_suffix('/').unwrap_or(prefix))?
    {
        listing.walk(&folder, prefix)?;
    }
    Ok(listing.found)
}

struct Listing<'a> {
    tree: &'a Tree,
    /// Only keys after this one; no key is empty.
    after: &'a str,
    limit: usize,
    found: Vec<Listed>,
}

impl Listing<'_> {
    /// Takes in what is in `folder` and below, whose keys start with `prefix`.
    ///
    /// A folder that holds more than is still wanted is scanned again for each batch: many folders without a single
    /// object in them could otherwise use up a batch and look like the end.
    fn walk(&mut self, folder: &File, prefix: &str) -> Result<(), StoreError> {
        let mut past = None;
        loop {
            let wanted = self.limit - self.found.len();
            let batch = self.next_batch(folder, prefix, past.as_deref(), wanted)?;
            let full = batch.len() == wanted;
            past = batch.last().cloned();
            for name in batch {
                self.visit(folder, prefix, &name)?;
            }
            if !full || self.found.len() == self.limit {
                return Ok(());
            }
        }
    }

    /// The first `wanted` names in `folder`, in order, after `past`, that can lead to keys after the cursor. A folder's
    /// name ends with `/`, so that names sort as the keys do that start with them.
    fn next_batch(
        &self,
        folder: &File,
        prefix: &str,
        past: Option<&str>,
        wanted: usize,
    ) -> Result<Vec<String>, StoreError> {
        let mut first = BinaryHeap::new();
        for entry in Dir::read_from(folder).map_err(self.tree.failed("list", prefix))? {
            let entry = entry.map_err(self.tree.failed("list", prefix))?;
            let bytes = entry.file_name().to_bytes();
            if matches!(bytes, b"." | b"..") || (prefix.is_empty() && bytes.starts_with(OURS.as_bytes())) {
                continue;
            }
            let Ok(name) = std::str::from_utf8(bytes) else {
                return Err(self.irregular(format!("{prefix}{}", String::from_utf8_lossy(bytes))));
            };
            let Some(kind) = self.kind_of(folder, prefix, name, entry.file_type())? else { continue };
            let is_folder = kind == FileType::Directory;
            let name = if is_folder { format!("{name}/") } else { name.to_owned() };
            let key = format!("{prefix}{name}");
            let due = key.as_str() > self.after || (is_folder && self.after.starts_with(&key));
            if due && past.is_none_or(|past| name.as_str() > past) {
                first.push(name);
                if first.len() > wanted {
                    first.pop();
                }
            }
        }
        Ok(first.into_sorted_vec())
    }

    /// What an entry is, asked again where the file system doesn't tell in a scan; `None` if it is gone.
    fn kind_of(&self, folder: &File, prefix: &str, name: &str, told: FileType) -> Result<Option<FileType>, StoreError> {
        if told != FileType::Unknown {
            return Ok(Some(told));
        }
        match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(data) => Ok(Some(FileType::from_raw_mode(data.st_mode))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(self.tree.failed("list", &format!("{prefix}{name}"))(error)),
        }
    }

    fn visit(&mut self, folder: &File, prefix: &str, name: &str) -> Result<(), StoreError> {
        if self.found.len() == self.limit {
            return Ok(());
        }
        let key = format!("{prefix}{name}");
        if let Some(inner) = name.strip_suffix('/') {
            let inner = open_folder(folder, inner).map_err(self.tree.failed("list", &key))?;
            return self.walk(&inner, &key);
        }
        let data = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW);
        let data = data.map_err(self.tree.failed("list", &key))?;
        if FileType::from_raw_mode(data.st_mode) != FileType::RegularFile {
            return Err(self.irregular(key));
        }
        let size = u64::try_from(data.st_size).unwrap_or_default();
        self.found.push(Listed { key, size });
        Ok(())
    }

    fn irregular(&self, key: String) -> StoreError {
        StoreError::Irregular { store: self.tree.shown().to_owned(), key }
    }
}
