//! `airlock manifest sign`

use std::path::PathBuf;

use serde_json::json;

use crate::build::make;
use crate::build::named::NamedBuild;
use crate::cloud;
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::files;
use crate::keys::SigningKeyArgs;
use crate::purpose::Purpose;

/// What to sign, and with which key.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The build manifest.
    manifest: PathBuf,
    #[command(flatten)]
    key: SigningKeyArgs,
    /// Where the envelope goes.
    #[arg(long, short, value_name = "FILE", default_value = "build.dsse.json")]
    output: PathBuf,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result<Exit, Failure> {
        let build = NamedBuild::read(&self.manifest)?;
        let built_at = context.ambient.now().whole_seconds();
        let purpose = Purpose::of_build(build.manifest.build.number());
        let (signer, signed) = context.block_on(async {
            let key = self.key.load(context, || cloud::environment(context), &purpose).await?;
            Ok((key.public().id(), make::sign(&build, &key, built_at).await?))
        })?;
        files::write(&self.output, &signed.envelope)?;
        let (number, project) = (build.manifest.build.number(), &build.manifest.project);
        let path = self.output.display();
        context.out.say(format!("wrote {path}: build {number} of {project}, signed by {signer}"));
        if context.out.is_json() {
            let (manifest, statement) = (build.digest, signed.statement);
            context.out.json(&json!({ "manifest": manifest, "statement": statement, "envelope": self.output,
                "signer": signer.to_string(), "builtAt": built_at }))?;
        }
        Ok(Exit::Done)
    }
}
