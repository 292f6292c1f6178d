//! One directory, walked without following links, and files that appear in it whole.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use manifest_schema::Digest;
use manifest_schema::digest::Hasher;
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::blob::BUFFER;
use crate::error::StoreError;
use crate::object::{Creation, Object, Replacement, Version};

/// What the names of our own files in a store start with; no key does.
pub(super) const OURS: &str = "airlock-";
pub(super) const TEMPORARIES: &str = "airlock-tmp";
const LOCK: &str = "airlock-lock";
const BLOBS_LOCK: &str = "airlock-blobs-lock";

/// The directory of a store. Its operations block.
#[derive(Debug)]
pub(super) struct Tree {
    path: PathBuf,
    shown: String,
    root: File,
}

/// The folder that an object is in, and its name there.
pub(super) struct Place<'k> {
    pub(super) folder: File,
    pub(super) name: &'k str,
}

impl Tree {
    pub(super) fn new(path: &Path, root: File) -> Self {
        Self { path: path.to_owned(), shown: path.display().to_string(), root }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    pub(super) fn root(&self) -> &File {
        &self.root
    }

    pub(super) fn get(&self, key: &str, limit: usize) -> Result<Option<Object>, StoreError> {
        let Some((file, size)) = self.open_object(key)? else { return Ok(None) };
        let limit = limit as u64;
        let too_large = |size| StoreError::TooLarge { store: self.shown.clone(), key: key.to_owned(), size, limit };
        if size > limit {
            return Err(too_large(size));
        }
        let mut bytes = Vec::new();
        file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(self.failed("read", key))?;
        if bytes.len() as u64 > limit {
            return Err(too_large(bytes.len() as u64));
        }
        let version = Version::of_content(Digest::of(&bytes));
        Ok(Some(Object { bytes, version }))
    }

    pub(super) fn size_of(&self, key: &str) -> Result<Option<u64>, StoreError> {
        Ok(self.open_object(key)?.map(|(_, size)| size))
    }

    pub(super) fn create(&self, key: &str, bytes: &[u8]) -> Result<Creation, StoreError> {
        if self.open_object(key)?.is_some() {
            return Ok(Creation::Exists);
        }
        let mut temporary = self.temporary(key)?;
        temporary.write(bytes).map_err(self.failed("write", key))?;
        self.publish_new(temporary, key)
    }

    /// Makes the temporary file the object `key`, unless there is one.
    pub(super) fn publish_new(&self, temporary: Temporary, key: &str) -> Result<Creation, StoreError> {
        temporary.file.sync_all().map_err(self.failed("write", key))?;
        let place = self.make_place(key)?;
        let linked =
            rustix::fs::linkat(&temporary.folder, &temporary.name, &place.folder, place.name, AtFlags::empty());
        match linked {
            Ok(()) => {
                place.folder.sync_all().map_err(self.failed("write", key))?;
                Ok(Creation::Created)
            }
            Err(Errno::EXIST) => Ok(Creation::Exists),
            Err(Errno::PERM | Errno::OPNOTSUPP) => {
                let what = "its file system has no hard links, which creating an object once needs".to_owned();
                Err(StoreError::Unsupported { store: self.shown.clone(), what })
            }
            Err(error) => Err(self.failed("create", key)(error)),
        }
    }

    pub(super) fn replace(
        &self,
        key: &str,
        bytes: &[u8],
        expected: Option<&Version>,
    ) -> Result<Replacement, StoreError> {
        let new = Version::of_content(Digest::of(bytes));
        let Some(expected) = expected else {
            return Ok(match self.create(key, bytes)? {
                Creation::Created => Replacement::Replaced(new),
                Creation::Exists => Replacement::Conflict,
            });
        };
        let mut temporary = self.temporary(key)?;
        temporary.write(bytes).map_err(self.failed("write", key))?;
        self.swap(temporary, key, expected, new)
    }

    /// Makes a temporary file, whose version is `new`, the object `key` if that is the `expected` version now. The new
    /// bytes reach the disk before the lock is taken, so it is held for a read and a rename only.
    pub(super) fn swap(
        &self,
        mut temporary: Temporary,
        key: &str,
        expected: &Version,
        new: Version,
    ) -> Result<Replacement, StoreError> {
        temporary.file.sync_all().map_err(self.failed("write", key))?;
        let lock = self.lock()?;
        if self.version_of(key)?.as_ref() != Some(expected) {
            return Ok(Replacement::Conflict);
        }
        let place = self.make_place(key)?;
        temporary.rename_to(&place).map_err(self.failed("replace", key))?;
        drop(lock);
        place.folder.sync_all().map_err(self.failed("replace", key))?;
        Ok(Replacement::Replaced(new))
    }

    /// The file is synced, or a power cut could leave an empty one under the name; the folder isn't, because the
    /// previous heartbeat is as good as the last one once the machine that wrote both is gone.
    pub(super) fn put(&self, key: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let mut temporary = self.temporary(key)?;
        temporary.write(bytes).and_then(|()| temporary.file.sync_all()).map_err(self.failed("write", key))?;
        let place = self.make_place(key)?;
        temporary.rename_to(&place).map_err(self.failed("overwrite", key))
    }

    /// Opens an object for reading; also says its size in bytes. `None` if there is none.
    pub(super) fn open_object(&self, key: &str) -> Result<Option<(File, u64)>, StoreError> {
        let Some(place) = self.find_place(key)? else { return Ok(None) };
        // NONBLOCK: whoever left a named pipe under a key would hold up the reader for ever.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&place.folder, place.name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(self.failed("open", key)(error)),
        };
        let data = file.metadata().map_err(self.failed("open", key))?;
        if !data.is_file() {
            return Err(StoreError::Irregular { store: self.shown.clone(), key: key.to_owned() });
        }
        Ok(Some((file, data.len())))
    }

