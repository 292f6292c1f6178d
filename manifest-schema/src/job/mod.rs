//! Deploy jobs: what is asked of the worker, what it tells, and what that adds up to.

mod id;

pub use id::{JobId, JobIdError};
