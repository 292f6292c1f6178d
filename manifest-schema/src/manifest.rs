//! The build manifest: what a build made, from which sources, and how to deploy it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::{Digest, Hasher};
use crate::json::{Document, schema_tag, unique_map};
use crate::names::{ArtifactName, ProjectName, RelativePath, ServiceName, string_schema};
use crate::time::Timestamp;

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

/// Something a build made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "ArtifactFields", into = "ArtifactFields")]
#[schemars(with = "ArtifactFields")]
pub struct Artifact {
    /// Its name in the manifest.
    pub name: ArtifactName,
    /// IANA media type of the blob that `digest` names.
    pub media_type: String,
    /// File: of its bytes. Terraform: of the tar archive. Image: of the OCI manifest or index, as the registry has it.
    /// Directory: of its [`tree_digest`].
    pub digest: Digest,
    /// Bytes that `digest` covers; for a directory the sum of its files' sizes.
    pub size: u64,
    /// What it is made of.
    pub content: Content,
}

/// What an artifact is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// One blob.
    File,
    /// A Terraform provider's archive: one blob.
    Provider,
    /// One blob per file.
    Directory(Vec<FileEntry>),
    /// One tar archive, holding exactly these files.
    Terraform(Vec<FileEntry>),
    /// The OCI manifest or index and every blob it reaches, itself first.
    Image(Vec<BlobEntry>),
}

/// The kinds of artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ArtifactKind {
    /// One file.
    File,
    /// A directory of files.
    Directory,
    /// A Terraform root module with everything it needs.
    Terraform,
    /// A Terraform provider.
    Provider,
    /// An OCI image.
    Image,
}

impl fmt::Display for ArtifactKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::File => "file",
            Self::Directory => "directory",
            Self::Terraform => "terraform",
            Self::Provider => "provider",
            Self::Image => "image",
        })
    }
}

#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schemars(rename = "Artifact")]
struct ArtifactFields {
    name: ArtifactName,
    kind: ArtifactKind,
    media_type: String,
    digest: Digest,
    size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    files: Option<Vec<FileEntry>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    blobs: Option<Vec<BlobEntry>>,
}

impl TryFrom<ArtifactFields> for Artifact {
    type Error = String;

    fn try_from(fields: ArtifactFields) -> Result<Self, String> {
        let ArtifactFields { name, kind, media_type, digest, size, files, blobs } = fields;
        let content = match (kind, files, blobs) {
            (ArtifactKind::File, None, None) => Content::File,
            (ArtifactKind::Provider, None, None) => Content::Provider,
            (ArtifactKind::Directory, Some(files), None) => Content::Directory(files),
            (ArtifactKind::Terraform, Some(files), None) => Content::Terraform(files),
            (ArtifactKind::Image, None, Some(blobs)) => Content::Image(blobs),
            (kind, _, _) => {
                return Err(format!("artifact {name}: `files` or `blobs` don't fit the kind {kind}"));
            }
        };
        Ok(Self { name, media_type, digest, size, content })
    }
}

impl From<Artifact> for ArtifactFields {
    fn from(artifact: Artifact) -> Self {
        let kind = artifact.kind();
        let Artifact { name, media_type, digest, size, content } = artifact;
        let (files, blobs) = match content {
            Content::File | Content::Provider => (None, None),
            Content::Directory(files) | Content::Terraform(files) => (Some(files), None),
            Content::Image(blobs) => (None, Some(blobs)),
        };
        Self { name, kind, media_type, digest, size, files, blobs }
    }
}

impl Artifact {
    /// Which kind it is.
    pub fn kind(&self) -> ArtifactKind {
        match self.content {
            Content::File => ArtifactKind::File,
            Content::Provider => ArtifactKind::Provider,
            Content::Directory(_) => ArtifactKind::Directory,
            Content::Terraform(_) => ArtifactKind::Terraform,
            Content::Image(_) => ArtifactKind::Image,
        }
    }

