//! Blobs on their way up: read once, hashed, and stored only if they are what they were.
//!
//! A blob of up to 16 MiB is read into memory, compared with its digest, and sent in one request; S3 compares it again.
//! A larger one is sent in parts, several at once, each with its own SHA-256, while the whole is hashed too; the upload
//! is completed only when that digest is the blob's, and aborted otherwise: until then nobody can see it. If another
//! writer gets in the way of the completion, all parts are sent again in an upload of their own, as S3 documents for
//! `CompleteMultipartUpload`.

use std::io::{self, Read};

use aws::ErrorKind;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;
use manifest_schema::Digest;
use manifest_schema::digest::Hasher;
use manifest_schema::manifest::BlobRef;
use manifest_schema::storage::Key;
use tokio::task::JoinSet;

use super::Bucket;
use super::call::{is_missing, is_refused};
use super::object::{Condition, Kept, checksum};
use super::window::{Room, WHOLE, part_size};
use crate::error::StoreError;
use crate::object::{Creation, Source};
use crate::work::blocking;

/// Smaller blobs are sent without asking whether they are there: the answer is the same, and as quick.
const ASK_FIRST: u64 = 256 << 10;
/// How often a blob's parts are sent before it is told that another writer gets in the way.
const SENDS: u32 = 3;

impl Bucket {
    pub(crate) async fn create_blob(&self, blob: BlobRef, source: Source) -> Result<Creation, StoreError> {
        let this = self.clone();
        let work = async move {
            let key = Key::Blob(blob.digest).to_string();
            if blob.size >= ASK_FIRST
                && let Some((size, _)) = this.head(&key).await?
            {
                return this.check_size(&blob, size).map(|()| Creation::Exists);
            }
            if this.upload(&blob, source, &Condition::Absent).await? {
                return Ok(Creation::Created);
            }
            match this.head(&key).await? {
                Some((size, _)) => this.check_size(&blob, size).map(|()| Creation::Exists),
                None => Err(this.wrong(&key, "it was there already, and isn't there")),
            }
        };
        self.to_the_end(work).await
    }

    /// Sends a blob if the condition holds; says whether it did.
    pub(super) async fn upload(
        &self,
        blob: &BlobRef,
        mut source: Source,
        condition: &Condition,
    ) -> Result<bool, StoreError> {
        let key = Key::Blob(blob.digest).to_string();
        if blob.size > WHOLE {
            return self.upload_parts(blob, &key, source, condition).await;
        }
        let _room = self.0.window.room(blob.size).await;
        let blob = *blob;
        let bytes = blocking(self.shown(), move || {
            let mut reading = Reading::open(blob, &mut source, blob.size)?;
            let bytes = reading.next_part()?;
            reading.finish().map(|()| bytes)
        });
        let bytes = bytes.await?;
        Ok(self.write(&key, bytes, blob.digest, condition, Kept::Once).await?.is_some())
    }

    async fn upload_parts(
        &self,
        blob: &BlobRef,
        key: &str,
        mut source: Source,
        condition: &Condition,
    ) -> Result<bool, StoreError> {
        self.tidy().await;
        let blob = *blob;
        let mut send = 1;
        loop {
            // Opened first: what can't be read begins no upload.
            let opened = blocking(self.shown(), move || {
                Reading::open(blob, &mut source, part_size(blob.size)).map(|reading| (source, reading))
            });
            let (back, reading) = opened.await?;
            match self.send_parts(&blob, key, reading, condition).await {
                Err(StoreError::Aws(error))
                    if error.kind() == ErrorKind::Conflict && send < SENDS && back.can_be_opened() =>
                {
                    aws::pause(send).await;
                    if !self.holds(key, condition).await? {
                        return Ok(false);
                    }
                    (source, send) = (back, send + 1);
                }
                done => return done,
            }
        }
    }

    /// Whether the condition holds now. If not, nothing has to be sent to learn it.
    async fn holds(&self, key: &str, condition: &Condition) -> Result<bool, StoreError> {
        let found = self.head(key).await?;
        Ok(match condition {
            Condition::Absent => found.is_none(),
            Condition::Is(version) => found.is_some_and(|(_, found)| found == *version),
        })
    }

