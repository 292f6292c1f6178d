//! The build manifest: what a build made, from which sources, and how to deploy it.

mod artifact;
mod check;
mod files;
mod function;
mod provider;
mod revision;
mod schedule;
mod service;
mod step;
mod task;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::json::{Document, schema_tag};
use crate::names::{ArtifactName, ProjectName, string_schema};
use crate::time::Timestamp;

pub use artifact::{Artifact, ArtifactKind, BlobEntry, BlobRef, Content, VendoredModule};
pub(crate) use files::place;
pub use files::{FilesStep, HeaderRule, HeaderValue, Headers, PathPattern};
pub use function::{FunctionCode, FunctionStep, LARGEST_ZIP};
pub use provider::{Platform, Provider, ProviderAddress, ProviderVersion};
pub use revision::{Revision, environment_path, secret_path};
pub use schedule::{ScheduleStep, Trigger};
pub use service::{SecretReference, ServiceStep};
pub use step::{Step, Variable};
pub use task::TaskStep;
pub use tree::{FileEntry, FileMode, LinkEntry, TreeProblem, check_tree, tree_digest};

schema_tag!(BuildManifestSchema, "airlock/build-manifest/v1");

/// The document naming every artifact of a build, its sources and its deploy steps. Stored as a blob; the SHA-256 of
/// its bytes, the manifest digest, is the build's identity everywhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct BuildManifest {
    /// Always `airlock/build-manifest/v1`.
    pub schema: BuildManifestSchema,
    /// What was built.
    pub project: ProjectName,
    /// Which build of it.
    pub build: Build,
    /// Every repository that went into the build, the pipeline library included; sorted by `uri`.
    pub sources: Vec<Source>,
    /// What the build made; sorted by name.
    pub artifacts: Vec<Artifact>,
    /// What to do with it, in order.
    pub deploy: Vec<Step>,
    /// Scan and test reports; sorted by name.
    pub evidence: Vec<Evidence>,
}

/// One build: its number and where it ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Build {
    /// Raised when the CI job that numbers builds is made anew.
    pub epoch: u32,
    /// Given by one CI job per project; it only grows.
    pub number: u64,
    /// The CI's own name for the build, such as Jenkins' `BUILD_TAG`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Where a person can look at the build.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Who built it: a URI naming the CI system and job, or `local`.
    pub builder: String,
}

impl Build {
    /// The number that orders builds of a project.
    pub fn number(&self) -> BuildNumber {
        BuildNumber { epoch: self.epoch, number: self.number }
    }
}

/// `epoch.number`: builds of one project in the order they were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BuildNumber {
    /// Raised when the CI job that numbers builds is made anew.
    pub epoch: u32,
    /// The CI job's own number.
    pub number: u64,
}

string_schema!(BuildNumber, "BuildNumber", "^(0|[1-9][0-9]*)\\.(0|[1-9][0-9]*)$", "A build: epoch.number.");

/// Text that is no build number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a build: expected epoch.number such as 0.12")]
pub struct BuildNumberError(String);

impl fmt::Display for BuildNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.number)
    }
}

impl FromStr for BuildNumber {
    type Err = BuildNumberError;

    fn from_str(text: &str) -> Result<Self, BuildNumberError> {
        let parsed = text
            .split_once('.')
            .and_then(|(epoch, number)| Some(Self { epoch: epoch.parse().ok()?, number: number.parse().ok()? }));
        // One spelling only: no sign, no leading zero.
        parsed.filter(|build| build.to_string() == text).ok_or_else(|| BuildNumberError(text.to_owned()))
    }
}

impl TryFrom<String> for BuildNumber {
    type Error = BuildNumberError;

    fn try_from(text: String) -> Result<Self, BuildNumberError> {
        text.parse()
    }
}

impl From<BuildNumber> for String {
    fn from(build: BuildNumber) -> Self {
        build.to_string()
    }
}

