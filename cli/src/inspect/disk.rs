//! Whether files in a directory are still what a manifest says: each artifact is packed again and compared.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use artifacts::{PackError, Progress as Advance};
use manifest_schema::manifest::{Artifact, BuildManifest, Content, Evidence, Provider};
use manifest_schema::names::ArtifactName;
use manifest_schema::{Code, Reason};
use serde::Serialize;

use super::bounded;
use crate::build::{pack, providers};
use crate::config::{self, BundleSettings, FILE_NAME, PackKind, Project};
use crate::context::Context;
use crate::exit::{Failure, OrFail as _};
use crate::progress::Progress;

/// An artifact or a report, and what is in the directory in its place.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Compared {
    /// The artifact or report.
    pub(crate) name: ArtifactName,
    /// Where it was looked for.
    pub(crate) path: PathBuf,
    /// What is there.
    #[serde(flatten)]
    pub(crate) found: Found,
}

/// What is in an artifact's place.
#[derive(Debug, Serialize)]
#[serde(tag = "state", rename_all = "camelCase")]
pub(crate) enum Found {
    /// Exactly what the manifest says.
    Same,
    /// Nothing.
    Missing,
    /// Something else; each list sorted, of paths inside the artifact, or of an image's blobs.
    Different(Differences),
    /// What no manifest could describe.
    Unusable {
        /// Why.
        problem: String,
    },
}

/// How something differs from what the manifest says.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Differences {
    /// Only in the directory.
    pub(crate) added: Vec<String>,
    /// Only in the manifest.
    pub(crate) removed: Vec<String>,
    /// In both, with other content, mode or target.
    pub(crate) changed: Vec<String>,
}

impl Compared {
    /// Why it isn't what the manifest says; `None` if it is.
    pub(crate) fn reason(&self) -> Option<Reason> {
        let (name, path) = (&self.name, self.path.display());
        match &self.found {
            Found::Same => None,
            Found::Missing => Some(Reason::new(Code::ArtifactMissing, format!("{name}: there is no {path}"))),
            Found::Different(differences) => {
                Some(Reason::new(Code::ArtifactMismatch, format!("{name} in {path}: {}", differences.told())))
            }
            Found::Unusable { problem } => Some(Reason::new(Code::ArtifactMismatch, format!("{name}: {problem}"))),
        }
    }
}

impl Differences {
    fn told(&self) -> String {
        let lists = [("changed", &self.changed), ("added", &self.added), ("removed", &self.removed)];
        let told = lists.into_iter().filter(|(_, list)| !list.is_empty());
        let told: Vec<_> = told.map(|(what, list)| format!("{what}: {}", bounded(list.iter().cloned()))).collect();
        if told.is_empty() { "its content differs".to_owned() } else { told.join("; ") }
    }
}

/// Compares every artifact and report of a build with what is in `directory`: where its airlock.toml says, or, without
/// one, under the artifact's name.
///
/// # Errors
/// When the directory, its airlock.toml or a file in it can't be read, or a file changes while it is.
pub(crate) fn compare(context: &Context, directory: &Path, manifest: &BuildManifest) -> Result<Vec<Compared>, Failure> {
    std::fs::read_dir(directory)
        .map_err(|error| anyhow::Error::new(error).context(format!("can't read {}", directory.display())))
        .or_hint("--artifacts names the project's directory")?;
    let file = directory.join(FILE_NAME);
    let project = if file.exists() { Some(config::read(&file)?) } else { None };
    let place = Place { directory, project: project.as_ref() };
    let sizes = manifest.artifacts.iter().map(|artifact| artifact.size);
    let total = sizes.chain(manifest.evidence.iter().map(|report| report.size)).sum();
    let progress = Progress::bytes(&context.out, "comparing", move || Some(total));
    let advance = |bytes| progress.advance(bytes);
    let artifacts = manifest.artifacts.iter().map(|artifact| place.artifact(artifact, &advance));
    let reports = manifest.evidence.iter().map(|report| place.report(report, &advance));
    artifacts.chain(reports).collect()
}

struct Place<'a> {
    directory: &'a Path,
    project: Option<&'a Project>,
}

