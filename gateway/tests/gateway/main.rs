//! The gateway over two directory stores, with a worker that is a shell script: what it promises, step by step.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed helper is a failed test")]

mod cancel;
mod dead;
mod ecs;
mod lambda;
mod launch;
mod launcher;
mod plans;
mod retry;
mod status;
mod trust;
mod work;
mod world;