/// One source repository at one commit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Source {
    /// The repository, without credentials.
    pub uri: String,
    /// The commit's full hexadecimal id.
    pub commit: Commit,
    /// When the commit was made (the committer's date).
    pub committed_at: Timestamp,
    /// The full ref it was built from, such as `refs/heads/main`.
    #[serde(rename = "ref")]
    pub reference: String,
    /// Present and true when tracked files differed from the commit.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dirty: bool,
}

/// A git commit id: 40 (SHA-1) or 64 (SHA-256) lower-case hex digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Commit(String);

string_schema!(Commit, "Commit", "^([0-9a-f]{40}|[0-9a-f]{64})$", "A git commit id.");

impl Commit {
    /// The hexadecimal id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Commit {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let hex = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if hex && matches!(text.len(), 40 | 64) { Ok(Self(text)) } else { Err(format!("{text:?} is not a commit id")) }
    }
}

impl From<Commit> for String {
    fn from(commit: Commit) -> Self {
        commit.0
    }
}

/// A report about the build: a scan, a test run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Evidence {
    /// Its name in the manifest.
    pub name: ArtifactName,
    /// What it reports on, as the trust policy names it: `sast`, `dependencies`, `tests`.
    pub kind: String,
    /// Media type: `application/sarif+json`, or `application/vnd.dsse.envelope.v1+json` for a report its maker signed.
    pub media_type: String,
    /// SHA-256 of the bytes.
    pub digest: Digest,
    /// Length in bytes.
    pub size: u64,
}

/// Most entries of one list in a manifest.
const MOST_ENTRIES: usize = 1_000_000;

/// Most deploy steps of a manifest: plan summaries and deployment records, which have an entry for each, stay within
/// their limits.
const MOST_STEPS: usize = 200;

impl Document for BuildManifest {
    const SCHEMA: &'static str = BuildManifestSchema::NAME;
    const NAME: &'static str = "build manifest";
    const LIMIT: usize = 64 << 20;

    fn check(&self) -> Result<(), String> {
        let entries: usize = self.artifacts.iter().map(Artifact::entries).sum();
        if entries > MOST_ENTRIES {
            return Err(format!("{entries} entries; at most {MOST_ENTRIES} are read"));
        }
        sorted("artifacts", self.artifacts.iter().map(|a| &a.name))?;
        sorted("evidence", self.evidence.iter().map(|e| &e.name))?;
        sorted("sources", self.sources.iter().map(|s| &s.uri))?;
        self.artifacts.iter().try_for_each(Artifact::check)?;
        self.check_providers()?;
        self.check_steps()
    }
}

fn sorted<T: Ord + fmt::Display>(list: &str, names: impl Iterator<Item = T>) -> Result<(), String> {
    let names: Vec<T> = names.collect();
    match names.windows(2).find(|pair| pair[0] >= pair[1]) {
        Some(pair) => Err(format!("{list} must be sorted and listed once: {} and {}", pair[0], pair[1])),
        None => Ok(()),
    }
}

impl BuildManifest {
    /// Looks an artifact up by name.
    pub fn artifact(&self, name: &ArtifactName) -> Option<&Artifact> {
        self.artifacts.iter().find(|artifact| artifact.name == *name)
    }

    /// Every blob that must be in the store before this build may be pointed to, each once.
    pub fn blobs(&self) -> BTreeSet<BlobRef> {
        let evidence = self.evidence.iter().map(|e| BlobRef { digest: e.digest, size: e.size });
        self.artifacts.iter().flat_map(Artifact::blobs).chain(evidence).collect()
    }

    /// The images that steps run, each once, and what each is made of.
    pub fn images_to_run(&self) -> impl Iterator<Item = (&Artifact, &[BlobEntry])> {
        let run: BTreeSet<&ArtifactName> = self.deploy.iter().flat_map(Step::images).collect();
        self.artifacts.iter().filter(move |artifact| run.contains(&artifact.name)).filter_map(
            |artifact| match &artifact.content {
                Content::Image(blobs) => Some((artifact, blobs.as_slice())),
                Content::File | Content::Provider(_) | Content::Directory { .. } | Content::Terraform { .. } => None,
            },
        )
    }

