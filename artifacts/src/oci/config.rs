//! What an image's configuration says (image-spec v1.1, config.md, and Docker's image specification v1.2, from which
//! it comes and which has a few fields more).

use std::collections::{BTreeMap, BTreeSet};

use manifest_schema::Digest;
use serde::Deserialize;

use super::OCI_CONFIG;
use super::json::{self, Unread, parse};
use crate::error::ImageProblem;

/// An image's configuration. Whoever made the image wrote every text in it.
#[derive(Debug, Deserialize)]
#[non_exhaustive]
pub struct ImageConfig {
    /// When it was made: RFC 3339 if the maker kept to the specification.
    pub created: Option<String>,
    /// Who made it.
    pub author: Option<String>,
    /// Such as `amd64`.
    pub architecture: Option<String>,
    /// Such as `linux`.
    pub os: Option<String>,
    /// Such as `v8` of `arm64`.
    pub variant: Option<String>,
    /// How to run it.
    #[serde(default, deserialize_with = "json::nullable")]
    pub config: RunConfig,
    /// The layers.
    #[serde(default, deserialize_with = "json::nullable")]
    pub rootfs: RootFs,
    /// The steps that made it, the first one first.
    #[serde(default, deserialize_with = "json::nullable")]
    pub history: Vec<History>,
    #[serde(flatten)]
    _unread: Unread,
}

/// How to run an image.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[non_exhaustive]
pub struct RunConfig {
    /// User and group, by name or number; root if there is none.
    pub user: Option<String>,
    /// Such as `80/tcp`.
    #[serde(deserialize_with = "json::keys")]
    pub exposed_ports: BTreeSet<String>,
    /// `NAME=value` each.
    #[serde(deserialize_with = "json::nullable")]
    pub env: Vec<String>,
    /// What is started; `cmd` is what follows it.
    #[serde(deserialize_with = "json::nullable")]
    pub entrypoint: Vec<String>,
    /// Arguments after the entrypoint, or all of the command line if there is no entrypoint.
    #[serde(deserialize_with = "json::nullable")]
    pub cmd: Vec<String>,
    /// Directories that are to outlive a container.
    #[serde(deserialize_with = "json::keys")]
    pub volumes: BTreeSet<String>,
    /// Where it is started.
    pub working_dir: Option<String>,
    /// Anything else that was said about it.
    #[serde(deserialize_with = "json::nullable")]
    pub labels: BTreeMap<String, String>,
    /// The signal that stops it.
    pub stop_signal: Option<String>,
    /// How to find out whether it works; Docker's.
    pub healthcheck: Option<Healthcheck>,
    /// What runs the command lines that are one text; Docker's.
    #[serde(deserialize_with = "json::nullable")]
    pub shell: Vec<String>,
    /// Steps for images made from this one; Docker's.
    #[serde(deserialize_with = "json::nullable")]
    pub on_build: Vec<String>,
    #[serde(flatten)]
    _unread: Unread,
}

/// How to find out whether a container works. Times are in nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
#[non_exhaustive]
pub struct Healthcheck {
    /// `NONE`, or `CMD` or `CMD-SHELL` and a command.
    #[serde(default, deserialize_with = "json::nullable")]
    pub test: Vec<String>,
    /// Between two checks.
    pub interval: Option<i64>,
    /// Until a check is given up.
    pub timeout: Option<i64>,
    /// How many failures in a row there may be.
    pub retries: Option<i64>,
    #[serde(flatten)]
    _unread: Unread,
}

/// The layers, unpacked.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct RootFs {
    /// SHA-256 of each uncompressed layer, the lowest first.
    #[serde(deserialize_with = "json::nullable")]
    pub diff_ids: Vec<Digest>,
    #[serde(flatten)]
    _unread: Unread,
}

