//! Records that can't be read or written, and whether trying again helps.

use manifest_schema::DocumentError;
use manifest_schema::job::{FoldError, JobId};
use store::StoreError;

/// A record that can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Something else is where a document should be.
    #[error("{key}: {source}")]
    Document {
        /// Where.
        key: String,
        /// What is wrong with it.
        source: DocumentError,
    },
    /// A chain of events that can't have happened.
    #[error("the journal is broken: {0}")]
    Journal(#[from] FoldError),
    /// Another worker has the job, or it is over: this one must stop.
    #[error("job {0} is no longer this process's to write: it was closed, or another worker has it")]
    Lost(JobId),
    /// A name leads nowhere.
    #[error("{0} is not there")]
    Missing(String),
    /// What should be stored as a signed statement is none.
    #[error(transparent)]
    Envelope(manifest_schema::dsse::EnvelopeError),
    /// A trust policy version is published once.
    #[error("another trust policy is already published as version {0}: raise `version` and sign again")]
    VersionTaken(u64),
    /// What is stored isn't what its name says.
    #[error("{0} was altered: it is no longer what was stored under that name")]
    Altered(String),
    /// Numbered records with a gap, or with something else among them.
    #[error("{found} is where {expected} should come next")]
    OutOfOrder {
        /// What is there.
        found: String,
        /// What should be.
        expected: String,
    },
    /// It would be written, and never be read again.
    #[error("{key}: the {document} has {size} bytes; at most {limit} are read, so it was not written")]
    TooLarge {
        /// Where.
        key: String,
        /// The document's kind.
        document: &'static str,
        /// Its size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// More entries than are read.
    #[error("more than {limit} entries under {prefix}")]
    TooMany {
        /// Where.
        prefix: String,
        /// How many are read.
        limit: usize,
    },
}

impl RecordError {
    /// Whether what is stored is at fault, and not the way to it: something that a gate can refuse.
    pub fn is_about_content(&self) -> bool {
        match self {
            Self::Store(error) => matches!(
                error,
                StoreError::TooLarge { .. } | StoreError::Irregular { .. } | StoreError::BlobMismatch { .. }
            ),
            Self::Document { .. }
            | Self::Journal(_)
            | Self::Missing(_)
            | Self::Envelope(_)
            | Self::Altered(_)
            | Self::OutOfOrder { .. }
            | Self::TooMany { .. } => true,
            Self::Lost(_) | Self::VersionTaken(_) | Self::TooLarge { .. } => false,
        }
    }

    /// Whether another version of Airlock wrote what is stored, and this one doesn't read it.
    pub fn is_of_another_version(&self) -> bool {
        matches!(self, Self::Document { source: DocumentError::Schema { .. }, .. })
    }

    /// Whether the same call may succeed later without anybody doing anything.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Store(error) => error.is_temporary(),
            Self::Document { .. }
            | Self::Journal(_)
            | Self::Lost(_)
            | Self::Missing(_)
            | Self::Envelope(_)
            | Self::VersionTaken(_)
            | Self::Altered(_)
            | Self::OutOfOrder { .. }
            | Self::TooLarge { .. }
            | Self::TooMany { .. } => false,
        }
    }
}

/// An error with everything that caused it, on one line, each said once: some errors quote what caused them.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let said = inner.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = inner.source();
    }
    text
}
