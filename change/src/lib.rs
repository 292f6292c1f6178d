//! Change management around `policy`: the records that ask for deploys, and the approvals that answer them.
//!
//! A [`ChangeRecord`] is for people: it tells what is asked and what was said, and nothing is ever decided from it. What
//! counts is signed: a [`Ballot`] becomes an approval statement, and [`Standing`] says what all statements about a
//! build come to, in the gates' own terms. The gates in production decide again, from the statements alone.
//!
//! Ballots and standings are pure. Only a [`Tracker`] touches anything outside; the clock is passed in everywhere.

mod about;
pub mod approval;
pub mod authors;
pub mod local;
pub mod record;
pub mod standing;
pub mod tracker;

pub use about::About;
pub use approval::Ballot;
pub use local::LocalTracker;
pub use record::{ChangeRecord, ChangeRequest};
pub use standing::Standing;
pub use tracker::{Opened, Tracker, TrackerError};

#[cfg(test)]
mod fixture;
