//! What people and scripts see of `airlock`: the real binary, run in scratch repositories.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed helper is a failed test")]

mod aws;
mod diff;
mod explain;
mod gc;
mod help;
mod image;
mod inspect;
mod keys;
mod manifest;
mod publish;
mod setup;
mod skew;
mod sources;
mod terminal;
mod world;
