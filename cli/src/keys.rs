//! Keys, as people name them on the command line.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use manifest_schema::keys::{KeyError, PublicKey, SecretKey};
use signing::{KeySource, KmsKey, Signer};
use zeroize::Zeroizing;

use crate::cloud;
use crate::config::Environment;
use crate::context::Context;
use crate::env;
use crate::exit::Failure;
use crate::files::{self, FileError};
use crate::output::Output;
use crate::purpose::Purpose;

/// Largest key or passphrase file that is read, in bytes.
const LIMIT: usize = 64 << 10;

/// Where a passphrase comes from. It is never an argument, which other users of the machine could read.
#[derive(Debug, Default, Args)]
pub(crate) struct PassphraseArgs {
    /// Read the passphrase of the private key from the first line of this file [or: AIRLOCK_PASSPHRASE].
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl PassphraseArgs {
    /// The passphrase, if there is one.
    ///
    /// # Errors
    /// When the file can't be read or its first line is empty.
    pub(crate) fn read(&self) -> Result<Option<Zeroizing<String>>, Failure> {
        let Some(path) = &self.passphrase_file else {
            return Ok(env::get(env::PASSPHRASE)?.map(Zeroizing::new));
        };
        let bytes = files::read_secret(path, LIMIT)?;
        let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let first = first.strip_suffix(b"\r").unwrap_or(first);
        match std::str::from_utf8(first) {
            Ok(text) if !text.is_empty() => Ok(Some(Zeroizing::new(text.to_owned()))),
            Ok(_) => Err(anyhow::anyhow!("the first line of {} is empty: no passphrase", path.display()).into()),
            Err(_) => Err(anyhow::anyhow!("{} is not UTF-8: no passphrase", path.display()).into()),
        }
    }
}

/// The key that signs.
#[derive(Debug, Args)]
pub(crate) struct SigningKeyArgs {
    /// The private key to sign with: a file (PKCS#8 PEM, plain or encrypted), or awskms:///alias/NAME.
    #[arg(long, value_name = "KEY", env = env::KEY, hide_env_values = true)]
    key: KeySource,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

impl SigningKeyArgs {
    /// Gets the key ready; see [`signer`].
    ///
    /// # Errors
    /// As [`signer`].
    pub(crate) async fn load(
        &self,
        context: &Context,
        environment: impl FnOnce() -> Result<Environment, Failure>,
        purpose: &Purpose,
    ) -> Result<Signer, Failure> {
        signer(&self.key, &self.passphrase, context, environment, purpose).await
    }
}

/// Gets a key ready to sign. Only a key in KMS asks for the environment, and through it for AWS.
///
/// # Errors
/// When it is missing, is no private key, its passphrase is missing or wrong, or KMS says no.
pub(crate) async fn signer(
    source: &KeySource,
    passphrase: &PassphraseArgs,
    context: &Context,
    environment: impl FnOnce() -> Result<Environment, Failure>,
    purpose: &Purpose,
) -> Result<Signer, Failure> {
    match source {
        KeySource::File(path) => Ok(Signer::File(read_private(path, passphrase, &context.out)?)),
        KeySource::Kms(name) => {
            let connection = cloud::connect(&environment()?, purpose).await;
            Ok(Signer::Kms(KmsKey::open(&connection, name).await?))
        }
    }
}

/// Reads a private key, and warns if others can read it, too.
///
/// # Errors
/// When it is missing, is no private key, or its passphrase is missing or wrong.
pub(crate) fn read_private(path: &Path, passphrase: &PassphraseArgs, out: &Output) -> Result<SecretKey, Failure> {
    let bytes = files::read_secret(path, LIMIT).map_err(|error| {
        let missing = matches!(&error, FileError::Read { source, .. } if source.kind() == std::io::ErrorKind::NotFound);
        let failure = Failure::from(error);
        if missing { failure.hint("check the path, or make a key with `airlock key generate NAME`") } else { failure }
    })?;
    let explain = |error: KeyError, text: &str| {
        let hint = match error {
            KeyError::NotPrivate if text.parse::<PublicKey>().is_ok() => {
                Some("this is a public key: name the private one, which `airlock key generate` calls NAME.pem")
            }
            KeyError::WrongPassphrase => Some("check the passphrase file, or AIRLOCK_PASSPHRASE"),
            KeyError::NotPublic
            | KeyError::PrivateInstead
            | KeyError::Weak
            | KeyError::NotPrivate
            | KeyError::NotEd25519
            | KeyError::PassphraseNeeded
            | KeyError::Encryption(_) => None,
        };
        let failure = Failure::from(anyhow::Error::new(error).context(format!("can't use {}", path.display())));
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    };
    let text = std::str::from_utf8(&bytes).map_err(|_| explain(KeyError::NotPrivate, ""))?;
    let passphrase = passphrase.read()?;
    let key = SecretKey::from_pem(text, passphrase.as_ref().map(|text| text.as_str()));
    let key = key.map_err(|error| explain(error, text))?;
    warn_if_shared(path, out);
    Ok(key)
}

fn warn_if_shared(path: &Path, out: &Output) {
    let mode = fs::metadata(path).map_or(0, |metadata| metadata.permissions().mode() & 0o777);
    if mode & 0o077 != 0 {
        let path = path.display();
        out.warn(format!("other users may read the private key {path} (mode {mode:04o}): run `chmod 600 {path}`"));
    }
}

/// A public key file that can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublicKeyProblem {
    /// It can't be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// It holds no public key that may be trusted.
    #[error("can't use {}", .path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: KeyError,
    },
}

/// Reads a public key: SPKI PEM or an OpenSSH line.
///
/// # Errors
/// When the file can't be read, or is no public key; which of them, matters to who verifies.
pub(crate) fn read_public(path: &Path) -> Result<PublicKey, PublicKeyProblem> {
    let content = |source| PublicKeyProblem::Content { path: path.to_owned(), source };
    let bytes = match files::read_secret(path, LIMIT) {
        Err(FileError::TooLarge { .. }) => return Err(content(KeyError::NotPublic)),
        read => read?,
    };
    let text = std::str::from_utf8(&bytes).map_err(|_| content(KeyError::NotPublic))?;
    text.parse().map_err(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passphrase(content: &[u8]) -> Result<Option<Zeroizing<String>>, Failure> {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("passphrase");
        fs::write(&path, content).unwrap();
        PassphraseArgs { passphrase_file: Some(path) }.read()
    }

    #[test]
    fn a_passphrase_is_the_first_line() {
        for content in ["secret", "secret\n", "secret\r\n", "secret\nmore\n"] {
            assert_eq!(passphrase(content.as_bytes()).unwrap().unwrap().as_str(), "secret", "{content:?}");
        }
        for content in [&b""[..], b"\nsecret", b"\xff"] {
            assert!(passphrase(content).is_err(), "{content:?}");
        }
    }

    #[test]
    fn a_public_key_file_is_missing_or_wrong() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("key.pub.pem");
        assert!(matches!(read_public(&path), Err(PublicKeyProblem::File(_))));
        for content in [&b""[..], b"\xff\xfe", b"ssh-ed25519 AAAA", &[b'x'; LIMIT + 1]] {
            fs::write(&path, content).unwrap();
            assert!(matches!(read_public(&path), Err(PublicKeyProblem::Content { .. })));
        }
    }
}
