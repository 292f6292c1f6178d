//! The registry that images are pushed into. A manifest chooses nothing of it.

use std::fmt;
use std::path::PathBuf;

use manifest_schema::Digest;
use manifest_schema::names::{ArtifactName, NameError, ProjectName};
use manifest_schema::registry::{Address, Repository};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::is_default;

/// Where images go, and who pushes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct RegistryConfig {
    /// Such as `222222222222.dkr.ecr.eu-central-1.amazonaws.com`. ECR's are entered as who this worker is in AWS.
    pub address: Address,
    /// In which repository the images of an artifact are.
    #[serde(default, skip_serializing_if = "is_default")]
    pub repository: RepositoryTemplate,
    /// Whether each image gets its build's number as a tag, `EPOCH.NUMBER`. It is for people: nothing is deployed by it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub tag: bool,
    /// Who pushes into a registry that isn't ECR's; nobody in particular without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<RegistryLogin>,
}

/// A user of a registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct RegistryLogin {
    /// The user's name.
    pub user: String,
    /// The file that holds the password, or a token that is shown as one, in one line.
    pub password_file: PathBuf,
}

impl RegistryConfig {
    /// Where the images of an artifact are.
    ///
    /// # Errors
    /// When the names make no repository's name: a registry takes fewer of them than a build manifest.
    pub fn repository(&self, project: &ProjectName, artifact: &ArtifactName) -> Result<Repository, NameError> {
        self.repository.fill(project, artifact)
    }

    /// What is deployed: `REGISTRY/REPOSITORY@sha256:…`.
    ///
    /// # Errors
    /// As [`Self::repository`].
    pub fn image_reference(
        &self,
        project: &ProjectName,
        artifact: &ArtifactName,
        digest: &Digest,
    ) -> Result<String, NameError> {
        Ok(format!("{}/{}@{digest}", self.address, self.repository(project, artifact)?))
    }
}

/// Reads a configuration that doesn't contradict itself.
///
/// # Errors
/// When it is no such configuration, or does.
pub(super) fn sound<'de, D: Deserializer<'de>>(from: D) -> Result<Option<RegistryConfig>, D::Error> {
    let config = Option::<RegistryConfig>::deserialize(from)?;
    match &config {
        Some(config) if config.login.is_some() && config.address.ecr().is_some() => Err(D::Error::custom(
            "registry: AWS gives the password of a registry of ECR to who may have it: remove `login`",
        )),
        Some(config) if config.tag && !config.repository.0.contains(ARTIFACT) => Err(D::Error::custom(
            "registry: the images of a build would all have the same tag: put {artifact} into `repository`, or remove `tag`",
        )),
        Some(_) | None => Ok(config),
    }
}

const PROJECT: &str = "{project}";
const ARTIFACT: &str = "{artifact}";

/// A repository's name with `{project}` and, in another part of it, maybe `{artifact}`: so no two projects have the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepositoryTemplate(String);

impl RepositoryTemplate {
    fn fill(&self, project: &ProjectName, artifact: &ArtifactName) -> Result<Repository, NameError> {
        // Names hold no braces.
        self.0.replace(PROJECT, project.as_str()).replace(ARTIFACT, artifact.as_str()).parse()
    }
}

impl Default for RepositoryTemplate {
    fn default() -> Self {
        Self(format!("{PROJECT}/{ARTIFACT}"))
    }
}

impl fmt::Display for RepositoryTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for RepositoryTemplate {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        let holding = |name: &str| text.split('/').map(|part| part.matches(name).count()).collect::<Vec<_>>();
        let (projects, artifacts) = (holding(PROJECT), holding(ARTIFACT));
        let apart = projects.iter().zip(&artifacts).all(|(projects, artifacts)| projects + artifacts <= 1);
        let once = projects.iter().sum::<usize>() == 1 && artifacts.iter().sum::<usize>() <= 1;
        let sample: Result<Repository, _> = text.replace(PROJECT, "p").replace(ARTIFACT, "a").parse();
        if apart && once && sample.is_ok() {
            return Ok(Self(text));
        }
        let rule = "use a repository's name with {project} once, and maybe {artifact} in another of the parts between /, \
                    such as {project}/{artifact}";
        Err(NameError { kind: "template of repositories", value: text, rule })
    }
}

impl From<RepositoryTemplate> for String {
    fn from(template: RepositoryTemplate) -> Self {
        template.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(text: &str) -> Result<RepositoryTemplate, NameError> {
        RepositoryTemplate::try_from(text.to_owned())
    }

    #[test]
    fn no_two_projects_share_a_repository() {
        for good in ["{project}/{artifact}", "{project}", "prod/{artifact}/{project}", "prod-{project}/x-{artifact}"] {
            assert_eq!(template(good).unwrap().to_string(), good);
        }
        for bad in [
            "",
            "prod",
            "{artifact}",
            "{project}-{artifact}",
            "{project}/{project}",
            "{project}/{artifact}/{artifact}",
            "{project}/{name}",
            "{project}//a",
            "Prod/{project}",
            "{project}:latest",
            "../{project}",
        ] {
            let error = template(bad).unwrap_err();
            assert!(error.to_string().contains("such as {project}/{artifact}"), "{bad}: {error}");
        }
    }

    #[test]
    fn an_image_is_named_by_registry_repository_and_digest() {
        let config: RegistryConfig = serde_json::from_str(r#"{"address": "Registry.example.com:5000"}"#).unwrap();
        let (project, web, digest) = ("hello".parse().unwrap(), "web".parse().unwrap(), Digest::of(b""));
        let reference = config.image_reference(&project, &web, &digest).unwrap();
        assert_eq!(reference, format!("registry.example.com:5000/hello/web@{digest}"));
        let odd: ArtifactName = "a___b".parse().unwrap();
        let error = config.image_reference(&project, &odd, &digest).unwrap_err().to_string();
        assert!(error.starts_with(r#""hello/a___b" is not a repository: "#), "{error}");
    }

    #[test]
    fn what_is_default_is_left_out() {
        for text in [
            r#"{"address":"registry.example.com"}"#,
            r#"{"address":"127.0.0.1:5000","repository":"x/{project}","tag":true,"login":{"user":"u","passwordFile":"p"}}"#,
        ] {
            let config: RegistryConfig = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&config).unwrap(), text);
        }
        for bad in [
            r#"{"address":"https://registry.example.com"}"#,
            r#"{"address":"a","repository":"x"}"#,
            r#"{"address":"a","x":1}"#,
            r#"{"address":"a","login":{"user":"u","password":"p"}}"#,
        ] {
            assert!(serde_json::from_str::<RegistryConfig>(bad).is_err(), "{bad}");
        }
    }
}
