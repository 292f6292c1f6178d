//! Leases, claims, configuration and cases, over directory stores.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed helper is a failed test")]

mod case;
mod claims;
mod config;
mod desk;
mod lease;
