//! launch-deploy-job, get-deploy-job-status and cancel-deploy-job: the only interface of production.
//!
//! It promises that one idempotency key is one job, however often and by however many it is asked for; that a launch
//! that died anywhere is finished by the next one with that key; that nothing is stored for a request that a gate
//! refuses; and that a job is closed for its worker only when that worker is provably dead. It answers with what may
//! leave production, in pages of at most [`MAX_ANSWER`](manifest_schema::gateway::MAX_ANSWER) bytes.
//!
//! It decides gates 1 to 10 so that a refusal is quick, but nobody relies on it: the worker decides them again. It
//! holds no key, signs nothing, never reads a saved plan, and takes nothing about itself from a request.
//!
//! Bytes in, bytes out ([`Gateway::handle`]): `airlock-gateway` is that as a function of AWS Lambda; on one machine the CLI
//! calls it in its own process.

mod cancel;
mod death;
mod error;
mod launch;
mod launcher;
mod settle;
mod status;

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use manifest_schema::Document;
use manifest_schema::job::JobId;
use records::case::Standpoint;
use records::config::GatewayConfig;
use records::{Ambient, Sides};

pub use error::GatewayError;
pub use launcher::{EcsLauncher, Launcher, LauncherError, LocalLauncher, Surroundings};

/// The three functions, over the two stores and a way to start workers.
#[derive(Debug, Clone)]
pub struct Gateway {
    sides: Sides,
    standpoint: Standpoint,
    launcher: Launcher,
    ambient: Ambient,
}

impl Gateway {
    /// A gateway over open stores.
    pub fn new(sides: Sides, standpoint: Standpoint, launcher: Launcher, ambient: Ambient) -> Self {
        Self { sides, standpoint, launcher, ambient }
    }

    /// The gateway that a configuration file describes. Workers will have the environment of this process, as far as
    /// [`Surroundings`] lets it through.
    ///
    /// # Errors
    /// When the file can't be used, a store can't be opened, or AWS doesn't say which account this is.
    pub async fn open(config: &Path, ambient: Ambient) -> Result<Self, GatewayError> {
        Self::from_config(GatewayConfig::read(config)?, ambient).await
    }

    /// The gateway that a configuration describes.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn from_config(config: GatewayConfig, ambient: Ambient) -> Result<Self, GatewayError> {
        let sides = config.open_stores().await?;
        let GatewayConfig { roots, place, launcher, aws, .. } = config;
        let launcher = Launcher::new(launcher, &aws).await;
        let place = place.find(&aws).await?;
        Ok(Self::new(sides, Standpoint { place, roots }, launcher, ambient))
    }

    /// Any of the functions: one JSON document in, one out.
    ///
    /// # Errors
    /// As the function's own method.
    pub async fn handle(&self, function: Function, request: &[u8]) -> Result<Vec<u8>, GatewayError> {
        Ok(match function {
            Function::LaunchDeployJob => self.launch(request).await?.to_bytes(),
            Function::GetDeployJobStatus => self.status(request).await?.to_bytes(),
            Function::CancelDeployJob => self.cancel(request).await?.to_bytes(),
        })
    }
}

/// Names the job in every line that is logged about this request.
fn log_job(job: JobId) {
    tracing::Span::current().record("job", tracing::field::display(job));
}

/// What can be called from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    /// [`Gateway::launch`].
    LaunchDeployJob,
    /// [`Gateway::status`].
    GetDeployJobStatus,
    /// [`Gateway::cancel`].
    CancelDeployJob,
}

impl Function {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::LaunchDeployJob, Self::GetDeployJobStatus, Self::CancelDeployJob];

    /// The function's name, in AWS and in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LaunchDeployJob => "launch-deploy-job",
            Self::GetDeployJobStatus => "get-deploy-job-status",
            Self::CancelDeployJob => "cancel-deploy-job",
        }
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Text that names no function.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no function of the gateway: launch-deploy-job, get-deploy-job-status or cancel-deploy-job")]
pub struct UnknownFunction(String);

impl FromStr for Function {
    type Err = UnknownFunction;

    fn from_str(text: &str) -> Result<Self, UnknownFunction> {
        let found = Self::ALL.into_iter().find(|function| function.as_str() == text);
        found.ok_or_else(|| UnknownFunction(text.to_owned()))
    }
}
