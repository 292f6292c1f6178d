//! Listings: complete, in order, and never read further than needed.

use std::collections::BTreeSet;

use manifest_schema::manifest::BlobRef;
use manifest_schema::storage::{Key, prefix};
use tokio::task::JoinSet;

use super::{Bucket, OURS};
use crate::error::StoreError;
use crate::object::Listed;

/// The most that S3 lists at once.
const PAGE: usize = 1000;
/// So many blobs are asked for one by one; of more, a listing tells faster.
const FEW: usize = 32;
/// So many blobs share one listing; of more, several run at once.
const SHARE: usize = 4000;

/// A part of a listing.
pub(super) struct Page {
    /// Without the store's prefix.
    pub(super) keys: Vec<Listed>,
    /// Where the next part begins, if there is one.
    next: Option<String>,
}

impl Bucket {
    pub(crate) async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Listed>, StoreError> {
        let mut found: Vec<Listed> = Vec::new();
        if limit == 0 || prefix.starts_with(OURS) {
            return Ok(found);
        }
        let mut next = None;
        loop {
            // One more than wanted may be ours.
            let page = self.page(prefix, after, next.as_deref(), (limit - found.len()).saturating_add(1)).await?;
            for listed in page.keys {
                self.follows(prefix, found.last().map(|last| last.key.as_str()).or(after), &listed)?;
                if !listed.key.starts_with(OURS) && found.len() < limit {
                    found.push(listed);
                }
            }
            match page.next {
                Some(token) if found.len() < limit => {
                    if next.as_ref() == Some(&token) {
                        return Err(self.wrong(prefix, "its listing doesn't go on"));
                    }
                    next = Some(token);
                }
                Some(_) | None => return Ok(found),
            }
        }
    }

    /// Refuses a listing from which something could be missing unnoticed.
    fn follows(&self, prefix: &str, before: Option<&str>, listed: &Listed) -> Result<(), StoreError> {
        let key = &listed.key;
        if !key.starts_with(prefix) || before.is_some_and(|before| key.as_str() <= before) {
            return Err(self.wrong(prefix, format!("{key:?} is not where it belongs in its listing")));
        }
        Ok(())
    }

    /// One request's worth of a listing under `prefix`, at most `limit` keys, after a key or where a part ended.
    pub(super) async fn page(
        &self,
        prefix: &str,
        after: Option<&str>,
        token: Option<&str>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let full = self.full(prefix);
        let most = i32::try_from(limit.min(PAGE)).unwrap_or(i32::MAX);
        let call = self.0.client.list_objects_v2().bucket(self.0.location.bucket()).prefix(&full).max_keys(most);
        let call = match token {
            Some(token) => call.continuation_token(token),
            None => call.set_start_after(after.filter(|after| !after.is_empty()).map(|after| self.full(after))),
        };
        let output = call.set_expected_bucket_owner(self.owner()).send().await;
        let output = output.map_err(self.failed("s3:ListBucket", &full))?;
        let next = match (output.is_truncated(), output.next_continuation_token()) {
            (Some(true), Some(token)) => Some(token.to_owned()),
            (Some(true), None) => return Err(self.wrong(prefix, "its listing breaks off")),
            (Some(false) | None, _) => None,
        };
        let keys = output.contents().iter().map(|object| self.listed(prefix, object.key(), object.size()));
        Ok(Page { keys: keys.collect::<Result<_, _>>()?, next })
    }

    fn listed(&self, prefix: &str, key: Option<&str>, size: Option<i64>) -> Result<Listed, StoreError> {
        let key = key.and_then(|key| key.strip_prefix(self.0.location.prefix()));
        let size = size.and_then(|size| u64::try_from(size).ok());
        match (key, size) {
            (Some(key), Some(size)) => Ok(Listed { key: key.to_owned(), size }),
            (None, _) | (_, None) => Err(self.wrong(prefix, "its listing has an object without a key or a size")),
        }
    }

    /// Which of these blobs are there with the size they should have.
    pub(crate) async fn present(&self, blobs: BTreeSet<BlobRef>) -> Result<BTreeSet<BlobRef>, StoreError> {
        let mut asked = JoinSet::new();
        let all: Vec<BlobRef> = blobs.into_iter().collect();
        let few = all.len() <= FEW;
        for share in all.chunks(if few { 1 } else { SHARE }) {
            let (this, share) = (self.clone(), share.to_vec());
            asked.spawn(async move { if few { this.asked(share).await } else { this.found(share).await } });
        }
        let mut present = BTreeSet::new();
        while let Some(answer) = asked.join_next().await {
            let answer = answer.map_err(|error| self.broken("blobs", error))?;
            present.extend(answer?);
        }
        Ok(present)
    }

    async fn asked(&self, blobs: Vec<BlobRef>) -> Result<Vec<BlobRef>, StoreError> {
        let mut present = Vec::new();
        for blob in blobs {
            if self.size_of(&Key::Blob(blob.digest).to_string()).await? == Some(blob.size) {
                present.push(blob);
            }
        }
        Ok(present)
    }

    /// Lists from one wanted blob to the next, so that each request answers for at least one of them.
    async fn found(&self, blobs: Vec<BlobRef>) -> Result<Vec<BlobRef>, StoreError> {
        let mut present = Vec::new();
        let mut wanted = blobs.into_iter().map(|blob| (Key::Blob(blob.digest).to_string(), blob)).peekable();
        while let Some((first, _)) = wanted.peek() {
            // The key right before the first that is wanted: no key is between a name and itself without its last digit.
            let after = first[..first.len() - 1].to_owned();
            let page = self.page(prefix::BLOBS, Some(&after), None, PAGE).await?;
            let mut last: Option<String> = None;
            for listed in page.keys {
                self.follows(prefix::BLOBS, last.as_deref().or(Some(&after)), &listed)?;
                while wanted.next_if(|(key, _)| *key < listed.key).is_some() {}
                if let Some((_, blob)) = wanted.next_if(|(key, _)| *key == listed.key)
                    && blob.size == listed.size
                {
                    present.push(blob);
                }
                last = Some(listed.key);
            }
            // Where the listing ends, nothing more is there.
            let (Some(_), Some(last)) = (page.next, last) else { break };
            while wanted.next_if(|(key, _)| *key <= last).is_some() {}
        }
        Ok(present)
    }
}
