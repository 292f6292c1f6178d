//! Describes the build that is in the working directory, and signs the description.

use std::path::Path;

use manifest_schema::manifest::{self, BuildManifest, BuildManifestSchema};
use manifest_schema::statement::{self, Signed, Statement, Subject, subject};
use manifest_schema::{Digest, Document as _, Timestamp};
use signing::Signer;

use super::ci::{self, CiBuild};
use super::named::NamedBuild;
use super::sources::{self, CheckedOut};
use super::{number, pack, providers};
use crate::config::{Environment, Project};
use crate::context::Context;
use crate::exit::{Failure, OrFail as _};
use crate::progress::Progress;

/// What may be said about a build beside what airlock.toml and the CI say.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    /// Take a working tree with changes that are not committed.
    pub(crate) allow_dirty: bool,
    /// Its number, instead of the CI's.
    pub(crate) number: Option<u64>,
    /// Its epoch, instead of airlock.toml's.
    pub(crate) epoch: Option<u32>,
}

/// Hashes what the project made and describes it. Where no CI and no option numbers it, `store` is asked which numbers
/// are taken.
///
/// # Errors
/// When something to pack is missing, the sources are not what they should be, or the store can't be read.
pub(crate) fn make(
    context: &Context,
    project: &Project,
    options: &Options,
    environment: impl FnOnce() -> Result<Environment, Failure>,
) -> Result<NamedBuild, Failure> {
    let ci = CiBuild::detect(&ci::process)?;
    let counted = ci.is_some();
    let sources = sources::collect(project, &ci::process)?;
    sources.warnings.iter().for_each(|warning| context.out.warn(warning));
    if !options.allow_dirty {
        refuse_dirty(&sources.list)?;
    }
    let mut manifest = assemble(context, project, &sources.list, ci)?;
    if sources::collect(project, &ci::process)? != sources {
        let problem = anyhow::anyhow!("a source repository changed while the build was described");
        return Err(Failure::from(problem).hint("let nothing else work in this directory, and run again"));
    }
    manifest.build.epoch = options.epoch.unwrap_or(project.config.epoch);
    match options.number {
        Some(number) => manifest.build.number = number,
        None if counted => {}
        None => number::assign(context, &mut manifest, &environment()?)?,
    }
    let bytes = manifest.to_bytes();
    // What can't be read back must not be signed.
    BuildManifest::from_bytes(&bytes).or_hint(format!("correct {}", project.path.display()))?;
    Ok(NamedBuild { digest: Digest::of(&bytes), bytes, manifest, deployed: None })
}

/// The builder's statement that it made this build.
///
/// # Errors
/// When the key can't sign.
pub(crate) async fn sign(build: &NamedBuild, key: &Signer, now: Timestamp) -> Result<Signed, Failure> {
    let subjects = vec![Subject::new(subject::MANIFEST, build.digest)];
    let said = statement::Build { built_at: now.whole_seconds() };
    Ok(key.sign(&Statement::new(subjects, said)).await?)
}

/// The manifest; without a CI its number is still to be assigned.
fn assemble(
    context: &Context,
    project: &Project,
    sources: &[CheckedOut],
    ci: Option<CiBuild>,
) -> Result<BuildManifest, Failure> {
    let paths = pack::paths(project);
    let progress = Progress::bytes(&context.out, "hashing", move || pack::expected_bytes(paths));
    let advance = |bytes| progress.advance(bytes);
    let (mut artifacts, bundles) = pack::artifacts(project, &advance)?;
    let evidence = pack::evidence(project, &advance)?;
    drop(progress);
    bundles.iter().try_for_each(|bundle| bundle.tell(context))?;
    artifacts.extend(providers::pack(context, &bundles)?);
    artifacts.sort_by(|a, b| a.name.cmp(&b.name));
    let epoch = project.config.epoch;
    let build = match ci {
        Some(CiBuild { number, id, url, builder }) => manifest::Build { epoch, number, id, url, builder },
        None => manifest::Build { epoch, number: 0, id: None, url: None, builder: ci::LOCAL.to_owned() },
    };
    Ok(BuildManifest {
        schema: BuildManifestSchema,
        project: project.config.project.clone(),
        build,
        sources: sources.iter().map(|checked_out| checked_out.source.clone()).collect(),
        artifacts,
        deploy: pack::steps(project),
        evidence,
    })
}

/// How many changed files a refusal lists.
const MOST_LISTED: usize = 5;

fn refuse_dirty(sources: &[CheckedOut]) -> Result<(), Failure> {
    let Some(dirty) = sources.iter().find(|source| !source.changed.is_empty()) else { return Ok(()) };
    let mut listed = dirty.changed.iter().take(MOST_LISTED).map(|path| told(path)).collect::<Vec<_>>().join(", ");
    if let Some(more) = dirty.changed.len().checked_sub(MOST_LISTED).filter(|more| *more > 0) {
        listed.push_str(&format!(" and {more} more"));
    }
    let directory = dirty.directory.display();
    let problem = anyhow::anyhow!("files in {directory} differ from its commit: {listed}");
    Err(problem).or_hint("commit or stash them; --allow-dirty builds anyway, and the manifest says so")
}

/// A path in a list: one with blanks, commas or control characters in quotes.
fn told(path: &Path) -> String {
    let text = path.display().to_string();
    if text.contains(|c: char| c.is_whitespace() || c.is_control() || c == ',') { format!("{text:?}") } else { text }
}
