//! Copies what a store lacks into it, several blobs at once, hashing every byte on the way.

use std::fs::File;
use std::future::Future;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::sync::Arc;

use anyhow::Context as _;
use artifacts::Origin;
use manifest_schema::manifest::{BlobRef, BuildManifest};
use store::{BlobWriter, Creation, Repair, Source, Store, StoreError};

use crate::build::pack;
use crate::build::tally::Tally;
use crate::context::Context;
use crate::exit::Failure;
use crate::parallel;
use crate::progress::Progress;

/// Blobs copied at once: enough to keep a disk busy, few enough to leave the machine usable.
const FILES_AT_ONCE: usize = 4;
/// Blobs sent to a bucket at once: each waits for its answer most of the time. The store bounds their memory.
const OBJECTS_AT_ONCE: usize = 32;

/// What became of a build's blobs.
#[derive(Debug)]
pub(crate) struct Sent {
    /// Copied now.
    pub(crate) sent: Tally,
    /// There before.
    pub(crate) present: Tally,
    /// There before with other bytes, and right now.
    pub(crate) repaired: Tally,
}

impl Sent {
    /// Everything was there.
    pub(super) fn nothing(manifest: &BuildManifest) -> Self {
        let all: Vec<BlobRef> = manifest.blobs().into_iter().collect();
        Self { sent: Tally::default(), present: Tally::of(&all), repaired: Tally::default() }
    }
}

/// Sends the blobs of a manifest that the store lacks.
pub(super) async fn send(
    context: &Context,
    store: &Store,
    writer: &BlobWriter,
    manifest: &BuildManifest,
) -> Result<Sent, Failure> {
    let all = manifest.blobs();
    // One of another size counts as missing: writing it then tells what is wrong.
    let present = store.present(&all).await?;
    let missing: Vec<BlobRef> = all.difference(&present).copied().collect();
    let sent = Tally::of(&missing);
    let most = match store {
        Store::Directory(_) => FILES_AT_ONCE,
        Store::S3(_) => OBJECTS_AT_ONCE,
    };
    let copied = each(context, manifest, missing, "publishing", most, |blob, source| {
        let writer = writer.clone();
        async move {
            let (Creation::Created | Creation::Exists) = writer.create(&blob, source).await?;
            Ok(())
        }
    });
    copied.await?;
    Ok(Sent { sent, present: Tally::of(&present.into_iter().collect::<Vec<_>>()), repaired: Tally::default() })
}

/// Reads and hashes what is there of a manifest's blobs, sends what is missing, and replaces what is wrong.
pub(super) async fn repair(
    context: &Context,
    store: &Store,
    writer: &BlobWriter,
    manifest: &BuildManifest,
) -> Result<Sent, Failure> {
    let looked = parallel::each(manifest.blobs().into_iter().collect(), FILES_AT_ONCE, |blob| {
        let store = store.clone();
        async move {
            match store.read_blob(&blob, io::sink()).await {
                Ok(_) => Ok((blob, true)),
                Err(StoreError::BlobMissing { .. } | StoreError::BlobMismatch { .. }) => Ok((blob, false)),
                Err(error) => Err(error.into()),
            }
        }
    });
    let (sound, rest): (Vec<_>, Vec<_>) = looked.await?.into_iter().partition(|(_, sound)| *sound);
    let blobs = |list: Vec<(BlobRef, bool)>| list.into_iter().map(|(blob, _)| blob).collect::<Vec<_>>();
    let (sound, rest) = (blobs(sound), blobs(rest));
    let mended = each(context, manifest, rest, "repairing", FILES_AT_ONCE, |blob, source| {
        let writer = writer.clone();
        async move { Ok((blob, writer.repair(&blob, source).await?)) }
    });
    let mut sent = Sent { sent: Tally::default(), present: Tally::of(&sound), repaired: Tally::default() };
    for (blob, repair) in mended.await? {
        match repair {
            Repair::Sound => sent.present.add(blob.size),
            Repair::Created => sent.sent.add(blob.size),
            Repair::Replaced => sent.repaired.add(blob.size),
        }
    }
    Ok(sent)
}

/// Does something with each of these blobs and where its bytes are here.
async fn each<R, F>(
    context: &Context,
    manifest: &BuildManifest,
    blobs: Vec<BlobRef>,
    label: &'static str,
    most: usize,
    work: impl Fn(BlobRef, Source) -> F,
) -> Result<Vec<R>, Failure>
where
    R: Send + 'static,
    F: Future<Output = Result<R, StoreError>> + Send + 'static,
{
    if blobs.is_empty() {
        return Ok(Vec::new());
    }
    let total = Tally::of(&blobs).bytes;
    let mut origins = pack::origins(&context.project()?, manifest, &blobs)?;
    let located: Vec<(BlobRef, Origin)> = blobs
        .into_iter()
        .map(|blob| {
            let origin = origins.remove(&blob.digest);
            origin.map(|origin| (blob, origin)).with_context(|| format!("nothing here is the blob {}", blob.digest))
        })
        .collect::<anyhow::Result<_>>()?;
    let progress = Arc::new(Progress::bytes(&context.out, label, move || Some(total)));
    parallel::each(located, most, |(blob, origin)| {
        let name = match &origin {
            Origin::File(path) | Origin::Range { path, .. } => path.display().to_string(),
            Origin::Bytes(_) => "what was packed in memory".to_owned(),
        };
        let progress = progress.clone();
        let source =
            Source::opener(move || Ok(Box::new(Counted { source: open(&origin)?, progress: progress.clone() })));
        let working = work(blob, source);
        async move { working.await.map_err(|error| named(error, name).into()) }
    })
    .await
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
        | StoreError::Aws(_)
        | StoreError::WrongAnswer { .. }
        | StoreError::Unsupported { .. }
        | StoreError::Io { .. }) => other,
    }
}

/// Bytes that are counted while they are read.
struct Counted {
    source: Box<dyn Read + Send>,
    progress: Arc<Progress>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        self.progress.advance(u64::try_from(read).unwrap_or(u64::MAX));
        Ok(read)
    }
}

/// Opens a blob's bytes; those in memory are copied.
///
/// # Errors
/// When the file can't be read.
pub(crate) fn open(origin: &Origin) -> io::Result<Box<dyn Read + Send>> {
    Ok(match origin {
        Origin::File(path) => Box::new(File::open(path)?),
        Origin::Range { path, offset, length } => {
            let mut file = File::open(path)?;
            file.seek(SeekFrom::Start(*offset))?;
            Box::new(file.take(*length))
        }
        Origin::Bytes(bytes) => Box::new(io::Cursor::new(bytes.clone())),
    })
}
