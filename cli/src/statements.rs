//! What an envelope claims to be about, for whoever has no keys to check it with.

use std::path::{Path, PathBuf};

use manifest_schema::dsse::{self, MAX_ENVELOPE};
use manifest_schema::statement::{Predicate, STATEMENT_TYPE};
use manifest_schema::{Code, Digest, Reason};
use serde::Deserialize;

use crate::exit::Failure;
use crate::files::{self, FileError};

/// An envelope, as it is in a file.
pub(crate) struct EnvelopeFile {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Its bytes.
    pub(crate) bytes: Vec<u8>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Claims {
    #[serde(rename = "_type")]
    statement_type: String,
    predicate_type: String,
    subject: Vec<ClaimedSubject>,
}

#[derive(Deserialize)]
struct ClaimedSubject {
    name: String,
    digest: ClaimedDigest,
}

#[derive(Deserialize)]
struct ClaimedDigest {
    sha256: String,
}

impl EnvelopeFile {
    /// Reads a file that should hold an envelope.
    ///
    /// # Errors
    /// When it can't be read; and with `code`, a refusal, when it holds no envelope.
    pub(crate) fn read(path: &Path, code: Code) -> Result<Self, Failure> {
        let refuse = |cause: String| refused(path, code, &cause);
        let bytes = match files::read(path, MAX_ENVELOPE) {
            Err(error @ FileError::TooLarge { .. }) => return Err(refuse(error.to_string())),
            read => read?,
        };
        dsse::inspect(&bytes).map_err(|error| refuse(error.to_string()))?;
        Ok(Self { path: path.to_owned(), bytes })
    }

    /// Checks that it claims to be a statement of type `P` about `expected`, its subject called `name`.
    ///
    /// # Errors
    /// With `code`, a refusal, when it claims anything else.
    pub(crate) fn expect_about<P: Predicate>(&self, name: &str, expected: Digest, code: Code) -> Result<(), Failure> {
        self.claim::<P>(name, expected).map_err(|cause| refused(&self.path, code, &cause))
    }

    fn claim<P: Predicate>(&self, name: &str, expected: Digest) -> Result<(), String> {
        let payload = dsse::inspect(&self.bytes).map_err(|error| error.to_string())?.payload;
        let claims: Claims = serde_json::from_slice(&payload).map_err(|error| format!("not {}: {error}", P::NAME))?;
        if claims.statement_type != STATEMENT_TYPE || claims.predicate_type != P::TYPE {
            return Err(format!("its type is {:?}, so it is not {}", claims.predicate_type, P::NAME));
        }
        let mut subjects = claims.subject.iter().filter(|subject| subject.name == name);
        match (subjects.next(), subjects.next()) {
            (Some(subject), None) if subject.digest.sha256 == expected.hex() => Ok(()),
            (Some(subject), None) => {
                let other = subject.digest.sha256.chars().take(12).collect::<String>();
                Err(format!("it is about {other}, not about {}", expected.short()))
            }
            (None, _) => Err(format!("it names no {name}")),
            (Some(_), Some(_)) => Err(format!("it names more than one {name}")),
        }
    }
}

fn refused(path: &Path, code: Code, cause: &str) -> Failure {
    Failure::refused(format!("the envelope {} is refused", path.display()), vec![Reason::new(code, cause)])
}
