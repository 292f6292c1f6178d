//! What was called, and what goes wrong with what is called next.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::ecs::TaskFailure;
use crate::kms::Lie;

/// A call that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Such as `kms:Sign`, `lambda:Invoke`; for S3 what IAM calls it, such as `s3:ListBucket`.
    pub action: String,
    /// With which access key; none if it was not signed.
    pub access_key: Option<String>,
    /// Who that is, by ARN, if the key is known and hasn't expired.
    pub caller: Option<String>,
    /// For which region, by its signature.
    pub region: Option<String>,
    /// What it was called with; for S3 `Bucket`, `Key` and the query.
    pub parameters: BTreeMap<String, String>,
}

/// What goes wrong with the next call of an action, once.
#[derive(Debug, Clone)]
pub enum Failure {
    /// Nothing: the failure after it is for the call after this one.
    None,
    /// AWS refuses it.
    Error {
        /// HTTP status.
        status: u16,
        /// Such as `AccessDeniedException`.
        code: &'static str,
        /// What AWS says.
        message: &'static str,
    },
    /// It is refused as one too many, in the service's own words.
    Throttled,
    /// It is refused with the service's own 5xx.
    Broken,
    /// It is carried out and answered only after so long.
    Slow(Duration),
    /// It is carried out at once, and answered only after so long.
    Late(Duration),
    /// The connection ends without an answer; it is not carried out.
    Cut,
    /// It is carried out; the connection ends without an answer.
    Lost,
    /// RunTask: its tasks fare so.
    Task(TaskFailure),
    /// KMS signs with another key than it was asked to.
    OtherKey,
    /// KMS returns bytes that are no signature.
    Garbage,
}

impl Failure {
    /// What KMS does instead of what it is asked to.
    pub(crate) fn lie(&self) -> Lie {
        match self {
            Self::OtherKey => Lie::OtherKey,
            Self::Garbage => Lie::Garbage,
            Self::None
            | Self::Error { .. }
            | Self::Throttled
            | Self::Broken
            | Self::Slow(_)
            | Self::Late(_)
            | Self::Cut
            | Self::Lost
            | Self::Task(_) => Lie::None,
        }
    }
}
