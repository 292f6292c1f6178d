//! The directory in which bundles are extracted and Terraform runs.
//!
//! Its path is the same for every job of a project in an environment, because a saved plan may hold paths. So one job
//! has it at a time: a lock that Terraform inherits, so that it lasts until the last process that uses the directory
//! has ended, even when the worker was killed.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use manifest_schema::job::JobId;
use rustix::io::{FdFlags, fcntl_setfd};

use crate::session::Session;
use crate::stop::Stop;
use crate::terraform::errored;

/// Where the root module is, in the work directory.
pub(crate) const ROOT: &str = "bundle";
/// The job that has the directory, in it.
const OWNER: &str = "job";
/// How often a worker looks whether the directory is free.
const LOOK: Duration = Duration::from_millis(100);

/// The directory, empty at first, and the right to use it.
pub(crate) struct WorkDir {
    path: PathBuf,
    _lock: File,
}

impl WorkDir {
    /// Waits until no other job uses the directory, then empties it.
    pub(crate) async fn take(session: &Session) -> Result<Self, Stop> {
        let request = session.request();
        let name = format!("{}-{}", request.environment, request.project);
        let base = &session.config().work;
        let failed =
            |error: io::Error| Stop::failed(format!("can't use the work directory {}: {error}", base.display()));
        private_directory(base).map_err(failed)?;
        let lock = base.join(format!("{name}.lock"));
        let lock =
            OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(lock).map_err(failed)?;
        let mut told = false;
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
            if !told {
                session.tell("waiting for another job of this project to end").await?;
                told = true;
            }
            session.may_go_on()?;
            tokio::time::sleep(LOOK).await;
        }
        // Inherited from here on: see the module's documentation.
        fcntl_setfd(&lock, FdFlags::empty()).map_err(|error| failed(error.into()))?;
        let path = base.join(name);
        errored::rescue(session, &path.join(ROOT), owner(&path)).await?;
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            Ok(()) | Err(_) => {}
        }
        private_directory(&path).map_err(failed)?;
        let named = private_file(&path.join(OWNER)).and_then(|mut file| write!(file, "{}", session.job()));
        named.map_err(failed)?;
        Ok(Self { path, _lock: lock })
    }

    /// A directory inside that nothing is in.
    pub(crate) fn scratch(&self) -> Result<PathBuf, Stop> {
        let path = self.path.join("scratch");
        let made = private_directory(&path);
        made.map(|()| path).map_err(|error| Stop::failed(format!("can't use the work directory: {error}")))
    }

    /// A path inside.
    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl Drop for WorkDir {
    fn drop(&mut self) {
        if errored::is_in(&self.path.join(ROOT)) {
            tracing::error!(path = %self.path.display(), "a state that could not be saved stays in the work directory");
            return;
        }
        // A saved plan may hold secrets; what can't be removed now is removed before the next use.
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!(%error, path = %self.path.display(), "the work directory could not be removed");
        }
    }
}

/// The job that had the directory last, if it can be told.
fn owner(path: &Path) -> Option<JobId> {
    fs::read_to_string(path.join(OWNER)).ok()?.parse().ok()
}

/// A directory that only its owner can enter.
pub(crate) fn private_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// A file that only its owner can read, which must not be there yet.
pub(crate) fn private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)
}
