//! Artifacts and reports, from the paths in airlock.toml; and back from a manifest's blobs to those paths.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use artifacts::{Origin, PackError, Packed, Progress};
use manifest_schema::Digest;
use manifest_schema::manifest::{Artifact, BlobRef, BuildManifest, Content, Evidence, Step, Variable};
use manifest_schema::names::ArtifactName;
use store::StoreError;

use super::bundle::Bundle;
use super::providers;
use crate::config::{ArtifactConfig, BundleSettings, NamedValue, PackKind, Project, StepConfig, VariableConfig};
use crate::exit::Failure;

/// Packs everything under `[artifacts]`, in the order of the names; and what there is to say of each Terraform bundle.
///
/// # Errors
/// When one can't be packed.
pub(crate) fn artifacts(project: &Project, progress: Progress<'_>) -> Result<(Vec<Artifact>, Vec<Bundle>), Failure> {
    let (mut all, mut bundles) = (Vec::new(), Vec::new());
    let steps = steps(project);
    for (name, config) in &project.config.artifacts {
        let path = project.resolve(&config.path);
        let packed = pack(name, &config.kind, &path, progress);
        let packed = packed.map_err(|error| explain(error, project, &place(name)))?;
        if let PackKind::Terraform(settings) = &config.kind {
            let mirror = settings.mirror.as_ref().map(|mirror| project.resolve(mirror));
            let settings = BundleSettings { mirror, ..settings.clone() };
            bundles.extend(Bundle::of(&packed, path, settings, &steps));
        }
        all.push(packed.artifact);
    }
    Ok((all, bundles))
}

/// Where everything is that is hashed.
pub(crate) fn paths(project: &Project) -> Vec<PathBuf> {
    let artifacts = project.config.artifacts.values().map(|config| &config.path);
    let reports = project.config.evidence.iter().map(|report| &report.path);
    artifacts.chain(reports).map(|path| project.resolve(path)).collect()
}

/// About how many bytes are in these files and directories, as the system lists them; `None` when that can't be told.
/// For people only: what can't be read is told by whoever hashes it.
pub(crate) fn expected_bytes(paths: Vec<PathBuf>) -> Option<u64> {
    let (mut total, mut open) = (0, paths);
    while let Some(path) = open.pop() {
        let metadata = fs::symlink_metadata(&path).ok()?;
        if metadata.is_dir() {
            let entries = fs::read_dir(&path).ok()?.collect::<Result<Vec<_>, _>>().ok()?;
            // What Terraform installed is no part of a bundle.
            open.extend(entries.iter().map(fs::DirEntry::path).filter(|path| !path.ends_with(".terraform")));
        } else if metadata.is_file() {
            total += metadata.len();
        }
    }
    Some(total)
}

/// Hashes everything under `[[evidence]]`, sorted by name.
///
/// # Errors
/// When a report can't be read.
pub(crate) fn evidence(project: &Project, progress: Progress<'_>) -> Result<Vec<Evidence>, Failure> {
    let mut reports = Vec::new();
    for report in &project.config.evidence {
        let path = project.resolve(&report.path);
        let packed = artifacts::pack_file(report.name.clone(), &path, Some(&report.media_type), progress);
        let Artifact { name, media_type, digest, size, .. } =
            packed.map_err(|error| explain(error, project, &format!("[[evidence]] {}", report.name)))?.artifact;
        reports.push(Evidence { name, kind: report.kind.clone(), media_type, digest, size });
    }
    reports.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(reports)
}

/// The deploy steps as a manifest has them.
pub(crate) fn steps(project: &Project) -> Vec<Step> {
    let variable = |config: &VariableConfig| match config {
        VariableConfig::Text(text) => Variable::Value(text.clone()),
        VariableConfig::Named(NamedValue::DigestOf(artifact)) => Variable::DigestOf(artifact.clone()),
        VariableConfig::Named(NamedValue::Parameter(name)) => Variable::Parameter(name.clone()),
        VariableConfig::Named(NamedValue::Secret(name)) => Variable::Secret(name.clone()),
    };
    let step = |config: &StepConfig| match config {
        StepConfig::Terraform { artifact, variables } => Step::Terraform {
            artifact: artifact.clone(),
            variables: variables.iter().map(|(name, value)| (name.clone(), variable(value))).collect(),
        },
        StepConfig::Service(service) => Step::Service(service.clone()),
        StepConfig::Task(task) => Step::Task(task.clone()),
        StepConfig::Files(files) => Step::Files(files.clone()),
        StepConfig::Schedule(schedule) => Step::Schedule(schedule.clone()),
        StepConfig::Function(function) => Step::Function(function.clone()),
    };
    project.config.deploy.iter().map(step).collect()
}

