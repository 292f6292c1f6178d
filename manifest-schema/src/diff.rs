//! What differs between two builds, as a value. Telling it to people is the CLI's matter.
//!
//! The lists of a manifest are sorted, so they are joined in one pass; two builds with 100,000 files each take as long
//! to compare as to read.

mod compare;
mod details;
mod image;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::json::{Document, schema_tag};
use crate::manifest::{
    ArtifactKind, BlobRef, BuildManifest, BuildNumber, Commit, FileMode, Provider, Step, Variable, VendoredModule,
};
use crate::names::{ArtifactName, LinkTarget, ProjectName, RelativePath};
use crate::time::Timestamp;

pub use details::{CommitList, CommitState, CommitsDiff, Deployed, Hunk, Line, LinesDiff};
pub use image::{
    ImageDiff, ImageState, Layer, LayerDiff, PlatformDiff, PlatformState, Presence, Setting, SettingDiff, SettingKind,
    SettingValue,
};

schema_tag!(ManifestDiffSchema, "airlock/manifest-diff/v1");

/// One of the two builds that are compared.
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    /// The manifest digest.
    pub digest: Digest,
    /// The manifest.
    pub manifest: &'a BuildManifest,
}

/// What differs between two builds. Everything that is the same is left out, but for the blobs and layers that a changed
/// image keeps. What is not in the manifests (`commits`, `lines`, `image`, `deployed`) is filled in by whoever has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ManifestDiff {
    /// Always `airlock/manifest-diff/v1`.
    pub schema: ManifestDiffSchema,
    /// The build that is compared with.
    pub old: ComparedBuild,
    /// The build that is compared.
    pub new: ComparedBuild,
    /// Repositories at another commit or ref; sorted by `uri`.
    pub sources: Vec<SourceDiff>,
    /// Artifacts; sorted by name.
    pub artifacts: Vec<ArtifactDiff>,
    /// Deploy steps: those that the new build has in its order, then those that it no longer has.
    pub steps: Vec<StepDiff>,
    /// Whether steps that both builds have come in another order.
    pub steps_reordered: bool,
    /// Reports; sorted by name.
    pub evidence: Vec<EvidenceDiff>,
    /// What could not be looked at and why, a line each. What is in the manifests is always compared whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unseen: Vec<String>,
}

/// Which build it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ComparedBuild {
    /// What was built.
    pub project: ProjectName,
    /// The build's number.
    pub build: BuildNumber,
    /// The manifest digest.
    pub manifest: Digest,
    /// The deployment that led to it, when it was named by an environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployed: Option<Deployed>,
}

/// What became of one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Change<T> {
    /// Only the new build has it.
    Added(T),
    /// Only the old build has it.
    Removed(T),
    /// Both have it, and it differs.
    Changed {
        /// In the old build.
        old: T,
        /// In the new build.
        new: T,
    },
}

/// A source repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct SourceDiff {
    /// The repository.
    pub uri: String,
    /// What became of it.
    pub change: Change<SourceState>,
    /// The commits between, when both builds have the repository and it was at hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commits: Option<CommitsDiff>,
}

/// What was built from a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct SourceState {
    /// The commit.
    pub commit: Commit,
    /// When the commit was made.
    pub committed_at: Timestamp,
    /// The full ref.
    #[serde(rename = "ref")]
    pub reference: String,
    /// Whether tracked files differed from the commit.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dirty: bool,
}

/// An artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ArtifactDiff {
    /// The artifact.
    pub name: ArtifactName,
    /// What became of it.
    pub change: Change<ArtifactState>,
    /// Files that differ, sorted by path, when both builds have files under this name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileDiff>,
    /// Symbolic links that differ, sorted by path, when both builds have a directory under this name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<LinkDiff>,
    /// Modules from outside the root module that differ, sorted by path, when both builds have a bundle under this name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modules: Vec<Change<VendoredModule>>,
    /// What became of the blobs, when both builds have an image under this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blobs: Option<BlobsDiff>,
    /// What the two images run and are made of, when their configurations were at hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageDiff>,
    /// How the lines differ, when both builds have a single file under this name and both were at hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<LinesDiff>,
}