    pub(super) fn version_of(&self, key: &str) -> Result<Option<Version>, StoreError> {
        let Some((mut file, _)) = self.open_object(key)? else { return Ok(None) };
        let mut hasher = Hasher::default();
        let mut buffer = vec![0; BUFFER];
        loop {
            match file.read(&mut buffer).map_err(self.failed("read", key))? {
                0 => return Ok(Some(Version::of_content(hasher.finish().0))),
                count => hasher.update(&buffer[..count]),
            }
        }
    }

    /// Opens the folder `path` (no slash at its end; empty for the directory itself); `None` if it doesn't exist.
    pub(super) fn find_folder(&self, path: &str) -> Result<Option<File>, StoreError> {
        let mut folder = self.root.try_clone().map_err(self.failed("open", path))?;
        for part in path.split('/').filter(|_| !path.is_empty()) {
            folder = match open_folder(&folder, part) {
                Ok(next) => next,
                Err(Errno::NOENT) => return Ok(None),
                Err(error) => return Err(self.failed("open", path)(error)),
            };
        }
        Ok(Some(folder))
    }

    fn find_place<'k>(&self, key: &'k str) -> Result<Option<Place<'k>>, StoreError> {
        let (path, name) = key.rsplit_once('/').unwrap_or(("", key));
        Ok(self.find_folder(path)?.map(|folder| Place { folder, name }))
    }

    /// Opens the folder of `key`, creating what is missing.
    fn make_place<'k>(&self, key: &'k str) -> Result<Place<'k>, StoreError> {
        let (path, name) = key.rsplit_once('/').unwrap_or(("", key));
        let mut folder = self.root.try_clone().map_err(self.failed("open", path))?;
        for part in path.split('/').filter(|_| !path.is_empty()) {
            folder = make_folder(&folder, part).map_err(self.failed("create the folder of", key))?;
        }
        Ok(Place { folder, name })
    }

    /// A new file that is nobody else's and disappears unless it is published.
    pub(super) fn temporary(&self, key: &str) -> Result<Temporary, StoreError> {
        // Unique in this process; a name that another container's process or a dead one has is passed over.
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let folder = make_folder(&self.root, TEMPORARIES).map_err(self.failed("create the folder for", key))?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        loop {
            let name = format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
            match rustix::fs::openat(&folder, &name, flags, Mode::RUSR | Mode::WUSR) {
                Ok(file) => return Ok(Temporary { folder, name, file: File::from(file), renamed: false }),
                Err(Errno::EXIST) => {}
                Err(error) => return Err(self.failed("create a temporary file for", key)(error)),
            }
        }
    }

    /// Waits until no other process or thread replaces anything here. Released when the file is dropped.
    fn lock(&self) -> Result<File, StoreError> {
        self.lock_file(LOCK, File::lock)
    }

    /// Waits until nobody removes blobs, or with an exclusive lock, until nobody writes any either. Released when the
    /// file is dropped.
    pub(super) fn lock_blobs(&self, lock: fn(&File) -> io::Result<()>) -> Result<File, StoreError> {
        self.lock_file(BLOBS_LOCK, lock)
    }

    fn lock_file(&self, name: &'static str, lock: fn(&File) -> io::Result<()>) -> Result<File, StoreError> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.root, name, flags, Mode::RUSR | Mode::WUSR);
        let file = File::from(file.map_err(self.failed("open", name))?);
        loop {
            match lock(&file) {
                Ok(()) => return Ok(file),
                // A signal that somebody handles is no reason to go without.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed("lock", name)(error)),
            }
        }
    }

    /// For `map_err`: says what was tried with which key of this store.
    pub(super) fn failed<E: Into<io::Error>>(
        &self,
        action: &'static str,
        key: &str,
    ) -> impl FnOnce(E) -> StoreError + use<'_, E> {
        let key = key.to_owned();
        move |error| StoreError::from_io(&self.shown, action, &key, error.into())
    }
}

/// Opens a folder in a folder; what is no folder, or a link to one, is an error.
pub(super) fn open_folder(folder: &File, name: &str) -> Result<File, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(folder, name, flags, Mode::empty()).map(File::from)
}

/// Opens a folder in a folder, after creating it if need be.
fn make_folder(folder: &File, name: &str) -> io::Result<File> {
    match open_folder(folder, name) {
        Ok(opened) => return Ok(opened),
        Err(Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    match rustix::fs::mkdirat(folder, name, Mode::RWXU) {
        // Whoever lost the race can't know whether the winner has synced yet.
        Ok(()) | Err(Errno::EXIST) => folder.sync_all()?,
        Err(error) => return Err(error.into()),
    }
    Ok(open_folder(folder, name)?)
}

/// A file that nobody reads yet.
pub(super) struct Temporary {
    folder: File,
    name: String,
    file: File,
    renamed: bool,
}

impl Temporary {
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    /// The file system's own idea of when this file was written, in seconds since 1970.
    pub(super) fn written_at(&self) -> Result<i64, Errno> {
        rustix::fs::fstat(&self.file).map(|data| data.st_mtime)
    }

    fn rename_to(&mut self, place: &Place<'_>) -> Result<(), Errno> {
        rustix::fs::renameat(&self.folder, &self.name, &place.folder, place.name)?;
        self.renamed = true;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // A published object has its own name by now. What can't be removed is cleared away after a day.
        if !self.renamed
            && let Err(error) = rustix::fs::unlinkat(&self.folder, &self.name, AtFlags::empty())
        {
            tracing::debug!(name = self.name, %error, "a temporary file was left behind");
        }
    }
}
