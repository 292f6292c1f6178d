//! Which state a file with Terraform's state is, and which resources it knows of. Nothing else of it is read.

use std::collections::BTreeSet;

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

/// What a state says of resources.
#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
struct Resource {
    #[serde(default)]
    module: String,
    mode: String,
    #[serde(rename = "type")]
    kind: String,
    name: String,
    #[serde(default)]
    instances: Vec<Instance>,
}

#[derive(Deserialize)]
struct Instance {
    #[serde(default)]
    index_key: serde_json::Value,
    #[serde(default)]
    deposed: String,
}

/// Which instances of resources a state knows of. Data sources are not among them: they are read again.
///
/// # Errors
/// When it is no state.
pub fn resources(bytes: &[u8]) -> Result<BTreeSet<String>, StateUnreadable> {
    version(bytes)?;
    let body: Body = serde_json::from_slice(bytes).map_err(|_| StateUnreadable)?;
    let managed = body.resources.iter().filter(|resource| resource.mode == "managed");
    let named = managed.flat_map(|resource| {
        resource.instances.iter().map(move |instance| {
            let Resource { module, kind, name, .. } = resource;
            format!("{module} {kind} {name} {} {}", instance.index_key, instance.deposed)
        })
    });
    Ok(named.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_are_told_apart_by_all_that_their_addresses_say() {
        let text = r#"{"version":4,"serial":1,"lineage":"4f38","resources":[
            {"mode":"managed","type":"a","name":"n","instances":[{"index_key":0},{"index_key":"0"},{"deposed":"ab"}]},
            {"mode":"managed","type":"a","name":"n","module":"module.m","instances":[{}]},
            {"mode":"managed","type":"a","name":"none","instances":[]},
            {"mode":"data","type":"a","name":"d","instances":[{}]}]}"#;
        let expected = ["a n \"0\" ", "a n 0 ", "a n null ab", "module.m a n null "];
        let found = resources(text.as_bytes()).unwrap();
        assert_eq!(found.iter().map(|name| name.trim_start()).collect::<Vec<_>>(), expected);
        assert_eq!(resources(b"{}"), Err(StateUnreadable));
    }

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
