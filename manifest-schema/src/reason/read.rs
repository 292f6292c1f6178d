//! Reason codes as documents hold them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Code;

/// Most bytes of either word of a code.
const LONGEST_WORD: usize = 32;

/// A reason code in a document: kept, shown and written again as it is, whether this version knows it or not. Decisions
/// are made of [`Code`]s; one that this version doesn't know says only which family it is of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ReasonCode {
    /// One of this version's.
    Known(Code),
    /// One of another version's.
    Foreign(ForeignCode),
}

/// Has the form of a reason code, and is none that this version knows. Made only by reading one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ForeignCode(String);

impl ReasonCode {
    /// The stable name.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(code) => code.as_str(),
            Self::Foreign(ForeignCode(name)) => name,
        }
    }

    /// What kind of reason it is: `approval` of `approval.missing`.
    pub fn family(&self) -> &str {
        let name = self.as_str();
        name.split_once('.').map_or(name, |(family, _)| family)
    }

    /// The code, if this version knows it.
    pub fn known(&self) -> Option<Code> {
        match self {
            Self::Known(code) => Some(*code),
            Self::Foreign(_) => None,
        }
    }
}

impl From<Code> for ReasonCode {
    fn from(code: Code) -> Self {
        Self::Known(code)
    }
}

impl PartialEq<Code> for ReasonCode {
    fn eq(&self, other: &Code) -> bool {
        self.known() == Some(*other)
    }
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Text that no version's reason code can be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a reason code, which is two words with a dot between them, such as approval.missing")]
pub struct NotACode(String);

impl FromStr for ReasonCode {
    type Err = NotACode;

    fn from_str(text: &str) -> Result<Self, NotACode> {
        Self::try_from(text.to_owned())
    }
}

impl TryFrom<String> for ReasonCode {
    type Error = NotACode;

    fn try_from(text: String) -> Result<Self, NotACode> {
        if let Some(code) = Code::ALL.iter().find(|code| code.as_str() == text) {
            Ok(Self::Known(*code))
        } else if text.split_once('.').is_some_and(|(family, rest)| is_word(family) && is_word(rest)) {
            Ok(Self::Foreign(ForeignCode(text)))
        } else {
            Err(NotACode(text))
        }
    }
}

fn is_word(text: &str) -> bool {
    let is_inner = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    text.len() <= LONGEST_WORD
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(is_inner)
}

impl From<ReasonCode> for String {
    fn from(code: ReasonCode) -> Self {
        match code {
            ReasonCode::Known(code) => code.as_str().to_owned(),
            ReasonCode::Foreign(ForeignCode(name)) => name,
        }
    }
}

crate::names::string_schema!(
    ReasonCode,
    "ReasonCode",
    "^[a-z][a-z0-9-]{0,31}\\.[a-z][a-z0-9-]{0,31}$",
    "Why something was refused or failed. New ones may be added; `airlock explain` says what each means."
);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Reason;

    #[test]
    fn what_can_be_no_code_is_refused() {
        let long = "a".repeat(33);
        for text in [
            "",
            "approval",
            ".missing",
            "approval.",
            "approval.missing.",
            "approval.by.author",
            "Approval.missing",
            "approval.Missing",
            "approval_missing",
            "approval.by author",
            "approval.missing\n",
            "approval.\u{1b}[2J",
            "1approval.missing",
            "approval.-missing",
            "-approval.missing",
            "genehmigung.fehlt\u{e4}",
            &format!("{long}.missing"),
            &format!("approval.{long}"),
        ] {
            assert_eq!(text.parse::<ReasonCode>(), Err(NotACode(text.to_owned())));
            let json = serde_json::json!({ "code": text, "message": "why" });
            assert!(serde_json::from_value::<Reason>(json).is_err(), "{text:?}");
        }
    }

    #[test]
    fn every_code_of_ours_has_the_form_of_one() {
        for code in Code::ALL {
            let (family, rest) = code.as_str().split_once('.').unwrap();
            assert!(is_word(family) && is_word(rest), "{code}: an older version could not read it");
            assert_eq!(ReasonCode::Known(*code).family(), family);
        }
    }

    #[test]
    fn a_code_of_another_version_equals_none_of_ours() {
        let foreign: ReasonCode = "lease.held-up".parse().unwrap();
        assert!(matches!(foreign, ReasonCode::Foreign(_)));
        assert!(Code::ALL.iter().all(|code| foreign != *code));
        assert_eq!((foreign.family(), foreign.known()), ("lease", None));
    }

    proptest! {
        /// The chain of events holds hashes of what was read and is written again.
        #[test]
        fn what_is_read_is_written_again(text in "[a-z][a-z0-9-]{0,31}\\.[a-z][a-z0-9-]{0,31}", message: String) {
            let bytes = crate::json::to_bytes(&serde_json::json!({ "code": text, "message": message }));
            let reason: Reason = serde_json::from_slice(&bytes).unwrap();
            prop_assert_eq!(reason.code.as_str(), &text);
            prop_assert_eq!(crate::json::to_bytes(&reason), bytes);
        }
    }
}
