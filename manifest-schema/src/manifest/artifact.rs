//! Artifacts: what a build made, down to every file and blob.

use std::collections::BTreeSet;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Commit;
use super::provider::Provider;
use super::tree::{FileEntry, LinkEntry, check_tree, tree_digest};
use crate::digest::Digest;
use crate::names::{ArtifactName, RelativePath};

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
    Provider(Provider),
    /// One blob per file.
    Directory {
        /// Sorted by path.
        files: Vec<FileEntry>,
        /// Symbolic links from one place inside to another; sorted by path.
        links: Vec<LinkEntry>,
    },
    /// One tar archive.
    Terraform {
        /// What it holds, and nothing else; sorted by path.
        files: Vec<FileEntry>,
        /// Which of its directories came from outside the root module; sorted by path.
        modules: Vec<VendoredModule>,
    },
    /// The OCI manifest or index and every blob it reaches, itself first; then manifests that refer to any of those, and
    /// what they reach.
    Image(Vec<BlobEntry>),
}

/// A directory of a Terraform bundle that was copied into it from outside the root module.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct VendoredModule {
    /// Where it is in the bundle.
    pub path: RelativePath,
    /// Where it came from: a registry's or repository's address as Terraform recorded it, without credentials; or a
    /// path relative to the root module.
    pub source: String,
    /// Its version, if it came from a registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The commit that was checked out, if it came from a git repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<Commit>,
}

impl fmt::Display for VendoredModule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)?;
        self.version.iter().try_for_each(|version| write!(f, " {version}"))?;
        self.commit.iter().try_for_each(|commit| write!(f, " at {}", &commit.as_str()[..12]))
    }
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
#[schemars(rename = "Artifact", description = "Something a build made.", extend("allOf" = fitting_fields()))]
struct ArtifactFields {
    /// Its name in the manifest.
    name: ArtifactName,
    kind: ArtifactKind,
    /// IANA media type of the blob that `digest` names.
    media_type: String,
    /// File: of its bytes. Terraform: of the tar archive. Image: of the OCI manifest or index, as the registry has it.
    /// Directory: SHA-256 over one line per file, `<mode octal> <size> <hex digest> <path>\n`; a link counts as a file
    /// of mode 120000 that holds its target.
    digest: Digest,
    /// Bytes that `digest` covers; for a directory the sum of its files' sizes.
    size: u64,
    /// The files of a directory or of a Terraform bundle; sorted by path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    files: Option<Vec<FileEntry>>,
    /// The symbolic links of a directory, each to a place inside it; sorted by path.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    links: Vec<LinkEntry>,
    /// The OCI manifest or index of an image and every blob it reaches, itself first; then manifests that refer to any
    /// of those (`subject`), and what they reach.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    blobs: Option<Vec<BlobEntry>>,
    /// What a Terraform bundle holds of modules from outside its root module; sorted by path.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    modules: Vec<VendoredModule>,
    /// Which provider the archive holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    provider: Option<Provider>,
}

/// Which kinds have which of the fields that not all have, as a schema.
fn fitting_fields() -> serde_json::Value {
    let rule = |kinds: &[&str], field: &str| {
        serde_json::json!({
            "if": { "properties": { "kind": { "enum": kinds } } },
            "then": { "required": [field] },
            "else": { "properties": { (field): { "type": "null" } } },
        })
    };
    let only = |kind: &str, field: &str| {
        serde_json::json!({
            "if": { "properties": { "kind": { "const": kind } } },
            "else": { "properties": { (field): { "maxItems": 0 } } },
        })
    };
    serde_json::json!([
        rule(&["directory", "terraform"], "files"),
        rule(&["image"], "blobs"),
        rule(&["provider"], "provider"),
        only("directory", "links"),
        only("terraform", "modules"),
    ])
}

impl TryFrom<ArtifactFields> for Artifact {
    type Error = String;

