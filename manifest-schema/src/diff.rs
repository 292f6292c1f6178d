//! What differs between two builds, as a value. Telling it to people is the CLI's matter.
//!
//! The lists of a manifest are sorted, so they are joined in one pass; two builds with 100,000 files each take as long
//! to compare as to read.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::json::{Document, schema_tag};
use crate::manifest::{
    Artifact, ArtifactKind, BlobEntry, BlobRef, BuildManifest, BuildNumber, Commit, Content, Evidence, FileEntry,
    FileMode, Source, Step, Variable,
};
use crate::names::{ArtifactName, ProjectName, RelativePath};
use crate::time::Timestamp;

schema_tag!(ManifestDiffSchema, "airlock/manifest-diff/v1");

/// One of the two builds that are compared.
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    /// The manifest digest.
    pub digest: Digest,
    /// The manifest.
    pub manifest: &'a BuildManifest,
}

/// What differs between two builds. Everything that is the same is left out, but for the blobs that a changed image
/// keeps.
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
    /// What became of the blobs, when both builds have an image under this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blobs: Option<BlobsDiff>,
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
}

/// A file of a directory or of a Terraform bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct FileDiff {
    /// Where it is inside the artifact.
    pub path: RelativePath,
    /// What became of it.
    pub change: Change<FileState>,
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
        let (steps, steps_reordered) = steps(&was.deploy, &is.deploy);
        Self {
            schema: ManifestDiffSchema,
            old: old.named(),
            new: new.named(),
            sources: sources(&was.sources, &is.sources),
            artifacts: artifacts(&was.artifacts, &is.artifacts),
            steps,
            steps_reordered,
            evidence: evidence(&was.evidence, &is.evidence),
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
        ComparedBuild { project: project.clone(), build: build.number(), manifest: self.digest }
    }
}

/// A change between two states of one thing; `None` when there is none, or nothing.
fn change<T, S: Eq>(old: Option<&T>, new: Option<&T>, state: impl Fn(&T) -> S) -> Option<Change<S>> {
    match (old.map(&state), new.map(&state)) {
        (None, Some(new)) => Some(Change::Added(new)),
        (Some(old), None) => Some(Change::Removed(old)),
        (Some(old), Some(new)) if old != new => Some(Change::Changed { old, new }),
        (Some(_), Some(_)) | (None, None) => None,
    }
}

/// Goes through two lists sorted by `key` at once, and hands what has the same key to `each` together.
fn join<'a, T, K: Ord>(
    old: &'a [T],
    new: &'a [T],
    key: impl Fn(&'a T) -> K,
    mut each: impl FnMut(Option<&'a T>, Option<&'a T>),
) {
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    loop {
        let order = match (old.peek(), new.peek()) {
            (Some(before), Some(after)) => key(before).cmp(&key(after)),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return,
        };
        match order {
            Ordering::Less => each(old.next(), None),
            Ordering::Greater => each(None, new.next()),
            Ordering::Equal => each(old.next(), new.next()),
        }
    }
}

fn sources(old: &[Source], new: &[Source]) -> Vec<SourceDiff> {
    let state = |source: &Source| SourceState {
        commit: source.commit.clone(),
        committed_at: source.committed_at,
        reference: source.reference.clone(),
        dirty: source.dirty,
    };
    let mut diffs = Vec::new();
    join(
        old,
        new,
        |source| &source.uri,
        |old, new| {
            if let (Some(source), Some(change)) = (new.or(old), change(old, new, state)) {
                diffs.push(SourceDiff { uri: source.uri.clone(), change });
            }
        },
    );
    diffs
}

fn artifacts(old: &[Artifact], new: &[Artifact]) -> Vec<ArtifactDiff> {
    let state = |artifact: &Artifact| ArtifactState {
        kind: artifact.kind(),
        media_type: artifact.media_type.clone(),
        digest: artifact.digest,
        size: artifact.size,
    };
    let mut diffs = Vec::new();
    join(
        old,
        new,
        |artifact| &artifact.name,
        |old, new| {
            let (files, blobs) = contents(old, new);
            // A damaged pair could agree on the digest and not on the files: what is inside counts, too.
            let inside = !files.is_empty() || blobs.as_ref().is_some_and(BlobsDiff::differs);
            let change = match (old, new) {
                (Some(old), Some(new)) if inside => Some(Change::Changed { old: state(old), new: state(new) }),
                _ => change(old, new, state),
            };
            if let (Some(artifact), Some(change)) = (new.or(old), change) {
                diffs.push(ArtifactDiff { name: artifact.name.clone(), change, files, blobs });
            }
        },
    );
    diffs
}

