//! Artifacts: what a build made, down to every file and blob.

use std::collections::BTreeSet;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::{Digest, Hasher};
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
#[schemars(rename = "Artifact", description = "Something a build made.", extend("allOf" = fitting_fields()))]
struct ArtifactFields {
    /// Its name in the manifest.
    name: ArtifactName,
    kind: ArtifactKind,
    /// IANA media type of the blob that `digest` names.
    media_type: String,
    /// File: of its bytes. Terraform: of the tar archive. Image: of the OCI manifest or index, as the registry has it.
    /// Directory: SHA-256 over one line per file, `<mode octal> <size> <hex digest> <path>\n`.
    digest: Digest,
    /// Bytes that `digest` covers; for a directory the sum of its files' sizes.
    size: u64,
    /// The files of a directory or of a Terraform bundle; sorted by path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    files: Option<Vec<FileEntry>>,
    /// The OCI manifest or index of an image and every blob it reaches, itself first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    blobs: Option<Vec<BlobEntry>>,
}

/// Which kinds have `files`, and which `blobs`, as a schema.
fn fitting_fields() -> serde_json::Value {
    let rule = |kinds: &[&str], field: &str| {
        serde_json::json!({
            "if": { "properties": { "kind": { "enum": kinds } } },
            "then": { "required": [field] },
            "else": { "properties": { (field): { "type": "null" } } },
        })
    };
    serde_json::json!([rule(&["directory", "terraform"], "files"), rule(&["image"], "blobs")])
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

    /// How many files or blobs are listed. A bundle is one blob, however many files its list holds.
    pub(super) fn entries(&self) -> usize {
        match &self.content {
            Content::File | Content::Provider => 1,
            Content::Directory(files) | Content::Terraform(files) => files.len(),
            Content::Image(blobs) => blobs.len(),
        }
    }

    pub(super) fn check(&self) -> Result<(), String> {
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
