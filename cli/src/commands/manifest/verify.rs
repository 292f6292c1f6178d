//! `airlock manifest verify`

use std::path::PathBuf;

use manifest_schema::gates::VerifiedManifest;
use manifest_schema::keys::PublicKey;
use manifest_schema::manifest::BuildManifest;
use manifest_schema::{Code, Digest, Document as _, Reason};
use serde_json::json;

use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::files::{self, FileError};
use crate::keys::{self, PublicKeyProblem};
use crate::statements::EnvelopeFile;

/// What to verify, and whom to believe.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The build manifest.
    manifest: PathBuf,
    /// An envelope around a build statement; may be given several times.
    #[arg(long, required = true, value_name = "FILE")]
    envelope: Vec<PathBuf>,
    /// A builder's public key; may be given several times.
    #[arg(long, required = true, value_name = "FILE")]
    key: Vec<PathBuf>,
    /// How many of the keys must have signed.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    threshold: u32,
}

impl Args {
    /// A file that can't be read is a failure; whatever is wrong inside one is a refusal.
    pub(crate) fn run(self, context: &Context) -> Result<Exit, Failure> {
        let refuse = |reasons| Failure::refused(format!("{} is not verified", self.manifest.display()), reasons);
        let bytes = match files::read(&self.manifest, BuildManifest::LIMIT) {
            Err(error @ FileError::TooLarge { .. }) => {
                return Err(refuse(vec![Reason::new(Code::ManifestMalformed, error.to_string())]));
            }
            read => read?,
        };
        let keys = self.keys()?;
        let envelopes = self.envelope.iter().map(|path| EnvelopeFile::read(path, Code::BuildUntrusted));
        let envelopes: Vec<_> = envelopes.map(|file| file.map(|file| file.bytes)).collect::<Result<_, _>>()?;
        let digest = Digest::of(&bytes);
        let verified = VerifiedManifest::verify(&bytes, digest, &envelopes, &keys, self.threshold).map_err(refuse)?;
        tell(context, &verified)?;
        Ok(Exit::Done)
    }

    fn keys(&self) -> Result<Vec<PublicKey>, Failure> {
        let read = |path: &PathBuf| {
            keys::read_public(path).map_err(|problem| match problem {
                PublicKeyProblem::File(error) => error.into(),
                PublicKeyProblem::Content { path, source } => Failure::refused(
                    format!("the key {} is refused", path.display()),
                    vec![Reason::new(Code::BuildUntrusted, source.to_string())],
                )
                .hint("`airlock key generate` calls public keys NAME.pub.pem"),
            })
        };
        self.key.iter().map(read).collect()
    }
}

fn tell(context: &Context, verified: &VerifiedManifest) -> Result<(), Failure> {
    let manifest = verified.manifest();
    let (project, build, built_at) = (&manifest.project, manifest.build.number(), verified.built_at());
    let builders: Vec<String> = verified.builders().iter().map(|key| key.id().to_string()).collect();
    if context.out.is_json() {
        let digest = verified.digest();
        context.out.json(&json!({ "verified": true, "project": project, "build": build, "manifest": digest,
            "builders": builders, "builtAt": built_at }))?;
    } else {
        let signers = builders.join(", ");
        let verified = context.out.paint_out().green("verified");
        context.out.data(format!("{verified}: build {build} of {project}, signed by {signers} at {built_at}\n"))?;
    }
    Ok(())
}