/// Packs what is at `path` as airlock.toml says.
///
/// # Errors
/// When it can't be packed.
pub(crate) fn pack(
    name: &ArtifactName,
    kind: &PackKind,
    path: &Path,
    progress: Progress<'_>,
) -> Result<Packed, PackError> {
    let name = name.clone();
    match kind {
        PackKind::File(media_type) => artifacts::pack_file(name, path, media_type.as_deref(), progress),
        PackKind::Directory => artifacts::pack_directory(name, path, progress),
        PackKind::Image => artifacts::pack_image(name, path, progress),
        PackKind::Terraform(_) => artifacts::pack_terraform(name, path, progress),
    }
}

fn place(name: &ArtifactName) -> String {
    format!("[artifacts.{name}]")
}

fn explain(error: PackError, project: &Project, place: &str) -> Failure {
    let hint = if let PackError::Module { source, .. } = &error {
        source.advice().map(str::to_owned)
    } else if matches!(&error, PackError::Read { source, .. } if source.kind() == ErrorKind::NotFound) {
        Some(format!("build it first, or correct `path` of {place} in {}", project.path.display()))
    } else {
        None
    };
    let failure = Failure::from(error);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// Where to read each of the `missing` blobs of a manifest. Nothing is hashed here, except a Terraform bundle, which
/// has to be packed again; whoever copies the bytes hashes them.
///
/// # Errors
/// When airlock.toml doesn't have an artifact or a report that is missing, or a bundle has changed.
pub(crate) fn origins(
    project: &Project,
    manifest: &BuildManifest,
    missing: &[BlobRef],
) -> Result<BTreeMap<Digest, Origin>, Failure> {
    let wanted = |digest: &Digest| missing.iter().any(|blob| blob.digest == *digest);
    let mut origins = BTreeMap::new();
    for artifact in manifest.artifacts.iter().filter(|artifact| artifact.blobs().iter().any(|b| wanted(&b.digest))) {
        if let Content::Provider(provider) = &artifact.content {
            let path = providers::located(project, provider, artifact.size);
            origins.insert(artifact.digest, Origin::File(path.ok_or_else(|| unknown(project, &artifact.name))?));
            continue;
        }
        let config = project.config.artifacts.get(&artifact.name).ok_or_else(|| unknown(project, &artifact.name))?;
        let path = project.resolve(&config.path);
        match (&artifact.content, &config.kind) {
            (Content::File, PackKind::File(_)) => {
                origins.insert(artifact.digest, Origin::File(path));
            }
            (Content::Directory { files, .. }, PackKind::Directory) => {
                let file = |path: &Path, inside: &str| Origin::File(path.join(inside));
                origins.extend(files.iter().map(|entry| (entry.digest, file(&path, entry.path.as_str()))));
            }
            (Content::Image(blobs), PackKind::Image) => {
                let located = artifacts::locate_image(&path, blobs);
                origins.extend(located.map_err(|error| explain(error, project, &place(&artifact.name)))?);
            }
            (Content::Terraform { .. }, PackKind::Terraform(_)) => {
                origins.insert(artifact.digest, bundle(project, artifact, config)?);
            }
            (
                Content::File
                | Content::Provider(_)
                | Content::Directory { .. }
                | Content::Terraform { .. }
                | Content::Image(_),
                _,
            ) => return Err(unknown(project, &artifact.name)),
        }
    }
    for report in manifest.evidence.iter().filter(|report| wanted(&report.digest)) {
        let config = project.config.evidence.iter().find(|config| config.name == report.name);
        let config = config.ok_or_else(|| unknown(project, &report.name))?;
        origins.insert(report.digest, Origin::File(project.resolve(&config.path)));
    }
    Ok(origins)
}

fn bundle(project: &Project, artifact: &Artifact, config: &ArtifactConfig) -> Result<Origin, Failure> {
    let packed = pack(&artifact.name, &config.kind, &project.resolve(&config.path), &|_| {})
        .map_err(|error| explain(error, project, &place(&artifact.name)))?;
    if packed.artifact.digest != artifact.digest {
        let origin = project.resolve(&config.path).display().to_string();
        let detail = format!("its files now make {}", packed.artifact.digest);
        return Err(StoreError::SourceChanged { origin, digest: artifact.digest, detail }.into());
    }
    let origin = packed.blobs.into_iter().next().map(|source| source.origin);
    origin.ok_or_else(|| unknown(project, &artifact.name))
}

fn unknown(project: &Project, name: &ArtifactName) -> Failure {
    let file = project.path.display();
    let problem = anyhow::anyhow!("the store lacks blobs of {name}, and {file} doesn't say where they are");
    Failure::from(problem).hint("publish from the working directory in which the manifest was built")
}
