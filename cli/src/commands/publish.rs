//! `airlock publish`

use std::path::PathBuf;

use manifest_schema::Code;
use manifest_schema::statement::{self, subject};
use serde_json::json;
use store::{Location, Store};

use crate::build::named::NamedBuild;
use crate::build::publish::{self, Care, Happened, Published, Sent};
use crate::config::EnvironmentArgs;
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::purpose::Purpose;
use crate::statements::EnvelopeFile;

/// What to publish, and where.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The build manifest.
    manifest: PathBuf,
    /// An envelope around a build statement; may be given several times.
    #[arg(long, required = true, value_name = "FILE")]
    envelope: Vec<PathBuf>,
    /// Read and hash what is in the store already, and replace what isn't what its name says.
    #[arg(long)]
    repair: bool,
    #[command(flatten)]
    place: EnvironmentArgs,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result<Exit, Failure> {
        let build = NamedBuild::read(&self.manifest)?;
        let mut envelopes = Vec::new();
        for path in &self.envelope {
            let envelope = EnvelopeFile::read(path, Code::BuildUntrusted)?;
            envelope.expect_about::<statement::Build>(subject::MANIFEST, build.digest, Code::BuildUntrusted)?;
            envelopes.push(envelope.bytes);
        }
        let environment = context.environment_if_any(&self.place)?;
        let location = environment.artifacts()?;
        let care = if self.repair { Care::Repair } else { Care::Believe };
        let published = context.block_on(async {
            let store =
                Store::open_or_create(location, &environment.access(&Purpose::of_build(build.manifest.build.number())))
                    .await?;
            publish::publish(context, &store, &build, &envelopes, care).await
        })?;
        tell(context, &build, location, &published)?;
        Ok(Exit::Done)
    }
}

fn tell(context: &Context, build: &NamedBuild, location: &Location, published: &Published) -> Result<(), Failure> {
    let (project, number) = (&build.manifest.project, build.manifest.build.number());
    let Published { happened, blobs: Sent { sent, present, repaired } } = published;
    let out = &context.out;
    out.say(match happened {
        Happened::Published => format!("published build {number} of {project} in {location}"),
        Happened::Restored => format!("restored build {number} of {project} in {location}: it had been collected"),
        Happened::Nothing => format!("had already published build {number} of {project} in {location}"),
    });
    out.say(format!("sent {sent}; already there: {present}"));
    if repaired.blobs > 0 {
        out.warn(format!("wrong in the store, and replaced: {repaired}; find out who changed it"));
    }
    if out.is_json() {
        let created = *happened == Happened::Published;
        out.json(&json!({ "project": project, "build": number, "manifest": build.digest, "created": created,
            "store": location, "sent": sent, "present": present,
            "repaired": repaired }))?;
    } else {
        out.data(format!("{}\n", build.digest))?;
    }
    Ok(())
}
