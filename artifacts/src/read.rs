//! Reading files that must hold still: one at a time, or many on all cores.

use std::fs::{self, File, Metadata};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{FileExt as _, FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use manifest_schema::Digest;
use manifest_schema::digest::Hasher;
use manifest_schema::manifest::{BlobRef, FileMode};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::error::PackError;
use crate::{Origin, Progress};

/// Bytes read at once: few enough to be hashed from the cache of the core that copied them. With 256 KiB, hashing on all
/// cores is a third slower.
pub(crate) const CHUNK: usize = 32 << 10;

/// What the system says about a file that changes whenever its content, mode or identity does. It can miss a write of
/// the same length within one tick of the file system's clock; publishing hashes again and catches that.
#[derive(Clone, Copy, PartialEq, Eq)]
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

/// A file, or some of the bytes of a file that was looked into before.
#[derive(Clone)]
pub(crate) struct Part {
    path: PathBuf,
    within: Option<Within>,
    size: u64,
}

#[derive(Clone, Copy)]
struct Within {
    stamp: Stamp,
    offset: u64,
}

impl Part {
    /// The whole of a regular file.
    pub(crate) fn whole(path: PathBuf) -> Result<Self, PackError> {
        let size = expect_file(&path)?.len();
        Ok(Self { path, within: None, size })
    }

    /// So many bytes of the file that looked like this.
    pub(crate) fn of_file(path: PathBuf, stamp: Stamp, offset: u64, size: u64) -> Self {
        Self { path, within: Some(Within { stamp, offset }), size }
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The same for parts that are the same bytes of the same file.
    pub(crate) fn key(&self) -> (&Path, u64) {
        (&self.path, self.within.map_or(0, |within| within.offset))
    }

    pub(crate) fn origin(&self) -> Origin {
        let path = self.path.clone();
        match self.within {
            None => Origin::File(path),
            Some(Within { offset, .. }) => Origin::Range { path, offset, length: self.size },
        }
    }

    pub(crate) fn open(&self) -> Result<Still<'_>, PackError> {
        let still = Still::open(&self.path)?;
        match self.within {
            None => Ok(still),
            Some(Within { stamp, .. }) if stamp != still.stamp => Err(PackError::Changed { path: self.path.clone() }),
            Some(Within { offset, .. }) => Ok(Still { offset, size: self.size, ..still }),
        }
    }

    /// Its length and digest.
    pub(crate) fn hash(&self, progress: Progress<'_>) -> Result<BlobRef, PackError> {
        let still = self.open()?;
        let size = still.size();
        Ok(BlobRef { digest: still.read(progress, |_| ())?, size })
    }

    /// Its first bytes, with zeros after them if it has fewer.
    pub(crate) fn start<const N: usize>(&self) -> Result<[u8; N], PackError> {
        let still = self.open()?;
        let mut bytes = [0; N];
        let length = usize::try_from(still.size()).unwrap_or(N).min(N);
        still.read_at(still.offset, &mut bytes[..length])?;
        Ok(bytes)
    }

    /// Its bytes, which must not be more than `limit`, and their digest.
    pub(crate) fn bytes(&self, limit: u64, progress: Progress<'_>) -> Result<Option<(Vec<u8>, Digest)>, PackError> {
        let still = self.open()?;
        // Asked of the open file, so that no more than the limit is ever held.
        if still.size() > limit {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        let digest = still.read(progress, |piece| bytes.extend_from_slice(piece))?;
        Ok(Some((bytes, digest)))
    }
}

/// A regular file, open for reading, with what it looked like when it was opened.
pub(crate) struct Still<'a> {
    path: &'a Path,
    file: File,
    stamp: Stamp,
    offset: u64,
    size: u64,
}

impl<'a> Still<'a> {
    pub(crate) fn open(path: &'a Path) -> Result<Self, PackError> {
        expect_file(path)?;
        Self::open_listed(path)
    }

    /// Opens what a listing said is a regular file.
    fn open_listed(path: &'a Path) -> Result<Self, PackError> {
        // Asked again of the open file, because the name may mean something else by now: no link is followed, and a
        // named pipe doesn't block.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(path, flags, Mode::empty());
        let file = opened.map(File::from).map_err(|error| match error {
            // What FIFOs, sockets and links answer: it is no file any more.
            Errno::LOOP | Errno::NXIO => PackError::Changed { path: path.to_owned() },
            other => PackError::read(path)(other.into()),
        })?;
        let metadata = file.metadata().map_err(PackError::read(path))?;
        if !metadata.is_file() {
            return Err(PackError::Changed { path: path.to_owned() });
        }
        Ok(Self { path, file, stamp: Stamp::of(&metadata), offset: 0, size: metadata.size() })
    }

    /// How many bytes are to be read.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    pub(crate) fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// The owner's execute bit is all that crosses the gap.
    pub(crate) fn mode(&self) -> FileMode {
        if self.stamp.mode & 0o100 == 0 { FileMode::Regular } else { FileMode::Executable }
    }

    /// Fills `buffer` with what is at `offset` in the file.
    pub(crate) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), PackError> {
        let read = self.file.read_exact_at(buffer, offset);
        read.map_err(|error| {
            if error.kind() == io::ErrorKind::UnexpectedEof {
                return PackError::Changed { path: self.path.to_owned() };
            }
            PackError::read(self.path)(error)
        })
    }

    /// Reads to the end, handing every piece to `sink`, and returns the digest if the file held still.
    pub(crate) fn read(mut self, progress: Progress<'_>, mut sink: impl FnMut(&[u8])) -> Result<Digest, PackError> {
        if self.offset > 0 {
            self.file.seek(SeekFrom::Start(self.offset)).map_err(PackError::read(self.path))?;
        }
        // Most files are small, and a buffer takes longer to clear than they take to read.
        let mut buffer = vec![0; usize::try_from(self.size).unwrap_or(CHUNK).min(CHUNK)];
        let mut hasher = Hasher::default();
        // A file that is appended to without end must not be read without end.
        let mut left = self.size;
        while left > 0 {
            let room = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let length = match self.file.read(&mut buffer[..room]) {
                Ok(0) => return Err(PackError::Changed { path: self.path.to_owned() }),
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(PackError::read(self.path)(error)),
            };
            left -= length as u64;
            hasher.update(&buffer[..length]);
            sink(&buffer[..length]);
            progress(length as u64);
        }
        self.expect_unchanged()?;
        Ok(hasher.finish().0)
    }

    /// Whether the file, and what has its name, looks as it did when it was opened.
    pub(crate) fn expect_unchanged(&self) -> Result<(), PackError> {
        // The stamp holds the identity: unless the name means another file by now, this asks the open one.
        let named = fs::symlink_metadata(self.path).map_err(PackError::read(self.path))?;
        if Stamp::of(&named) != self.stamp {
            return Err(PackError::Changed { path: self.path.to_owned() });
        }
        Ok(())
    }
}

