//! Where Terraform's state is, and the backend block that tells Terraform.
//!
//! A saved plan holds the block. So it is the same for plan and apply, and names no role, credential or endpoint: those
//! are in Terraform's environment.

use std::fmt;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use policy::configuration::BACKEND_FILE;
use serde_json::{Value, json};
use store::Location;

use super::credentials::Access;
use crate::session::Session;
use crate::stop::Stop;
use crate::work::{private_directory, private_file};

/// The state of one project in one environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StatePlace {
    /// A file of this machine.
    File(PathBuf),
    /// An object in S3; its lock is beside it.
    Object {
        /// The bucket's name.
        bucket: String,
        /// The object's.
        key: String,
    },
}

impl StatePlace {
    /// The state of what this job is for.
    pub(crate) fn of(session: &Session) -> Self {
        let request = session.request();
        let name = format!("{}/{}/terraform.tfstate", request.environment, request.project);
        match &session.config().state {
            Location::Directory(directory) => Self::File(directory.join(name)),
            Location::S3(place) => {
                Self::Object { bucket: place.bucket().to_owned(), key: format!("{}{name}", place.prefix()) }
            }
        }
    }
}

impl fmt::Display for StatePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Object { bucket, key } => write!(f, "s3://{bucket}/{key}"),
        }
    }
}

/// Writes the block into the root module.
pub(super) fn write_backend(session: &Session, aws: Option<&Access>, root: &Path) -> Result<(), Stop> {
    let failed = |error: io::Error| Stop::failed(format!("can't prepare Terraform's backend: {error}"));
    let place = StatePlace::of(session);
    let backend = match &place {
        StatePlace::File(path) => {
            path.parent().map_or(Ok(()), private_directory).map_err(failed)?;
            json!({ "local": { "path": path } })
        }
        StatePlace::Object { bucket, key } => {
            let aws = aws.ok_or_else(|| no_role(&place))?;
            s3(session, bucket, key, aws.region())
        }
    };
    let block = json!({ "terraform": { "backend": backend } });
    let written = private_file(&root.join(BACKEND_FILE))
        .and_then(|mut file| file.write_all(&manifest_schema::json::to_bytes(&block)));
    written.map_err(failed)
}

/// The backend of states in S3 (Terraform, "Backend Type: s3").
fn s3(session: &Session, bucket: &str, key: &str, region: &str) -> Value {
    let rules = &session.config().state_bucket;
    let mut backend = json!({
        "bucket": bucket, "key": key, "region": region, "encrypt": true, "use_lockfile": true,
    });
    if let Some(key) = &rules.kms_key {
        backend["kms_key_id"] = key.as_str().into();
    }
    if rules.path_style {
        backend["use_path_style"] = true.into();
    }
    json!({ "s3": backend })
}

/// Nobody else than Terraform's role looks at a state in S3.
pub(super) fn no_role(place: &StatePlace) -> Stop {
    Stop::failed(format!(
        "Terraform's state is in {place}, but the worker's configuration names no role to reach it as: set terraformRole"
    ))
}
