//! Reaching a bucket, and recognising or making the store in it.

use aws::Connection;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{Builder, RequestChecksumCalculation, ResponseChecksumValidation};
use manifest_schema::Digest;
use std::sync::Arc;
use std::time::Duration;

use super::object::{Condition, Kept};
use super::window::Window;
use super::{Bucket, Inner};
use crate::access::Access;
use crate::error::StoreError;
use crate::location::{Location, S3Location};
use crate::marker;

/// Until the first byte of an answer comes, the time to send a part included: 8 MiB at 70 KB/s.
const ANSWER: Duration = Duration::from_secs(120);

impl Bucket {
    pub(crate) async fn open(location: &S3Location, access: &Access) -> Result<Self, StoreError> {
        let bucket = Self::reach(location, access).await;
        if bucket.is_marked().await? {
            return Ok(bucket);
        }
        if bucket.is_empty().await? {
            return Err(StoreError::NotFound { store: bucket.shown() });
        }
        let hint = "name the place that `airlock publish` made";
        Err(StoreError::NotAStore { store: bucket.shown(), reason: format!("no {}", marker::NAME), hint })
    }

    pub(crate) async fn open_or_create(location: &S3Location, access: &Access) -> Result<Self, StoreError> {
        let bucket = Self::reach(location, access).await;
        if bucket.is_marked().await? {
            return Ok(bucket);
        }
        // Somebody else may be creating the same store: what isn't empty now may be marked now.
        if !bucket.is_empty().await? && !bucket.is_marked().await? {
            let reason = format!("it is not empty and has no {}", marker::NAME);
            let hint = "name a store, or an empty bucket, or a prefix that nothing uses";
            return Err(StoreError::NotAStore { store: bucket.shown(), reason, hint });
        }
        let bytes = marker::bytes();
        let digest = Digest::of(&bytes);
        // Created or there already: either way it is a store now.
        bucket.write(marker::NAME, bytes.into(), digest, &Condition::Absent, Kept::Once).await?;
        Ok(bucket)
    }

    /// Prepares everything; asks nothing over the network.
    async fn reach(location: &S3Location, access: &Access) -> Self {
        let connection = Connection::new(&access.aws, &access.tags).await;
        let partition = partition(connection.region().unwrap_or_default());
        let timeouts = TimeoutConfig::builder().read_timeout(ANSWER).build();
        let config = Builder::from(connection.config())
            .force_path_style(access.bucket.path_style)
            // Uploads bring their own SHA-256, and downloads are checked against ours: CRCs would add nothing.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .timeout_config(match connection.config().timeout_config() {
                Some(general) => timeouts.to_builder().take_unset_from(general.to_builder()).build(),
                None => timeouts,
            })
            .build();
        Self(Arc::new(Inner {
            client: Client::from_conf(config),
            location: location.clone(),
            shown: Location::S3(location.clone()).to_string(),
            partition,
            rules: access.bucket.clone(),
            window: Window::new(),
            tidied: tokio::sync::OnceCell::new(),
        }))
    }

    async fn is_marked(&self) -> Result<bool, StoreError> {
        let Some(object) = self.get(marker::NAME, marker::LIMIT).await? else { return Ok(false) };
        marker::check(self.shown(), &object.bytes).map(|()| true)
    }

    /// Whether nothing at all is at the store's place.
    async fn is_empty(&self) -> Result<bool, StoreError> {
        Ok(self.page("", None, None, 1).await?.keys.is_empty())
    }
}

/// What ARNs in a region start with (AWS general reference, "Partitions").
fn partition(region: &str) -> &'static str {
    if region.starts_with("cn-") {
        "aws-cn"
    } else if region.starts_with("us-gov-") {
        "aws-us-gov"
    } else {
        "aws"
    }
}

#[cfg(test)]
mod tests {
    use super::partition;

    #[test]
    fn arns_are_those_of_the_regions_partition() {
        for (region, expected) in
            [("eu-central-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov"), ("", "aws")]
        {
            assert_eq!(partition(region), expected, "{region}");
        }
    }
}