fn contents(old: Option<&Artifact>, new: Option<&Artifact>) -> (Vec<FileDiff>, Option<BlobsDiff>) {
    match (old.map(|artifact| &artifact.content), new.map(|artifact| &artifact.content)) {
        (
            Some(Content::Directory(old) | Content::Terraform(old)),
            Some(Content::Directory(new) | Content::Terraform(new)),
        ) => (files(old, new), None),
        (Some(Content::Image(old)), Some(Content::Image(new))) => (Vec::new(), Some(blobs(old, new))),
        _ => (Vec::new(), None),
    }
}

fn files(old: &[FileEntry], new: &[FileEntry]) -> Vec<FileDiff> {
    let state = |file: &FileEntry| FileState { mode: file.mode, digest: file.digest, size: file.size };
    let mut diffs = Vec::new();
    join(
        old,
        new,
        |file| &file.path,
        |old, new| {
            if let (Some(file), Some(change)) = (new.or(old), change(old, new, state)) {
                diffs.push(FileDiff { path: file.path.clone(), change });
            }
        },
    );
    diffs
}

fn blobs(old: &[BlobEntry], new: &[BlobEntry]) -> BlobsDiff {
    let sorted = |blobs: &[BlobEntry]| {
        let mut refs: Vec<_> = blobs.iter().map(|blob| BlobRef { digest: blob.digest, size: blob.size }).collect();
        refs.sort_unstable();
        refs
    };
    let (old, new) = (sorted(old), sorted(new));
    let mut diff = BlobsDiff::default();
    join(
        &old,
        &new,
        |blob| *blob,
        |old, new| match (old, new) {
            (Some(_), Some(kept)) => diff.kept.push(*kept),
            (Some(removed), None) => diff.removed.push(*removed),
            (None, Some(added)) => diff.added.push(*added),
            (None, None) => {}
        },
    );
    diff
}

impl BlobsDiff {
    fn differs(&self) -> bool {
        !self.added.is_empty() || !self.removed.is_empty()
    }
}

fn evidence(old: &[Evidence], new: &[Evidence]) -> Vec<EvidenceDiff> {
    let state = |report: &Evidence| EvidenceState {
        kind: report.kind.clone(),
        media_type: report.media_type.clone(),
        digest: report.digest,
        size: report.size,
    };
    let mut diffs = Vec::new();
    join(
        old,
        new,
        |report| &report.name,
        |old, new| {
            if let (Some(report), Some(change)) = (new.or(old), change(old, new, state)) {
                diffs.push(EvidenceDiff { name: report.name.clone(), change });
            }
        },
    );
    diffs
}

/// Steps that differ, and whether those that both have come in another order.
fn steps(old: &[Step], new: &[Step]) -> (Vec<StepDiff>, bool) {
    // There is one Terraform step at most: with another bundle it is the same step, changed.
    let identity = |step: &Step| match step {
        Step::Terraform { .. } => "terraform".to_owned(),
        Step::Service { .. } => step.to_string(),
    };
    let place = |steps: &[Step]| -> BTreeMap<String, usize> { steps.iter().map(identity).zip(0..).collect() };
    let (was_at, is_at) = (place(old), place(new));
    let diff_of = |old: Option<&Step>, new: Option<&Step>| {
        let step = new.or(old)?.to_string();
        Some(StepDiff { step, change: change(old, new, Step::clone)?, variables: variables(old, new) })
    };
    let here = new.iter().map(|step| (was_at.get(&identity(step)).and_then(|at| old.get(*at)), Some(step)));
    let gone = old.iter().filter(|step| !is_at.contains_key(&identity(step))).map(|step| (Some(step), None));
    let diffs = here.chain(gone).filter_map(|(old, new)| diff_of(old, new)).collect();
    let both: Vec<_> = new.iter().filter_map(|step| was_at.get(&identity(step))).collect();
    (diffs, !both.is_sorted())
}

fn variables(old: Option<&Step>, new: Option<&Step>) -> Vec<VariableDiff> {
    let (Some(Step::Terraform { variables: old, .. }), Some(Step::Terraform { variables: new, .. })) = (old, new)
    else {
        return Vec::new();
    };
    let added = new.keys().filter(|name| !old.contains_key(*name));
    let mut names: Vec<_> = old.keys().chain(added).collect();
    names.sort_unstable();
    let diff_of = |name: &String| {
        let change = change(old.get(name), new.get(name), Variable::clone)?;
        Some(VariableDiff { name: name.clone(), change })
    };
    names.into_iter().filter_map(diff_of).collect()
}

#[cfg(test)]
mod tests;