impl Place<'_> {
    fn artifact(&self, artifact: &Artifact, advance: Advance<'_>) -> Result<Compared, Failure> {
        let name = &artifact.name;
        if let (Content::Provider(provider), Some(project)) = (&artifact.content, self.project) {
            return provider_found(artifact, provider, project, advance);
        }
        let (kind, path) = match self.project.map(|project| project.config.artifacts.get(name)) {
            None => (kind_of(artifact), self.directory.join(name.as_str())),
            Some(Some(config)) => (config.kind.clone(), self.directory.join(&config.path)),
            Some(None) => return Ok(self.unnamed(name, "artifacts")),
        };
        let found = match pack::pack(name, &kind, &path, advance) {
            Ok(packed) => same_or_different(artifact, &packed.artifact),
            Err(error) => not_packed(error, &path)?,
        };
        Ok(Compared { name: name.clone(), path, found })
    }

    fn report(&self, report: &Evidence, advance: Advance<'_>) -> Result<Compared, Failure> {
        let name = &report.name;
        let path = match self.project.map(|project| project.config.evidence.iter().find(|found| found.name == *name)) {
            None => self.directory.join(name.as_str()),
            Some(Some(config)) => self.directory.join(&config.path),
            Some(None) => return Ok(self.unnamed(name, "evidence")),
        };
        let found = match artifacts::pack_file(name.clone(), &path, None, advance) {
            Ok(packed) if packed.artifact.digest == report.digest => Found::Same,
            Ok(_) => Found::Different(Differences::default()),
            Err(error) => not_packed(error, &path)?,
        };
        Ok(Compared { name: name.clone(), path, found })
    }

    fn unnamed(&self, name: &ArtifactName, section: &str) -> Compared {
        let path = self.directory.join(FILE_NAME);
        let problem = format!("{} has nothing of that name under {section}", path.display());
        Compared { name: name.clone(), path, found: Found::Unusable { problem } }
    }
}

/// A provider is in a mirror, or where it was fetched or packed to; airlock.toml doesn't name it.
fn provider_found(
    artifact: &Artifact,
    provider: &Provider,
    project: &Project,
    advance: Advance<'_>,
) -> Result<Compared, Failure> {
    let name = artifact.name.clone();
    let Some(path) = providers::located(project, provider, artifact.size) else {
        return Ok(Compared { name, path: PathBuf::from(provider.packed_path()), found: Found::Missing });
    };
    let found = match artifacts::pack_file(name.clone(), &path, None, advance) {
        Ok(packed) if packed.artifact.digest == artifact.digest => Found::Same,
        Ok(_) => Found::Different(Differences::default()),
        Err(error) => not_packed(error, &path)?,
    };
    Ok(Compared { name, path, found })
}

fn kind_of(artifact: &Artifact) -> PackKind {
    match &artifact.content {
        Content::File | Content::Provider(_) => PackKind::File(None),
        Content::Directory { .. } => PackKind::Directory,
        Content::Terraform { .. } => PackKind::Terraform(BundleSettings::default()),
        Content::Image(_) => PackKind::Image,
    }
}

/// Media types are airlock.toml's, not the files'.
fn same_or_different(expected: &Artifact, found: &Artifact) -> Found {
    if expected.digest == found.digest && expected.size == found.size {
        return Found::Same;
    }
    if expected.kind() != found.kind() {
        let problem = format!("it is packed as {}, the manifest has {}", found.kind(), expected.kind());
        return Found::Unusable { problem };
    }
    let (before, after) = (parts(expected), parts(found));
    let mut differences = Differences::default();
    for (part, was) in &before {
        match after.get(part) {
            None => differences.removed.push(part.clone()),
            Some(is) if is != was => differences.changed.push(part.clone()),
            Some(_) => {}
        }
    }
    differences.added = after.into_keys().filter(|part| !before.contains_key(part)).collect();
    Found::Different(differences)
}

/// What an artifact consists of, by name; and what tells one state of it from another.
fn parts(artifact: &Artifact) -> BTreeMap<String, String> {
    match &artifact.content {
        Content::File | Content::Provider(_) => BTreeMap::new(),
        Content::Directory { files, links } => {
            let links = links.iter().map(|link| (link.path.to_string(), format!("to {}", link.target)));
            let files = files.iter().map(|file| (file.path.to_string(), state(file.mode.bits(), &file.digest)));
            files.chain(links).collect()
        }
        Content::Terraform { files, .. } => {
            files.iter().map(|file| (file.path.to_string(), state(file.mode.bits(), &file.digest))).collect()
        }
        Content::Image(blobs) => blobs.iter().map(|blob| (blob.digest.to_string(), blob.media_type.clone())).collect(),
    }
}

fn state(mode: u32, digest: &manifest_schema::Digest) -> String {
    format!("{mode:o} {digest}")
}

/// What can't be packed is a finding, unless it can't be read or doesn't hold still: then nothing can be said.
fn not_packed(error: PackError, path: &Path) -> Result<Found, Failure> {
    if matches!(&error, PackError::Read { source, .. } if source.kind() == ErrorKind::NotFound) {
        let gone = std::fs::symlink_metadata(path).is_err();
        return Ok(if gone { Found::Missing } else { Found::Unusable { problem: told(error) } });
    }
    if matches!(&error, PackError::Read { .. } | PackError::Changed { .. }) {
        return Err(error.into());
    }
    Ok(Found::Unusable { problem: told(error) })
}

/// With its causes, in one line.
fn told(error: PackError) -> String {
    let error = anyhow::Error::new(error);
    error.chain().map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
