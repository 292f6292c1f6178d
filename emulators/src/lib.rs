//! Servers that stand in for AWS and for a container registry in tests, and a proxy that makes the way to them bad.
//!
//! `make test-tools` installs them; a test that needs one fails with that advice where it is missing. Each listens on
//! loopback, on ports that were free, and ends with the value that stands for it, or with the test's process, however
//! that ends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed helper is a failed test")]

mod docker;
pub mod faults;
mod moto;
mod seaweed;
mod server;
pub mod tokens;
mod tools;

pub use docker::DockerRegistry;
pub use moto::Moto;
pub use seaweed::SeaweedFs;
pub use tools::{installed, tool};

/// The access key that the emulators know.
pub const ACCESS_KEY: &str = "AKIAIOSFODNN7EXAMPLE";
/// Its secret.
pub const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
/// The region that they are told to be in.
pub const REGION: &str = "us-east-1";

/// What a process needs in its environment to reach an emulator, besides its address.
pub fn credentials() -> [(&'static str, &'static str); 5] {
    [
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
        ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
        ("AWS_REGION", REGION),
        // Nothing of the person who runs the tests.
        ("AWS_CONFIG_FILE", "/dev/null"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
    ]
}
