//! Reading our own documents: bounded, with no unknown or duplicate field and no number that is not an integer.
//!
//! The types do most of it (`deny_unknown_fields`, integers only; serde refuses a repeated field of a struct). What
//! they leave open, maps with free keys and sizes, is closed here.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeOwned, Deserializer, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

/// Bytes that are not the document they should be.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// Larger than documents of its kind may be.
    #[error("the {document} has {size} bytes; at most {limit} are read")]
    TooLarge {
        /// The document's kind.
        document: &'static str,
        /// Its size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// No JSON, or not of the right shape.
    #[error("the {document} can't be read: {cause}")]
    Malformed {
        /// The document's kind.
        document: &'static str,
        /// What the parser said, with line and column.
        cause: String,
    },
    /// Of a schema that this version doesn't read.
    #[error("the {document} has schema {found:?}; this version reads {expected:?}: upgrade the older side")]
    Schema {
        /// The document's kind.
        document: &'static str,
        /// The schema it names.
        found: String,
        /// The schema that is read.
        expected: &'static str,
    },
    /// Well-formed, but it contradicts itself.
    #[error("the {document} is inconsistent: {problem}")]
    Inconsistent {
        /// The document's kind.
        document: &'static str,
        /// What is wrong.
        problem: String,
    },
}

/// A document of ours: JSON with a `schema` field that says what it is.
pub trait Document: Serialize + DeserializeOwned + schemars::JsonSchema {
    /// The value of `schema`.
    const SCHEMA: &'static str;
    /// What people call it.
    const NAME: &'static str;
    /// Largest size read, in bytes.
    const LIMIT: usize = 4 << 20;

    /// Rules that the type alone can't state.
    ///
    /// # Errors
    /// With the first broken rule, in words.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }

    /// Reads the document from exactly these bytes.
    ///
    /// # Errors
    /// When it is too large, malformed, of another schema, or inconsistent.
    fn from_bytes(bytes: &[u8]) -> Result<Self, DocumentError> {
        let document = Self::NAME;
        if bytes.len() > Self::LIMIT {
            return Err(DocumentError::TooLarge { document, size: bytes.len(), limit: Self::LIMIT });
        }
        let malformed = |cause: String| DocumentError::Malformed { document, cause };
        // All at once is faster than text by text.
        let text = std::str::from_utf8(bytes).map_err(|error| malformed(error.to_string()))?;
        let read = serde_json::from_str::<Self>(text);
        let parsed = read.map_err(|error| match serde_json::from_str::<SchemaOnly>(text) {
            Ok(SchemaOnly { schema }) if schema != Self::SCHEMA => {
                DocumentError::Schema { document, found: schema, expected: Self::SCHEMA }
            }
            Ok(_) | Err(_) => malformed(error.to_string()),
        })?;
        parsed.check().map_err(|problem| DocumentError::Inconsistent { document, problem })?;
        Ok(parsed)
    }

    /// The bytes to store, sign or send: pretty-printed, fields in a fixed order, with a final newline.
    fn to_bytes(&self) -> Vec<u8> {
        to_bytes(self)
    }
}

#[derive(Deserialize)]
struct SchemaOnly {
    schema: String,
}

/// Deterministic bytes of any of our types: pretty-printed JSON with a final newline.
pub fn to_bytes<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    #[expect(clippy::expect_used, reason = "our types have string keys and no fallible serialisers")]
    let mut bytes = serde_json::to_vec_pretty(value).expect("our types serialise");
    bytes.push(b'\n');
    bytes
}

/// Declares a zero-sized type that reads and writes one fixed schema name and nothing else.
macro_rules! schema_tag {
    ($type:ident, $value:literal) => {
        #[doc = concat!("The constant `", $value, "`.")]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $type;

        impl $type {
            /// The schema's name.
            pub const NAME: &'static str = $value;
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str($value)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let found = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                if found == $value {
                    Ok(Self)
                } else {
                    Err(serde::de::Error::custom(format!("schema {found:?} instead of {:?}", $value)))
                }
            }
        }

        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }
            fn inline_schema() -> bool {
                true
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "const": $value })
            }
        }
    };
}
pub(crate) use schema_tag;