    fn try_from(fields: ArtifactFields) -> Result<Self, String> {
        let ArtifactFields { name, kind, media_type, digest, size, files, links, blobs, modules, provider } = fields;
        let (no_links, no_modules) = (links.is_empty(), modules.is_empty());
        let content = match (kind, files, blobs, provider) {
            (ArtifactKind::Directory, Some(files), None, None) if no_modules => Content::Directory { files, links },
            (ArtifactKind::File, None, None, None) if no_links && no_modules => Content::File,
            (ArtifactKind::Provider, None, None, Some(provider)) if no_links && no_modules => {
                Content::Provider(provider)
            }
            (ArtifactKind::Terraform, Some(files), None, None) if no_links => Content::Terraform { files, modules },
            (ArtifactKind::Image, None, Some(blobs), None) if no_links && no_modules => Content::Image(blobs),
            (kind, _, _, _) => {
                return Err(format!(
                    "artifact {name}: `files`, `links`, `blobs`, `modules` or `provider` don't fit the kind {kind}"
                ));
            }
        };
        Ok(Self { name, media_type, digest, size, content })
    }
}

impl From<Artifact> for ArtifactFields {
    fn from(artifact: Artifact) -> Self {
        let kind = artifact.kind();
        let Artifact { name, media_type, digest, size, content } = artifact;
        let mut fields = Self {
            name,
            kind,
            media_type,
            digest,
            size,
            files: None,
            links: Vec::new(),
            blobs: None,
            modules: Vec::new(),
            provider: None,
        };
        match content {
            Content::File => {}
            Content::Provider(provider) => fields.provider = Some(provider),
            Content::Directory { files, links } => (fields.files, fields.links) = (Some(files), links),
            Content::Terraform { files, modules } => (fields.files, fields.modules) = (Some(files), modules),
            Content::Image(blobs) => fields.blobs = Some(blobs),
        }
        fields
    }
}

impl Artifact {
    /// Which kind it is.
    pub fn kind(&self) -> ArtifactKind {
        match self.content {
            Content::File => ArtifactKind::File,
            Content::Provider(_) => ArtifactKind::Provider,
            Content::Directory { .. } => ArtifactKind::Directory,
            Content::Terraform { .. } => ArtifactKind::Terraform,
            Content::Image(_) => ArtifactKind::Image,
        }
    }

    /// Every blob that the store must hold for this artifact.
    pub fn blobs(&self) -> Vec<BlobRef> {
        match &self.content {
            Content::File | Content::Provider(_) | Content::Terraform { .. } => {
                vec![BlobRef { digest: self.digest, size: self.size }]
            }
            Content::Directory { files, .. } => {
                files.iter().map(|file| BlobRef { digest: file.digest, size: file.size }).collect()
            }
            Content::Image(blobs) => {
                blobs.iter().map(|blob| BlobRef { digest: blob.digest, size: blob.size }).collect()
            }
        }
    }

    /// How many files, links or blobs are listed. A bundle is one blob, however many files its list holds.
    pub(super) fn entries(&self) -> usize {
        match &self.content {
            Content::File | Content::Provider(_) => 1,
            Content::Directory { files, links } => files.len() + links.len(),
            Content::Terraform { files, modules } => files.len() + modules.len(),
            Content::Image(blobs) => blobs.len(),
        }
    }

    pub(super) fn check(&self) -> Result<(), String> {
        let name = &self.name;
        match &self.content {
            Content::File | Content::Provider(_) => Ok(()),
            Content::Directory { files, links } => {
                check_tree(files, links).map_err(|problem| format!("artifact {name}: {problem}"))?;
                if self.digest != tree_digest(files, links) {
                    return Err(format!("artifact {name}: its digest is not that of its file list"));
                }
                if Some(self.size) != total(files.iter().map(|f| f.size)) {
                    return Err(format!("artifact {name}: its size is not the sum of its files"));
                }
                Ok(())
            }
            Content::Terraform { files, modules } => {
                check_tree(files, &[]).map_err(|problem| format!("artifact {name}: {problem}"))?;
                check_modules(files, modules).map_err(|problem| format!("artifact {name}: {problem}"))
            }
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

/// Each module is a directory of the bundle, named once, in order.
fn check_modules(files: &[FileEntry], modules: &[VendoredModule]) -> Result<(), String> {
    super::sorted("modules", modules.iter().map(|module| &module.path))?;
    let is_there = |module: &VendoredModule| {
        let directory = format!("{}/", module.path);
        let next = files.partition_point(|file| file.path.as_str() < directory.as_str());
        files.get(next).is_some_and(|file| file.path.as_str().starts_with(&directory))
    };
    match modules.iter().find(|module| !is_there(module)) {
        Some(module) => Err(format!("it holds nothing of the module {}", module.path)),
        None => Ok(()),
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
