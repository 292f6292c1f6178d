//! Copies what a store lacks into it, several blobs at once, hashing every byte on the way.

use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::sync::Arc;

use anyhow::Context as _;
use artifacts::Origin;
use manifest_schema::manifest::{BlobRef, BuildManifest};
use manifest_schema::storage::Key;
use store::{BlobWriter, Creation, Source, Store, StoreError};

use crate::build::pack;
use crate::build::tally::Tally;
use crate::context::Context;
use crate::exit::Failure;
use crate::parallel;
use crate::progress::Progress;

/// Blobs copied at once: enough to keep a disk busy, few enough to leave the machine usable.
const AT_ONCE: usize = 4;
/// Questions asked at once.
const QUESTIONS_AT_ONCE: usize = 32;

/// What became of a build's blobs.
#[derive(Debug)]
pub(crate) struct Sent {
    /// Copied now.
    pub(crate) sent: Tally,
    /// There before.
    pub(crate) present: Tally,
}

/// Sends the blobs of a manifest that the store lacks.
pub(super) async fn send(
    context: &Context,
    store: &Store,
    writer: &BlobWriter,
    manifest: &BuildManifest,
) -> Result<Sent, Failure> {
    let (missing, present) = compare(store, manifest).await?;
    let sent = Sent { sent: Tally::of(&missing), present: Tally::of(&present) };
    if missing.is_empty() {
        return Ok(sent);
    }
    let mut origins = pack::origins(&context.project()?, manifest, &missing)?;
    let work: Vec<(BlobRef, Origin)> = missing
        .into_iter()
        .map(|blob| {
            let origin = origins.remove(&blob.digest);
            origin.map(|origin| (blob, origin)).with_context(|| format!("nothing here is the blob {}", blob.digest))
        })
        .collect::<anyhow::Result<_>>()?;
    let progress = Arc::new(Progress::bytes(&context.out, "publishing", move || Some(sent.sent.bytes)));
    parallel::each(work, AT_ONCE, |(blob, origin)| copy(writer.clone(), blob, origin, progress.clone())).await?;
    Ok(sent)
}

/// Which blobs are missing in the store, and which are there.
async fn compare(store: &Store, manifest: &BuildManifest) -> Result<(Vec<BlobRef>, Vec<BlobRef>), Failure> {
    let blobs: Vec<BlobRef> = manifest.blobs().into_iter().collect();
    let asked = parallel::each(blobs, QUESTIONS_AT_ONCE, |blob| {
        let store = store.clone();
        // One of another size counts as missing: writing it then tells what is wrong.
        async move { Ok((blob, store.size_of(&Key::Blob(blob.digest)).await? == Some(blob.size))) }
    });
    let (present, missing): (Vec<_>, Vec<_>) = asked.await?.into_iter().partition(|(_, there)| *there);
    let blobs = |list: Vec<(BlobRef, bool)>| list.into_iter().map(|(blob, _)| blob).collect();
    Ok((blobs(missing), blobs(present)))
}

async fn copy(writer: BlobWriter, blob: BlobRef, origin: Origin, progress: Arc<Progress>) -> Result<(), Failure> {
    let name = match &origin {
        Origin::File(path) | Origin::Range { path, .. } => path.display().to_string(),
        Origin::Bytes(_) => "what was packed in memory".to_owned(),
    };
    let source = Source::reader(Counted { source: Late::Closed(origin), progress });
    let (Creation::Created | Creation::Exists) =
        writer.create(&blob, source).await.map_err(|error| named(error, name))?;
    Ok(())
}

/// The store only saw a stream; people want to know which file it was.
fn named(error: StoreError, name: String) -> StoreError {
    match error {
        StoreError::SourceChanged { digest, detail, .. } => StoreError::SourceChanged { origin: name, digest, detail },
        StoreError::SourceUnreadable { digest, source, .. } => {
            StoreError::SourceUnreadable { origin: name, digest, source }
        }
        other @ (StoreError::NotFound { .. }
        | StoreError::NotAStore { .. }
        | StoreError::AccessDenied { .. }
        | StoreError::NoSpace { .. }
        | StoreError::TooLarge { .. }
        | StoreError::BlobMissing { .. }
        | StoreError::BlobMismatch { .. }
        | StoreError::SinkFailed { .. }
        | StoreError::Irregular { .. }
        | StoreError::Unsupported { .. }
        | StoreError::Io { .. }) => other,
    }
}

/// Bytes that are counted while they are read.
struct Counted {
    source: Late,
    progress: Arc<Progress>,
}

/// A file is opened when its turn comes: a build may have more files than may be open.
enum Late {
    Closed(Origin),
    Open(Box<dyn Read + Send>),
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match &mut self.source {
            Late::Open(source) => source.read(buffer)?,
            Late::Closed(origin) => {
                let mut source = open(origin)?;
                let read = source.read(buffer)?;
                self.source = Late::Open(source);
                read
            }
        };
        self.progress.advance(u64::try_from(read).unwrap_or(u64::MAX));
        Ok(read)
    }
}

/// Opens a blob's bytes; those in memory are taken out of it.
///
/// # Errors
/// When the file can't be read.
pub(crate) fn open(origin: &mut Origin) -> io::Result<Box<dyn Read + Send>> {
    Ok(match origin {
        Origin::File(path) => Box::new(File::open(path)?),
        Origin::Range { path, offset, length } => {
            let mut file = File::open(path)?;
            file.seek(SeekFrom::Start(*offset))?;
            Box::new(file.take(*length))
        }
        Origin::Bytes(bytes) => Box::new(io::Cursor::new(std::mem::take(bytes))),
    })
}
