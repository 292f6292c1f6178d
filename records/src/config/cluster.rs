//! Where services run: a cluster of Amazon ECS, or a directory that stands in for one.

use std::path::PathBuf;

use manifest_schema::names::ClusterName;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::stand_in::{self, StandIn};

/// Where services run. In a configuration, a path, or `{"ecs": {"cluster": "NAME"}}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClusterConfig {
    /// The directory that stands in for a cluster: what would run in each service.
    Local(PathBuf),
    /// Amazon ECS.
    Ecs(EcsServices),
}

/// Services of Amazon ECS, in the account and region of the worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct EcsServices {
    /// The cluster of services whose step names none.
    pub cluster: ClusterName,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Named {
    Ecs(EcsServices),
}

impl Serialize for ClusterConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Local(path) => path.serialize(serializer),
            Self::Ecs(services) => Named::Ecs(services.clone()).serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for ClusterConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = "a directory, or {\"ecs\": {\"cluster\": \"NAME\"}}";
        Ok(match stand_in::deserialize(deserializer, expected, "services run in one place; leave one key")? {
            StandIn::Directory(path) => Self::Local(path),
            StandIn::Real(Named::Ecs(services)) => Self::Ecs(services),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_is_a_directory_or_one_of_ecs() {
        let ecs = ClusterConfig::Ecs(EcsServices { cluster: "main".parse().unwrap() });
        for (text, expected) in
            [(r#""cluster""#, ClusterConfig::Local("cluster".into())), (r#"{"ecs":{"cluster":"main"}}"#, ecs)]
        {
            let read: ClusterConfig = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&read).unwrap(), text);
            assert_eq!(read, expected);
        }
        for (text, problem) in [
            ("7", "expected a directory, or {\"ecs\""),
            (r#"{"eks": {}}"#, "unknown variant `eks`"),
            (r#"{"ecs": {}}"#, "missing field `cluster`"),
            (r#"{"ecs": {"cluster": "a", "region": "b"}}"#, "unknown field `region`"),
            (r#"{"ecs": {"cluster": "arn:aws:ecs:a"}}"#, "not its ARN"),
            (r#"{"ecs": {"cluster": "a"}, "local": "b"}"#, "leave one key"),
            ("{}", "expected"),
        ] {
            let error = serde_json::from_str::<ClusterConfig>(text).unwrap_err().to_string();
            assert!(error.contains(problem), "{text}: {error}");
        }
    }
}
