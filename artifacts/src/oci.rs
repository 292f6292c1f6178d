//! The JSON documents of OCI images (image-spec v1.1): index, image manifest, descriptors.
//!
//! Registries and runtimes are written in Go, whose JSON reader matches field names in any case and lets the last of
//! several win. So a document in which two keys of one object are equal but for case is refused, wherever they are.
//! Unknown fields are ignored, as the specification demands.

use std::collections::BTreeSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use crate::error::ImageProblem;

const IMAGE_MANIFESTS: [&str; 2] =
    ["application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"];

const IMAGE_INDEXES: [&str; 2] =
    ["application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"];

/// Names a blob (image-spec, descriptor.md).
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    pub(crate) media_type: String,
    pub(crate) digest: String,
    pub(crate) size: u64,
}

/// What a document of an image names.
pub(crate) enum Document {
    /// One image (image-spec, manifest.md).
    Image { config: Descriptor, layers: Vec<Descriptor> },
    /// Several, one for each platform (image-spec, image-index.md).
    Index { manifests: Vec<Descriptor> },
}

/// The file `oci-layout` (image-spec, image-layout.md).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LayoutMarker {
    image_layout_version: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields {
    schema_version: u64,
    media_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
}

/// Checks the file that says that a directory is an image layout.
pub(crate) fn check_marker(bytes: &[u8]) -> Result<(), ImageProblem> {
    let LayoutMarker { image_layout_version } = parse(bytes)?;
    if image_layout_version == "1.0.0" {
        return Ok(());
    }
    Err(ImageProblem::Shape(format!("oci-layout has version {image_layout_version:?}; only 1.0.0 is known")))
}

/// Reads `index.json`, which must name one image manifest or image index.
pub(crate) fn read_top(bytes: &[u8]) -> Result<Descriptor, ImageProblem> {
    let mut manifests = match read_document(bytes, IMAGE_INDEXES[0])? {
        Document::Index { manifests } => manifests,
        Document::Image { .. } => Vec::new(),
    };
    match (manifests.pop(), manifests.len()) {
        (Some(top), 0) => Ok(top),
        (Some(_), others) => Err(ImageProblem::Shape(format!(
            "index.json names {} images; a layout to pack holds one: write each to a directory of its own",
            others + 1
        ))),
        (None, _) => Err(ImageProblem::Shape("index.json names no image".to_owned())),
    }
}

/// Whether a media type is that of an image manifest or an image index.
pub(crate) fn is_document(media_type: &str) -> bool {
    IMAGE_MANIFESTS.contains(&media_type) || IMAGE_INDEXES.contains(&media_type)
}

/// Reads a document as what its descriptor says it is. Bytes that could be read as both are refused (CVE-2021-41190).
pub(crate) fn read_document(bytes: &[u8], media_type: &str) -> Result<Document, ImageProblem> {
    let shape = |problem: &str| Err(ImageProblem::Shape(problem.to_owned()));
    let fields: Fields = parse(bytes)?;
    if fields.schema_version != 2 {
        return shape("its schemaVersion is not 2");
    }
    if let Some(found) = fields.media_type.filter(|found| found != media_type) {
        return Err(ImageProblem::OtherMediaType { found, declared: media_type.to_owned() });
    }
    if IMAGE_INDEXES.contains(&media_type) {
        return match (fields.manifests, fields.config, fields.layers) {
            (Some(manifests), None, None) => Ok(Document::Index { manifests }),
            (None, None, None) => shape("it is to be an image index but has no manifests"),
            _ => shape("it is to be an image index but has what only image manifests have"),
        };
    }
    match (fields.manifests, fields.config, fields.layers) {
        (None, Some(config), Some(layers)) => Ok(Document::Image { config, layers }),
        (None, _, _) => shape("it is to be an image manifest but lacks config or layers"),
        (Some(_), _, _) => shape("it is to be an image manifest but has what only image indexes have"),
    }
}

fn parse<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, ImageProblem> {
    serde_json::from_slice::<DistinctKeys>(bytes).map_err(ImageProblem::Json)?;
    serde_json::from_slice(bytes).map_err(ImageProblem::Json)
}

/// Any JSON in which no object has two keys that Go would take for the same.
struct DistinctKeys;

impl<'de> Deserialize<'de> for DistinctKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DistinctKeysVisitor)
    }
}

struct DistinctKeysVisitor;

impl<'de> Visitor<'de> for DistinctKeysVisitor {
    type Value = DistinctKeys;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<DistinctKeys, A::Error> {
        let mut seen = BTreeSet::new();
        while let Some(key) = object.next_key::<String>()? {
            // Upper case first: it unites the few letters, such as a long s, that lower case alone keeps apart.
            if !seen.insert(key.to_uppercase().to_lowercase()) {
                return Err(A::Error::custom(format!("duplicate key {key:?}")));
            }
            object.next_value::<DistinctKeys>()?;
        }
        Ok(DistinctKeys)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<DistinctKeys, A::Error> {
        while array.next_element::<DistinctKeys>()?.is_some() {}
        Ok(DistinctKeys)
    }

    fn visit_bool<E>(self, _: bool) -> Result<DistinctKeys, E> {
        Ok(DistinctKeys)
    }

    fn visit_i64<E>(self, _: i64) -> Result<DistinctKeys, E> {
        Ok(DistinctKeys)
    }

    fn visit_u64<E>(self, _: u64) -> Result<DistinctKeys, E> {
        Ok(DistinctKeys)
    }

    fn visit_f64<E>(self, _: f64) -> Result<DistinctKeys, E> {
        Ok(DistinctKeys)
    }

    fn visit_str<E>(self, _: &str) -> Result<DistinctKeys, E> {
        Ok(DistinctKeys)
    }

    fn visit_unit<E>(self) -> Result<DistinctKeys, E> {
        Ok(DistinctKeys)
    }
}
