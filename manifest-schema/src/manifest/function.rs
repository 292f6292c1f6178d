//! A step that makes an AWS Lambda function run code of the build: a version is published of it, an alias is moved there,
//! and back if an alarm goes off.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::artifact::Artifact;
use crate::names::{AlarmName, AliasName, ArtifactName, FunctionName};

/// What a function would be made to run. Everything but its code is as the function's own configuration has it when the
/// version is published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct FunctionStep {
    /// The function.
    pub function: FunctionName,
    /// Its code.
    pub code: FunctionCode,
    /// The alias that its callers use, and that is moved.
    pub alias: AliasName,
    /// CloudWatch alarms, metric or composite ones: if one of them goes off within `watchSeconds` after the alias was
    /// moved, it is moved back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alarms: Vec<AlarmName>,
    /// How long the alarms are watched, in seconds; 60 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch_seconds: Option<u32>,
}

/// The code of a function: the package type that it was made with decides which.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum FunctionCode {
    /// An image, for one platform.
    Image(ArtifactName),
    /// A zip archive: an artifact of kind file.
    Zip(ArtifactName),
}

/// How long alarms are watched, in seconds, if the step doesn't say.
const WATCH: u32 = 60;
/// How long they can be, in seconds.
const WATCHES: std::ops::RangeInclusive<u32> = 1..=3600;
/// Most alarms of a function: one call tells the states of 100 (CloudWatch API reference, `DescribeAlarms`).
const MOST_ALARMS: usize = 20;
/// Largest zip archive that is uploaded with the call itself, in bytes (Lambda developer guide, "Lambda quotas",
/// "Deployment package").
pub const LARGEST_ZIP: u64 = 50 << 20;
/// What Lambda takes no image of (Lambda developer guide, "Create a Lambda function using a container image").
const INDEXES: [&str; 2] =
    ["application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"];

impl FunctionCode {
    /// The artifact.
    pub fn artifact(&self) -> &ArtifactName {
        match self {
            Self::Image(name) | Self::Zip(name) => name,
        }
    }

    /// The artifact, if it is an image.
    pub fn image(&self) -> Option<&ArtifactName> {
        match self {
            Self::Image(name) => Some(name),
            Self::Zip(_) => None,
        }
    }

    /// Whether Lambda takes the artifact, which is of the right kind.
    pub(super) fn check(&self, artifact: &Artifact) -> Result<(), String> {
        let name = &artifact.name;
        match self {
            Self::Image(_) if INDEXES.contains(&artifact.media_type.as_str()) => Err(format!(
                "image {name} is an index, and Lambda takes only images for one platform: build it for one, and without \
                 attestations (--provenance=false)"
            )),
            Self::Zip(_) if artifact.size > LARGEST_ZIP => Err(format!(
                "the zip archive {name} has {} bytes, and Lambda takes at most {LARGEST_ZIP} with a call: make the function \
                 one of an image",
                artifact.size
            )),
            Self::Image(_) | Self::Zip(_) => Ok(()),
        }
    }
}

impl FunctionStep {
    /// How long its alarms are watched, in seconds; 0 without alarms.
    pub fn watch_seconds(&self) -> u32 {
        if self.alarms.is_empty() { 0 } else { self.watch_seconds.unwrap_or(WATCH) }
    }

    /// Everything that it says, as people read it, by path.
    pub fn settings(&self) -> BTreeMap<String, String> {
        let code = match &self.code {
            FunctionCode::Image(name) => ("image", name),
            FunctionCode::Zip(name) => ("zip", name),
        };
        let mut settings =
            BTreeMap::from([(code.0.to_owned(), code.1.to_string()), ("alias".to_owned(), self.alias.to_string())]);
        if !self.alarms.is_empty() {
            settings.insert("alarms".to_owned(), format!("{:?}", self.alarms));
        }
        settings.extend(self.watch_seconds.map(|seconds| ("watchSeconds".to_owned(), seconds.to_string())));
        settings
    }

    pub(super) fn check(&self) -> Result<(), String> {
        if self.alarms.len() > MOST_ALARMS {
            return Err(format!("{} alarms; at most {MOST_ALARMS} are watched", self.alarms.len()));
        }
        let mut seen = BTreeSet::new();
        if let Some(alarm) = self.alarms.iter().find(|alarm| !seen.insert(*alarm)) {
            return Err(format!("alarm {alarm} is named twice"));
        }
        match self.watch_seconds {
            Some(_) if self.alarms.is_empty() => Err("watchSeconds says how long to watch no alarms".to_owned()),
            Some(seconds) if !WATCHES.contains(&seconds) => {
                Err(format!("watchSeconds is {seconds}; use {} to {}", WATCHES.start(), WATCHES.end()))
            }
            Some(_) | None => Ok(()),
        }
    }
}
