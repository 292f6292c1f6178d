//! A step that makes a bucket, or a part of one, hold the files of a directory of the build.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::artifact::{Artifact, Content};
use crate::names::{ArtifactName, BucketName, NameError, RelativePath, string_schema};

/// What a place in S3 would be made to hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct FilesStep {
    /// The directory artifact.
    pub artifact: ArtifactName,
    /// The bucket.
    pub bucket: BucketName,
    /// Where in the bucket: keys start with it and `/`. The whole bucket, if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<RelativePath>,
    /// Headers that objects are served with. All rules that fit a path count; of two that set one header, the later.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<HeaderRule>,
    /// Whether objects that the artifact hasn't are deleted. Without it they stay.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub delete: bool,
}

/// Headers of the objects whose path in the artifact fits a pattern (RFC 9110; RFC 9111, 5.2; RFC 6266).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct HeaderRule {
    /// Which paths.
    pub path: PathPattern,
    /// `Content-Type`; what the file's name suggests, if no rule sets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<HeaderValue>,
    /// `Cache-Control`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<HeaderValue>,
    /// `Content-Disposition`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_disposition: Option<HeaderValue>,
    /// `Content-Encoding`: how the file is compressed already, such as `gzip`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<HeaderValue>,
    /// `Content-Language`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_language: Option<HeaderValue>,
}

/// The headers that S3 keeps with an object and serves it with; those that aren't set are absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers {
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `Cache-Control`.
    pub cache_control: Option<String>,
    /// `Content-Disposition`.
    pub content_disposition: Option<String>,
    /// `Content-Encoding`.
    pub content_encoding: Option<String>,
    /// `Content-Language`.
    pub content_language: Option<String>,
}

/// Which paths of an artifact: the whole path, in which each `*` stands for any characters, `/` among them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PathPattern(String);

const PATTERN_RULE: &str =
    "use a path of the artifact of at most 1024 bytes, where * stands for any characters, such as *.html or assets/*";

string_schema!(PathPattern, "PathPattern", r"^[^\\\u0000-\u001f\u007f-\u009f]+$", PATTERN_RULE);

impl PathPattern {
    /// Whether a path fits.
    pub fn fits(&self, path: &RelativePath) -> bool {
        let mut rest = path.as_str();
        let mut parts = self.0.split('*').peekable();
        // The first part is at the beginning, the last at the end, those between wherever they come first.
        if let Some(first) = parts.next() {
            match rest.strip_prefix(first) {
                Some(after) => rest = after,
                None => return false,
            }
            if parts.peek().is_none() {
                return rest.is_empty();
            }
        }
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                return rest.ends_with(part);
            }
            match rest.find(part) {
                Some(at) => rest = &rest[at + part.len()..],
                None => return false,
            }
        }
        true
    }
}

impl TryFrom<String> for PathPattern {
    type Error = NameError;

    fn try_from(value: String) -> Result<Self, NameError> {
        let steering = value.chars().any(|c| c == '\\' || c.is_control());
        match (1..=1024).contains(&value.len()) && !value.starts_with('/') && !steering {
            true => Ok(Self(value)),
            false => Err(NameError { kind: "pattern of paths", value, rule: PATTERN_RULE }),
        }
    }
}

impl From<PathPattern> for String {
    fn from(pattern: PathPattern) -> Self {
        pattern.0
    }
}

/// What a header says, as it is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HeaderValue(String);

const HEADER_RULE: &str = "use 1 to 512 printable ASCII characters without a space at an end";

string_schema!(HeaderValue, "HeaderValue", "^[!-~]([ -~]{0,510}[!-~])?$", HEADER_RULE);

impl TryFrom<String> for HeaderValue {
    type Error = NameError;