/// A file's content and mode as they were while it held still.
pub(crate) struct Hashed {
    pub(crate) blob: BlobRef,
    pub(crate) mode: FileMode,
}

pub(crate) fn hash(path: &Path, progress: Progress<'_>) -> Result<Hashed, PackError> {
    hash_still(Still::open(path)?, progress)
}

fn hash_still(still: Still<'_>, progress: Progress<'_>) -> Result<Hashed, PackError> {
    let (size, mode) = (still.size(), still.mode());
    let digest = still.read(progress, |_| ())?;
    Ok(Hashed { blob: BlobRef { digest, size }, mode })
}

/// Hashes files that were listed, on all cores; results are in the order of `paths`. Of several failures, the first in that order is
/// returned.
pub(crate) fn hash_all(paths: &[PathBuf], progress: Progress<'_>) -> Result<Vec<Hashed>, PackError> {
    on_all_cores(paths, |path| hash_still(Still::open_listed(path)?, progress))
}

/// Does `work` for every item, on all cores; results are in the order of `items`. Of several failures, the first in
/// that order is returned.
pub(crate) fn on_all_cores<T: Sync, R: Send>(
    items: &[T],
    work: impl Fn(&T) -> Result<R, PackError> + Sync,
) -> Result<Vec<R>, PackError> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(items.len()));
    let share = || {
        let mut mine = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else { break };
            let result = work(item);
            if result.is_err() {
                // Items are handed out in order, so all before this one are in someone's hands already.
                next.store(items.len(), Ordering::Relaxed);
            }
            mine.push((index, result));
        }
        results.lock().unwrap_or_else(std::sync::PoisonError::into_inner).append(&mut mine);
    };
    let threads = thread::available_parallelism().map_or(1, usize::from).min(items.len());
    thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(share);
        }
        share();
    });
    let mut results = results.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}
