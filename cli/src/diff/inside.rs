//! What is inside of artifacts: lines of files, settings and layers of images, read from the artifacts store.
//!
//! Bytes count only once their digest is checked, which the store does as it reads them and `bundle_contents` for the
//! files of a bundle.

use std::collections::{BTreeMap, BTreeSet};

use manifest_schema::Digest;
use manifest_schema::diff::{ArtifactDiff, Change, FileDiff, FileState, ImageDiff, LinesDiff};
use manifest_schema::manifest::{Artifact, ArtifactKind, BlobRef, BuildManifest, Content};
use store::{Store, StoreError};

use super::{Limits, UNGROUPED, images, lines};
use crate::output::count;

/// Most bytes of files that are read from the store.
const BYTES: u64 = 64 << 20;

/// Most different reasons that are told for what could not be read.
const REASONS: usize = 10;

/// Whether a store could say more about an artifact.
pub(super) fn has_more(artifact: &ArtifactDiff) -> bool {
    let files = match &artifact.change {
        Change::Changed { old, new } => [old.kind, new.kind] == [ArtifactKind::File; 2],
        Change::Added(_) | Change::Removed(_) => return false,
    };
    files || !artifact.files.is_empty() || artifact.blobs.is_some()
}

/// Reads what is inside of artifacts, until as much is read as the limits say.
pub(super) struct Inside<'a> {
    old: &'a BuildManifest,
    new: &'a BuildManifest,
    limits: Limits,
    /// How much may still be told, and read.
    files: usize,
    lines: usize,
    bytes: u64,
    /// Files beyond that.
    passed_over: usize,
    /// Files that could not be read: why, how many, and the first of them.
    unread: BTreeMap<String, (usize, String)>,
    /// Images and bundles that could not be read, a line each.
    problems: Vec<String>,
}

impl<'a> Inside<'a> {
    /// Nothing was read yet.
    pub(super) fn new(old: &'a BuildManifest, new: &'a BuildManifest, limits: Limits) -> Self {
        let Limits { files, lines, .. } = limits;
        let (unread, problems) = (BTreeMap::new(), Vec::new());
        Self { old, new, limits, files, lines, bytes: BYTES, passed_over: 0, unread, problems }
    }

    /// Reads; what changes production most comes first: Terraform, images, single files, directories.
    pub(super) async fn fill(&mut self, store: &Store, artifacts: &mut [ArtifactDiff]) {
        let mut order: Vec<_> = artifacts.iter_mut().filter(|artifact| has_more(artifact)).collect();
        order.sort_by_key(|artifact| match &artifact.change {
            Change::Added(new) | Change::Removed(new) | Change::Changed { new, .. } => match new.kind {
                ArtifactKind::Terraform => 0,
                ArtifactKind::Image => 1,
                ArtifactKind::File | ArtifactKind::Provider => 2,
                ArtifactKind::Directory => 3,
            },
        });
        for artifact in order {
            let (old, new) = (self.old.artifact(&artifact.name), self.new.artifact(&artifact.name));
            let (Some(old), Some(new)) = (old, new) else { continue };
            match (&old.content, &new.content) {
                (Content::Image(_), Content::Image(_)) => artifact.image = self.image(store, old, new).await,
                (Content::File, Content::File) => {
                    let change = Change::Changed { old: whole(old), new: whole(new) };
                    let bytes = Bytes { store, bundled: BTreeMap::new() };
                    artifact.lines = self.lines(&bytes, artifact.name.as_str(), change).await;
                }
                _ => self.files(store, [old, new], artifact).await,
            }
        }
    }

    /// What could not be looked at, a line each.
    pub(super) fn unseen(self, store: &Store) -> Vec<String> {
        let mut told = self.problems;
        for (why, (number, first)) in self.unread.into_iter().take(REASONS) {
            let such = if number == 1 { format!(" ({first})") } else { format!(", such as {first},") };
            let why = if why.is_empty() { format!("{} lacks their bytes", store.location()) } else { why };
            told.push(format!("the lines of {}{such} are not compared: {why}", count(number, "file")));
        }
        if self.passed_over > 0 {
            let Limits { files, lines, .. } = Limits::WHOLE;
            let why = if self.limits == Limits::WHOLE {
                format!("{files} files, {lines} lines and 64 MiB are read at most")
            } else {
                "too many for this format; --format html and --format json tell more".to_owned()
            };
            told.push(format!("the lines of {} are not compared: {why}", count(self.passed_over, "file")));
        }
        told
    }

    async fn image(&mut self, store: &Store, old: &Artifact, new: &Artifact) -> Option<ImageDiff> {
        let both = async { anyhow::Ok((images::read(store, old).await?, images::read(store, new).await?)) };
        match both.await {
            Ok((old, new)) => Some(ImageDiff::between(&old, &new, images::is_secret)),
            Err(error) => {
                self.problems
                    .push(format!("the settings and layers of image {} are not compared: {error:#}", new.name));
                None
            }
        }
    }

