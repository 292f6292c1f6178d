//! Files in Amazon S3.
//!
//! - What is there is told by S3's own SHA-256 of it, which it checked when the object came, and by its headers.
//! - Every write names what it replaces (`If-None-Match`, `If-Match`), and so does every deletion: other bytes that somebody
//!   else put there in between are never overwritten. (An ETag says nothing of headers.)
//! - Objects carry who put them there, in their metadata: `airlock-project` and `airlock-build`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;
use std::time::Duration;

use aws::{AwsError, Call, Connection, ErrorKind};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{Builder, RequestChecksumCalculation, ResponseChecksumValidation};
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumMode, ServerSideEncryption};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use manifest_schema::Digest;
use manifest_schema::manifest::{BlobRef, FilesStep, Headers};
use manifest_schema::names::ProjectName;
use records::config::Buckets;
use store::AccountId;

use super::compare::{Delete, Found, Put, Wanted};
use super::{AT_ONCE, Present, Work, failed};
use crate::session::Session;
use crate::stop::Stop;

/// Larger files wait on disk, verified, until they are sent.
const IN_MEMORY: u64 = 1 << 20;
/// Until S3 answers, beside the time that sending takes.
const ANSWER: Duration = Duration::from_secs(60);
/// In bytes per second, for how long sending may take.
const SLOWEST: u64 = 256 << 10;
/// How often an object is sent that somebody else writes at the same time.
const ATTEMPTS: u32 = 3;
/// Metadata of objects: whose they are.
const PROJECT: &str = "airlock-project";
/// Which build put them there.
const BUILD: &str = "airlock-build";

/// Buckets, as the worker itself.
pub(super) struct S3Files<'a> {
    client: Client,
    config: &'a Buckets,
    /// Whose the buckets must be; `None` where no account is known.
    owner: Option<String>,
    project: &'a ProjectName,
}

impl<'a> S3Files<'a> {
    /// `account` is the one that this is, as gate 3 has seen it.
    pub(super) async fn open(session: &'a Session, config: &'a Buckets, account: &str) -> Self {
        let connection = Connection::new(&session.config().aws, &[]).await;
        let sdk = Builder::from(connection.config())
            .force_path_style(config.path_style)
            // Objects bring their own SHA-256.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .build();
        // On a machine of one's own the account is `local`, whoever AWS's is.
        let owner = config.owner.clone().or_else(|| account.parse().ok()).map(AccountId::into);
        Self { client: Client::from_conf(sdk), config, owner, project: &session.request().project }
    }

    /// What is there of what a step wants; and what else, if that is to be deleted.
    pub(super) async fn present(
        &self,
        step: &FilesStep,
        wanted: &BTreeMap<String, Wanted<'_>>,
    ) -> Result<Present, Stop> {
        let listed = match self.list(step).await {
            Ok(listed) => listed,
            Err(error) if error.kind() == ErrorKind::Missing => return Ok(None),
            Err(error) => return Err(refused(step, &error)),
        };
        let matter = listed.into_iter().filter(|key| step.delete || wanted.contains_key(key));
        let looked = matter.map(|key| async move {
            let found = self.head(step, &key).await.map_err(|error| refused(step, &error))?;
            Ok::<_, Stop>(found.map(|found| (key, found)))
        });
        let looked: Vec<_> = stream::iter(looked).buffer_unordered(AT_ONCE).try_collect().await?;
        Ok(Some(looked.into_iter().flatten().collect()))
    }

    /// Every key at the place.
    async fn list(&self, step: &FilesStep) -> Result<BTreeSet<String>, AwsError> {
        let call = || Call { action: "s3:ListBucket", resource: format!("arn:aws:s3:::{}", step.bucket) };
        let mut keys = BTreeSet::new();
        let mut next = None;
        loop {
            let listing = self.client.list_objects_v2().bucket(step.bucket.as_str()).prefix(step.key_prefix());
            let listing = listing.set_continuation_token(next).set_expected_bucket_owner(self.owner.clone());
            let page = listing.send().await.map_err(|error| AwsError::new(call(), error))?;
            for object in page.contents() {
                let key = object.key().filter(|key| key.starts_with(&step.key_prefix()));
                keys.insert(
                    key.ok_or_else(|| AwsError::incomplete(call(), "it lists what wasn't asked for"))?.to_owned(),
                );
            }
            next = page.next_continuation_token().map(str::to_owned);
            match (page.is_truncated(), &next) {
                (Some(true), None) => return Err(AwsError::incomplete(call(), "its listing breaks off")),
                (Some(true), Some(_)) => {}
                (Some(false) | None, _) => return Ok(keys),
            }
        }
    }

