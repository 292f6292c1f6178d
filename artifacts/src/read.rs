//! Reading files that must hold still: one at a time, or many on all cores.

use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use manifest_schema::Digest;
use manifest_schema::digest::Hasher;
use manifest_schema::manifest::{BlobRef, FileMode};
use rustix::fs::{Mode, OFlags};

use crate::Progress;
use crate::error::PackError;

/// Bytes read at once.
pub(crate) const CHUNK: usize = 256 << 10;

/// What the system says about a file that changes whenever its content, mode or identity does. It can miss a write of
/// the same length within one tick of the file system's clock; publishing hashes again and catches that.
#[derive(PartialEq, Eq)]
pub(crate) struct Stamp {
    identity: (u64, u64),
    size: u64,
    mode: u32,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self {
            identity: (metadata.dev(), metadata.ino()),
            size: metadata.size(),
            mode: metadata.mode(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// What kind of thing a path names, in words.
pub(crate) fn kind(kind: fs::FileType) -> &'static str {
    if kind.is_symlink() {
        "a symbolic link"
    } else if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a named pipe"
    } else if kind.is_socket() {
        "a socket"
    } else if kind.is_file() {
        "a regular file"
    } else {
        "a device"
    }
}

/// Whether `path` itself, not what a link points to, is a regular file.
pub(crate) fn expect_file(path: &Path) -> Result<Metadata, PackError> {
    let metadata = fs::symlink_metadata(path).map_err(PackError::read(path))?;
    if metadata.is_file() {
        return Ok(metadata);
    }
    let found = kind(metadata.file_type());
    Err(PackError::Kind { path: path.to_owned(), found, expected: "a regular file" })
}

/// A regular file, open for reading, with what it looked like when it was opened.
pub(crate) struct Still<'a> {
    path: &'a Path,
    file: File,
    stamp: Stamp,
}

impl<'a> Still<'a> {
    pub(crate) fn open(path: &'a Path) -> Result<Self, PackError> {
        expect_file(path)?;
        // Asked again of the open file, because the name may mean something else by now: no link is followed, and a
        // named pipe doesn't block.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(path, flags, Mode::empty());
        let file = opened.map(File::from).map_err(|error| PackError::read(path)(error.into()))?;
        let metadata = file.metadata().map_err(PackError::read(path))?;
        if !metadata.is_file() {
            return Err(PackError::Changed { path: path.to_owned() });
        }
        Ok(Self { path, file, stamp: Stamp::of(&metadata) })
    }

    pub(crate) fn size(&self) -> u64 {
        self.stamp.size
    }

    /// The owner's execute bit is all that crosses the gap.
    pub(crate) fn mode(&self) -> FileMode {
        if self.stamp.mode & 0o100 == 0 { FileMode::Regular } else { FileMode::Executable }
    }

    /// Reads to the end, handing every piece to `sink`, and returns the digest if the file held still.
    pub(crate) fn read(mut self, progress: Progress<'_>, mut sink: impl FnMut(&[u8])) -> Result<Digest, PackError> {
        let mut buffer = vec![0; CHUNK];
        let mut hasher = Hasher::default();
        let mut read = 0;
        loop {
            let length = match self.file.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(PackError::read(self.path)(error)),
            };
            read += length as u64;
            // A file that is appended to without end must not be read without end.
            if read > self.stamp.size {
                break;
            }
            hasher.update(&buffer[..length]);
            sink(&buffer[..length]);
            progress(length as u64);
        }
        let opened = self.file.metadata().map_err(PackError::read(self.path))?;
        let named = fs::symlink_metadata(self.path).map_err(PackError::read(self.path))?;
        if read != self.stamp.size || Stamp::of(&opened) != self.stamp || Stamp::of(&named) != self.stamp {
            return Err(PackError::Changed { path: self.path.to_owned() });
        }
        Ok(hasher.finish().0)
    }
}

/// A file's content and mode as they were while it held still.
pub(crate) struct Hashed {
    pub(crate) blob: BlobRef,
    pub(crate) mode: FileMode,
}

pub(crate) fn hash(path: &Path, progress: Progress<'_>) -> Result<Hashed, PackError> {
    let still = Still::open(path)?;
    let (size, mode) = (still.size(), still.mode());
    let digest = still.read(progress, |_| ())?;
    Ok(Hashed { blob: BlobRef { digest, size }, mode })
}

/// Hashes files on all cores; results are in the order of `paths`. Of several failures, the first in that order is
/// returned.
pub(crate) fn hash_all(paths: &[PathBuf], progress: Progress<'_>) -> Result<Vec<Hashed>, PackError> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(paths.len()));
    let work = || {
        let mut mine = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(path) = paths.get(index) else { break };
            let result = hash(path, progress);
            if result.is_err() {
                // Paths are handed out in order, so all before this one are in someone's hands already.
                next.store(paths.len(), Ordering::Relaxed);
            }
            mine.push((index, result));
        }
        results.lock().unwrap_or_else(std::sync::PoisonError::into_inner).append(&mut mine);
    };
    let threads = thread::available_parallelism().map_or(1, usize::from).min(paths.len());
    thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
    let mut results = results.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}