    async fn send_parts(
        &self,
        blob: &BlobRef,
        key: &str,
        reading: Reading,
        condition: &Condition,
    ) -> Result<bool, StoreError> {
        let full = self.full(key);
        let call = self.0.client.create_multipart_upload().bucket(self.0.location.bucket()).key(&full);
        let call = self.ruled_parts(call).checksum_algorithm(ChecksumAlgorithm::Sha256);
        let begun = call.send().await.map_err(self.failed("s3:PutObject", &full))?;
        let id = begun.upload_id().ok_or_else(|| self.wrong(key, "its upload has no id"))?.to_owned();
        let upload = Upload { bucket: self.clone(), blob: *blob, key: full, id };
        let done = match upload.send(reading).await {
            Ok(parts) => upload.complete(parts, condition).await,
            Err(error) => Err(error),
        };
        if !matches!(done, Ok(true)) {
            self.abort(&upload.key, &upload.id).await;
        }
        done
    }

    pub(super) fn check_size(&self, blob: &BlobRef, size: u64) -> Result<(), StoreError> {
        if size == blob.size {
            return Ok(());
        }
        Err(self.mismatch(blob, format!("it has {size} bytes instead of {}", blob.size)))
    }

    pub(super) fn mismatch(&self, blob: &BlobRef, detail: impl Into<String>) -> StoreError {
        StoreError::BlobMismatch { store: self.shown(), digest: blob.digest, detail: detail.into() }
    }
}

/// A blob that is sent in parts, and that nobody can see yet.
#[derive(Clone)]
struct Upload {
    bucket: Bucket,
    blob: BlobRef,
    /// The whole key, prefix included.
    key: String,
    id: String,
}

impl Upload {
    /// Sends everything; the parts that S3 has then are the blob.
    async fn send(&self, mut reading: Reading) -> Result<Vec<CompletedPart>, StoreError> {
        let size = part_size(self.blob.size);
        let count = self.blob.size.div_ceil(size);
        let mut parts = Vec::new();
        let mut sending = JoinSet::new();
        for number in 1..=count {
            let room = self.bucket.0.window.room(size).await;
            while let Some(sent) = sending.try_join_next() {
                parts.push(joined(sent)?);
            }
            let read = blocking(self.bucket.shown(), move || {
                let bytes = reading.next_part()?;
                let digest = Digest::of(&bytes);
                // Compared before the last part is sent, let alone completed.
                if number == count {
                    reading.finish()?;
                }
                Ok((reading, bytes, digest))
            });
            let (goes_on, bytes, digest) = read.await?;
            reading = goes_on;
            sending.spawn(self.clone().send_part(number, bytes, digest, room));
        }
        while let Some(sent) = sending.join_next().await {
            parts.push(joined(sent)?);
        }
        parts.sort_unstable_by_key(CompletedPart::part_number);
        Ok(parts)
    }

    async fn send_part(
        self,
        number: u64,
        bytes: Bytes,
        digest: Digest,
        _room: Room,
    ) -> Result<CompletedPart, StoreError> {
        let bucket = &self.bucket;
        let number = i32::try_from(number).unwrap_or(i32::MAX);
        let call = bucket.0.client.upload_part().bucket(bucket.0.location.bucket()).key(&self.key);
        let call = call.set_expected_bucket_owner(bucket.owner()).upload_id(&self.id).part_number(number);
        let call = call.body(ByteStream::from(bytes)).checksum_sha256(checksum(digest));
        let sent = call.customize().disable_payload_signing().send().await;
        let sent = sent.map_err(bucket.failed("s3:PutObject", &self.key))?;
        let part = CompletedPart::builder().part_number(number).set_e_tag(sent.e_tag);
        Ok(part.checksum_sha256(checksum(digest)).build())
    }