    /// An object; `None` if there is none.
    async fn head(&self, step: &FilesStep, key: &str) -> Result<Option<Found>, AwsError> {
        let call = object_call("s3:GetObject", step, key);
        let head = self.client.head_object().bucket(step.bucket.as_str()).key(key);
        let head = head.checksum_mode(ChecksumMode::Enabled).set_expected_bucket_owner(self.owner.clone());
        match head.send().await {
            Ok(output) => self.found(call, output).map(Some),
            Err(error) => match AwsError::new(call, error) {
                missing if missing.kind() == ErrorKind::Missing => Ok(None),
                error => Err(error),
            },
        }
    }

    fn found(&self, call: Call, output: HeadObjectOutput) -> Result<Found, AwsError> {
        let whose = output.metadata().and_then(|metadata| metadata.get(PROJECT));
        Ok(Found {
            digest: output.checksum_sha256().and_then(digest),
            ours: whose.map(String::as_str) == Some(self.project.as_str()),
            has_others: output.expires_string.is_some() || output.website_redirect_location.is_some(),
            tag: output.e_tag().ok_or_else(|| AwsError::incomplete(call, "it has no ETag"))?.to_owned(),
            headers: Some(Headers {
                content_type: output.content_type,
                cache_control: output.cache_control,
                content_disposition: output.content_disposition,
                content_encoding: output.content_encoding,
                content_language: output.content_language,
            }),
        })
    }

    /// Writes an object, unless it isn't any more what it was.
    pub(super) async fn put(&self, work: &Work<'_>, put: &Put<'_>) -> Result<(), Stop> {
        let step = work.step;
        let mut attempt = 1;
        loop {
            let Err(error) = self.send(work, put).await? else { return Ok(()) };
            let conflict = error.kind() == ErrorKind::Conflict;
            let now = self.after(step, &put.key, error).await?;
            // An earlier attempt, whose answer was lost, wrote it.
            if now.as_ref().is_some_and(|now| put.wanted.is(now)) {
                return Ok(());
            }
            let tag = |found: &Option<Found>| found.as_ref().map(|found| found.tag.clone());
            if !conflict || attempt == ATTEMPTS || tag(&now) != tag(&put.over) {
                return Err(changed(step, &put.key));
            }
            // S3 asks for that (Amazon S3 user guide, "Conditional writes", 409).
            aws::pause(attempt).await;
            attempt += 1;
        }
    }

    /// Sends an object once; what S3 says if it refuses.
    async fn send(&self, work: &Work<'_>, put: &Put<'_>) -> Result<Result<(), AwsError>, Stop> {
        let Work { step, manifest, .. } = work;
        let Wanted { file, headers } = &put.wanted;
        let blob = BlobRef { digest: file.digest, size: file.size };
        // Dropped, and with it the file removed, once the object is there.
        let (body, _waiting) = body(work, &blob).await?;
        let seconds = TimeoutConfig::builder().read_timeout(ANSWER + Duration::from_secs(file.size / SLOWEST)).build();
        let key = &self.config.kms_key;
        let call = self.client.put_object().bucket(step.bucket.as_str()).key(&put.key).body(body);
        let call = call
            .set_expected_bucket_owner(self.owner.clone())
            .checksum_sha256(BASE64_STANDARD.encode(file.digest.as_bytes()))
            .set_content_type(headers.content_type.clone())
            .set_cache_control(headers.cache_control.clone())
            .set_content_disposition(headers.content_disposition.clone())
            .set_content_encoding(headers.content_encoding.clone())
            .set_content_language(headers.content_language.clone())
            .set_server_side_encryption(key.is_some().then_some(ServerSideEncryption::AwsKms))
            .set_ssekms_key_id(key.clone())
            .metadata(PROJECT, self.project.as_str())
            .metadata(BUILD, manifest.build.number().to_string());
        let call = match &put.over {
            None => call.if_none_match("*"),
            Some(found) => call.if_match(&found.tag),
        };
        let config = aws_sdk_s3::Config::builder().timeout_config(seconds);
        // The signature covers the checksum.
        let sent = call.customize().config_override(config).disable_payload_signing().send().await;
        Ok(sent.map(drop).map_err(|error| AwsError::new(object_call("s3:PutObject", step, &put.key), error)))
    }

