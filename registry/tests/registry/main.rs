//! Images into Debian's docker-registry, with skopeo as a witness who knows nothing of us; and all that a bad network, a
//! strict registry or a damaged store does to that.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed helper is a failed test")]

mod access;
mod arrival;
mod faults;
mod image;
mod site;
mod tags;
