//! Reading JSON written for readers that are laxer than this one.
//!
//! Registries and runtimes are written in Go, whose JSON reader matches field names in any case and lets the last of
//! several win. So a document in which two keys of one object are equal but for case is refused, wherever they are,
//! and so is a field that the specification spells in another case. Other unknown fields are ignored, as it demands.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::DOCUMENT_LIMIT;
use crate::error::ImageProblem;

/// The fields that are read, as image-spec v1.1 and Docker's image specification v1.2 spell them.
const SPELLINGS: [&str; 40] = [
    "schemaVersion",
    "mediaType",
    "config",
    "layers",
    "manifests",
    "subject",
    "digest",
    "size",
    "platform",
    "annotations",
    "architecture",
    "os",
    "variant",
    "os.version",
    "created",
    "author",
    "rootfs",
    "type",
    "diff_ids",
    "history",
    "created_by",
    "comment",
    "empty_layer",
    "User",
    "ExposedPorts",
    "Env",
    "Entrypoint",
    "Cmd",
    "Volumes",
    "WorkingDir",
    "Labels",
    "StopSignal",
    "Healthcheck",
    "Test",
    "Interval",
    "Timeout",
    "Retries",
    "Shell",
    "OnBuild",
    "imageLayoutVersion",
];

/// Reads a whole document.
pub(crate) fn parse<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, ImageProblem> {
    let size = bytes.len() as u64;
    if size > DOCUMENT_LIMIT {
        return Err(ImageProblem::TooLarge { size, limit: DOCUMENT_LIMIT });
    }
    serde_json::from_slice::<DistinctKeys>(bytes).map_err(ImageProblem::Json)?;
    serde_json::from_slice(bytes).map_err(ImageProblem::Json)
}

/// A field that may be `null`, which Go writes for what is empty.
pub(crate) fn nullable<'de, T: Deserialize<'de> + Default, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    Option::deserialize(from).map(Option::unwrap_or_default)
}

/// The keys of an object that stands for a set, such as `{"80/tcp": {}}`; it may be `null`.
pub(super) fn keys<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeSet<String>, D::Error> {
    nullable::<BTreeMap<String, IgnoredAny>, D>(from).map(|object| object.into_keys().collect())
}

/// Go takes two keys for the same field if this is the same.
fn fold(key: &str) -> String {
    // Upper case first: it unites the few letters, such as a long s, that lower case alone keeps apart.
    key.to_uppercase().to_lowercase()
}

/// The fields of an object that nothing reads (`#[serde(flatten)]`).
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Unread;

impl<'de> Deserialize<'de> for Unread {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Unread;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Unread, A::Error> {
                while let Some(key) = object.next_key::<String>()? {
                    let folded = fold(&key);
                    if let Some(meant) = SPELLINGS.iter().find(|meant| **meant != key && fold(meant) == folded) {
                        return Err(A::Error::custom(format!("key {key:?} is {meant:?} but for case")));
                    }
                    object.next_value::<IgnoredAny>()?;
                }
                Ok(Unread)
            }
        }
        deserializer.deserialize_map(Keys)
    }
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
            if !seen.insert(fold(&key)) {
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
