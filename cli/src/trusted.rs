//! The trust policy as the CI side sees it: from the artifacts store, verified from pinned roots.

use std::path::{Path, PathBuf};

use manifest_schema::trust::{ChainError, PinnedRoots, TrustedPolicy};
use manifest_schema::{Code, Reason};
use records::config::GatewayConfig;
use store::Store;

use crate::config::{Environment, FILE_NAME, Gateway};
use crate::context::Context;
use crate::exit::Failure;
use crate::keys::{self, PublicKeyProblem};

/// Roots as people name them.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct RootArgs {
    /// A root's public key; may be given several times. Without it, the roots that airlock.toml or the local gateway pins.
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
            return of_environment(environment);
        }
        let keys = self.roots.iter().map(|path| public(path)).collect::<Result<_, _>>()?;
        Ok(PinnedRoots { threshold: self.root_threshold, keys })
    }
}

/// A public key file; one with the wrong content refuses a verification.
pub(crate) fn public(path: &Path) -> Result<manifest_schema::keys::PublicKey, Failure> {
    keys::read_public(path).map_err(|problem| match problem {
        PublicKeyProblem::File(error) => Failure::from(error),
        PublicKeyProblem::Content { path, source } => Failure::refused(
            format!("the key {} is refused", path.display()),
            vec![Reason::new(Code::TrustBroken, source.to_string())],
        )
        .hint("`airlock key generate` calls public keys NAME.pub.pem"),
    })
}

/// The roots that an environment pins in airlock.toml, or else those of a gateway on this machine. What production itself
/// pins is never asked for: whoever could answer in its name could name roots of their own.
fn of_environment(environment: &Environment) -> Result<PinnedRoots, Failure> {
    let (stated, threshold) = environment.roots();
    if !stated.is_empty() {
        let keys = stated.iter().map(|path| public(path)).collect::<Result<_, _>>()?;
        return Ok(PinnedRoots { threshold, keys });
    }
    let gateway = environment
        .gateway()
        .map_err(|failure| failure.hint("name the roots that you trust with --root FILE.pub.pem"))?;
    match gateway {
        Gateway::Local { production } => {
            Ok(GatewayConfig::read(&production.join("config").join("gateway.json"))?.roots)
        }
        Gateway::Lambda(_) => {
            let missing = anyhow::anyhow!("nothing pins the roots of the trust policy on this side of the gap");
            let hint = format!(
                "add `roots = [\"root.pub.pem\"]`, their public keys, to the environment in {FILE_NAME}, or give --root where it is taken"
            );
            Err(Failure::from(missing).hint(hint))
        }
    }
}

/// The newest published policy of an unbroken chain from the roots, expired or not.
///
/// # Errors
/// When the chain is broken, which refuses; or the store can't be read.
pub(crate) async fn newest(artifacts: &Store, roots: &PinnedRoots) -> Result<TrustedPolicy, Failure> {
    let versions = records::trust::published(artifacts).await?;
    TrustedPolicy::follow(roots, &versions).map_err(refused)
}

/// Tells people that production takes nothing under this policy any more.
pub(crate) fn warn_if_expired(context: &Context, policy: &TrustedPolicy) {
    let (version, expires_at) = (policy.policy().version, policy.policy().expires_at);
    if expires_at <= context.ambient.now() {
        context.out.warn(format!(
            "trust policy version {version} expired at {expires_at}: nothing can be deployed until a newer one is \
             published (trust.expired)"
        ));
    }
}

/// Why no policy is in force, with its reason code.
pub(crate) fn refused(error: ChainError) -> Failure {
    let code = match &error {
        ChainError::Missing => Code::TrustMissing,
        ChainError::Broken { .. } => Code::TrustBroken,
        ChainError::Expired { .. } => Code::TrustExpired,
        ChainError::RolledBack { .. } => Code::TrustRolledBack,
    };
    Failure::refused("no trust policy is in force", vec![Reason::new(code, error.to_string())])
}
