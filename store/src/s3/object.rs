//! Whole objects: read, created, replaced, overwritten, each in one request.

use std::time::SystemTime;

use aws_sdk_s3::operation::create_multipart_upload::builders::CreateMultipartUploadFluentBuilder;
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::primitives::{ByteStream, DateTime};
use aws_sdk_s3::types::{ObjectLockMode, ServerSideEncryption};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use manifest_schema::Digest;

use super::Bucket;
use super::call::{Attempts, RetryConflicts, is_missing, is_refused};
use crate::access::{Retention, RetentionMode};
use crate::error::StoreError;
use crate::object::{Creation, Object, Replacement, Version};

/// What has to be true of an object for a write to happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Condition {
    /// There is none.
    Absent,
    /// It has this version.
    Is(Version),
}

/// What may happen to an object after it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    /// Nothing, so it is locked if the bucket's rules say so.
    Once,
    /// It is replaced or overwritten.
    Changing,
}

/// A read that is repeated because its answer broke off.
const READS: u32 = 5;

impl Bucket {
    pub(crate) async fn get(&self, key: &str, limit: usize) -> Result<Option<Object>, StoreError> {
        let mut read = 1;
        loop {
            match self.get_once(key, limit).await {
                Err(error) if read < READS && super::download::broke_off(&error) => {
                    aws::pause(read).await;
                    read += 1;
                }
                done => return done,
            }
        }
    }

    async fn get_once(&self, key: &str, limit: usize) -> Result<Option<Object>, StoreError> {
        let full = self.full(key);
        let call = self.0.client.get_object().bucket(self.0.location.bucket()).key(&full);
        let output = match call.set_expected_bucket_owner(self.owner()).send().await {
            Ok(output) => output,
            Err(error) if is_missing(&error) => return Ok(None),
            Err(error) => return Err(self.failed("s3:GetObject", &full)(error).into()),
        };
        let limit = limit as u64;
        let too_large = |size| StoreError::TooLarge { store: self.shown(), key: key.to_owned(), size, limit };
        let told = output.content_length().and_then(|length| u64::try_from(length).ok());
        if let Some(size) = told.filter(|size| *size > limit) {
            return Err(too_large(size));
        }
        let version = self.version(key, output.e_tag())?;
        let mut bytes = Vec::new();
        let mut body = output.body;
        while let Some(piece) = body.next().await {
            bytes.extend_from_slice(&piece.map_err(|error| self.broken(key, error))?);
            if bytes.len() as u64 > limit {
                return Err(too_large(bytes.len() as u64));
            }
        }
        Ok(Some(Object { bytes, version }))
    }

    pub(crate) async fn size_of(&self, key: &str) -> Result<Option<u64>, StoreError> {
        Ok(self.head(key).await?.map(|(size, _)| size))
    }

    /// Size and version of an object; `None` if there is none.
    pub(super) async fn head(&self, key: &str) -> Result<Option<(u64, Version)>, StoreError> {
        let full = self.full(key);
        let call = self.0.client.head_object().bucket(self.0.location.bucket()).key(&full);
        let output = match call.set_expected_bucket_owner(self.owner()).send().await {
            Ok(output) => output,
            Err(error) if is_missing(&error) => return Ok(None),
            Err(error) => return Err(self.failed("s3:GetObject", &full)(error).into()),
        };
        let size = output.content_length().and_then(|length| u64::try_from(length).ok());
        let size = size.ok_or_else(|| self.wrong(key, "it has no size"))?;
        Ok(Some((size, self.version(key, output.e_tag())?)))
    }

    pub(crate) async fn create(&self, key: String, bytes: Vec<u8>) -> Result<Creation, StoreError> {
        let this = self.clone();
        let digest = Digest::of(&bytes);
        self.to_the_end(async move {
            let written = this.write(&key, bytes.into(), digest, &Condition::Absent, Kept::Once).await?;
            Ok(if written.is_some() { Creation::Created } else { Creation::Exists })
        })
        .await
    }

    pub(crate) async fn replace(
        &self,
        key: String,
        bytes: Vec<u8>,
        expected: Option<Version>,
    ) -> Result<Replacement, StoreError> {
        let this = self.clone();
        let digest = Digest::of(&bytes);
        let condition = expected.map_or(Condition::Absent, Condition::Is);
        self.to_the_end(async move {
            let written = this.write(&key, bytes.into(), digest, &condition, Kept::Changing).await?;
            Ok(written.map_or(Replacement::Conflict, Replacement::Replaced))
        })
        .await
    }

    /// Conditional too, so that a bucket policy may refuse every write that isn't. Who finds that somebody else wrote in
    /// between is as good as overwritten by them, which the last writer's winning means.
    pub(crate) async fn put(&self, key: String, bytes: Vec<u8>) -> Result<(), StoreError> {
        let this = self.clone();
        let digest = Digest::of(&bytes);
        self.to_the_end(async move {
            let condition = this.head(&key).await?.map_or(Condition::Absent, |(_, version)| Condition::Is(version));
            this.write(&key, bytes.into(), digest, &condition, Kept::Changing).await.map(|_| ())
        })
        .await
    }

