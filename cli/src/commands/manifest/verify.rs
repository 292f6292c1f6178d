//! `airlock manifest verify`

mod tell;

use std::path::PathBuf;

use manifest_schema::gates::VerifiedManifest;
use manifest_schema::keys::PublicKey;
use manifest_schema::manifest::BuildManifest;
use manifest_schema::storage::{AttestationKind, Key};
use manifest_schema::trust::TrustedPolicy;
use manifest_schema::{Code, Digest, Document as _, Reason};
use records::attestations;
use store::{Location, Store};

use crate::build::named::{BuildName, FORMS};
use crate::config::{Environment, EnvironmentArgs};
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::files::{self, FileError};
use crate::inspect::disk::{self, Compared};
use crate::inspect::presence::Blobs;
use crate::keys::{self, PublicKeyProblem};
use crate::purpose::Purpose;
use crate::statements::EnvelopeFile;
use crate::trusted::{self, RootArgs};

/// What to verify, and whom to believe.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The build: a manifest file; or in the store sha256:…, project#number, or epoch.number.
    #[arg(value_name = "BUILD")]
    build: String,
    /// An envelope around a build statement; may be given several times. Without it, those in the store.
    #[arg(long, value_name = "FILE")]
    envelope: Vec<PathBuf>,
    /// A builder's public key; may be given several times. Without it, the trust policy's builders.
    #[arg(long, value_name = "FILE")]
    key: Vec<PathBuf>,
    /// How many of the keys must have signed.
    #[arg(long, value_name = "N", default_value_t = 1, requires = "key", value_parser = clap::value_parser!(u32).range(1..))]
    threshold: u32,
    /// Read and hash every blob in the store, instead of asking whether it is there with the right size.
    #[arg(long)]
    deep: bool,
    /// Also compare the artifacts in this directory: where its airlock.toml says they are, or, without one, each under
    /// its name.
    #[arg(long, value_name = "DIR")]
    artifacts: Option<PathBuf>,
    /// The artifacts store, which then must hold every blob; needed only for what isn't in files.
    #[arg(long, value_name = "STORE")]
    store: Option<Location>,
    /// The environment; needed if airlock.toml names several.
    #[arg(long, value_name = "NAME", env = crate::env::ENVIRONMENT, hide_env_values = true)]
    environment: Option<manifest_schema::names::EnvironmentName>,
    #[command(flatten)]
    roots: RootArgs,
}

/// The build as it was found, before anything about it is believed.
struct Candidate {
    bytes: Vec<u8>,
    /// What the name stands for: for a file, itself.
    digest: Digest,
    envelopes: Vec<Vec<u8>>,
    keys: Vec<PublicKey>,
    threshold: u32,
    policy: Option<TrustedPolicy>,
}

/// What was checked beside signatures.
#[derive(Default)]
struct Checked {
    /// What the store holds, and where that is.
    blobs: Option<(Location, Blobs)>,
    /// What is in the directory.
    artifacts: Option<Vec<Compared>>,
    /// What is wrong with either.
    reasons: Vec<Reason>,
}

impl Args {
    /// A file that can't be read is a failure; whatever is wrong inside one is a refusal.
    pub(crate) fn run(self, context: &Context) -> Result<Exit, Failure> {
        let name: BuildName = self.build.parse().map_err(Failure::usage)?;
        let offline = matches!(name, BuildName::File(_)) && !self.envelope.is_empty() && !self.key.is_empty();
        let (candidate, store) = if offline && self.store.is_none() && !self.deep {
            (self.in_files(&name)?, None)
        } else {
            let environment = context.environment(&self.place()?)?;
            let opened = context.block_on(async {
                Ok(Store::open(environment.artifacts()?, &environment.access(&Purpose::default())).await?)
            });
            let store = opened.map_err(|failure| self.without_store(failure))?;
            let candidate = context.block_on(self.in_store(context, &name, &environment, &store))?;
            (candidate, Some(store))
        };
        self.judge(context, &candidate, store.as_ref())
    }

    fn in_files(&self, name: &BuildName) -> Result<Candidate, Failure> {
        let bytes = self.manifest(name)?;
        let digest = Digest::of(&bytes);
        let (envelopes, keys) = (self.envelopes()?, self.keys()?);
        Ok(Candidate { bytes, digest, envelopes, keys, threshold: self.threshold, policy: None })
    }

    async fn in_store(
        &self,
        context: &Context,
        name: &BuildName,
        environment: &Environment,
        store: &Store,
    ) -> Result<Candidate, Failure> {
        let (bytes, digest) = match name {
            BuildName::File(_) => {
                let bytes = self.manifest(name)?;
                let digest = Digest::of(&bytes);
                (bytes, digest)
            }
            BuildName::Digest(_) | BuildName::Number { .. } | BuildName::Deployed(_) => {
                let digest = name.digest_in(context, store).await?;
                let object = store.get(&Key::Blob(digest), BuildManifest::LIMIT).await?;
                let missing = || format!("no blob {digest} in {}", store.location());
                let object = object.ok_or_else(|| self.refuse(vec![Reason::new(Code::ManifestMissing, missing())]))?;
                (object.bytes, digest)
            }
        };
        let envelopes = match self.envelope.is_empty() {
            false => self.envelopes()?,
            true => attestations::list(store, digest, AttestationKind::Build).await?,
        };
        if !self.key.is_empty() {
            let keys = self.keys()?;
            return Ok(Candidate { bytes, digest, envelopes, keys, threshold: self.threshold, policy: None });
        }
        let roots = self.roots.pinned(environment)?;
        let policy = trusted::newest(store, &roots).await?;
        trusted::warn_if_expired(context, &policy);
        let role = &policy.policy().roles.builder;
        let (keys, threshold) = (policy.policy().keys_of(role), role.threshold);
        Ok(Candidate { bytes, digest, envelopes, keys, threshold, policy: Some(policy) })
    }