    fn try_from(value: String) -> Result<Self, NameError> {
        let printable = value.bytes().all(|byte| matches!(byte, b' '..=b'~')) && value.trim() == value;
        match (1..=512).contains(&value.len()) && printable {
            true => Ok(Self(value)),
            false => Err(NameError { kind: "header's value", value, rule: HEADER_RULE }),
        }
    }
}

impl From<HeaderValue> for String {
    fn from(header: HeaderValue) -> Self {
        header.0
    }
}

/// Most rules of one step.
const MOST_RULES: usize = 100;
/// Most bytes of an object that is sent in one request (Amazon S3 API reference, `PutObject`).
const LARGEST: u64 = 5 << 30;
/// Longest key of an object, in bytes (S3 user guide, "Naming Amazon S3 objects").
const LONGEST_KEY: usize = 1024;

impl fmt::Display for FilesStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "files {}", self.place())
    }
}

/// `BUCKET`, or `BUCKET/PREFIX`.
pub(crate) fn place(bucket: &BucketName, prefix: Option<&RelativePath>) -> String {
    prefix.map_or_else(|| bucket.to_string(), |prefix| format!("{bucket}/{prefix}"))
}

impl FilesStep {
    /// `BUCKET`, or `BUCKET/PREFIX`.
    pub fn place(&self) -> String {
        place(&self.bucket, self.prefix.as_ref())
    }

    /// The key of the object that a file becomes.
    pub fn key(&self, path: &RelativePath) -> String {
        format!("{}{path}", self.key_prefix())
    }

    /// What the keys of all of its objects start with: empty, or ending in `/`.
    pub fn key_prefix(&self) -> String {
        self.prefix.iter().map(|prefix| format!("{prefix}/")).collect()
    }

    /// What the rules set for a file.
    pub fn headers_of(&self, path: &RelativePath) -> Headers {
        let mut headers = Headers::default();
        for rule in self.headers.iter().filter(|rule| rule.path.fits(path)) {
            let set = |header: &mut Option<String>, value: &Option<HeaderValue>| {
                if let Some(value) = value {
                    *header = Some(value.0.clone());
                }
            };
            set(&mut headers.content_type, &rule.content_type);
            set(&mut headers.cache_control, &rule.cache_control);
            set(&mut headers.content_disposition, &rule.content_disposition);
            set(&mut headers.content_encoding, &rule.content_encoding);
            set(&mut headers.content_language, &rule.content_language);
        }
        headers
    }

    /// Everything that it says beside its place, as people read it, by path: `artifact`, `delete`,
    /// `headers.1.*.html.cacheControl`.
    pub fn settings(&self) -> BTreeMap<String, String> {
        let artifact = Some(("artifact".to_owned(), self.artifact.to_string()));
        let delete = self.delete.then(|| ("delete".to_owned(), "true".to_owned()));
        let rules = (1..).zip(&self.headers).flat_map(|(number, rule)| {
            rule.said().map(move |(name, value)| (format!("headers.{number}.{}.{name}", rule.path.0), value.0.clone()))
        });
        artifact.into_iter().chain(delete).chain(rules).collect()
    }

    /// Whether two steps would have a say about one object.
    pub(super) fn meets(&self, other: &Self) -> bool {
        let (one, two) = (format!("{}/", self.place()), format!("{}/", other.place()));
        one.starts_with(&two) || two.starts_with(&one)
    }

    /// Checks it by itself, and whether a bucket can hold the artifact.
    pub(super) fn check(&self, artifact: &Artifact) -> Result<(), String> {
        if self.headers.len() > MOST_RULES {
            return Err(format!("{} rules for headers; at most {MOST_RULES} are read", self.headers.len()));
        }
        if let Some(rule) = self.headers.iter().find(|rule| rule.said().next().is_none()) {
            return Err(format!("the rule for {:?} sets no header", rule.path.0));
        }
        let Content::Directory { files, links } = &artifact.content else { return Ok(()) };
        if let Some(link) = links.first() {
            return Err(format!("{} is a symbolic link, which a bucket can't hold: pack a file instead", link.path));
        }
        if let Some(file) = files.iter().find(|file| file.size > LARGEST) {
            return Err(format!("{} has {} bytes; an object is sent with at most {LARGEST}", file.path, file.size));
        }
        match files.iter().map(|file| self.key(&file.path)).find(|key| key.len() > LONGEST_KEY) {
            Some(key) => Err(format!("the key {key:?} would be longer than {LONGEST_KEY} bytes")),
            None => Ok(()),
        }
    }
}