/// For `#[serde(deserialize_with)]`: a map in which a repeated key is an error, not the last one winning.
pub(crate) fn unique_map<'de, D, K, V>(deserializer: D) -> Result<BTreeMap<K, V>, D::Error>
where
    D: Deserializer<'de>,
    K: Deserialize<'de> + Ord + fmt::Debug,
    V: Deserialize<'de>,
{
    struct Unique<K, V>(PhantomData<(K, V)>);

    impl<'de, K: Deserialize<'de> + Ord + fmt::Debug, V: Deserialize<'de>> Visitor<'de> for Unique<K, V> {
        type Value = BTreeMap<K, V>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
            let mut map = BTreeMap::new();
            while let Some(key) = entries.next_key::<K>()? {
                if map.contains_key(&key) {
                    return Err(A::Error::custom(format!("duplicate key {key:?}")));
                }
                map.insert(key, entries.next_value()?);
            }
            Ok(map)
        }
    }

    deserializer.deserialize_map(Unique(PhantomData))
}

/// The same for a map of maps: a repeated key is an error in each of them.
pub(crate) fn unique_maps<'de, D, K, L, V>(deserializer: D) -> Result<BTreeMap<K, BTreeMap<L, V>>, D::Error>
where
    D: Deserializer<'de>,
    K: Deserialize<'de> + Ord + fmt::Debug,
    L: Deserialize<'de> + Ord + fmt::Debug,
    V: Deserialize<'de>,
{
    struct Inner<L, V>(BTreeMap<L, V>);

    impl<'de, L: Deserialize<'de> + Ord + fmt::Debug, V: Deserialize<'de>> Deserialize<'de> for Inner<L, V> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            unique_map(deserializer).map(Self)
        }
    }

    let maps: BTreeMap<K, Inner<L, V>> = unique_map(deserializer)?;
    Ok(maps.into_iter().map(|(key, Inner(map))| (key, map)).collect())
}

/// For `#[serde(deserialize_with)]` on a variant without fields of an internally tagged enum: there, serde ignores
/// unknown fields in spite of `deny_unknown_fields`.
pub(crate) fn nothing_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Nothing {}

    Nothing::deserialize(deserializer).map(|Nothing {}| ())
}

#[cfg(test)]
mod tests {
    #![expect(unreachable_pub, reason = "`schema_tag` is for public documents")]

    use super::*;

    schema_tag!(ProbeSchema, "airlock/probe/v1");

    #[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Probe {
        schema: ProbeSchema,
        count: u64,
        #[serde(default, deserialize_with = "unique_map")]
        labels: BTreeMap<String, String>,
    }

    impl Document for Probe {
        const SCHEMA: &'static str = ProbeSchema::NAME;
        const NAME: &'static str = "probe";
        const LIMIT: usize = 200;
    }

    /// The shapes of JSONTestSuite and Threat model, row 11 in which parsers differ.
    #[test]
    fn json_differentials_are_refused() {
        let good = r#"{"schema":"airlock/probe/v1","count":1,"labels":{"a":"b"}}"#;
        assert!(Probe::from_bytes(good.as_bytes()).is_ok());
        for (case, bytes) in [
            ("unknown field", r#"{"schema":"airlock/probe/v1","count":1,"other":2}"#.to_owned()),
            ("duplicate field", r#"{"schema":"airlock/probe/v1","count":1,"count":2}"#.to_owned()),
            (
                "duplicate key in a map",
                r#"{"schema":"airlock/probe/v1","count":1,"labels":{"a":"b","a":"c"}}"#.to_owned(),
            ),
            ("float", r#"{"schema":"airlock/probe/v1","count":1.0}"#.to_owned()),
            ("exponent", r#"{"schema":"airlock/probe/v1","count":1e3}"#.to_owned()),
            ("2^64", r#"{"schema":"airlock/probe/v1","count":18446744073709551616}"#.to_owned()),
            ("negative", r#"{"schema":"airlock/probe/v1","count":-1}"#.to_owned()),
            ("trailing bytes", format!("{good}x")),
            ("trailing comma", r#"{"schema":"airlock/probe/v1","count":1,}"#.to_owned()),
            ("byte order mark", format!("\u{feff}{good}")),
            ("comment", format!("/**/{good}")),
            ("NaN", r#"{"schema":"airlock/probe/v1","count":NaN}"#.to_owned()),
            ("empty", String::new()),
            ("missing schema", r#"{"count":1}"#.to_owned()),
            ("too large", format!("{good}{}", " ".repeat(200))),
        ] {
            assert!(Probe::from_bytes(bytes.as_bytes()).is_err(), "{case} was taken");
        }
        assert!(Probe::from_bytes(b"\xff\xfe{}").is_err(), "invalid UTF-8 was taken");
    }

    #[test]
    fn another_schema_is_named_even_when_its_fields_differ() {
        let error = Probe::from_bytes(br#"{"schema":"airlock/probe/v9","new":true}"#).unwrap_err();
        assert!(matches!(error, DocumentError::Schema { ref found, .. } if found == "airlock/probe/v9"), "{error}");
    }
}
