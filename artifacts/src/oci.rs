//! The JSON documents of OCI images (image-spec v1.1): index, image manifest, descriptors.

mod config;
mod json;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use manifest_schema::Digest;
use serde::Deserialize;

pub use config::{Healthcheck, History, ImageConfig, RootFs, RunConfig};

use self::json::Unread;
pub(crate) use self::json::{nullable, parse};
use crate::error::ImageProblem;

/// Most bytes of a manifest, index or configuration; the distribution-spec lets registries refuse larger manifests.
pub const DOCUMENT_LIMIT: u64 = 4 << 20;

pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// Of a layer that is not compressed.
pub(crate) const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

const MANIFESTS: [&str; 2] = [OCI_MANIFEST, "application/vnd.docker.distribution.manifest.v2+json"];

const INDEXES: [&str; 2] = [OCI_INDEX, "application/vnd.docker.distribution.manifest.list.v2+json"];

/// Names a blob (image-spec, descriptor.md).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Descriptor {
    /// What the blob is.
    pub media_type: String,
    /// SHA-256 of its bytes; no other algorithm is read.
    pub digest: Digest,
    /// How many bytes it has.
    pub size: u64,
    /// What an image of an index runs on.
    pub platform: Option<Platform>,
    /// Anything else that was said about it.
    #[serde(default, deserialize_with = "json::nullable")]
    pub annotations: BTreeMap<String, String>,
    #[serde(flatten)]
    _unread: Unread,
}

/// What an image runs on (image-spec, image-index.md). Written `os/architecture/variant`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[non_exhaustive]
pub struct Platform {
    /// Such as `linux`.
    pub os: String,
    /// Such as `amd64`.
    pub architecture: String,
    /// Such as `v8` of `arm64`.
    pub variant: Option<String>,
    /// Such as `10.0.14393.1066`, of Windows.
    #[serde(rename = "os.version")]
    pub os_version: Option<String>,
    #[serde(flatten)]
    _unread: Unread,
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if let Some(variant) = &self.variant {
            write!(f, "/{variant}")?;
        }
        self.os_version.as_ref().map_or(Ok(()), |version| write!(f, " {version}"))
    }
}

/// An image manifest or an image index, OCI's or Docker's: what it names.
#[derive(Debug)]
pub enum ImageDocument {
    /// One image (image-spec, manifest.md).
    Image {
        /// The configuration: an [`ImageConfig`] unless the image is something else that travels as one.
        config: Descriptor,
        /// From the lowest to the highest.
        layers: Vec<Descriptor>,
    },
    /// Several, one for each platform (image-spec, image-index.md).
    Index {
        /// In the document's order.
        manifests: Vec<Descriptor>,
    },
}

/// The file `oci-layout` (image-spec, image-layout.md).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LayoutMarker {
    image_layout_version: String,
    #[serde(flatten)]
    _unread: Unread,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields {
    schema_version: u64,
    media_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    #[serde(flatten)]
    _unread: Unread,
}

impl ImageDocument {
    /// Whether a media type is that of an image manifest or an image index.
    pub fn is_media_type(media_type: &str) -> bool {
        MANIFESTS.contains(&media_type) || INDEXES.contains(&media_type)
    }