impl HeaderRule {
    /// The headers that it sets.
    fn said(&self) -> impl Iterator<Item = (&'static str, &HeaderValue)> {
        let all = [
            ("contentType", &self.content_type),
            ("cacheControl", &self.cache_control),
            ("contentDisposition", &self.content_disposition),
            ("contentEncoding", &self.content_encoding),
            ("contentLanguage", &self.content_language),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::json::Document as _;
    use crate::manifest::tests::{build, link};
    use crate::manifest::{BuildManifest, Step, tree_digest};

    fn path(text: &str) -> RelativePath {
        RelativePath::new(text).unwrap()
    }

    #[test]
    fn a_pattern_is_the_whole_path_with_stars() {
        for (pattern, fitting, others) in [
            ("index.html", &["index.html"][..], &["a/index.html", "index.html.gz", "index"][..]),
            ("*.html", &["index.html", "a/b.html", ".html"], &["index.htm", "a.html/b"]),
            ("assets/*", &["assets/a", "assets/b/c.js"], &["assets", "x/assets/a"]),
            ("assets/*.js", &["assets/a.js", "assets/b/c.js"], &["assets/a.css"]),
            ("*", &["a", "a/b"], &[]),
            ("a*b*c", &["abc", "axbxc", "abcbc"], &["ab", "acb", "abcd"]),
            ("a*a", &["aa", "aba"], &["a"]),
            ("*-*.??", &["a-b.??"], &["a-b.js"]),
        ] {
            let pattern = PathPattern::try_from(pattern.to_owned()).unwrap();
            for fits in fitting {
                assert!(pattern.fits(&path(fits)), "{pattern:?} {fits}");
            }
            for other in others {
                assert!(!pattern.fits(&path(other)), "{pattern:?} {other}");
            }
        }
        for bad in ["", "/a", "a\\b", "a\nb", &"x".repeat(1025)] {
            assert!(PathPattern::try_from(bad.to_owned()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn header_values_can_steer_nothing() {
        for good in ["no-cache", "public, max-age=31536000, immutable", "x", "attachment; filename=\"a b\""] {
            assert!(HeaderValue::try_from(good.to_owned()).is_ok(), "{good}");
        }
        for bad in ["", " x", "x ", "a\r\nSet-Cookie: x", "a\tb", "é", &"x".repeat(513)] {
            assert!(HeaderValue::try_from(bad.to_owned()).is_err(), "{bad:?}");
        }
    }

    fn step(extra: serde_json::Value) -> FilesStep {
        let mut step = json!({"artifact": "site", "bucket": "hello-site"});
        step.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        serde_json::from_value(step).unwrap()
    }

    #[test]
    fn the_last_rule_that_sets_a_header_wins() {
        let step = step(json!({"headers": [
            {"path": "*", "cacheControl": "max-age=60", "contentLanguage": "en"},
            {"path": "assets/*", "cacheControl": "immutable"},
            {"path": "*.wasm", "contentType": "application/wasm"},
        ]}));
        let headers = step.headers_of(&path("assets/a.wasm"));
        assert_eq!(headers.cache_control.as_deref(), Some("immutable"));
        assert_eq!(headers.content_language.as_deref(), Some("en"));
        assert_eq!(headers.content_type.as_deref(), Some("application/wasm"));
        assert_eq!(step.headers_of(&path("a.html")).content_type, None);
        let settings: Vec<_> = step.settings().into_iter().map(|(path, value)| format!("{path} = {value}")).collect();
        assert_eq!(
            settings,
            [
                "artifact = site",
                "headers.1.*.cacheControl = max-age=60",
                "headers.1.*.contentLanguage = en",
                "headers.2.assets/*.cacheControl = immutable",
                "headers.3.*.wasm.contentType = application/wasm",
            ]
        );
    }

    /// What reading a build with these steps says.
    fn refused(steps: Vec<FilesStep>, edit: fn(&mut BuildManifest)) -> Option<String> {
        let mut manifest = build(7);
        manifest.deploy.extend(steps.into_iter().map(Step::Files));
        edit(&mut manifest);
        BuildManifest::from_bytes(&manifest.to_bytes()).err().map(|error| error.to_string())
    }

    #[test]
    fn a_build_has_only_what_a_bucket_can_hold_and_puts_it_there_once() {
        let long = "a".repeat(1020);
        let (two, below) = (json!({"prefix": "a"}), json!({"prefix": "a/b"}));
        for (case, steps, expected) in [
            ("two places", vec![two.clone(), json!({"prefix": "b"})], None),
            (
                "one place twice",
                vec![two.clone(), two.clone()],
                Some("files hello-site/a: there is another of this name"),
            ),
            ("a place in another", vec![below, two], Some("files hello-site/a/b would put files there, too")),
            (
                "a rule for nothing",
                vec![json!({"headers": [{"path": "*"}]})],
                Some("the rule for \"*\" sets no header"),
            ),
            ("too long keys", vec![json!({"prefix": long})], Some("would be longer than 1024 bytes")),
            ("of no directory", vec![json!({"artifact": "web"})], Some("artifact web is of kind image, not directory")),
            ("of nothing", vec![json!({"artifact": "gone"})], Some("there is no artifact gone")),
        ] {
            let found = refused(steps.into_iter().map(step).collect(), |_| ());
            assert_eq!(found.is_some(), expected.is_some(), "{case}: {found:?}");
            assert!(found.is_none_or(|found| expected.is_some_and(|words| found.contains(words))), "{case}");
        }
        let huge = refused(vec![step(json!({}))], |manifest| {
            let Content::Directory { files, links } = &mut manifest.artifacts[2].content else { unreachable!() };
            files[0].size = LARGEST + 1;
            let (digest, size) = (tree_digest(files, links), files.iter().map(|file| file.size).sum());
            (manifest.artifacts[2].digest, manifest.artifacts[2].size) = (digest, size);
        });
        assert!(huge.is_some_and(|found| found.contains("a.html has 5368709121 bytes")));
        let linked = refused(vec![step(json!({}))], |manifest| {
            let Content::Directory { files, links } = &mut manifest.artifacts[2].content else { unreachable!() };
            links.push(link("l", "a.html"));
            manifest.artifacts[2].digest = tree_digest(files, links);
        });
        assert!(linked.is_some_and(|found| found.contains("l is a symbolic link")));
    }

    #[test]
    fn places_meet_if_one_holds_the_other() {
        for (one, other, meet) in [
            (json!({}), json!({"prefix": "a"}), true),
            (json!({"prefix": "a"}), json!({"prefix": "a"}), true),
            (json!({"prefix": "a"}), json!({"prefix": "a/b"}), true),
            (json!({"prefix": "a"}), json!({"prefix": "ab"}), false),
            (json!({"prefix": "a"}), json!({"prefix": "b"}), false),
            (json!({}), json!({"bucket": "hello-site2"}), false),
        ] {
            let (one, other) = (step(one), step(other));
            assert_eq!((one.meets(&other), other.meets(&one)), (meet, meet), "{one} {other}");
        }
        assert_eq!(step(json!({"prefix": "a/b"})).key(&path("c/d")), "a/b/c/d");
        assert_eq!(step(json!({})).key(&path("c/d")), "c/d");
    }
}
