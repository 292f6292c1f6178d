//! Files that are in memory only, for Terraform to open, and that nobody can change once they are sealed.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

/// An empty one. It is inherited by whom the worker starts while it is open, which is Terraform and nobody else.
pub(super) fn blank(name: &str) -> io::Result<File> {
    Ok(memfd_create(name, MemfdFlags::ALLOW_SEALING)?.into())
}

/// From here on nobody can change it, whoever they are.
pub(super) fn seal(file: &File) -> io::Result<()> {
    let all = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    Ok(fcntl_add_seals(file, all)?)
}

/// What whoever inherits it calls it (proc_pid_fd(5)).
pub(super) fn path(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}