/// A step that made an image.
#[derive(Debug, Deserialize)]
#[non_exhaustive]
pub struct History {
    /// When, as [`ImageConfig::created`].
    pub created: Option<String>,
    /// The command.
    pub created_by: Option<String>,
    /// Anything else that was said about it.
    pub comment: Option<String>,
    /// Whether it made no layer.
    #[serde(default, deserialize_with = "json::nullable")]
    pub empty_layer: bool,
    #[serde(flatten)]
    _unread: Unread,
}

impl ImageConfig {
    /// Whether blobs of this media type are to be read as this; images made from anything else have other ones.
    pub fn is_media_type(media_type: &str) -> bool {
        matches!(media_type, OCI_CONFIG | "application/vnd.docker.container.image.v1+json")
    }

    /// Reads a configuration as strictly as an [`ImageDocument`](super::ImageDocument).
    ///
    /// # Errors
    /// When the bytes are more than [`DOCUMENT_LIMIT`](super::DOCUMENT_LIMIT) or no configuration.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ImageProblem> {
        parse(bytes)
    }

    /// The step that made each of `layers` layers, the lowest first; empty unless the history tells of so many.
    pub fn steps(&self, layers: usize) -> Vec<&History> {
        let steps: Vec<&History> = self.history.iter().filter(|step| !step.empty_layer).collect();
        if steps.len() == layers { steps } else { Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_says_how_to_run_the_image_and_what_made_it() {
        let text = r#"{"created":"2024-01-02T03:04:05Z","architecture":"amd64","os":"linux","docker_version":"20.10",
            "config":{"User":"app","ExposedPorts":{"80/tcp":{}},"Env":["A=b"],"Cmd":["serve"],"Entrypoint":null,
                "WorkingDir":"/srv","Labels":{"user":"of any case","Cmd":"x"},"Volumes":null,"Hostname":"",
                "Healthcheck":{"Test":["CMD","true"],"Interval":30000000000,"StartPeriod":0},"OnBuild":null},
            "rootfs":{"type":"layers","diff_ids":["sha256:0000000000000000000000000000000000000000000000000000000000000000"]},
            "history":[{"created_by":"ADD base"},{"created_by":"CMD serve","empty_layer":true,"comment":"buildkit"}]}"#;
        let config = ImageConfig::from_bytes(text.as_bytes()).unwrap();
        assert_eq!(config.architecture.as_deref(), Some("amd64"));
        assert_eq!(config.config.user.as_deref(), Some("app"));
        assert_eq!(config.config.exposed_ports, BTreeSet::from(["80/tcp".to_owned()]));
        assert_eq!(config.config.labels["Cmd"], "x");
        assert_eq!((config.config.entrypoint.len(), config.config.cmd.len()), (0, 1));
        assert_eq!(config.config.healthcheck.as_ref().unwrap().interval, Some(30_000_000_000));
        assert_eq!(config.rootfs.diff_ids, [Digest::from_bytes([0; 32])]);
        assert_eq!(config.steps(1)[0].created_by.as_deref(), Some("ADD base"));
        assert!(config.steps(2).is_empty(), "a history that does not fit the layers says nothing about them");
    }

    #[test]
    fn a_configuration_that_go_reads_otherwise_is_refused() {
        for (text, fine) in [
            ("{}", true),
            (r#"{"config":null,"rootfs":null,"history":null}"#, true),
            (r#"{"config":{"user":"root"}}"#, false),
            (r#"{"config":{"User":"app","USER":"root"}}"#, false),
            (r#"{"Config":{"User":"root"}}"#, false),
            (r#"{"config":{"Env":"A=b"}}"#, false),
            (r#"{"rootfs":{"diff_ids":["sha512:00"]}}"#, false),
            ("[]", false),
        ] {
            assert_eq!(ImageConfig::from_bytes(text.as_bytes()).is_ok(), fine, "{text}");
        }
        let deep = format!(r#"{{"x":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        assert!(matches!(ImageConfig::from_bytes(deep.as_bytes()), Err(ImageProblem::Json(_))));
        let large = " ".repeat(4 << 20) + "{}";
        assert!(matches!(ImageConfig::from_bytes(large.as_bytes()), Err(ImageProblem::TooLarge { .. })));
    }
}
