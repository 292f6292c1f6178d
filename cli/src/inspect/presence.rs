//! Whether a store holds every blob of a build: by name and size, or by reading all of it.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;

use manifest_schema::manifest::{BlobRef, BuildManifest};
use manifest_schema::names::ArtifactName;
use manifest_schema::report::{Presence, WrongBlob};
use manifest_schema::storage::Key;
use manifest_schema::{Code, Reason};
use store::{Store, StoreError};

use super::bounded;
use crate::context::Context;
use crate::exit::Failure;
use crate::output::count;
use crate::parallel;
use crate::progress::Progress;

/// Blobs read at once.
const READ_AT_ONCE: usize = 4;
/// Questions asked at once.
const QUESTIONS_AT_ONCE: usize = 32;

/// What lies in a blob's place.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Held {
    Whole,
    Nothing,
    Other(String),
}

/// What a store holds of a build's blobs.
#[derive(Debug)]
pub(crate) struct Blobs(BTreeMap<BlobRef, Held>);

impl Blobs {
    /// Asks which blobs are there, with the right size. Nothing is read.
    ///
    /// # Errors
    /// When the store can't be read.
    pub(crate) async fn look(store: &Store, manifest: &BuildManifest) -> Result<Self, Failure> {
        let asked = parallel::each(manifest.blobs().into_iter().collect(), QUESTIONS_AT_ONCE, |blob: BlobRef| {
            let store = store.clone();
            async move {
                let held = match store.size_of(&Key::Blob(blob.digest)).await {
                    Ok(None) => Held::Nothing,
                    Ok(Some(size)) if size == blob.size => Held::Whole,
                    Ok(Some(size)) => Held::Other(format!("it has {size} bytes, not {}", blob.size)),
                    Err(error @ StoreError::Irregular { .. }) => Held::Other(error.to_string()),
                    Err(error) => return Err(error.into()),
                };
                Ok((blob, held))
            }
        });
        Ok(Self(asked.await?.into_iter().collect()))
    }

    /// Reads and hashes every blob that is there with the right size, several at once, never all of one in memory.
    ///
    /// # Errors
    /// When the store can't be read.
    pub(crate) async fn read(self, context: &Context, store: &Store) -> Result<Self, Failure> {
        let Self(mut blobs) = self;
        let whole: Vec<BlobRef> =
            blobs.iter().filter(|(_, held)| **held == Held::Whole).map(|(blob, _)| *blob).collect();
        let total = whole.iter().map(|blob| blob.size).sum();
        let progress = Arc::new(Progress::bytes(&context.out, "verifying", move || Some(total)));
        let read = parallel::each(whole, READ_AT_ONCE, |blob| {
            let (store, sink) = (store.clone(), Counted(progress.clone()));
            async move {
                Ok((
                    blob,
                    match store.read_blob(&blob, sink).await {
                        Ok(Counted(_)) => Held::Whole,
                        Err(StoreError::BlobMissing { .. }) => Held::Nothing,
                        Err(StoreError::BlobMismatch { detail, .. }) => Held::Other(detail),
                        Err(error) => return Err(error.into()),
                    },
                ))
            }
        });
        blobs.extend(read.await?);
        Ok(Self(blobs))
    }

    /// How many blobs there are, and of how many bytes.
    pub(crate) fn total(&self) -> (usize, u64) {
        (self.0.len(), self.0.keys().map(|blob| blob.size).sum())
    }

    /// What is there of each artifact, in the manifest's order.
    pub(crate) fn artifacts(&self, manifest: &BuildManifest) -> Vec<Presence> {
        manifest.artifacts.iter().map(|artifact| self.of(&artifact.name, artifact.blobs())).collect()
    }

    /// What is there of each report, in the manifest's order.
    pub(crate) fn evidence(&self, manifest: &BuildManifest) -> Vec<Presence> {
        let blob = |digest, size| [BlobRef { digest, size }];
        manifest.evidence.iter().map(|report| self.of(&report.name, blob(report.digest, report.size))).collect()
    }

    fn of(&self, name: &ArtifactName, blobs: impl IntoIterator<Item = BlobRef>) -> Presence {
        let distinct: std::collections::BTreeSet<BlobRef> = blobs.into_iter().collect();
        let bytes = distinct.iter().map(|blob| blob.size).sum();
        let (mut missing, mut wrong) = (Vec::new(), Vec::new());
        for blob in &distinct {
            match self.0.get(blob) {
                Some(Held::Whole) => {}
                Some(Held::Nothing) | None => missing.push(*blob),
                Some(Held::Other(problem)) => wrong.push(WrongBlob { blob: *blob, problem: problem.clone() }),
            }
        }
        Presence { name: name.clone(), blobs: distinct.len() as u64, bytes, missing, wrong }
    }

    /// Why the build is not whole: a reason for each artifact and report of which something is missing, or wrong.
    pub(crate) fn reasons(&self, manifest: &BuildManifest) -> Vec<Reason> {
        let all = self.artifacts(manifest).into_iter().chain(self.evidence(manifest));
        all.flat_map(|Presence { name, blobs, missing, wrong, .. }| {
            let missing = (!missing.is_empty()).then(|| {
                let listed = bounded(missing.iter().map(|blob| blob.digest.to_string()));
                let blobs = count(usize::try_from(blobs).unwrap_or(usize::MAX), "blob");
                Reason::new(Code::BlobMissing, format!("{} of {blobs} of {name}: {listed}", missing.len()))
            });
            let wrong = (!wrong.is_empty()).then(|| {
                let listed = bounded(wrong.iter().map(|wrong| format!("{}: {}", wrong.blob.digest, wrong.problem)));
                Reason::new(Code::BlobMismatch, format!("{} of {name}: {listed}", count(wrong.len(), "blob")))
            });
            missing.into_iter().chain(wrong)
        })
        .collect()
    }
}

/// Bytes that are counted and forgotten: the store hashes them on their way.
struct Counted(Arc<Progress>);

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.advance(bytes.len() as u64);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
