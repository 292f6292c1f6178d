//! Gates 11 to 13: everything that a job needs, streamed through digest checks, extracted safely, and judged.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;

use artifacts::{BundleLimits, ExtractError, extract_bundle};
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use manifest_schema::gates::Admission;
use manifest_schema::job::Happening;
use manifest_schema::manifest::{Artifact, BlobRef, BuildManifest, Content, FileEntry, Step};
use manifest_schema::storage::Key;
use manifest_schema::{Code, Reason};
use policy::configuration::{self, ConfigFile};
use records::with_causes;

use crate::session::Session;
use crate::stop::Stop;
use crate::work::{WorkDir, private_directory, private_file};

/// How thoroughly images are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Images {
    /// Only that each blob is there and has its size: a plan moves none of them.
    Present,
    /// Every byte, as it would stream into the registry.
    Streamed,
}

/// What was fetched.
pub(crate) struct Fetched {
    /// The root module, when the build has a Terraform step.
    pub(crate) bundle: Option<PathBuf>,
}

/// Fetches what the build's steps need.
pub(crate) async fn run(
    session: &Session,
    admission: &Admission,
    work: &WorkDir,
    images: Images,
) -> Result<Fetched, Stop> {
    let manifest = admission.manifest().manifest();
    let mut seen = Seen::default();
    let mut bundle = None;
    if let Some((artifact, _)) = manifest.terraform() {
        let blob = BlobRef { digest: artifact.digest, size: artifact.size };
        bundle = Some(extract(session, work, artifact, blob).await?);
        seen.add(blob);
        judge(admission, artifact, &work.join("bundle"))?;
    }
    for blob in image_blobs(manifest) {
        session.may_go_on()?;
        match images {
            Images::Present => present(session, blob).await?,
            Images::Streamed => {
                session.sides().artifacts.read_blob(&blob, io::sink()).await?;
                seen.add(blob);
            }
        }
    }
    session.say(Happening::Fetched { blobs: seen.blobs, bytes: seen.bytes }).await?;
    Ok(Fetched { bundle })
}

#[derive(Default)]
struct Seen {
    blobs: u64,
    bytes: u64,
}

impl Seen {
    fn add(&mut self, blob: BlobRef) {
        self.blobs += 1;
        self.bytes += blob.size;
    }
}

/// The blobs of every image that a step uses, each once.
fn image_blobs(manifest: &BuildManifest) -> BTreeSet<BlobRef> {
    let containers = manifest.deploy.iter().flat_map(|step| match step {
        Step::Service { containers, .. } => containers.values().collect::<Vec<_>>(),
        Step::Terraform { .. } => Vec::new(),
    });
    containers.filter_map(|name| manifest.artifact(name)).flat_map(Artifact::blobs).collect()
}

async fn present(session: &Session, blob: BlobRef) -> Result<(), Stop> {
    let artifacts = &session.sides().artifacts;
    match artifacts.size_of(&Key::Blob(blob.digest)).await? {
        Some(size) if size == blob.size => Ok(()),
        Some(size) => {
            let message = format!("{} has {size} bytes in {}, not {}", blob.digest, artifacts.location(), blob.size);
            Err(Stop::refused(Code::BlobMismatch, message))
        }
        None => Err(Stop::refused(Code::BlobMissing, format!("{} is not in {}", blob.digest, artifacts.location()))),
    }
}

/// Streams the bundle into the private directory, and extracts it only when it is what the manifest names.
async fn extract(session: &Session, work: &WorkDir, artifact: &Artifact, blob: BlobRef) -> Result<PathBuf, Stop> {
    let failed = |error: io::Error| Stop::failed(format!("can't write to the work directory: {error}"));
    let (archive, root) = (work.join("bundle.tar"), work.join("bundle"));
    let sink = private_file(&archive).map_err(failed)?;
    session.sides().artifacts.read_blob(&blob, sink).await?;
    private_directory(&root).map_err(failed)?;
    let into = Dir::open_ambient_dir(&root, ambient_authority()).map_err(failed)?;
    let archive = File::open(&archive).map_err(failed)?;
    let extracted = extract_bundle(io::BufReader::new(archive), files(artifact), &into, BundleLimits::default());
    extracted.map_err(|error| match error {
        ExtractError::Read(_) | ExtractError::Write { .. } => Stop::failed(with_causes(&error)),
        ExtractError::List(_)
        | ExtractError::TooMany { .. }
        | ExtractError::TooLarge { .. }
        | ExtractError::NotEmpty
        | ExtractError::Entry { .. }
        | ExtractError::Missing { .. }
        | ExtractError::Truncated { .. }
        | ExtractError::Trailing => {
            Stop::refused(Code::ArchiveUnsafe, format!("bundle {}: {}", artifact.name, with_causes(&error)))
        }
    })?;
    Ok(root)
}

fn files(artifact: &Artifact) -> &[FileEntry] {
    match &artifact.content {
        Content::Terraform { files, .. } => files,
        Content::File | Content::Provider(_) | Content::Directory { .. } | Content::Image(_) => &[],
    }
}

/// Gate 13: the configuration is judged before Terraform sees it.
fn judge(admission: &Admission, artifact: &Artifact, root: &std::path::Path) -> Result<(), Stop> {
    let read = |file: &FileEntry| {
        let bytes = fs::read(root.join(file.path.as_str()));
        bytes.map_err(|error| Stop::failed(format!("can't read {}: {error}", file.path)))
    };
    let contents = files(artifact).iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let listed = files(artifact).iter().zip(&contents);
    let listed: Vec<_> = listed.map(|(file, bytes)| ConfigFile { path: file.path.as_str(), bytes }).collect();
    let rules = &admission.environment().terraform;
    let mut problems = configuration::check(&listed, &rules.providers);
    problems.retain(|problem| problem.counts(|rule| rules.relaxed.contains(&rule)));
    if problems.is_empty() {
        return Ok(());
    }
    let reasons = problems.iter().map(|problem| Reason::new(Code::TerraformForbidden, problem.to_string()));
    Err(Stop::Refused(reasons.collect()))
}
