//! `airlock key`

use std::path::PathBuf;

use clap::Subcommand;
use manifest_schema::keys::{EncryptionNonce, PublicKey, SecretKey};
use manifest_schema::names::KeyName;
use serde_json::json;
use signing::KeySource;
use zeroize::Zeroizing;

use crate::cloud;
use crate::context::Context;
use crate::exit::{Exit, Failure, OrFail as _};
use crate::files;
use crate::keys::{self, PassphraseArgs, PublicKeyProblem};
use crate::purpose::Purpose;

/// What to do with keys.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make an Ed25519 key pair: NAME.pem, which only you may read, and NAME.pub.pem.
    Generate(Generate),
    /// Print the public half of a private key.
    Public(Public),
    /// Print the id of a key: SHA256: and the OpenSSH fingerprint.
    Id(Id),
}

impl Command {
    pub(crate) fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self {
            Self::Generate(arguments) => arguments.run(context),
            Self::Public(arguments) => arguments.run(context),
            Self::Id(arguments) => arguments.run(context),
        }
    }
}

/// Makes a pair.
#[derive(clap::Args)]
pub(crate) struct Generate {
    /// What the files are called.
    #[arg(value_parser = file_name)]
    name: KeyName,
    /// Where they go.
    #[arg(long, value_name = "DIR", default_value = ".", hide_default_value = true)]
    out: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// A name for the files; who wants a key in KMS is told how KMS makes one.
fn file_name(text: &str) -> Result<KeyName, String> {
    if text.starts_with("awskms:") {
        let id = "--target-key-id KEY-ID";
        return Err(format!(
            "KMS makes its own keys: run `{}`, then `aws kms create-alias --alias-name alias/NAME {id}`, and print its public \
             half with `airlock key public awskms:///alias/NAME`",
            signing::MAKE_KEY
        ));
    }
    text.parse().map_err(|error: manifest_schema::names::NameError| error.to_string())
}

impl Generate {
    fn run(self, context: &Context) -> Result<Exit, Failure> {
        let passphrase = self.passphrase.read()?;
        let at = |suffix: &str| {
            let file = format!("{}{suffix}", self.name);
            if self.out.as_os_str() == "." { PathBuf::from(file) } else { self.out.join(file) }
        };
        let pair = KeyPair { private: at(".pem"), public: at(".pub.pem") };
        let key = pair.generate(context, passphrase.as_ref().map(|text| text.as_str()))?;
        if context.out.is_json() {
            let (private, public) = (&pair.private, &pair.public);
            context.out.json(&json!({ "id": key.id().to_string(), "private": private, "public": public }))?;
        } else {
            let (private, public) = (pair.private.display(), pair.public.display());
            context.out.say(format!("wrote {private} (private{}) and {public}", encrypted(passphrase.is_some())));
            context.out.data(format!("{}\n", key.id()))?;
        }
        Ok(Exit::Done)
    }
}

fn encrypted(encrypted: bool) -> &'static str {
    if encrypted { ", encrypted" } else { ", not encrypted" }
}

/// The two files of a key pair.
pub(crate) struct KeyPair {
    /// The private key.
    pub(crate) private: PathBuf,
    /// The public key.
    pub(crate) public: PathBuf,
}

impl KeyPair {
    /// Makes a new pair; neither file may exist.
    pub(crate) fn generate(&self, context: &Context, passphrase: Option<&str>) -> Result<PublicKey, Failure> {
        if self.public.exists() {
            return Err(files::FileError::Exists(self.public.clone())).or_hint(TAKEN);
        }
        let key = SecretKey::from_seed(&Zeroizing::new(context.ambient.random()));
        let pem = match passphrase {
            None => key.to_pem(),
            Some(passphrase) => {
                let nonce = EncryptionNonce { salt: context.ambient.random(), iv: context.ambient.random() };
                key.to_encrypted_pem(passphrase, &nonce)?
            }
        };
        files::create(&self.private, pem.as_bytes(), true).or_hint(TAKEN)?;
        files::create(&self.public, key.public().to_pem().as_bytes(), false)?;
        Ok(key.public())
    }
}

const TAKEN: &str = "choose another name, or move the old key away if nothing was signed with it";

/// Prints a public half.
#[derive(clap::Args)]
pub(crate) struct Public {
    /// The private key: a file, or awskms:///alias/NAME.
    key: KeySource,
    /// As an OpenSSH line instead of PEM.
    #[arg(long)]
    ssh: bool,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

impl Public {
    fn run(self, context: &Context) -> Result<Exit, Failure> {
        let key = public_half(context, &self.key, &self.passphrase)?;
        if context.out.is_json() {
            context.out.json(&json!({ "id": key.id().to_string(), "ssh": key.to_string(), "pem": key.to_pem() }))?;
        } else {
            context.out.data(if self.ssh { format!("{key}\n") } else { key.to_pem() })?;
        }
        Ok(Exit::Done)
    }
}

fn public_half(context: &Context, key: &KeySource, passphrase: &PassphraseArgs) -> Result<PublicKey, Failure> {
    context.block_on(async {
        let environment = || cloud::environment(context);
        Ok(keys::signer(key, passphrase, context, environment, &Purpose::default()).await?.public())
    })
}

/// Prints an id.
#[derive(clap::Args)]
pub(crate) struct Id {
    /// A public or a private key: a file, or awskms:///alias/NAME.
    key: KeySource,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

impl Id {
    fn run(self, context: &Context) -> Result<Exit, Failure> {
        let key = match &self.key {
            KeySource::Kms(_) => public_half(context, &self.key, &self.passphrase)?,
            KeySource::File(path) => match keys::read_public(path) {
                Ok(key) => key,
                Err(PublicKeyProblem::Content { source: manifest_schema::keys::KeyError::PrivateInstead, .. }) => {
                    public_half(context, &self.key, &self.passphrase)?
                }
                Err(problem) => return Err(problem.into()),
            },
        };
        if context.out.is_json() {
            context.out.json(&json!({ "id": key.id().to_string() }))?;
        } else {
            context.out.data(format!("{}\n", key.id()))?;
        }
        Ok(Exit::Done)
    }
}
