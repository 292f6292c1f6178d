//! Which state a file with Terraform's state is. Of all that it holds, only that is read.

use manifest_schema::plan::StateVersion;
use serde::Deserialize;

/// A file that isn't a state of the one known format. Says nothing of what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the state can't be read: expected one of format version 4, with a lineage and a serial")]
pub struct StateUnreadable;

/// The head of Terraform's state format (Terraform, `statefile`, version 4). OpenTofu's is the same.
#[derive(Deserialize)]
struct Head {
    version: u64,
    lineage: String,
    serial: u64,
}

/// The version of the state in a file; `None` if there has been none yet.
///
/// # Errors
/// When it is no state.
pub fn version(bytes: &[u8]) -> Result<Option<StateVersion>, StateUnreadable> {
    match serde_json::from_slice(bytes) {
        Ok(Head { version: 4, lineage, serial }) => {
            Ok((!lineage.is_empty()).then_some(StateVersion { lineage, serial }))
        }
        Ok(Head { .. }) | Err(_) => Err(StateUnreadable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_state_only_its_version_is_read() {
        let read = |text: &str| version(text.as_bytes());
        let found = read(r#"{"version":4,"terraform_version":"1.11.4","serial":7,"lineage":"4f38","resources":[{}]}"#);
        assert_eq!(found, Ok(Some(StateVersion { lineage: "4f38".to_owned(), serial: 7 })));
        assert_eq!(read(r#"{"version":4,"serial":0,"lineage":""}"#), Ok(None));
        for text in [
            "",
            "{}",
            r#"{"version":3,"serial":7,"lineage":"4f38"}"#,
            r#"{"version":4,"serial":-1,"lineage":"4f38"}"#,
            r#"{"version":4,"serial":1,"serial":2,"lineage":"4f38"}"#,
            r#"{"version":4,"lineage":"4f38"}"#,
            r#"{"version":4,"serial":7,"lineage":"4f38"} and more"#,
        ] {
            assert_eq!(read(text), Err(StateUnreadable), "{text}");
        }
    }
}