/// What an artifact is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ArtifactState {
    /// Its kind.
    pub kind: ArtifactKind,
    /// Its media type.
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// Which provider it is, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<Provider>,
}

/// A file of a directory or of a Terraform bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct FileDiff {
    /// Where it is inside the artifact.
    pub path: RelativePath,
    /// What became of it.
    pub change: Change<FileState>,
    /// How its lines differ, when its bytes were at hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<LinesDiff>,
}

/// A symbolic link of a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct LinkDiff {
    /// Where it is inside the artifact.
    pub path: RelativePath,
    /// What became of where it leads.
    pub change: Change<LinkTarget>,
}

/// What a file is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct FileState {
    /// Whether it may be executed.
    pub mode: FileMode,
    /// SHA-256 of the bytes.
    pub digest: Digest,
    /// Length in bytes.
    pub size: u64,
}

/// The blobs of an image, each list sorted by digest. Only those added have to cross the gap.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct BlobsDiff {
    /// Only the new image has them.
    pub added: Vec<BlobRef>,
    /// Only the old image has them.
    pub removed: Vec<BlobRef>,
    /// Both have them.
    pub kept: Vec<BlobRef>,
}

/// A deploy step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct StepDiff {
    /// The step, as people call it: `service web`.
    pub step: String,
    /// What became of it.
    pub change: Change<Step>,
    /// Terraform variables that differ, sorted by name, when both builds have the step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<VariableDiff>,
}

/// A Terraform input variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct VariableDiff {
    /// The variable.
    pub name: String,
    /// What became of it.
    pub change: Change<Variable>,
}

/// A report about the build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct EvidenceDiff {
    /// The report.
    pub name: ArtifactName,
    /// What became of it.
    pub change: Change<EvidenceState>,
}

/// What a report is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct EvidenceState {
    /// What it reports on.
    pub kind: String,
    /// Its media type.
    pub media_type: String,
    /// SHA-256 of the bytes.
    pub digest: Digest,
    /// Length in bytes.
    pub size: u64,
}

impl Document for ManifestDiff {
    const SCHEMA: &'static str = ManifestDiffSchema::NAME;
    const NAME: &'static str = "manifest diff";
    const LIMIT: usize = 2 * BuildManifest::LIMIT;
}

impl ManifestDiff {
    /// Compares two builds. Their lists must be sorted, which reading a manifest ensures.
    pub fn between(old: Side<'_>, new: Side<'_>) -> Self {
        let (was, is) = (old.manifest, new.manifest);
        let (steps, steps_reordered) = compare::steps(&was.deploy, &is.deploy);
        Self {
            schema: ManifestDiffSchema,
            old: old.named(),
            new: new.named(),
            sources: compare::sources(&was.sources, &is.sources),
            artifacts: compare::artifacts(&was.artifacts, &is.artifacts),
            steps,
            steps_reordered,
            evidence: compare::evidence(&was.evidence, &is.evidence),
            unseen: Vec::new(),
        }
    }

    /// Whether both are builds of one project, made of the same things and deployed in the same way. Their numbers and
    /// digests may differ.
    pub fn is_empty(&self) -> bool {
        self.old.project == self.new.project
            && self.sources.is_empty()
            && self.artifacts.is_empty()
            && self.steps.is_empty()
            && !self.steps_reordered
            && self.evidence.is_empty()
    }
}

impl Side<'_> {
    fn named(self) -> ComparedBuild {
        let BuildManifest { project, build, .. } = self.manifest;
        ComparedBuild { project: project.clone(), build: build.number(), manifest: self.digest, deployed: None }
    }
}

#[cfg(test)]
mod tests;
