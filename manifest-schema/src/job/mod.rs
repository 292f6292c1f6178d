//! Deploy jobs: what is asked of the worker, what it tells, and what that adds up to.

mod event;
mod fold;
mod id;
mod request;

pub use event::{Event, Happening, JobEventSchema, JobOutcome, TaskId, Writer, WriterKind};
pub use fold::{FoldError, Job, Phase, StepState};
pub use id::{JobId, JobIdError};
pub use request::{Action, Asked, JobRequest, JobRequestSchema, LaunchRequest, LaunchRequestSchema};