    /// Writes an object in one request; `None` if the condition doesn't hold.
    pub(super) async fn write(
        &self,
        key: &str,
        bytes: Bytes,
        digest: Digest,
        condition: &Condition,
        kept: Kept,
    ) -> Result<Option<Version>, StoreError> {
        let full = self.full(key);
        let attempts = Attempts::default();
        let call = self.0.client.put_object().bucket(self.0.location.bucket()).key(&full);
        let call = self.ruled(call, kept).body(ByteStream::from(bytes.clone())).checksum_sha256(checksum(digest));
        let call = match condition {
            Condition::Absent => call.if_none_match("*"),
            Condition::Is(version) => call.if_match(version.as_str()),
        };
        let call = call.customize().config_override(aws_sdk_s3::Config::builder().retry_classifier(RetryConflicts));
        let sent = call.disable_payload_signing().interceptor(attempts.clone()).send().await;
        match sent {
            Ok(output) => self.version(key, output.e_tag()).map(Some),
            Err(error) if is_refused(&error) || (matches!(condition, Condition::Is(_)) && is_missing(&error)) => {
                if attempts.were_several() {
                    self.own(key, &bytes).await
                } else {
                    Ok(None)
                }
            }
            Err(error) => Err(self.failed("s3:PutObject", &full)(error).into()),
        }
    }

    /// The version of an object if it has these bytes: then an earlier attempt, whose answer was lost, wrote it. What
    /// must tell one writer from another holds something that no other writes.
    async fn own(&self, key: &str, bytes: &[u8]) -> Result<Option<Version>, StoreError> {
        match self.get(key, bytes.len()).await {
            Ok(found) => Ok(found.filter(|object| object.bytes == bytes).map(|object| object.version)),
            Err(StoreError::TooLarge { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Puts the rules of the bucket on a new object.
    fn ruled(&self, call: PutObjectFluentBuilder, kept: Kept) -> PutObjectFluentBuilder {
        let (mode, until) = self.locked(kept);
        let (encryption, key) = self.encrypted();
        call.set_expected_bucket_owner(self.owner())
            .set_server_side_encryption(encryption)
            .set_ssekms_key_id(key)
            .set_object_lock_mode(mode)
            .set_object_lock_retain_until_date(until)
    }

    /// Puts the rules of the bucket on a new object that comes in parts.
    pub(super) fn ruled_parts(&self, call: CreateMultipartUploadFluentBuilder) -> CreateMultipartUploadFluentBuilder {
        let (mode, until) = self.locked(Kept::Once);
        let (encryption, key) = self.encrypted();
        call.set_expected_bucket_owner(self.owner())
            .set_server_side_encryption(encryption)
            .set_ssekms_key_id(key)
            .set_object_lock_mode(mode)
            .set_object_lock_retain_until_date(until)
    }

    fn encrypted(&self) -> (Option<ServerSideEncryption>, Option<String>) {
        let key = self.0.rules.kms_key.clone();
        (key.is_some().then_some(ServerSideEncryption::AwsKms), key)
    }

    fn locked(&self, kept: Kept) -> (Option<ObjectLockMode>, Option<DateTime>) {
        match (kept, self.0.rules.retention) {
            (Kept::Once, Some(Retention { mode, days })) => {
                let mode = match mode {
                    RetentionMode::Governance => ObjectLockMode::Governance,
                    RetentionMode::Compliance => ObjectLockMode::Compliance,
                };
                let until = SystemTime::now() + std::time::Duration::from_secs(u64::from(days) * 24 * 60 * 60);
                (Some(mode), Some(DateTime::from(until)))
            }
            (Kept::Changing, _) | (Kept::Once, None) => (None, None),
        }
    }

    pub(super) fn version(&self, key: &str, tag: Option<&str>) -> Result<Version, StoreError> {
        tag.map(Version::of_tag).ok_or_else(|| self.wrong(key, "it has no ETag"))
    }

    pub(super) fn wrong(&self, key: &str, problem: impl Into<String>) -> StoreError {
        StoreError::WrongAnswer { store: self.shown(), key: key.to_owned(), problem: problem.into() }
    }

    /// An answer that broke off.
    pub(super) fn broken(&self, key: &str, error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
        let source = std::io::Error::new(std::io::ErrorKind::ConnectionReset, error);
        StoreError::Io { store: self.shown(), action: "read", key: key.to_owned(), source }
    }
}

/// A digest as S3 writes checksums.
pub(super) fn checksum(digest: Digest) -> String {
    BASE64_STANDARD.encode(digest.as_bytes())
}
