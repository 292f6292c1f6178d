//! What `--keep` may say.

use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;

use manifest_schema::Digest;
use manifest_schema::names::{EnvironmentName, ProjectName};

use crate::build::named::BuildName;

/// One rule: a build that any rule names is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeepRule {
    /// As it was written.
    text: String,
    /// What it means.
    pub(crate) keep: Keep,
}

/// What a rule keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Keep {
    /// The newest builds of each project.
    Last(NonZeroUsize),
    /// One build by its number; without an epoch, of the highest that has it.
    Number { project: ProjectName, epoch: Option<u32>, number: u64 },
    /// One build by its manifest.
    Manifest(Digest),
    /// What runs in an environment, in any step of any project.
    Deployed(EnvironmentName),
    /// Builds published less than so many seconds ago.
    Newer(u64),
}

/// Text that is no rule.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a rule is last:N (the newest N builds of each project), PROJECT#NUMBER or sha256:… (one build), deployed:ENVIRONMENT \
     (what runs there), or newer:AGE (published less than 12h, 30d or 8w ago)"
)]
pub(crate) struct KeepRuleError;

impl FromStr for KeepRule {
    type Err = KeepRuleError;

    fn from_str(text: &str) -> Result<Self, KeepRuleError> {
        let keep = match text.split_once(':') {
            Some(("last", count)) => count.parse().ok().map(Keep::Last),
            Some(("newer", age)) => seconds(age).map(Keep::Newer),
            Some(_) | None => match text.parse() {
                Ok(BuildName::Digest(digest)) => Some(Keep::Manifest(digest)),
                Ok(BuildName::Number { project: Some(project), epoch, number }) => {
                    Some(Keep::Number { project, epoch, number })
                }
                Ok(BuildName::Deployed(environment)) => Some(Keep::Deployed(environment)),
                Ok(BuildName::Number { project: None, .. } | BuildName::File(_)) | Err(_) => None,
            },
        };
        let text = text.to_owned();
        keep.map(|keep| Self { text, keep }).ok_or(KeepRuleError)
    }
}

impl fmt::Display for KeepRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// `12h`, `30d`, `8w`.
fn seconds(age: &str) -> Option<u64> {
    let unit = match age.chars().last()? {
        'h' => 3600,
        'd' => 86_400,
        'w' => 7 * 86_400,
        _ => return None,
    };
    let digits = &age[..age.len() - 1];
    let number: u64 = digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())??;
    number.checked_mul(unit).filter(|seconds| *seconds > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_has_one_of_five_forms() {
        let digest = Digest::of(b"x");
        let number = |epoch| Keep::Number { project: "hello".parse().unwrap(), epoch, number: 12 };
        for (text, keep) in [
            ("last:3", Keep::Last(NonZeroUsize::new(3).unwrap())),
            ("hello#12", number(None)),
            ("hello#1.12", number(Some(1))),
            (&*digest.to_string(), Keep::Manifest(digest)),
            ("deployed:production", Keep::Deployed("production".parse().unwrap())),
            ("newer:36h", Keep::Newer(36 * 3600)),
            ("newer:30d", Keep::Newer(30 * 86_400)),
            ("newer:2w", Keep::Newer(14 * 86_400)),
        ] {
            let rule: KeepRule = text.parse().unwrap();
            assert_eq!((rule.to_string().as_str(), rule.keep), (text, keep));
        }
    }

    #[test]
    fn anything_else_is_no_rule() {
        let upper = Digest::of(b"x").to_string().to_uppercase();
        for text in [
            "",
            "last",
            "last:",
            "last:0",
            "last:-1",
            "last:x",
            "last:1:2",
            "0.12",
            "12",
            "hello",
            "hello#",
            "hello#x",
            "hello#012",
            "sha256:",
            "sha256:12",
            &upper,
            "deployed:",
            "deployed:Not A Name",
            "newer:",
            "newer:30",
            "newer:d",
            "newer:0d",
            "newer:+1d",
            "newer:1.5d",
            "newer:30days",
            "newer:99999999999999999999d",
            "newer:9999999999999999999w",
            "newer:3é",
            "build-manifest.json",
            "older:30d",
        ] {
            assert_eq!(text.parse::<KeepRule>(), Err(KeepRuleError), "{text:?}");
        }
    }
}
