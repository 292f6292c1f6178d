//! The documents that cross the gap and the decisions about them.
//!
//! Pure: no async, no AWS, no file system, no clock. Everything that Airlock's security rests on is here, so it can
//! be read, tested and audited without the rest.

pub mod deployment;
pub mod diff;
pub mod digest;
pub mod dsse;
pub mod gates;
pub mod gateway;
pub mod image_report;
pub mod job;
pub mod json;
pub mod keys;
pub mod manifest;
pub mod names;
pub mod plan;
pub mod pointer;
pub mod reason;
pub mod registry;
pub mod report;
pub mod schema;
pub mod statement;
pub mod storage;
pub mod time;
pub mod trust;

pub use digest::Digest;
pub use json::{Document, DocumentError};
pub use reason::{Code, Reason, ReasonCode};
pub use time::Timestamp;
