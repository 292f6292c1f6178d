//! A bucket is a store: what all stores promise, what only a bucket can do wrong, and all that a bad network does.
//!
//! Each test has a server of its own, because each runs in a process of its own and nothing may be left running; so
//! there are few tests, and each goes through a whole topic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed helper is a failed test")]

mod bench;
mod conformance;
mod faults;
mod requests;
mod rules;
