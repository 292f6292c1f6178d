//! One way to AWS, shared by everything that calls it: who we are there, in which region, through one HTTP stack, with
//! one set of time limits and retries; and errors that say which action on which resource was refused, and what to
//! change.
//!
//! Nothing here belongs to one service: a crate that talks to S3 brings the client of S3 and makes it from
//! [`Connection::config`]. Nothing is read or connected before the first call that needs it.

mod connection;
mod error;
mod get;
mod github;
mod identity;
mod json;
mod logging;
mod pause;
mod settings;
pub mod task;

pub use aws_credential_types::Credentials;
pub use connection::Connection;
pub use error::{AwsError, Call, ErrorKind};
pub use get::patient_connector;
pub use identity::Identity;
pub use json::JsonService;
pub use logging::may_be_logged;
pub use pause::pause;
pub use settings::{Limits, Role, Settings, Tag, WebIdentity};