    /// Reads a document as what its descriptor says it is. Bytes that could be read as both are refused
    /// (CVE-2021-41190), and so are those that a reader which ignores case would read otherwise.
    ///
    /// # Errors
    /// When the bytes are more than [`DOCUMENT_LIMIT`] or not such a document, or `media_type` is of neither kind.
    pub fn from_bytes(bytes: &[u8], media_type: &str) -> Result<Self, ImageProblem> {
        let shape = |problem: &str| Err(ImageProblem::Shape(problem.to_owned()));
        if !Self::is_media_type(media_type) {
            return Err(ImageProblem::NotAnImage(media_type.to_owned()));
        }
        let fields: Fields = parse(bytes)?;
        if fields.schema_version != 2 {
            return shape("its schemaVersion is not 2");
        }
        if let Some(found) = fields.media_type.filter(|found| found != media_type) {
            return Err(ImageProblem::OtherMediaType { found, declared: media_type.to_owned() });
        }
        if INDEXES.contains(&media_type) {
            return match (fields.manifests, fields.config, fields.layers) {
                (Some(manifests), None, None) => Ok(Self::Index { manifests }),
                (None, None, None) => shape("it is to be an image index but has no manifests"),
                _ => shape("it is to be an image index but has what only image manifests have"),
            };
        }
        match (fields.manifests, fields.config, fields.layers) {
            (None, Some(config), Some(layers)) => Ok(Self::Image { config, layers }),
            (None, _, _) => shape("it is to be an image manifest but lacks config or layers"),
            (Some(_), _, _) => shape("it is to be an image manifest but has what only image indexes have"),
        }
    }
}

/// Checks the file that says that a directory is an image layout.
pub(crate) fn check_marker(bytes: &[u8]) -> Result<(), ImageProblem> {
    let LayoutMarker { image_layout_version, .. } = parse(bytes)?;
    if image_layout_version == "1.0.0" {
        return Ok(());
    }
    Err(ImageProblem::Shape(format!("oci-layout has version {image_layout_version:?}; only 1.0.0 is known")))
}

/// Reads what `index.json` lists, each manifest once, however many names it has; there is one at least.
pub(crate) fn read_listed(bytes: &[u8]) -> Result<Vec<Descriptor>, ImageProblem> {
    let mut manifests = match ImageDocument::from_bytes(bytes, OCI_INDEX)? {
        ImageDocument::Index { manifests } => manifests,
        ImageDocument::Image { .. } => Vec::new(),
    };
    let mut seen = BTreeSet::new();
    manifests.retain(|one| seen.insert((one.digest, one.size, one.media_type.clone())));
    if manifests.is_empty() {
        return Err(ImageProblem::Shape("index.json names no image".to_owned()));
    }
    Ok(manifests)
}

#[derive(Deserialize)]
struct About {
    subject: Option<Descriptor>,
    #[serde(flatten)]
    _unread: Unread,
}

/// What a manifest or an index, which was read before, says that it is about.
pub(crate) fn read_subject(bytes: &[u8]) -> Result<Option<Descriptor>, ImageProblem> {
    parse::<About>(bytes).map(|about| about.subject)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_says_what_each_image_runs_on() {
        let digest = Digest::of(b"");
        let index = format!(
            r#"{{"schemaVersion":2,"manifests":[
                {{"mediaType":"{OCI_MANIFEST}","digest":"{digest}","size":1,"annotations":{{"Os":"any case"}},
                  "platform":{{"os":"linux","architecture":"arm64","variant":"v8","os.features":[]}}}},
                {{"mediaType":"{OCI_MANIFEST}","digest":"{digest}","size":1,"annotations":null,"platform":null}}]}}"#
        );
        let ImageDocument::Index { manifests } = ImageDocument::from_bytes(index.as_bytes(), OCI_INDEX).unwrap() else {
            panic!("no index");
        };
        let platforms: Vec<_> = manifests.iter().map(|one| one.platform.as_ref().map(Platform::to_string)).collect();
        assert_eq!(platforms, [Some("linux/arm64/v8".to_owned()), None]);
        assert_eq!(manifests[0].annotations["Os"], "any case");
    }

    #[test]
    fn a_field_in_another_case_is_not_overlooked() {
        let index = |more: &str| format!(r#"{{"schemaVersion":2,"manifests":[]{more}}}"#);
        for (more, fine) in [("", true), (r#","x":1"#, true), (r#","Layers":[]"#, false), (r#","layerſ":[]"#, false)] {
            let read = ImageDocument::from_bytes(index(more).as_bytes(), OCI_INDEX);
            assert_eq!(read.is_ok(), fine, "{more}");
        }
    }
}
