//! What an image is made of, as a value. Telling it to people is the CLI's matter.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diff::ComparedBuild;
use crate::digest::Digest;
use crate::json::{Document, schema_tag};

schema_tag!(ImageReportSchema, "airlock/image-report/v1");

/// What an image is made of, for each platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ImageReport {
    /// Always `airlock/image-report/v1`.
    pub schema: ImageReportSchema,
    /// Of the image manifest or index: what a registry reports.
    pub digest: Digest,
    /// The media type of that document.
    pub media_type: String,
    /// How many different blobs it has, all documents included.
    pub blobs: u64,
    /// Their length in bytes.
    pub size: u64,
    /// The images, in the document's order; one unless it is an index.
    pub images: Vec<PlatformImage>,
    /// What another build has of it, if one was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared: Option<Shared>,
}

/// The image for one platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PlatformImage {
    /// `os/architecture/variant`: as the index has it, else as the configuration does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Of the image manifest.
    pub digest: Digest,
    /// Length in bytes of all its blobs.
    pub size: u64,
    /// How to run it; absent for what only travels as an image, such as an attestation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<ImageSettings>,
    /// From the lowest to the highest.
    pub layers: Vec<ImageLayer>,
}

/// How to run an image, as its configuration says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ImageSettings {
    /// Of the configuration.
    pub digest: Digest,
    /// When the image was made, as its maker wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Such as `amd64`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    /// Such as `linux`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os: Option<String>,
    /// User and group; absent is root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// What is started.
    pub entrypoint: Vec<String>,
    /// Its arguments, or all of the command line if there is no entrypoint.
    pub cmd: Vec<String>,
    /// Where it is started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// Variables in their order.
    pub env: Vec<ImageVariable>,
    /// Such as `80/tcp`.
    pub ports: Vec<String>,
    /// Labels; `null` where the name says that the value is a secret.
    pub labels: BTreeMap<String, Option<String>>,
}

/// A variable of an image's environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ImageVariable {
    /// Its name.
    pub name: String,
    /// Its value; absent if the name says that it is a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// A layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ImageLayer {
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// What it is.
    pub media_type: String,
    /// Length in bytes.
    pub size: u64,
    /// The step that made it, if the history tells of as many layers as there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// Whether the other build has it, if one was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared: Option<bool>,
}

/// What another build's images have of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Shared {
    /// The other build.
    pub with: ComparedBuild,
    /// How many blobs it has, too.
    pub blobs: u64,
    /// Their length in bytes.
    pub size: u64,
    /// Length in bytes of the others: what crosses the gap if only the other build is there.
    pub new: u64,
}

impl Document for ImageReport {
    const SCHEMA: &'static str = ImageReportSchema::NAME;
    const NAME: &'static str = "image report";
    const LIMIT: usize = 64 << 20;
}
