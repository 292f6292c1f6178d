//! Whole flows through the real binaries: a scratch repository made from the example service, both sides of the gap
//! beside it, and `airlock` run in it as a person or a script would.
//!
//! Nothing here is simulated: git, Terraform and the three programs are the real ones. A program that is missing fails
//! the test that needs it, with what to do; nothing is ever skipped. Every process that a test starts is ended with its
//! [`Scratch`], by its own id.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed helper is a failed test")]

mod attack;
mod aws_provider;
mod background;
mod bucket;
pub mod cloud;
mod flow;
mod functions;
mod invariants;
mod jobs;
mod packed;
mod policy;
mod programs;
pub mod registry;
mod run;
mod scratch;
mod services;
pub mod states;
mod terraform;
mod workers;

use std::time::{Duration, Instant};

pub use attack::{Attack, Build, Harm, World};
pub use aws_provider::AwsProvider;
pub use background::Background;
pub use bucket::Bucket;
pub use cloud::{Cloud, allow, statements};
pub use flow::{Applied, Planned};
pub use functions::Functions;
pub use programs::{directory as programs, terraform};
pub use registry::Harbour;
pub use run::Run;
pub use scratch::{APPROVER, Scratch};
pub use services::Services;
pub use states::States;

/// Nothing in these tests takes so long unless it hangs, however busy the machine is.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Looks again and again until there is an answer.
///
/// # Panics
/// When there is none in time.
#[track_caller]
pub fn wait_until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(3));
    }
}