    /// Every blob that the store must hold for this artifact.
    pub fn blobs(&self) -> Vec<BlobRef> {
        match &self.content {
            Content::File | Content::Provider | Content::Terraform(_) => {
                vec![BlobRef { digest: self.digest, size: self.size }]
            }
            Content::Directory(files) => {
                files.iter().map(|file| BlobRef { digest: file.digest, size: file.size }).collect()
            }
            Content::Image(blobs) => {
                blobs.iter().map(|blob| BlobRef { digest: blob.digest, size: blob.size }).collect()
            }
        }
    }

    fn check(&self) -> Result<(), String> {
        let name = &self.name;
        match &self.content {
            Content::File | Content::Provider => Ok(()),
            Content::Directory(files) => {
                check_tree(name, files)?;
                if self.digest != tree_digest(files) {
                    return Err(format!("artifact {name}: its digest is not that of its file list"));
                }
                if Some(self.size) != total(files.iter().map(|f| f.size)) {
                    return Err(format!("artifact {name}: its size is not the sum of its files"));
                }
                Ok(())
            }
            Content::Terraform(files) => check_tree(name, files),
            Content::Image(blobs) => match blobs.first() {
                Some(first) if first.digest == self.digest && first.size == self.size => {
                    let distinct: BTreeSet<_> = blobs.iter().map(|b| b.digest).collect();
                    if distinct.len() == blobs.len() {
                        Ok(())
                    } else {
                        Err(format!("artifact {name}: a blob is listed twice"))
                    }
                }
                Some(_) | None => Err(format!("artifact {name}: its first blob must be its own manifest")),
            },
        }
    }
}

fn total(sizes: impl Iterator<Item = u64>) -> Option<u64> {
    sizes.into_iter().try_fold(0u64, u64::checked_add)
}

/// One blob: what it hashes to and how long it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BlobRef {
    /// SHA-256 of the bytes.
    pub digest: Digest,
    /// Length in bytes.
    pub size: u64,
}

impl BlobRef {
    /// The reference to exactly these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self { digest: Digest::of(bytes), size: bytes.len() as u64 }
    }
}

/// One blob of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct BlobEntry {
    /// As the OCI descriptor says.
    pub media_type: String,
    /// SHA-256 of the bytes.
    pub digest: Digest,
    /// Length in bytes.
    pub size: u64,
}

/// One file of a directory or of a Terraform bundle.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Where it is inside the artifact.
    pub path: RelativePath,
    /// Whether it may be executed. Nothing else of its mode crosses the gap, so that the same checkout gives the same
    /// manifest under any umask.
    pub mode: FileMode,
    /// SHA-256 of the bytes.
    pub digest: Digest,
    /// Length in bytes.
    pub size: u64,
}

/// The two modes a file can have, as git records them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum FileMode {
    /// `0644`.
    #[serde(rename = "0644")]
    Regular,
    /// `0755`.
    #[serde(rename = "0755")]
    Executable,
}

impl FileMode {
    /// The permission bits.
    pub fn bits(self) -> u32 {
        match self {
            Self::Regular => 0o644,
            Self::Executable => 0o755,
        }
    }
}

/// The identity of a directory: SHA-256 over one line per file, `<mode octal> <size> <hex digest> <path>\n`.
pub fn tree_digest(files: &[FileEntry]) -> Digest {
    let mut hasher = Hasher::default();
    for file in files {
        let line = format!("{:04o} {} {} {}\n", file.mode.bits(), file.size, file.digest.hex(), file.path);
        hasher.update(line.as_bytes());
    }
    hasher.finish().0
}

/// Sorted, no path twice, none inside another file, none that differs only in case (it would overwrite its twin on a
/// case-insensitive file system).
fn check_tree(name: &ArtifactName, files: &[FileEntry]) -> Result<(), String> {
    if let Some(pair) = files.windows(2).find(|pair| pair[0].path >= pair[1].path) {
        return Err(format!(
            "artifact {name}: files must be sorted and listed once: {} and {}",
            pair[0].path, pair[1].path
        ));
    }
    let mut folded = BTreeSet::new();
    for file in files {
        if !folded.insert(file.path.as_str().to_lowercase()) {
            return Err(format!("artifact {name}: two paths differ only in case: {}", file.path));
        }
    }
    for path in &folded {
        let mut parent = path.as_str();
        while let Some((shorter, _)) = parent.rsplit_once('/') {
            if folded.contains(shorter) {
                return Err(format!("artifact {name}: {shorter} is both a file and a directory"));
            }
            parent = shorter;
        }
    }
    Ok(())
}

