//! The documents that cross the gap and the decisions about them.
//!
//! Pure: no async, no AWS, no file system, no clock. Everything that Airlock's security rests on is here, so it can
//! be read, tested and audited without the rest.

pub mod digest;
pub mod job;
pub mod json;
pub mod manifest;
pub mod names;
pub mod plan;
pub mod storage;
pub mod time;

pub use digest::Digest;
pub use json::{Document, DocumentError};
pub use time::Timestamp;