    /// The Terraform step, if there is one: its bundle and its variables.
    pub fn terraform(&self) -> Option<(&Artifact, &BTreeMap<String, Variable>)> {
        self.deploy.iter().find_map(|step| match step {
            Step::Terraform { artifact, variables } => Some((self.artifact(artifact)?, variables)),
            Step::Service(_) | Step::Task(_) | Step::Files(_) | Step::Function(_) | Step::Schedule(_) => None,
        })
    }

    /// The service steps, in their order.
    pub fn services(&self) -> impl Iterator<Item = &ServiceStep> {
        self.deploy.iter().filter_map(|step| match step {
            Step::Service(service) => Some(service),
            Step::Terraform { .. } | Step::Task(_) | Step::Files(_) | Step::Function(_) | Step::Schedule(_) => None,
        })
    }

    /// The steps that run something once, in their order.
    pub fn tasks(&self) -> impl Iterator<Item = &TaskStep> {
        self.deploy.iter().filter_map(|step| match step {
            Step::Task(task) => Some(task),
            Step::Terraform { .. } | Step::Service(_) | Step::Files(_) | Step::Function(_) | Step::Schedule(_) => None,
        })
    }

    /// The steps that put files into S3, in their order, each with the files.
    pub fn files(&self) -> impl Iterator<Item = (&FilesStep, &[FileEntry])> {
        self.deploy.iter().filter_map(|step| match step {
            Step::Files(step) => match &self.artifact(&step.artifact)?.content {
                Content::Directory { files, .. } => Some((step, files.as_slice())),
                Content::File | Content::Provider(_) | Content::Terraform { .. } | Content::Image(_) => None,
            },
            Step::Terraform { .. } | Step::Service(_) | Step::Task(_) | Step::Function(_) | Step::Schedule(_) => None,
        })
    }

    /// The steps of scheduled tasks, in their order.
    pub fn schedules(&self) -> impl Iterator<Item = &ScheduleStep> {
        self.deploy.iter().filter_map(|step| match step {
            Step::Schedule(schedule) => Some(schedule),
            Step::Terraform { .. } | Step::Service(_) | Step::Task(_) | Step::Files(_) | Step::Function(_) => None,
        })
    }

    /// The steps of Lambda functions, in their order.
    pub fn functions(&self) -> impl Iterator<Item = &FunctionStep> {
        self.deploy.iter().filter_map(|step| match step {
            Step::Function(function) => Some(function),
            Step::Terraform { .. } | Step::Service(_) | Step::Task(_) | Step::Files(_) | Step::Schedule(_) => None,
        })
    }

    /// The steps in the order in which they are done, those of one group at the same time; each with its place, from 1.
    pub fn stages(&self) -> Vec<Vec<(u32, &Step)>> {
        let numbered: Vec<(u32, &Step)> = (1..).zip(&self.deploy).collect();
        let together = |a: &(u32, &Step), b: &(u32, &Step)| a.1.group().is_some() && a.1.group() == b.1.group();
        numbered.chunk_by(together).map(<[_]>::to_vec).collect()
    }

    /// The providers that the build brings, each with its archive.
    pub fn providers(&self) -> impl Iterator<Item = (&Provider, &Artifact)> {
        self.artifacts.iter().filter_map(|artifact| match &artifact.content {
            Content::Provider(provider) => Some((provider, artifact)),
            Content::File | Content::Directory { .. } | Content::Terraform { .. } | Content::Image(_) => None,
        })
    }

    /// The public text that a variable has in this build; `None` when only production knows it, or when it names an
    /// artifact that is not there.
    pub fn public_text(&self, variable: &Variable) -> Option<String> {
        match variable {
            Variable::Value(text) => Some(text.clone()),
            Variable::DigestOf(name) => self.artifact(name).map(|artifact| artifact.digest.to_string()),
            Variable::Parameter(_) | Variable::Secret(_) => None,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