    /// Makes the parts the object, if the condition holds; says whether it did.
    async fn complete(&self, parts: Vec<CompletedPart>, condition: &Condition) -> Result<bool, StoreError> {
        let bucket = &self.bucket;
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let call = bucket.0.client.complete_multipart_upload().bucket(bucket.0.location.bucket()).key(&self.key);
        let call = call.set_expected_bucket_owner(bucket.owner()).upload_id(&self.id).multipart_upload(parts);
        let call = match condition {
            Condition::Absent => call.if_none_match("*"),
            Condition::Is(version) => call.if_match(version.as_str()),
        };
        match call.send().await {
            Ok(_) => Ok(true),
            Err(error) if is_refused(&error) => Ok(false),
            // An earlier attempt, whose answer was lost, completed it: then the upload is no more, and the blob is there.
            Err(error) if is_missing(&error) || error.as_service_error().is_some_and(is_gone) => {
                let found = bucket.head(&Key::Blob(self.blob.digest).to_string()).await?;
                match found {
                    Some((size, _)) => bucket.check_size(&self.blob, size).map(|()| true),
                    None => Err(bucket.failed("s3:PutObject", &self.key)(error).into()),
                }
            }
            Err(error) => Err(bucket.failed("s3:PutObject", &self.key)(error).into()),
        }
    }
}

/// Whether S3 knows no such upload.
fn is_gone(error: &impl aws_sdk_s3::error::ProvideErrorMetadata) -> bool {
    error.code() == Some("NoSuchUpload")
}

fn joined(
    sent: Result<Result<CompletedPart, StoreError>, tokio::task::JoinError>,
) -> Result<CompletedPart, StoreError> {
    match sent {
        Ok(sent) => sent,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(stopped) => Err(StoreError::Io {
                store: "the bucket".to_owned(),
                action: "finish work on",
                key: "a blob".to_owned(),
                source: io::Error::other(stopped),
            }),
        },
    }
}

/// A source that is being read, part by part, and hashed as a whole.
struct Reading {
    blob: BlobRef,
    origin: String,
    part: u64,
    reader: io::Take<Box<dyn Read + Send>>,
    hasher: Hasher,
}

impl Reading {
    fn open(blob: BlobRef, source: &mut Source, part: u64) -> Result<Self, StoreError> {
        let origin = source.name();
        match source.open() {
            Ok(reader) => {
                // One byte more than expected is enough to know.
                let reader = reader.take(blob.size.saturating_add(1));
                Ok(Self { blob, origin, part, reader, hasher: Hasher::default() })
            }
            Err(source) => Err(StoreError::SourceUnreadable { origin, digest: blob.digest, source }),
        }
    }

    /// The next part, which is shorter than the others only at the end.
    fn next_part(&mut self) -> Result<Bytes, StoreError> {
        self.read(self.part)
    }

    fn read(&mut self, most: u64) -> Result<Bytes, StoreError> {
        let mut bytes = Vec::with_capacity(usize::try_from(most).unwrap_or_default());
        let read = (&mut self.reader).take(most).read_to_end(&mut bytes);
        read.map_err(|error| self.unreadable(error))?;
        self.hasher.update(&bytes);
        Ok(bytes.into())
    }

    /// Refuses a source that is at its end now and wasn't the blob, or goes on.
    fn finish(&mut self) -> Result<(), StoreError> {
        let goes_on = !self.read(1)?.is_empty();
        let (found, size) = std::mem::take(&mut self.hasher).finish();
        if goes_on {
            return Err(self.changed(format!("it has more than {} bytes", self.blob.size)));
        }
        if size < self.blob.size {
            return Err(self.changed(format!("it has {size} bytes instead of {}", self.blob.size)));
        }
        if found != self.blob.digest {
            return Err(self.changed(format!("its digest is {found}")));
        }
        Ok(())
    }

    fn changed(&self, detail: String) -> StoreError {
        StoreError::SourceChanged { origin: self.origin.clone(), digest: self.blob.digest, detail }
    }

    fn unreadable(&self, source: io::Error) -> StoreError {
        StoreError::SourceUnreadable { origin: self.origin.clone(), digest: self.blob.digest, source }
    }
}
