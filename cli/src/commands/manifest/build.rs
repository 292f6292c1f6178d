//! `airlock manifest build`

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::build::make::{self, Options};
use crate::build::named::NamedBuild;
use crate::config::EnvironmentArgs;
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::files;
use crate::output::{count, size};

/// How to build it.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where the manifest goes.
    #[arg(long, short, value_name = "FILE", default_value = "build-manifest.json")]
    output: PathBuf,
    /// Build even if tracked files differ from the commit; the manifest says so, and trust policies refuse it unless
    /// they allow it.
    #[arg(long)]
    allow_dirty: bool,
    /// The build's number, instead of the one of the CI.
    #[arg(long, value_name = "N")]
    build_number: Option<u64>,
    /// The epoch, instead of the one in airlock.toml.
    #[arg(long, value_name = "N")]
    epoch: Option<u32>,
    #[command(flatten)]
    place: EnvironmentArgs,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result<Exit, Failure> {
        let project = context.project()?;
        let options = Options { allow_dirty: self.allow_dirty, number: self.build_number, epoch: self.epoch };
        let environment = || context.environment(&self.place);
        let build = make::make(context, &project, &options, environment)?;
        files::write(&self.output, &build.bytes)?;
        tell(context, &build, &self.output)?;
        Ok(Exit::Done)
    }
}

fn tell(context: &Context, build: &NamedBuild, path: &Path) -> Result<(), Failure> {
    let NamedBuild { digest, manifest, .. } = build;
    let out = &context.out;
    let blobs = manifest.blobs();
    let bytes = blobs.iter().map(|blob| blob.size).sum::<u64>();
    let (project, build) = (&manifest.project, manifest.build.number());
    out.say(format!(
        "wrote {}: build {build} of {project}, {} in {}, {}",
        path.display(),
        count(manifest.artifacts.len(), "artifact"),
        count(blobs.len(), "blob"),
        size(bytes)
    ));
    for source in manifest.sources.iter().filter(|source| source.dirty) {
        out.warn(format!("{} has changes that are not committed", source.uri));
    }
    if out.is_json() {
        let told = json!({ "project": project, "build": build, "manifest": digest, "path": path,
            "blobs": blobs.len(), "bytes": bytes });
        out.json(&told)?;
    } else {
        out.data(format!("{digest}\n"))?;
    }
    Ok(())
}
