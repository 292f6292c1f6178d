//! What `docker save` wrote before it wrote image layouts, and skopeo and others still do (Docker's image specification
//! v1.2): `manifest.json`, a configuration, and layers that are most often not compressed.
//!
//! No registry has seen an image manifest of it, so one is made here: OCI's, with the configuration's and the layers'
//! bytes as they are. The worker pushes that manifest's very bytes, so its digest is the registry's.

use std::collections::{BTreeMap, BTreeSet};

use manifest_schema::Digest;
use manifest_schema::manifest::{BlobEntry, BlobRef};
use serde::{Deserialize, Serialize};

use super::BLOB_LIMIT;
use super::place::Place;
use crate::error::{ImageProblem, PackError};
use crate::oci::{self, ImageConfig, OCI_CONFIG, OCI_LAYER, OCI_MANIFEST};
use crate::read::{Part, on_all_cores};
use crate::{Origin, Progress};

/// Layers by their first bytes: the end of their media type.
const COMPRESSED: [(&[u8], &str); 2] = [(b"\x1f\x8b", "+gzip"), (b"\x28\xb5\x2f\xfd", "+zstd")];

/// An image of `manifest.json`.
#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    config: String,
    #[serde(deserialize_with = "oci::nullable")]
    layers: Vec<String>,
}

/// An image manifest (image-spec v1.1, manifest.md), with no other fields than every registry knows.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ImageManifest<'a> {
    schema_version: u64,
    media_type: &'a str,
    config: &'a BlobEntry,
    layers: Vec<&'a BlobEntry>,
}

/// How to know a layer's digest.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Layers {
    /// From its bytes, which must be those that the configuration means.
    Hashed,
    /// From the configuration, if it is not compressed: whoever reads the bytes hashes them.
    Believed,
}

/// The image's blobs, its manifest first, each once; and where they are.
pub(super) fn read(
    place: &Place,
    layers: Layers,
    progress: Progress<'_>,
) -> Result<Vec<(BlobEntry, Origin)>, PackError> {
    let listed = list(place, progress)?;
    let (bytes, digest) = place.document(&listed.config, progress)?;
    if name_digest(&listed.config).is_some_and(|named| named != digest) {
        return Err(place.refuse(ImageProblem::ConfigName { name: listed.config, found: digest }));
    }
    let diff_ids = ImageConfig::from_bytes(&bytes).map_err(|problem| place.refuse(problem))?.rootfs.diff_ids;
    let config = BlobEntry { media_type: OCI_CONFIG.to_owned(), digest, size: bytes.len() as u64 };
    let config_origin = part(place, &listed.config)?.origin();
    let layers = read_layers(place, &listed.layers, &diff_ids, layers, progress)?;
    let bytes = image_manifest(&config, layers.iter().map(|(entry, _)| entry).collect())
        .map_err(|error| place.refuse(ImageProblem::Json(error)))?;
    let manifest =
        BlobEntry { media_type: OCI_MANIFEST.to_owned(), digest: Digest::of(&bytes), size: bytes.len() as u64 };

    let all = [(manifest, Origin::Bytes(bytes)), (config, config_origin)].into_iter().chain(layers);
    let mut seen = BTreeSet::new();
    Ok(all.filter(|(entry, _)| seen.insert(entry.digest)).collect())
}

/// What `manifest.json` lists: one image, maybe several times under several names.
fn list(place: &Place, progress: Progress<'_>) -> Result<Listed, PackError> {
    let (bytes, _) = place.document("manifest.json", progress)?;
    let mut images: Vec<Listed> = oci::parse(&bytes).map_err(|problem| place.refuse(problem))?;
    images.dedup();
    match (images.pop(), images.len()) {
        (Some(image), 0) if image.layers.len() < BLOB_LIMIT => Ok(image),
        (Some(_), 0) => Err(place.refuse(ImageProblem::TooMany { limit: BLOB_LIMIT })),
        (Some(_), others) => Err(place.refuse(ImageProblem::Several { document: "manifest.json", count: others + 1 })),
        (None, _) => Err(place.refuse(ImageProblem::Shape("manifest.json names no image".to_owned()))),
    }
}

/// The digest that a name such as `<hex>.json`, `sha256:<hex>` or `blobs/sha256/<hex>` promises.
fn name_digest(name: &str) -> Option<Digest> {
    let last = name.rsplit('/').next().unwrap_or(name);
    let last = last.strip_suffix(".json").unwrap_or(last);
    Digest::from_hex(last.strip_prefix("sha256:").unwrap_or(last)).ok()
}

fn part(place: &Place, name: &str) -> Result<Part, PackError> {
    place.find(name)?.ok_or_else(|| place.refuse(ImageProblem::NoEntry(name.to_owned())))
}

fn read_layers(
    place: &Place,
    names: &[String],
    diff_ids: &[Digest],
    how: Layers,
    progress: Progress<'_>,
) -> Result<Vec<(BlobEntry, Origin)>, PackError> {
    if diff_ids.len() != names.len() {
        let (layers, diff_ids) = (names.len(), diff_ids.len());
        return Err(place.refuse(ImageProblem::LayerCount { layers, diff_ids }));
    }
    let parts = names.iter().map(|name| part(place, name)).collect::<Result<Vec<Part>, _>>()?;
    // Layers that an image has several times are links to one file.
    let distinct: BTreeMap<_, _> =
        parts.iter().zip(diff_ids).map(|(part, diff_id)| (part.key(), (part, *diff_id))).collect();
    let work: Vec<_> = distinct.values().collect();
    let entries = on_all_cores(&work, |(part, diff_id)| layer(part, *diff_id, how, progress))?;
    let entries: BTreeMap<_, _> = distinct.keys().zip(entries).collect();

    let mut layers = Vec::with_capacity(parts.len());
    for ((name, part), diff_id) in names.iter().zip(&parts).zip(diff_ids) {
        let Some(entry) = entries.get(&part.key()) else { continue };
        if entry.media_type == OCI_LAYER && entry.digest != *diff_id {
            return Err(place.refuse(ImageProblem::DiffId { name: name.clone(), found: entry.digest }));
        }
        layers.push((entry.clone(), part.origin()));
    }
    Ok(layers)
}

/// Says what a layer is by its first bytes, since nothing else does. A compressed one is taken as it is: what is in it
/// is compared with `diff_ids` by every runtime that unpacks it, and by nobody before.
fn layer(part: &Part, diff_id: Digest, how: Layers, progress: Progress<'_>) -> Result<BlobEntry, PackError> {
    let start = part.start::<4>()?;
    let suffix = COMPRESSED.iter().find(|(magic, _)| start.starts_with(magic)).map(|(_, suffix)| *suffix);
    let BlobRef { digest, size } = match (suffix, how) {
        (None, Layers::Believed) => BlobRef { digest: diff_id, size: part.size() },
        (None, Layers::Hashed) | (Some(_), Layers::Hashed | Layers::Believed) => part.hash(progress)?,
    };
    Ok(BlobEntry { media_type: format!("{OCI_LAYER}{}", suffix.unwrap_or_default()), digest, size })
}

fn image_manifest(config: &BlobEntry, layers: Vec<&BlobEntry>) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&ImageManifest { schema_version: 2, media_type: OCI_MANIFEST, config, layers })
}