    /// Compares the files of an artifact: changed ones first, then those that are new, then those that are gone.
    async fn files(&mut self, store: &Store, sides: [&Artifact; 2], artifact: &mut ArtifactDiff) {
        let is_changed = |file: &FileDiff| matches!(file.change, Change::Changed { .. });
        let brief = artifact.files.len() > UNGROUPED && !self.limits.folds;
        let changed = artifact.files.iter().filter(|file| is_changed(file)).count();
        // Among many files, a few that changed are what people look for; new ones are told by their names.
        let seen = if !brief {
            artifact.files.len()
        } else if changed <= UNGROUPED {
            changed
        } else {
            0
        };
        self.passed_over += artifact.files.len() - seen;
        if seen == 0 {
            return;
        }
        let blob = |state: &FileState| BlobRef { digest: state.digest, size: state.size };
        let change_of = |file: &FileDiff| match &file.change {
            Change::Changed { old, new } => Change::Changed { old: blob(old), new: blob(new) },
            Change::Added(new) => Change::Added(blob(new)),
            Change::Removed(old) => Change::Removed(blob(old)),
        };
        let wanted = artifact.files.iter().flat_map(|file| digests(&change_of(file))).collect();
        let bytes = Bytes { store, bundled: self.bundled(store, sides, &wanted).await };
        let mut order: Vec<_> = artifact.files.iter_mut().collect();
        order.sort_by_key(|file| match file.change {
            Change::Changed { .. } => 0,
            Change::Added(_) => 1,
            Change::Removed(_) => 2,
        });
        for file in order {
            let change = change_of(file);
            let told = match &change {
                Change::Changed { old, new } => old.digest != new.digest,
                Change::Added(_) => !brief,
                Change::Removed(_) => self.limits.folds,
            };
            if !told {
                continue;
            }
            file.lines = self.lines(&bytes, &format!("{}/{}", artifact.name, file.path), change).await;
        }
    }

    async fn lines(&mut self, bytes: &Bytes<'_>, name: &str, change: Change<BlobRef>) -> Option<LinesDiff> {
        let (old, new) = match change {
            Change::Added(new) => (None, Some(new)),
            Change::Removed(old) => (Some(old), None),
            Change::Changed { old, new } => (Some(old), Some(new)),
        };
        let sizes = [old, new].map(|blob| blob.map_or(0, |blob| blob.size));
        if sizes.iter().any(|size| *size > lines::FILE_LIMIT) {
            return Some(LinesDiff::TooLarge);
        }
        let size = sizes.iter().sum();
        if self.files == 0 || self.lines == 0 || self.bytes < size {
            self.passed_over += 1;
            return None;
        }
        (self.files, self.bytes) = (self.files - 1, self.bytes - size);
        let both = async { Ok::<_, StoreError>((bytes.read(old).await?, bytes.read(new).await?)) };
        let (old, new) = match both.await {
            Ok(both) => both,
            Err(error) => {
                // Which digest is missing helps nobody; which one was tampered with does.
                let missing = matches!(error, StoreError::BlobMissing { .. });
                let why = if missing { String::new() } else { format!("{:#}", anyhow::Error::new(error)) };
                self.unread.entry(why).or_insert_with(|| (0, name.to_owned())).0 += 1;
                return None;
            }
        };
        let diff = lines::compare(old.as_deref(), new.as_deref(), self.limits.lines_per_file.min(self.lines));
        if let LinesDiff::Text { hunks, .. } = &diff {
            self.lines = self.lines.saturating_sub(hunks.iter().map(|hunk| hunk.lines.len()).sum());
        }
        Some(diff)
    }

    /// Those of the `wanted` files that are in bundles.
    async fn bundled(
        &mut self,
        store: &Store,
        sides: [&Artifact; 2],
        wanted: &BTreeSet<Digest>,
    ) -> BTreeMap<Digest, Vec<u8>> {
        let limit = usize::try_from(artifacts::BundleLimits::default().bytes).unwrap_or(usize::MAX);
        let mut bundled = BTreeMap::new();
        for artifact in sides {
            let Content::Terraform { files, .. } = &artifact.content else { continue };
            let archive = match store.fetch(&artifact.digest, limit).await {
                Ok(archive) => archive,
                // Then each of its files is missing, and is told as such.
                Err(StoreError::BlobMissing { .. }) => continue,
                Err(error) => {
                    let error = anyhow::Error::new(error);
                    self.problems.push(format!("the bundle {} can't be read: {error:#}", artifact.name));
                    continue;
                }
            };
            let contents = files.iter().zip(artifacts::bundle_contents(&archive, files));
            let contents = contents.filter(|(file, _)| wanted.contains(&file.digest));
            bundled.extend(contents.filter_map(|(file, bytes)| Some((file.digest, bytes?.to_vec()))));
        }
        bundled
    }
}

fn whole(artifact: &Artifact) -> BlobRef {
    BlobRef { digest: artifact.digest, size: artifact.size }
}

fn digests(change: &Change<BlobRef>) -> Vec<Digest> {
    match change {
        Change::Added(one) | Change::Removed(one) => vec![one.digest],
        Change::Changed { old, new } => vec![old.digest, new.digest],
    }
}

/// The bytes of files: those of bundles in memory, all others in the store.
struct Bytes<'a> {
    store: &'a Store,
    bundled: BTreeMap<Digest, Vec<u8>>,
}

impl Bytes<'_> {
    async fn read(&self, blob: Option<BlobRef>) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(BlobRef { digest, .. }) = blob else { return Ok(None) };
        if let Some(bytes) = self.bundled.get(&digest) {
            return Ok(Some(bytes.clone()));
        }
        let limit = usize::try_from(lines::FILE_LIMIT).unwrap_or(usize::MAX);
        self.store.fetch(&digest, limit).await.map(Some)
    }
}
