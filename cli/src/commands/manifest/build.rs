//! `airlock manifest build`

use std::path::{Path, PathBuf};

use manifest_schema::manifest::{self, BuildManifest, BuildManifestSchema};
use manifest_schema::{Digest, Document as _};
use serde_json::json;

use crate::build::ci::{self, CiBuild};
use crate::build::sources::{self, CheckedOut};
use crate::build::{number, pack};
use crate::config::{EnvironmentArgs, Project};
use crate::context::Context;
use crate::exit::{Exit, Failure, OrFail as _};
use crate::files;
use crate::output::size;
use crate::progress::Progress;

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
        let sources = sources::collect(&project, &ci::process)?;
        if !self.allow_dirty {
            refuse_dirty(&sources)?;
        }
        let mut manifest = self.assemble(context, &project, sources)?;
        if let Some(number) = self.build_number {
            manifest.build.number = number;
        } else if CiBuild::detect(&ci::process)?.is_none() {
            // Locally any environment's store tells which numbers are taken.
            let environment = context.environment(&self.place)?;
            number::assign(context, &mut manifest, environment.artifacts_if_any())?;
        }
        let bytes = manifest.to_bytes();
        // What can't be read back must not be signed.
        BuildManifest::from_bytes(&bytes).or_hint(format!("correct {}", project.path.display()))?;
        files::write(&self.output, &bytes)?;
        tell(context, &manifest, Digest::of(&bytes), &self.output)?;
        Ok(Exit::Done)
    }

    /// The manifest; its number is the CI's, or to be assigned.
    fn assemble(
        &self,
        context: &Context,
        project: &Project,
        sources: Vec<CheckedOut>,
    ) -> Result<BuildManifest, Failure> {
        let ci = CiBuild::detect(&ci::process)?;
        let progress = Progress::bytes(&context.out, "hashing", None);
        let advance = |bytes| progress.advance(bytes);
        let artifacts = pack::artifacts(project, &advance)?;
        let evidence = pack::evidence(project, &advance)?;
        let epoch = self.epoch.unwrap_or(project.config.epoch);
        let build = match ci {
            Some(CiBuild { number, id, url, builder }) => manifest::Build { epoch, number, id, url, builder },
            None => manifest::Build { epoch, number: 0, id: None, url: None, builder: ci::LOCAL.to_owned() },
        };
        Ok(BuildManifest {
            schema: BuildManifestSchema,
            project: project.config.project.clone(),
            build,
            sources: sources.into_iter().map(|checked_out| checked_out.source).collect(),
            artifacts,
            deploy: pack::steps(project),
            evidence,
        })
    }
}

/// How many changed files a refusal lists.
const MOST_LISTED: usize = 5;

fn refuse_dirty(sources: &[CheckedOut]) -> Result<(), Failure> {
    let Some(dirty) = sources.iter().find(|source| !source.changed.is_empty()) else { return Ok(()) };
    let mut listed = dirty.changed.iter().take(MOST_LISTED).cloned().collect::<Vec<_>>().join(", ");
    if let Some(more) = dirty.changed.len().checked_sub(MOST_LISTED).filter(|more| *more > 0) {
        listed.push_str(&format!(" and {more} more"));
    }
    let directory = dirty.directory.display();
    let problem = anyhow::anyhow!("files in {directory} differ from its commit: {listed}");
    Err(problem).or_hint("commit or stash them; --allow-dirty builds anyway, and the manifest says so")
}

fn tell(context: &Context, manifest: &BuildManifest, digest: Digest, path: &Path) -> Result<(), Failure> {
    let out = &context.out;
    let blobs = manifest.blobs();
    let bytes = blobs.iter().map(|blob| blob.size).sum::<u64>();
    let (project, build) = (&manifest.project, manifest.build.number());
    out.say(format!(
        "wrote {}: build {build} of {project}, {} artifacts in {} blobs, {}",
        path.display(),
        manifest.artifacts.len(),
        blobs.len(),
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
