//! Where files of builds may be put. A manifest names a bucket; here is which ones are its project's.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use manifest_schema::manifest::FilesStep;
use manifest_schema::names::{BucketName, NameError, ProjectName, RelativePath};
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use store::AccountId;

use super::is_default;

/// Where files are put. In a configuration, a path, or `{"s3": {"places": ["{project}-site"]}}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FilesConfig {
    /// The directory that stands in for S3, with one directory for each bucket.
    Local(PathBuf),
    /// Amazon S3.
    S3(Places),
}

/// Places in buckets of the worker's account and region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Places {
    /// Those of every project: `BUCKET` or `BUCKET/PREFIX`, with `{project}` somewhere in them.
    #[serde(default, skip_serializing_if = "is_default")]
    pub places: Vec<PlaceTemplate>,
    /// More of single projects.
    #[serde(default, skip_serializing_if = "is_default")]
    pub projects: BTreeMap<ProjectName, Vec<Place>>,
    /// The account that all buckets must belong to, 12 digits; AWS refuses every call on somebody else's.
    #[serde(default, skip_serializing_if = "is_default")]
    pub owner: Option<AccountId>,
    /// Name the bucket in the path of each request and not in the host's name, as some emulators need it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub path_style: bool,
    /// The KMS key, by ARN or alias ARN, that new objects are encrypted with, instead of the bucket's own default.
    #[serde(default, skip_serializing_if = "is_default")]
    pub kms_key: Option<String>,
}

impl Places {
    /// Whether a project may put files there.
    pub fn allow(&self, project: &ProjectName, step: &FilesStep) -> bool {
        let of_all = self.places.iter().map(|template| template.fill(project));
        let own = self.projects.get(project).into_iter().flatten().map(|place| Ok(place.clone()));
        of_all.chain(own).flatten().any(|place| place.holds(step))
    }
}

/// A bucket, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Place {
    bucket: BucketName,
    prefix: Option<RelativePath>,
}

impl Place {
    fn holds(&self, step: &FilesStep) -> bool {
        let prefix = self.prefix.iter().map(|prefix| format!("{prefix}/")).collect::<String>();
        self.bucket == step.bucket && step.key_prefix().starts_with(&prefix)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bucket.fmt(f)?;
        self.prefix.iter().try_for_each(|prefix| write!(f, "/{prefix}"))
    }
}

impl TryFrom<String> for Place {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        let (bucket, prefix) = match text.split_once('/') {
            Some((bucket, prefix)) => (bucket, Some(RelativePath::new(prefix)?)),
            None => (text.as_str(), None),
        };
        Ok(Self { bucket: bucket.parse()?, prefix })
    }
}

impl From<Place> for String {
    fn from(place: Place) -> Self {
        place.to_string()
    }
}

const PROJECT: &str = "{project}";

/// A place with `{project}` in it, once: so no two projects have the same of one template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PlaceTemplate(String);

impl PlaceTemplate {
    /// # Errors
    /// When the project's name makes no bucket's: buckets take fewer names.
    fn fill(&self, project: &ProjectName) -> Result<Place, NameError> {
        // Names hold no braces.
        self.0.replace(PROJECT, project.as_str()).try_into()
    }
}

impl TryFrom<String> for PlaceTemplate {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        let sample = Place::try_from(text.replace(PROJECT, "project"));
        let once = text.matches(PROJECT).count() == 1;
        // In a prefix it is a whole part: the place of `a` doesn't hold that of `a-b`.
        let whole = text
            .split_once('/')
            .is_none_or(|(_, prefix)| prefix.split('/').all(|part| part == PROJECT || !part.contains(PROJECT)));
        match sample {
            Ok(_) if once && whole => Ok(Self(text)),
            Ok(_) | Err(_) => Err(NameError {
                kind: "template of places",
                value: text,
                rule: "use BUCKET or BUCKET/PREFIX with {project} once, such as {project}-site or assets/{project}",
            }),
        }
    }
}

