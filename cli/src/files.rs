//! Reading and writing the files that people name: bounded, and never half-written.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// A file that can't be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    /// Missing, or not readable.
    #[error("can't read {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Larger than such files are.
    #[error("{} has more than {limit} bytes: is it the right file?", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit in bytes.
        limit: usize,
    },
    /// Not writable.
    #[error("can't write {}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something is there that must not be replaced.
    #[error("{} exists and is never overwritten", .0.display())]
    Exists(PathBuf),
}

/// Reads a file of at most `limit` bytes that may be a key: the buffer is wiped when it is dropped.
pub(crate) fn read_secret(path: &Path, limit: usize) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let mut bytes = Zeroizing::new(Vec::new());
    read_into(&mut bytes, path, limit)?;
    Ok(bytes)
}

/// Reads a file of at most `limit` bytes.
pub(crate) fn read(path: &Path, limit: usize) -> Result<Vec<u8>, FileError> {
    let mut bytes = Vec::new();
    read_into(&mut bytes, path, limit)?;
    Ok(bytes)
}

fn read_into(bytes: &mut Vec<u8>, path: &Path, limit: usize) -> Result<(), FileError> {
    let unreadable = |source| FileError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    let expected = file.metadata().map_err(unreadable)?.len();
    // Of the right capacity from the start: growing would leave copies of a key behind that nobody wipes.
    bytes.reserve_exact(usize::try_from(expected).unwrap_or(limit).min(limit).saturating_add(1));
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    file.take(most).read_to_end(bytes).map_err(unreadable)?;
    if bytes.len() > limit { Err(FileError::TooLarge { path: path.to_owned(), limit }) } else { Ok(()) }
}

/// Writes a file whole or not at all, replacing what was there.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let unwritable = |source| FileError::Write { path: path.to_owned(), source };
    // A pipe or a device is written to; only a regular file is replaced.
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir()) {
        return fs::write(path, bytes).map_err(unwritable);
    }
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    let mut file = builder.permissions(Permissions::from_mode(0o666)).tempfile_in(directory).map_err(unwritable)?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(unwritable)?;
    file.persist(path).map(|_| ()).map_err(|error| unwritable(error.error))
}

/// Creates a file that only its owner may read (`secret`) or that anyone may; never replaces one.
pub(crate) fn create(path: &Path, bytes: &[u8], secret: bool) -> Result<(), FileError> {
    let mode = if secret { 0o600 } else { 0o666 };
    let mut options = OpenOptions::new();
    let opened = options.write(true).create_new(true).mode(mode).open(path);
    let unwritable = |source: io::Error| {
        if source.kind() == io::ErrorKind::AlreadyExists {
            FileError::Exists(path.to_owned())
        } else {
            FileError::Write { path: path.to_owned(), source }
        }
    };
    let mut file = opened.map_err(unwritable)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(unwritable)
}

/// Creates a directory, and those above it, that only its owner may enter.
pub(crate) fn create_private_directory(path: &Path) -> Result<(), FileError> {
    use std::os::unix::fs::DirBuilderExt as _;
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| FileError::Write { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_private_and_nothing_is_overwritten() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("a.pem");
        create(&path, b"one", true).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(create(&path, b"two", true), Err(FileError::Exists(_))));
        assert_eq!(read(&path, 3).unwrap(), b"one");
        assert!(matches!(read(&path, 2), Err(FileError::TooLarge { limit: 2, .. })));
    }

    #[test]
    fn a_file_is_replaced_whole() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("a.json");
        write(&path, b"one").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(read(&path, 10).unwrap(), b"two");
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 1, "a temporary file was left");
        assert!(matches!(write(&scratch.path().join("no/a"), b""), Err(FileError::Write { .. })));
    }
}
