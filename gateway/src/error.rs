//! Why the gateway can't answer; a refusal is an answer.

use manifest_schema::DocumentError;
use manifest_schema::job::JobId;
use records::RecordError;
use records::config::{ConfigError, OpenError};
use records::place::PlaceError;
use store::{LocationError, StoreError};

use crate::LauncherError;

/// The gateway could not answer. A refusal is an answer.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// Its own configuration can't be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Its configuration names something that is no store.
    #[error(transparent)]
    Location(#[from] LocationError),
    /// It can't be told which account and region this is, so nothing is decided.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// What was sent is not a request of this function.
    #[error("the request can't be read: {0}")]
    Request(DocumentError),
    /// A record can't be read or written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The job is recorded, but no worker was started for it. The next launch with its key, or asking for its status,
    /// tries again.
    #[error("no worker was started for job {job}: {source}")]
    NotStarted {
        /// The job.
        job: JobId,
        /// Why not.
        source: LauncherError,
    },
    /// Workers can't be started here, so nothing was recorded.
    #[error(transparent)]
    Launcher(#[from] LauncherError),
    /// Something is larger than an answer may be.
    #[error("{what} is too large to leave production: an answer has at most {limit} bytes")]
    TooLarge {
        /// What.
        what: String,
        /// The limit in bytes.
        limit: usize,
    },
}

impl From<StoreError> for GatewayError {
    fn from(error: StoreError) -> Self {
        Self::Record(error.into())
    }
}

impl From<OpenError> for GatewayError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Location(error) => Self::Location(error),
            OpenError::Store(error) => error.into(),
        }
    }
}

impl GatewayError {
    /// What a person can do about it, where the message doesn't say.
    pub fn advice(&self) -> Option<String> {
        match self {
            Self::Place(PlaceError::Aws(error)) => Some(error.advice()),
            Self::NotStarted { source, .. } | Self::Launcher(source) => source.advice(),
            Self::Place(PlaceError::NoRegion)
            | Self::Record(_)
            | Self::Config(_)
            | Self::Location(_)
            | Self::Request(_)
            | Self::TooLarge { .. } => None,
        }
    }

    /// Whether the same call may succeed later without anybody doing anything.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Record(error) => error.is_temporary(),
            Self::Place(error) => error.is_temporary(),
            Self::NotStarted { source, .. } | Self::Launcher(source) => source.is_temporary(),
            Self::Config(_) | Self::Location(_) | Self::Request(_) | Self::TooLarge { .. } => false,
        }
    }
}