impl From<PlaceTemplate> for String {
    fn from(template: PlaceTemplate) -> Self {
        template.0
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Named {
    S3(Places),
}

impl Serialize for FilesConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Local(path) => path.serialize(serializer),
            Self::S3(places) => Named::S3(places.clone()).serialize(serializer),
        }
    }
}

// Not `untagged`, whose errors don't say what is wrong.
impl<'de> Deserialize<'de> for FilesConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PathOrObject;

        impl<'de> Visitor<'de> for PathOrObject {
            type Value = FilesConfig;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a directory, or {\"s3\": {\"places\": [\"{project}-site\"]}}")
            }

            fn visit_str<E: de::Error>(self, path: &str) -> Result<FilesConfig, E> {
                Ok(FilesConfig::Local(path.into()))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<FilesConfig, A::Error> {
                let Named::S3(places) = Named::deserialize(MapAccessDeserializer::new(&mut object))?;
                match object.next_key::<IgnoredAny>()? {
                    None => Ok(FilesConfig::S3(places)),
                    Some(_) => Err(de::Error::custom("files are put into one store; leave one key")),
                }
            }
        }

        deserializer.deserialize_any(PathOrObject)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(config: &str, project: &str, place: &str) -> bool {
        let FilesConfig::S3(places) = serde_json::from_str(config).unwrap() else { panic!("{config}") };
        let place = Place::try_from(place.to_owned()).unwrap();
        let mut step: FilesStep = serde_json::from_str(r#"{"artifact": "site", "bucket": "abc"}"#).unwrap();
        (step.bucket, step.prefix) = (place.bucket, place.prefix);
        places.allow(&project.parse().unwrap(), &step)
    }

    #[test]
    fn a_project_has_its_own_places_and_what_is_below_them() {
        let config = r#"{"s3": {"places": ["{project}-site", "assets/v1/{project}"], "projects": {"hello": ["www.example.com"]}}}"#;
        for (project, place, expected) in [
            ("hello", "hello-site", true),
            ("hello", "hello-site/docs", true),
            ("hello", "hello-site2", false),
            ("hello", "other-site", false),
            ("hello", "assets/v1/hello", true),
            ("hello", "assets/v1/hello/a", true),
            ("hello", "assets/v1/hello-2", false),
            ("hello", "assets/v1", false),
            ("hello", "assets", false),
            ("hello", "www.example.com", true),
            ("other", "www.example.com", false),
            ("a_b", "hello-site", false),
        ] {
            assert_eq!(allowed(config, project, place), expected, "{project} {place}");
        }
        assert!(!allowed(r#"{"s3": {}}"#, "hello", "hello-site"));
    }

    #[test]
    fn files_go_into_a_directory_or_s3() {
        let s3 = r#"{"s3":{"places":["{project}-site"],"owner":"111122223333","pathStyle":true,"kmsKey":"k"}}"#;
        for text in [r#""files""#, s3, r#"{"s3":{}}"#] {
            let read: FilesConfig = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&read).unwrap(), text);
        }
        for (text, problem) in [
            ("7", "expected a directory, or {\"s3\""),
            (r#"{"gcs": {}}"#, "unknown variant `gcs`"),
            (r#"{"s3": {"places": ["site"]}}"#, "with {project} once"),
            (r#"{"s3": {"places": ["{project}/{project}"]}}"#, "with {project} once"),
            (r#"{"s3": {"places": ["assets/x-{project}"]}}"#, "with {project} once"),
            (r#"{"s3": {"places": ["{project}_site"]}}"#, "with {project} once"),
            (r#"{"s3": {"projects": {"a": ["B"]}}}"#, "is not a bucket's name"),
            (r#"{"s3": {"bucket": "b"}}"#, "unknown field `bucket`"),
            (r#"{"s3": {}, "local": "b"}"#, "leave one key"),
        ] {
            let error = serde_json::from_str::<FilesConfig>(text).unwrap_err().to_string();
            assert!(error.contains(problem), "{text}: {error}");
        }
    }
}
