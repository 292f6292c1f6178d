//! What every call to S3 has in common: what its failure is called, and how often it was tried.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use aws::{AwsError, Call};
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::config::interceptors::{BeforeTransmitInterceptorContextRef, InterceptorContext};
use aws_sdk_s3::config::retry::{ClassifyRetry, RetryAction};
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::{BoxError, ProvideErrorMetadata, SdkError};

use super::Bucket;

impl Bucket {
    /// For `map_err`: sorts what S3 said about `key`, a whole one with the prefix.
    pub(super) fn failed<E>(
        &self,
        action: &'static str,
        key: &str,
    ) -> impl FnOnce(SdkError<E, HttpResponse>) -> AwsError + use<'_, E>
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let arn = format!("arn:{}:s3:::{}", self.0.partition, self.0.location.bucket());
        let object = format!("{arn}/{key}");
        // These are allowed or denied for the bucket; and if there is no bucket, its objects aren't what is missing.
        let of_bucket = matches!(action, "s3:ListBucket" | "s3:ListBucketMultipartUploads");
        move |error| {
            let of_bucket = of_bucket || error.code() == Some("NoSuchBucket");
            AwsError::new(Call { action, resource: if of_bucket { arn } else { object } }, error)
        }
    }
}

/// Whether S3 said that there is no such object.
pub(super) fn is_missing<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> bool {
    // Answers to HEAD have no code; the bucket was there when the store was opened.
    status(error) == Some(404) && matches!(error.code(), None | Some("NoSuchKey" | "NotFound" | "NoSuchVersion"))
}

/// Whether a condition of the request doesn't hold.
pub(super) fn is_refused<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> bool {
    status(error) == Some(412)
}

fn status<E>(error: &SdkError<E, HttpResponse>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}

/// Has a call that met another writer (HTTP 409) repeated, after a pause like any other.
#[derive(Debug)]
pub(super) struct RetryConflicts;

impl ClassifyRetry for RetryConflicts {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        match context.response().map(|response| response.status().as_u16()) {
            Some(409) => RetryAction::transient_error(),
            Some(_) | None => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "retry conflicts"
    }
}

/// Counts how often one call is sent: after the first time, an earlier one may have been carried out.
#[derive(Debug, Clone, Default)]
pub(super) struct Attempts(Arc<AtomicU32>);

impl Attempts {
    pub(super) fn were_several(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 1
    }
}

impl Intercept for Attempts {
    fn name(&self) -> &'static str {
        "count attempts"
    }

    fn read_before_attempt(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}
