//! Paths inside artifacts, and what their links say.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{NameError, string_schema};

/// The path of a file inside an artifact: relative, `/`-separated, UTF-8, at most 1024 bytes, with no empty, `.` or
/// `..` component, no backslash and no control character.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RelativePath(String);

const PATH_RULE: &str =
    "use a relative path of at most 1024 bytes with no empty, . or .. part, backslash or control character";

/// Whether there is a backslash or a control character. Bytes tell it for all of ASCII, which is faster.
fn has_steering(text: &str) -> bool {
    let ascii = |byte: u8| byte == b'\\' || byte.is_ascii_control();
    text.bytes().any(ascii) || !text.is_ascii() && text.chars().any(char::is_control)
}

impl RelativePath {
    /// Checks `value` against the rules above.
    ///
    /// # Errors
    /// When a rule is broken.
    pub fn new(value: impl Into<String>) -> Result<Self, NameError> {
        let value = value.into();
        let sound = value.len() <= 1024
            && value.split('/').all(|part| !matches!(part, "" | "." | ".."))
            && !has_steering(&value);
        if sound { Ok(Self(value)) } else { Err(NameError { kind: "path inside an artifact", value, rule: PATH_RULE }) }
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RelativePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for RelativePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl TryFrom<String> for RelativePath {
    type Error = NameError;

    fn try_from(value: String) -> Result<Self, NameError> {
        Self::new(value)
    }
}

impl From<RelativePath> for String {
    fn from(path: RelativePath) -> Self {
        path.0
    }
}

string_schema!(
    RelativePath,
    "RelativePath",
    r"^(?!(.*/)?\.{1,2}(/|$))[^/\\\u0000-\u001f\u007f-\u009f]+(/[^/\\\u0000-\u001f\u007f-\u009f]+)*$",
    PATH_RULE
);

/// What a symbolic link inside an artifact says: a relative path of at most 1024 bytes, `/`-separated, UTF-8, in which
/// `.` and `..` are parts like others, with no empty part, backslash or control character. Whether it stays inside
/// depends on where the link is, and is for [`crate::manifest::check_tree`] to say.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LinkTarget(String);

const TARGET_RULE: &str =
    "use a relative path of at most 1024 bytes with no empty part, backslash or control character";

impl LinkTarget {
    /// Checks `value` against the rules above.
    ///
    /// # Errors
    /// When a rule is broken.
    pub fn new(value: impl Into<String>) -> Result<Self, NameError> {
        let value = value.into();
        let sound = value.len() <= 1024
            && value.split('/').all(|part| !part.is_empty())
            && !value.chars().any(|c| c == '\\' || c.is_control());
        if sound { Ok(Self(value)) } else { Err(NameError { kind: "link's target", value, rule: TARGET_RULE }) }
    }

    /// The target as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LinkTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for LinkTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl TryFrom<String> for LinkTarget {
    type Error = NameError;

    fn try_from(value: String) -> Result<Self, NameError> {
        Self::new(value)
    }
}

impl From<LinkTarget> for String {
    fn from(target: LinkTarget) -> Self {
        target.0
    }
}

string_schema!(
    LinkTarget,
    "LinkTarget",
    r"^[^/\\\u0000-\u001f\u007f-\u009f]+(/[^/\\\u0000-\u001f\u007f-\u009f]+)*$",
    TARGET_RULE
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside() {
        for good in ["a", "a/b", ".hidden", "a/..b", "with space/é"] {
            assert!(RelativePath::new(good).is_ok(), "{good}");
        }
        for bad in ["", "/a", "a/", "a//b", "..", "a/../b", "./a", "a\\b", "a\0b", "a\nb"] {
            assert!(RelativePath::new(bad).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn link_targets_are_relative() {
        for good in ["a", "../a", "./a/../b", "..", ".", "with space/é"] {
            assert!(LinkTarget::new(good).is_ok(), "{good}");
        }
        for bad in ["", "/a", "a/", "a//b", "a\\b", "a\0b", "a\nb", &"x".repeat(1025)] {
            assert!(LinkTarget::new(bad).is_err(), "{bad:?} was taken");
        }
    }
}
