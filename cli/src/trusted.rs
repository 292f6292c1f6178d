//! The trust policy as the CI side sees it: from the artifacts store, verified from pinned roots.

use std::path::{Path, PathBuf};

use manifest_schema::trust::{PinnedRoots, TrustedPolicy};
use records::config::GatewayConfig;
use store::Store;

use crate::config::{Environment, Gateway};
use crate::exit::{Exit, Failure};
use crate::keys::{self, PublicKeyProblem};

/// Roots as people name them.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct RootArgs {
    /// A root's public key; may be given several times. Without it, the roots that the local gateway pins.
    #[arg(long = "root", value_name = "FILE")]
    roots: Vec<PathBuf>,
    /// How many of the roots must have signed version 1.
    #[arg(long, value_name = "N", default_value_t = 1, requires = "roots")]
    root_threshold: u32,
}

impl RootArgs {
    /// The pinned roots.
    ///
    /// # Errors
    /// When a key can't be read, or nothing pins roots.
    pub(crate) fn pinned(&self, environment: &Environment) -> Result<PinnedRoots, Failure> {
        if self.roots.is_empty() {
            return of_gateway(environment);
        }
        let keys = self.roots.iter().map(|path| public(path)).collect::<Result<_, _>>()?;
        Ok(PinnedRoots { threshold: self.root_threshold, keys })
    }
}

/// A public key file; one with the wrong content refuses a verification.
pub(crate) fn public(path: &Path) -> Result<manifest_schema::keys::PublicKey, Failure> {
    keys::read_public(path).map_err(|problem| match problem {
        PublicKeyProblem::File(error) => Failure::from(error),
        PublicKeyProblem::Content { .. } => Failure::new(Exit::Refused, problem),
    })
}

fn of_gateway(environment: &Environment) -> Result<PinnedRoots, Failure> {
    let Gateway::Local { production } = environment
        .gateway()
        .map_err(|failure| failure.hint("name the roots that you trust with --root FILE.pub.pem"))?;
    Ok(GatewayConfig::read(&production.join("config").join("gateway.json"))?.roots)
}

/// The newest published policy of an unbroken chain from the roots, expired or not.
///
/// # Errors
/// When the chain is broken, which refuses; or the store can't be read.
pub(crate) async fn newest(artifacts: &Store, roots: &PinnedRoots) -> Result<TrustedPolicy, Failure> {
    let versions = records::trust::published(artifacts).await?;
    TrustedPolicy::follow(roots, &versions).map_err(|error| Failure::new(Exit::Refused, error))
}
