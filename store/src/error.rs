//! What can go wrong with a store.

use std::io::{self, ErrorKind};

use aws::AwsError;
use manifest_schema::Digest;

/// A store couldn't do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is nothing at the store's location.
    #[error("there is no store at {store}: check the path, or let `airlock init` or `airlock publish` create it")]
    NotFound {
        /// Where the store should be.
        store: String,
    },
    /// There is something, but it isn't marked as a store of ours.
    #[error("{store} is not an Airlock store ({reason}): {hint}")]
    NotAStore {
        /// The location that was refused.
        store: String,
        /// What gives it away.
        reason: String,
        /// What a person can do.
        hint: &'static str,
    },
    /// We may not do this there.
    #[error("no permission to {action} {key} in {store}")]
    AccessDenied {
        /// The store.
        store: String,
        /// What was tried.
        action: &'static str,
        /// The object, or the part of the store.
        key: String,
        /// What the system said.
        source: io::Error,
    },
    /// The disk, the quota or the file size limit is used up.
    #[error("no space left on {store} to {action} {key}: free space and run again; nothing was half-written")]
    NoSpace {
        /// The store.
        store: String,
        /// What was tried.
        action: &'static str,
        /// The object, or the part of the store.
        key: String,
        /// What the system said.
        source: io::Error,
    },
    /// Larger than the caller reads.
    #[error("{key} in {store} has {size} bytes; at most {limit} are read")]
    TooLarge {
        /// The store.
        store: String,
        /// The object.
        key: String,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The store has no such blob.
    #[error("the blob {digest} is missing in {store}: publish the build that it belongs to again")]
    BlobMissing {
        /// The store.
        store: String,
        /// The blob.
        digest: Digest,
    },
    /// The store has other bytes under this digest.
    #[error("the blob {digest} in {store} was damaged or tampered with: {detail}")]
    BlobMismatch {
        /// The store.
        store: String,
        /// The blob.
        digest: Digest,
        /// What differs.
        detail: String,
    },
    /// What should become a blob isn't what was hashed before. Nothing was stored.
    #[error("{origin} is not {digest} any more: {detail}; nothing was stored, build the manifest again")]
    SourceChanged {
        /// The file or stream.
        origin: String,
        /// The digest that it should have.
        digest: Digest,
        /// What differs.
        detail: String,
    },
    /// What should become a blob can't be read. Nothing was stored.
    #[error(
        "can't read {origin} to store it as {digest}: nothing was stored, put it right or build the manifest again"
    )]
    SourceUnreadable {
        /// The file or stream.
        origin: String,
        /// The blob it should become.
        digest: Digest,
        /// What the system said.
        source: io::Error,
    },
    /// A blob's bytes can't be written to where the caller wants them.
    #[error("can't pass on the bytes of the blob {digest}")]
    SinkFailed {
        /// The blob.
        digest: Digest,
        /// What the sink said.
        source: io::Error,
    },
    /// A key leads through something that no writer of ours leaves.
    #[error("{key} in {store} is, or passes through, something other than a plain file or folder: remove it")]
    Irregular {
        /// The store.
        store: String,
        /// The object, or the part of the store.
        key: String,
    },
    /// AWS said no, or didn't answer.
    #[error("{0}; {advice}", advice = .0.advice())]
    Aws(Box<AwsError>),
    /// A bucket's answer contradicts itself, or what was asked.
    #[error("{store} gave an answer about {key} that can't be right: {problem}")]
    WrongAnswer {
        /// The store.
        store: String,
        /// The object, or the part of the store.
        key: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Not something that this store, or this version, does.
    #[error("{store}: {what}")]
    Unsupported {
        /// The store.
        store: String,
        /// What is refused, and why.
        what: String,
    },
    /// Anything else that the system said no to.
    #[error("can't {action} {key} in {store}")]
    Io {
        /// The store.
        store: String,
        /// What was tried.
        action: &'static str,
        /// The object, or the part of the store.
        key: String,
        /// What the system said.
        source: io::Error,
    },
}

impl From<AwsError> for StoreError {
    fn from(error: AwsError) -> Self {
        Self::Aws(Box::new(error))
    }
}

impl StoreError {
    /// Whether the same call may succeed later without anybody doing anything.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Io { source, .. } | Self::SourceUnreadable { source, .. } | Self::SinkFailed { source, .. } => {
                passes_by_itself(source)
            }
            Self::Aws(error) => error.is_temporary(),
            Self::NotFound { .. }
            | Self::NotAStore { .. }
            | Self::AccessDenied { .. }
            | Self::NoSpace { .. }
            | Self::TooLarge { .. }
            | Self::BlobMissing { .. }
            | Self::BlobMismatch { .. }
            | Self::SourceChanged { .. }
            | Self::Irregular { .. }
            | Self::WrongAnswer { .. }
            | Self::Unsupported { .. } => false,
        }
    }

    /// Sorts what the system said about `key` into the variants that a caller or a person treats differently.
    pub(crate) fn from_io(store: &str, action: &'static str, key: &str, source: io::Error) -> Self {
        let (store, key) = (store.to_owned(), key.to_owned());
        let kind = source.kind();
        if matches!(kind, ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) {
            Self::AccessDenied { store, action, key, source }
        } else if matches!(kind, ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge) {
            Self::NoSpace { store, action, key, source }
        } else if is_irregular(&source) {
            Self::Irregular { store, key }
        } else {
            Self::Io { store, action, key, source }
        }
    }
}

/// Folders are opened as folders and nothing through a link, so these tell of a link or of a file in a folder's place.
fn is_irregular(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let code = Errno::from_io_error(error);
    matches!(code, Some(Errno::LOOP | Errno::NOTDIR | Errno::ISDIR | Errno::NXIO))
}

fn passes_by_itself(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let kind = matches!(
        error.kind(),
        ErrorKind::Interrupted
            | ErrorKind::TimedOut
            | ErrorKind::WouldBlock
            | ErrorKind::ResourceBusy
            | ErrorKind::StaleNetworkFileHandle
            | ErrorKind::OutOfMemory
    );
    kind || matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE | Errno::NOLCK))
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn what_the_system_says_is_sorted_for_whoever_reacts_to_it() {
        for (code, variant, temporary) in [
            (Errno::NOSPC, "NoSpace", false),
            (Errno::DQUOT, "NoSpace", false),
            (Errno::FBIG, "NoSpace", false),
            (Errno::ACCESS, "AccessDenied", false),
            (Errno::PERM, "AccessDenied", false),
            (Errno::ROFS, "AccessDenied", false),
            (Errno::LOOP, "Irregular", false),
            (Errno::NOTDIR, "Irregular", false),
            (Errno::MFILE, "Io", true),
            (Errno::STALE, "Io", true),
            (Errno::IO, "Io", false),
            (Errno::NOENT, "Io", false),
        ] {
            let error = StoreError::from_io("/store", "write", "jobs/x", code.into());
            let debug = format!("{error:?}");
            assert!(debug.starts_with(variant), "{code:?} became {debug}");
            assert_eq!(error.is_temporary(), temporary, "{code:?}");
            assert!(error.to_string().contains("jobs/x") && error.to_string().contains("/store"), "{error}");
        }
    }
}
