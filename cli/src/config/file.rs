//! The words of `airlock.toml`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use manifest_schema::manifest::Platform;
use manifest_schema::names::{ArtifactName, EnvironmentName, ProjectName};
use serde::Deserialize;
use store::{BucketRules, Location};
use toml::Spanned;

use super::step::StepFields;
use super::{StepConfig, WhenBusy};

/// The whole file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Config {
    /// What is built.
    pub(crate) project: ProjectName,
    /// Raised when the CI job that numbers builds is made anew.
    #[serde(default)]
    pub(crate) epoch: u32,
    /// What a build makes.
    #[serde(default)]
    pub(crate) artifacts: BTreeMap<ArtifactName, ArtifactConfig>,
    /// What is done with it, in order, as it is written.
    #[serde(default, rename = "deploy")]
    written: Vec<Spanned<StepFields>>,
    /// What is done with it, in order.
    #[serde(skip)]
    pub(crate) deploy: Vec<StepConfig>,
    /// Reports about the build.
    #[serde(default)]
    pub(crate) evidence: Vec<EvidenceConfig>,
    /// Repositories that go into the build beside this one.
    #[serde(default)]
    pub(crate) sources: Vec<SourceConfig>,
    /// Where builds go.
    #[serde(default)]
    pub(crate) environments: BTreeMap<EnvironmentName, EnvironmentConfig>,
}

/// One `[artifacts.NAME]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", try_from = "ArtifactFields")]
pub(crate) struct ArtifactConfig {
    /// How it is packed.
    pub(crate) kind: PackKind,
    /// Where it is.
    pub(crate) path: PathBuf,
}

/// How an artifact is packed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PackKind {
    /// One file of this media type.
    File(Option<String>),
    /// A directory of files.
    Directory,
    /// An OCI image layout, an archive of one, or what `docker save` writes.
    Image,
    /// A Terraform root module.
    Terraform(BundleSettings),
}

/// Which providers go along with a Terraform bundle.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct BundleSettings {
    /// What they have to run on.
    pub(crate) platforms: Vec<Platform>,
    /// Where they come from, and nowhere else.
    pub(crate) mirror: Option<PathBuf>,
}

/// What workers run on, if airlock.toml doesn't say.
const PLATFORM: &str = "linux_amd64";

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct ArtifactFields {
    kind: KindWord,
    path: PathBuf,
    media_type: Option<String>,
    platforms: Option<Vec<String>>,
    provider_mirror: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum KindWord {
    File,
    Directory,
    Image,
    Terraform,
}

impl TryFrom<ArtifactFields> for ArtifactConfig {
    type Error = String;

    fn try_from(fields: ArtifactFields) -> Result<Self, Self::Error> {
        let ArtifactFields { kind, path, media_type, platforms, provider_mirror } = fields;
        if !matches!(kind, KindWord::Terraform) && (platforms.is_some() || provider_mirror.is_some()) {
            return Err("platforms and provider-mirror are for artifacts of kind \"terraform\"".to_owned());
        }
        let kind = match (kind, media_type) {
            (KindWord::File, media_type) => PackKind::File(media_type),
            (KindWord::Directory, None) => PackKind::Directory,
            (KindWord::Image, None) => PackKind::Image,
            (KindWord::Terraform, None) => {
                let platforms = platforms.unwrap_or_else(|| vec![PLATFORM.to_owned()]);
                let platforms = platforms.into_iter().map(Platform::new).collect::<Result<_, _>>();
                let platforms = platforms.map_err(|error| error.to_string())?;
                PackKind::Terraform(BundleSettings { platforms, mirror: provider_mirror })
            }
            (KindWord::Directory | KindWord::Image | KindWord::Terraform, Some(_)) => {
                return Err("media-type is for artifacts of kind \"file\"; the others have their own".to_owned());
            }
        };
        Ok(Self { kind, path })
    }
}

/// One `[[evidence]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct EvidenceConfig {
    /// Its name in the manifest.
    pub(crate) name: ArtifactName,
    /// What it reports on, as the trust policy names it.
    pub(crate) kind: String,
    /// The report.
    pub(crate) path: PathBuf,
    /// Its media type.
    pub(crate) media_type: String,
}

/// One `[[sources]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct SourceConfig {
    /// Where it is checked out.
    pub(crate) path: PathBuf,
    /// What the manifest calls it, instead of where it was cloned from.
    pub(crate) uri: Option<String>,
}

/// One `[environments.NAME]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct EnvironmentConfig {
    /// The artifacts store.
    pub(crate) artifacts: Option<Location>,
    /// `local`, or `lambda:…`.
    pub(crate) gateway: Option<String>,
    /// The production directory of a local gateway.
    pub(crate) production: Option<PathBuf>,
    /// Where changes are kept without a tracker.
    pub(crate) changes: Option<PathBuf>,
    /// What a deploy does while another build is being applied; it is refused if left out.
    pub(crate) when_busy: Option<WhenBusy>,
    /// Public keys of the roots that sign the first trust policy; a local gateway's own configuration pins them, too.
    #[serde(default)]
    pub(crate) roots: Vec<PathBuf>,
    /// How many of them must have signed it; 1 if left out.
    pub(crate) root_threshold: Option<u32>,
    /// How AWS is reached.
    #[serde(default)]
    pub(crate) aws: aws::Settings,
    /// What the owner of the artifacts bucket asks for.
    #[serde(default)]
    pub(crate) s3: BucketRules,
}