/// One thing to do when the build is deployed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Step {
    /// Plan and apply a Terraform bundle. At most one in a manifest.
    Terraform {
        /// The bundle.
        artifact: ArtifactName,
        /// Input variables; public, nothing secret belongs here.
        #[serde(default, deserialize_with = "unique_map", skip_serializing_if = "BTreeMap::is_empty")]
        variables: BTreeMap<String, Variable>,
    },
    /// Make an ECS service run images of this build.
    Service {
        /// The service.
        service: ServiceName,
        /// Container name in the task definition → image artifact.
        #[serde(deserialize_with = "unique_map")]
        containers: BTreeMap<ServiceName, ArtifactName>,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Terraform { artifact, .. } => write!(f, "terraform {artifact}"),
            Self::Service { service, .. } => write!(f, "service {service}"),
        }
    }
}

/// The value of a Terraform input variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Variable {
    /// A fixed text.
    Value(String),
    /// The digest of an artifact of this build, `sha256:…`.
    DigestOf(ArtifactName),
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

impl Document for BuildManifest {
    const SCHEMA: &'static str = BuildManifestSchema::NAME;
    const NAME: &'static str = "build manifest";
    const LIMIT: usize = 64 << 20;

    fn check(&self) -> Result<(), String> {
        let entries: usize = self.artifacts.iter().map(|artifact| artifact.blobs().len()).sum();
        if entries > MOST_ENTRIES {
            return Err(format!("{entries} entries; at most {MOST_ENTRIES} are read"));
        }
        sorted("artifacts", self.artifacts.iter().map(|a| &a.name))?;
        sorted("evidence", self.evidence.iter().map(|e| &e.name))?;
        sorted("sources", self.sources.iter().map(|s| &s.uri))?;
        self.artifacts.iter().try_for_each(Artifact::check)?;
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

    /// The Terraform step, if there is one: its bundle and its variables.
    pub fn terraform(&self) -> Option<(&Artifact, &BTreeMap<String, Variable>)> {
        self.deploy.iter().find_map(|step| match step {
            Step::Terraform { artifact, variables } => Some((self.artifact(artifact)?, variables)),
            Step::Service { .. } => None,
        })
    }

    /// The text that a variable has in this build; `None` when it names an artifact that is not there.
    pub fn resolve(&self, variable: &Variable) -> Option<String> {
        match variable {
            Variable::Value(text) => Some(text.clone()),
            Variable::DigestOf(name) => self.artifact(name).map(|artifact| artifact.digest.to_string()),
        }
    }

    fn check_steps(&self) -> Result<(), String> {
        let mut terraform = 0;
        let mut services = BTreeSet::new();
        for step in &self.deploy {
            match step {
                Step::Terraform { artifact, variables } => {
                    terraform += 1;
                    self.expect_kind(step, artifact, ArtifactKind::Terraform)?;
                    for (name, variable) in variables {
                        if self.resolve(variable).is_none() {
                            return Err(format!("{step}: variable {name} names an artifact that the build has not"));
                        }
                    }
                }
                Step::Service { service, containers } => {
                    if !services.insert(service) {
                        return Err(format!("{step}: the service is deployed twice"));
                    }
                    if containers.is_empty() {
                        return Err(format!("{step}: no container is named"));
                    }
                    for image in containers.values() {
                        self.expect_kind(step, image, ArtifactKind::Image)?;
                    }
                }
            }
        }
        if terraform > 1 { Err(format!("{terraform} terraform steps; at most one is allowed")) } else { Ok(()) }
    }

    fn expect_kind(&self, step: &Step, name: &ArtifactName, kind: ArtifactKind) -> Result<(), String> {
        match self.artifact(name) {
            Some(artifact) if artifact.kind() == kind => Ok(()),
            Some(artifact) => Err(format!("{step}: artifact {name} is of kind {}, not {kind}", artifact.kind())),
            None => Err(format!("{step}: there is no artifact {name}")),
        }
    }
}