    /// Checks all that was asked for, and refuses for every reason at once.
    fn judge(&self, context: &Context, candidate: &Candidate, store: Option<&Store>) -> Result<Exit, Failure> {
        let Candidate { bytes, digest, envelopes, keys, threshold, .. } = candidate;
        match VerifiedManifest::verify(bytes, *digest, envelopes, keys, *threshold) {
            Ok(verified) => {
                let checked = self.check(context, verified.manifest(), store)?;
                if !checked.reasons.is_empty() {
                    let details = tell::details(&checked, verified.manifest());
                    return Err(self.refuse(checked.reasons).details(details));
                }
                tell::verified(context, self.deep, &verified, candidate, &checked)?;
                Ok(Exit::Done)
            }
            Err(signatures) => {
                // Read only to say what else is wrong with it.
                let Ok(unverified) = BuildManifest::from_bytes(bytes) else { return Err(self.refuse(signatures)) };
                let checked = self.check(context, &unverified, store)?;
                let details = tell::details(&checked, &unverified);
                Err(self.refuse(signatures.into_iter().chain(checked.reasons).collect()).details(details))
            }
        }
    }

    /// Compares a manifest with the store and with the directory that were named.
    fn check(&self, context: &Context, manifest: &BuildManifest, store: Option<&Store>) -> Result<Checked, Failure> {
        let mut checked = Checked::default();
        if let Some(store) = store {
            let blobs = context.block_on(async {
                let found = Blobs::look(store, manifest).await?;
                if self.deep { found.read(context, store).await } else { Ok(found) }
            })?;
            checked.reasons.extend(blobs.reasons(manifest));
            checked.blobs = Some((store.location(), blobs));
        }
        if let Some(directory) = &self.artifacts {
            let compared = disk::compare(context, directory, manifest)?;
            checked.reasons.extend(compared.iter().filter_map(Compared::reason));
            checked.artifacts = Some(compared);
        }
        Ok(checked)
    }

    fn refuse(&self, reasons: Vec<Reason>) -> Failure {
        Failure::refused(format!("{} is not verified", self.build), reasons)
    }

    /// A file that is too large for a manifest is none.
    fn manifest(&self, name: &BuildName) -> Result<Vec<u8>, Failure> {
        let path = match name {
            BuildName::File(path) => path.clone(),
            BuildName::Digest(_) | BuildName::Number { .. } | BuildName::Deployed(_) => PathBuf::from(&self.build),
        };
        match files::read(&path, BuildManifest::LIMIT) {
            Err(error @ FileError::TooLarge { .. }) => {
                Err(self.refuse(vec![Reason::new(Code::ManifestMalformed, error.to_string())]))
            }
            read => read.map_err(|error| hinted(error, FORMS)),
        }
    }

    fn envelopes(&self) -> Result<Vec<Vec<u8>>, Failure> {
        let read = self.envelope.iter().map(|path| EnvelopeFile::read(path, Code::BuildUntrusted));
        read.map(|file| file.map(|file| file.bytes)).collect()
    }

    fn keys(&self) -> Result<Vec<PublicKey>, Failure> {
        let made = "`airlock key generate` calls public keys NAME.pub.pem";
        let read = |path: &PathBuf| {
            keys::read_public(path).map_err(|problem| match problem {
                PublicKeyProblem::File(error) => hinted(error, made),
                PublicKeyProblem::Content { path, source } => Failure::refused(
                    format!("the key {} is refused", path.display()),
                    vec![Reason::new(Code::BuildUntrusted, source.to_string())],
                )
                .hint(made),
            })
        };
        self.key.iter().map(read).collect()
    }

    /// The variable names a store for what needs one, and is no wish to have it checked, which the flag is.
    fn place(&self) -> Result<EnvironmentArgs, Failure> {
        let named = crate::env::get(crate::env::ARTIFACTS)?.map(|text| text.parse::<Location>()).transpose()?;
        Ok(EnvironmentArgs { environment: self.environment.clone(), store: self.store.clone().or(named) })
    }

    fn without_store(&self, failure: Failure) -> Failure {
        match failure.own_hint().filter(|_| self.store.is_none()).map(str::to_owned) {
            Some(hint) => {
                failure.hint(format!("{hint}; or do without: a manifest file, --envelope FILE and --key FILE"))
            }
            None => failure,
        }
    }
}

/// A hint for a file that isn't there.
fn hinted(error: FileError, hint: &str) -> Failure {
    let missing = matches!(&error, FileError::Read { source, .. } if source.kind() == std::io::ErrorKind::NotFound);
    let failure = Failure::from(error);
    if missing { failure.hint(hint) } else { failure }
}