impl Config {
    /// Reads the text of a file.
    ///
    /// # Errors
    /// With the line, if it is known, and what is wrong there.
    pub(crate) fn parse(text: &str) -> Result<Self, (Option<usize>, String)> {
        let line = |at: usize| 1 + text[..at.min(text.len())].matches('\n').count();
        let mut config: Self = toml::from_str(text).map_err(|error| {
            let message = error.message().trim().replace('\n', "; ");
            (error.span().map(|span| line(span.start)), message)
        })?;
        for step in std::mem::take(&mut config.written) {
            let line = line(step.span().start);
            config.deploy.push(step.into_inner().try_into().map_err(|problem| (Some(line), problem))?);
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_read() {
        let config = Config::parse(include_str!("../../../examples/hello/airlock.toml")).unwrap();
        assert_eq!((config.project.as_str(), config.epoch), ("hello", 0));
        assert_eq!((config.artifacts.len(), config.deploy.len()), (3, 2));
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        for (text, line, message) in [
            ("project = \"Hello\"", 1, "not a project name"),
            ("project = \"a\"\nprojct = 1", 2, "unknown field `projct`"),
            ("project = \"a\"\n[artifacts.x]\nkind = \"tar\"\npath = \"p\"", 3, "unknown variant `tar`"),
            ("project = \"a\"\n[artifacts.x]\nkind = \"image\"\npath = \"p\"\nmedia-type = \"a/b\"", 2, "media-type"),
            ("project = \"a\"\n[artifacts.x]\nkind = \"file\"\npath = \"p\"\nplatforms = []", 2, "platforms and"),
            (
                "project = \"a\"\n[artifacts.x]\nkind = \"terraform\"\npath = \"p\"\nplatforms = [\"l\"]",
                2,
                "linux_amd64",
            ),
            ("project = \"a\"\n[[deploy]]\nvariables = {}", 2, "names one of terraform, task, service, files"),
            ("project = \"a\"\n[[deploy]]\nterraform = \"t\"\nvariables = { x = 1 }", 4, "expected a text"),
            (
                "project = \"a\"\n[[deploy]]\nterraform = \"t\"\ncpu = 256",
                2,
                "a terraform step has no cpu; it has variables",
            ),
            ("project = \"a\"\n[[deploy]]\nservice = \"s\"\ncpu = 256", 2, "containers is missing"),
            (
                "project = \"a\"\n[[deploy]]\nterraform = \"t\"\n\n[[deploy]]\nservice = \"s\"\n",
                5,
                "service s: a service step needs containers",
            ),
            (
                "project = \"a\"\n[[deploy]]\nservice = \"s\"\ncontainers = {}\ncommand = [\"x\"]",
                2,
                "a service step has no command; it has containers, cluster",
            ),
            (
                "project = \"a\"\n[[deploy]]\ntask = \"t\"\nservice = \"s\"\ncontainers = {}",
                2,
                "a task step needs service, containers, command: command is missing",
            ),
            (
                "project = \"a\"\n[[deploy]]\ntask = \"t\"\nservice = \"s\"\ncontainers = {}\ncommand = []\ncpu = 256",
                2,
                "a task step has no cpu",
            ),
            ("project = \"a\"\n[[deploy]]\ntask = \"a.b\"", 3, "is not a task's name: use"),
            ("project = \"a\"\n[[deploy]]\nservice = \"s\"\ncluster = \"arn:aws:ecs\"", 4, "not its ARN"),
            (
                "project = \"a\"\n[[deploy]]\nservice = \"s\"\nsecrets = { app = { X = \"plain\" } }",
                4,
                "unknown variant `plain`",
            ),
            (
                "project = \"a\"\n[[deploy]]\nterraform = \"t\"\nvariables = { x = { parameter = \"../y\" } }",
                4,
                "is not a parameter's name: use",
            ),
            (
                "project = \"a\"\n[[deploy]]\nterraform = \"t\"\nvariables = { x = { ssm = \"y\" } }",
                4,
                "expected one of `digest-of`, `parameter`, `secret`",
            ),
            (
                "project = \"a\"\n[[deploy]]\nterraform = \"t\"\nvariables = { x = { parameter = \"y\", secret = \"y\" } }",
                4,
                "leave one key",
            ),
            ("project = \"a\"\n[[deploy]]\nterraform = \"t\"\nvariables = { x = {} }", 4, "expected"),
            ("project = \"a\"\nproject = \"b\"", 2, "duplicate key"),
            ("epoch = 1", 1, "missing field `project`"),
            ("project = \"a\"\n[environments.p]\nartifacts = \"s4://x\"", 3, "not a store's location"),
            ("project = \"a\"\nepoch = -1", 2, "-1"),
            ("project =", 1, ""),
        ] {
            let (found, problem) = Config::parse(text).unwrap_err();
            assert_eq!(found, Some(line), "{text:?}: {problem}");
            assert!(problem.contains(message), "{text:?}: {problem}");
        }
    }
}
