//! Change management around `policy`: the records that ask for deploys.
//!
//! A [`ChangeRecord`] is for people: it tells what is asked and what was said, and nothing is ever decided from it.
//! Only a [`Tracker`] touches anything outside; the clock is passed in.

mod about;
pub mod local;
pub mod record;
pub mod tracker;

pub use about::About;
pub use local::LocalTracker;
pub use record::{ChangeRecord, ChangeRequest};
pub use tracker::{Opened, Tracker, TrackerError};

#[cfg(test)]
mod fixture;