    /// Deletes an object, unless it isn't any more what it was.
    pub(super) async fn delete(&self, step: &FilesStep, delete: &Delete) -> Result<(), Stop> {
        let Delete { key, found } = delete;
        let call = self.client.delete_object().bucket(step.bucket.as_str()).key(key).if_match(&found.tag);
        match call.set_expected_bucket_owner(self.owner.clone()).send().await {
            Ok(_) => Ok(()),
            Err(error) => {
                let error = AwsError::new(object_call("s3:DeleteObject", step, key), error);
                match self.after(step, key, error).await? {
                    None => Ok(()),
                    Some(_) => Err(changed(step, key)),
                }
            }
        }
    }

    /// What an object is after a call failed because it isn't what it was.
    async fn after(&self, step: &FilesStep, key: &str, error: AwsError) -> Result<Option<Found>, Stop> {
        let another = [ErrorKind::ConditionFailed, ErrorKind::Missing, ErrorKind::Conflict];
        match another.contains(&error.kind()) {
            true => self.head(step, key).await.map_err(|error| refused(step, &error)),
            false => Err(refused(step, &error)),
        }
    }
}

/// A file's bytes, verified. What is too large for memory is in a file.
async fn body(work: &Work<'_>, blob: &BlobRef) -> Result<(ByteStream, Option<tempfile::TempPath>), Stop> {
    let Work { step, scratch, .. } = work;
    let artifacts = &work.session.sides().artifacts;
    if blob.size <= IN_MEMORY {
        let bytes = artifacts.read_blob(blob, Cursor::new(Vec::new())).await?;
        return Ok((ByteStream::from(bytes.into_inner()), None));
    }
    let file = tempfile::NamedTempFile::new_in(scratch);
    let file = file.map_err(|error| failed(step, format!("can't write to {}: {error}", scratch.display())))?;
    let path = artifacts.read_blob(blob, file).await?.into_temp_path();
    let body = ByteStream::from_path(&path).await;
    Ok((body.map_err(|error| failed(step, format!("can't read {}: {error}", path.display())))?, Some(path)))
}

/// A checksum of the whole object, as S3 writes it; one that is of an object's parts is followed by their number.
fn digest(checksum: &str) -> Option<Digest> {
    let bytes: [u8; 32] = BASE64_STANDARD.decode(checksum).ok()?.try_into().ok()?;
    Some(Digest::from_bytes(bytes))
}

fn object_call(action: &'static str, step: &FilesStep, key: &str) -> Call {
    Call { action, resource: format!("arn:aws:s3:::{}/{key}", step.bucket) }
}

fn refused(step: &FilesStep, error: &AwsError) -> Stop {
    failed(step, format!("{error}: {}", error.advice()))
}

fn changed(step: &FilesStep, key: &str) -> Stop {
    failed(step, format!("somebody else changed {key} at the same time: it was left as it is"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_checksum_of_the_whole_object_says_what_is_in_it() {
        let of = Digest::of(b"hello");
        let text = BASE64_STANDARD.encode(of.as_bytes());
        assert_eq!(digest(&text), Some(of));
        for other in [format!("{text}-2"), String::new(), "AAAA".to_owned(), "no base64!".to_owned()] {
            assert_eq!(digest(&other), None, "{other}");
        }
    }
}
