//! What a plan would do to objects in S3.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::{Digest, Hasher};
use crate::manifest::place;
use crate::names::{BucketName, RelativePath};

/// What would change in one place of S3.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct FilesChange {
    /// The bucket.
    pub bucket: BucketName,
    /// Where in it; the whole bucket, if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<RelativePath>,
    /// Whether the bucket isn't there yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub missing: bool,
    /// Objects that would be new.
    #[serde(default, skip_serializing_if = "Keys::is_empty")]
    pub added: Keys,
    /// Objects that would get other bytes or headers.
    #[serde(default, skip_serializing_if = "Keys::is_empty")]
    pub changed: Keys,
    /// Objects that would be deleted.
    #[serde(default, skip_serializing_if = "Keys::is_empty")]
    pub deleted: Keys,
    /// What is there now of the objects that would be changed or deleted, if there are any: SHA-256 over three lines for
    /// each, sorted by key: the key, S3's `ETag`, and `true` or `false` for whether a deploy of this project put it there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Digest>,
    /// Of the objects that would be changed or deleted, those that no deploy of this project put there.
    #[serde(default, skip_serializing_if = "Keys::is_empty")]
    pub foreign: Keys,
}

impl FilesChange {
    /// Whether any object would be another.
    pub fn changes(&self) -> bool {
        [&self.added, &self.changed, &self.deleted].into_iter().any(|keys| keys.count > 0)
    }

    /// `BUCKET`, or `BUCKET/PREFIX`.
    pub fn place(&self) -> String {
        place(&self.bucket, self.prefix.as_ref())
    }
}

/// Keys of objects: so many, of which the first are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Keys {
    /// How many.
    pub count: u64,
    /// The first 200 of them, sorted.
    pub first: Vec<String>,
    /// If there are more: SHA-256 over all of them, sorted, each with a line feed behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

impl Keys {
    /// So many are listed: of the longest keys and in four lists, a place fits a summary.
    const LISTED: usize = 200;

    /// These keys, which are sorted.
    pub fn of<'a>(keys: impl Iterator<Item = &'a str>) -> Self {
        let mut all = Self::default();
        let mut hasher = Hasher::default();
        for key in keys {
            hasher.update(key.as_bytes());
            hasher.update(b"\n");
            all.count += 1;
            if all.first.len() < Self::LISTED {
                all.first.push(key.to_owned());
            }
        }
        all.digest = (all.more() > 0).then(|| hasher.finish().0);
        all
    }

    /// How many are not listed.
    pub fn more(&self) -> u64 {
        self.count.saturating_sub(self.first.len() as u64)
    }

    fn is_empty(&self) -> bool {
        self.count == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_beyond_those_listed_still_count() {
        let names: Vec<String> = (0..201).map(|number| format!("{number:03}")).collect();
        let of = |names: &[String]| Keys::of(names.iter().map(String::as_str));
        let (all, listed) = (of(&names), of(&names[..200]));
        assert_eq!((all.count, all.more(), all.first.len()), (201, 1, 200));
        assert_eq!((listed.count, listed.more(), listed.digest), (200, 0, None));
        let mut other = names.clone();
        other[200] = "x".to_owned();
        assert_eq!(all.digest, Some(Digest::of((names.join("\n") + "\n").as_bytes())));
        assert_ne!(of(&other), all);
    }
}
