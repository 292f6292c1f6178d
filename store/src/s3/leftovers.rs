//! Uploads that nobody will complete: aborted at once where that is possible, and otherwise a day later.

use std::time::{Duration, SystemTime};

use super::Bucket;
use crate::error::StoreError;

/// No writer is busy with one blob for so long.
const LEFT_BEHIND: Duration = Duration::from_secs(24 * 60 * 60);

impl Bucket {
    /// Gives up an upload. If that fails, who tidies up a day later does it, or the bucket's lifecycle rule.
    pub(super) async fn abort(&self, key: &str, id: &str) {
        let call = self.0.client.abort_multipart_upload().bucket(self.0.location.bucket()).key(key).upload_id(id);
        if let Err(error) = call.set_expected_bucket_owner(self.owner()).send().await {
            let error = self.failed("s3:AbortMultipartUpload", key)(error);
            tracing::debug!(%error, "an upload was left behind");
        }
    }

    /// Aborts what writers that were killed more than a day ago have left, once for each time the store is opened. Who
    /// may not do that goes on without: the bucket's lifecycle rule does it too.
    pub(super) async fn tidy(&self) {
        let tidied = self.0.tidied.get_or_init(|| async {
            if let Err(error) = self.abort_old().await {
                tracing::debug!(%error, "uploads that were left behind can't be listed");
            }
        });
        tidied.await;
    }

    async fn abort_old(&self) -> Result<(), StoreError> {
        let prefix = self.full(manifest_schema::storage::prefix::BLOBS);
        let now = SystemTime::now();
        let (mut key_marker, mut id_marker) = (None, None);
        loop {
            let call = self.0.client.list_multipart_uploads().bucket(self.0.location.bucket()).prefix(&prefix);
            let call = call.set_key_marker(key_marker.take()).set_upload_id_marker(id_marker.take());
            let page = call.set_expected_bucket_owner(self.owner()).send().await;
            let page = page.map_err(self.failed("s3:ListBucketMultipartUploads", &prefix))?;
            for upload in page.uploads() {
                let begun = upload.initiated().and_then(|begun| SystemTime::try_from(*begun).ok());
                let old = begun.and_then(|begun| now.duration_since(begun).ok()).is_some_and(|age| age > LEFT_BEHIND);
                if let (true, Some(key), Some(id)) = (old, upload.key(), upload.upload_id())
                    && key.starts_with(&prefix)
                {
                    tracing::debug!(key, id, "aborting what a killed writer left");
                    self.abort(key, id).await;
                }
            }
            if page.is_truncated() != Some(true) || page.next_key_marker().is_none() {
                return Ok(());
            }
            (key_marker, id_marker) = (page.next_key_marker, page.next_upload_id_marker);
        }
    }
}
