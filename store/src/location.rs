//! Where a store is, as people write it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A directory (`/path`, `relative/path`, `file:///path`) or a place in a bucket (`s3://bucket/prefix`).
///
/// Any other scheme is refused, so that a mistyped `s3:/…` or `S4://…` never becomes a directory of that name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Location {
    /// A directory on this machine.
    Directory(PathBuf),
    /// A bucket, or a part of one.
    S3(S3Location),
}

/// A bucket, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct S3Location {
    bucket: String,
    prefix: String,
}

/// Text that is no location.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a store's location: {problem}; use a path, file:///path or s3://bucket/prefix")]
pub struct LocationError {
    text: String,
    problem: &'static str,
}

impl S3Location {
    /// The bucket's name.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// What all keys start with: empty, or ending with `/`.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    fn parse(rest: &str) -> Result<Self, &'static str> {
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let edges = bucket.starts_with(|c: char| c.is_ascii_alphanumeric())
            && bucket.ends_with(|c: char| c.is_ascii_alphanumeric());
        let letters = bucket.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-'));
        if !(edges && letters && (3..=63).contains(&bucket.len())) {
            return Err("a bucket's name has 3 to 63 of a-z 0-9 . -");
        }
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        if prefix.is_empty() {
            return Ok(Self { bucket: bucket.to_owned(), prefix: String::new() });
        }
        // Prefixes that a shell, a console or a directory would read as another place are not worth having.
        let plain = prefix.bytes().all(|b| b.is_ascii_alphanumeric() || b"!-_.*'()/=+@".contains(&b));
        if !plain || prefix.len() > 512 || prefix.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err("a prefix has plain characters and no empty, . or .. part");
        }
        Ok(Self { bucket: bucket.to_owned(), prefix: format!("{prefix}/") })
    }
}

impl FromStr for Location {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        let refuse = |problem| LocationError { text: text.to_owned(), problem };
        if text.is_empty() || text.contains('\0') {
            return Err(refuse("it is empty or holds a NUL"));
        }
        match scheme(text) {
            None => Ok(Self::Directory(PathBuf::from(text))),
            Some(("s3", rest)) => match rest.strip_prefix("//") {
                Some(rest) => S3Location::parse(rest).map(Self::S3).map_err(refuse),
                None => Err(refuse("s3: needs two slashes")),
            },
            Some(("file", rest)) => file_path(rest).map(Self::Directory).map_err(refuse),
            Some(_) => Err(refuse("its scheme is unknown (a directory of that name is ./…)")),
        }
    }
}

/// What stands before the first colon, if it looks like a scheme and a slash follows.
fn scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let looks = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    (looks && rest.starts_with('/')).then_some((scheme, rest))
}

/// The path of a `file:` URL (RFC 8089), which names no other machine.
fn file_path(rest: &str) -> Result<PathBuf, &'static str> {
    let path = match rest.strip_prefix("//") {
        Some(rest) => rest.strip_prefix("localhost").unwrap_or(rest),
        None => rest,
    };
    if !path.starts_with('/') {
        return Err("a file: URL has an absolute path and no other machine");
    }
    let mut bytes = Vec::with_capacity(path.len());
    let mut left = path.as_bytes();
    while let Some((first, others)) = left.split_first() {
        left = others;
        match (first, others) {
            (b'%', [high, low, others @ ..]) => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                let pair = digit(high).zip(digit(low)).ok_or("a % is not followed by two hex digits")?;
                bytes.push(pair.0 << 4 | pair.1);
                left = others;
            }
            (b'%', _) => return Err("a % is not followed by two hex digits"),
            (b'?' | b'#', _) => return Err("a file: URL has no query and no fragment"),
            (byte, _) => bytes.push(*byte),
        }
    }
    match String::from_utf8(bytes) {
        Ok(path) if !path.contains('\0') => Ok(PathBuf::from(path)),
        Ok(_) | Err(_) => Err("its path is not text"),
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => path.display().fmt(f),
            Self::S3(S3Location { bucket, prefix }) => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

impl From<&Path> for Location {
    /// The directory at this path, whatever it looks like as text.
    fn from(path: &Path) -> Self {
        Self::Directory(path.to_owned())
    }
}

impl TryFrom<String> for Location {
    type Error = LocationError;

    fn try_from(text: String) -> Result<Self, LocationError> {
        text.parse()
    }
}

impl From<Location> for String {
    fn from(location: Location) -> Self {
        location.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn locations_are_read_as_people_write_them() {
        for (text, shown) in [
            ("/srv/store", "/srv/store"),
            ("store", "store"),
            ("../store/", "../store/"),
            ("a:b", "a:b"),
            ("./s3://b", "./s3://b"),
            ("file:///srv/a%20store", "/srv/a store"),
            ("file://localhost/srv", "/srv"),
            ("file:/srv", "/srv"),
            ("s3://bucket", "s3://bucket/"),
            ("s3://bucket/", "s3://bucket/"),
            ("s3://my.bucket-1/a/b/", "s3://my.bucket-1/a/b/"),
        ] {
            let location: Location = text.parse().unwrap();
            assert_eq!(location.to_string(), shown);
            assert_eq!(location.to_string().parse(), Ok(location), "{text} changes when read again");
        }
    }

    #[test]
    fn what_only_resembles_a_location_is_refused() {
        for text in [
            "",
            "a\0b",
            "s3:/bucket",
            "s3://",
            "s3://Bucket",
            "s3://ab",
            "s3://-ab",
            "s3://bucket//a",
            "s3://bucket/a/../b",
            "s3://bucket/a//",
            "s3://bucket/ä",
            "S3://bucket",
            "http://example.com/x",
            "file://other/srv",
            "file://srv",
            "file:///a%2",
            "file:///a%zz",
            "file:///a%00",
            "file:///a%ff",
            "file:///a?b",
        ] {
            assert!(text.parse::<Location>().is_err(), "{text:?} was taken");
        }
    }

    proptest! {
        #[test]
        fn every_location_survives_being_shown(text in "(/|s3://|file:///|)[a-z0-9./:%-]{0,24}") {
            if let Ok(location) = text.parse::<Location>() && location.to_string() != "" {
                prop_assert_eq!(location.to_string().parse(), Ok(location));
            }
        }
    }
}
