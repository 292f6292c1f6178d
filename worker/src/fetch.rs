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
use manifest_schema::manifest::{Artifact, BlobRef, BuildManifest, Content, FileEntry};
use manifest_schema::storage::Key;
use manifest_schema::{Code, Reason};
use policy::configuration::{self, ConfigFile, LOCK_FILE};
use policy::plan::Written;
use records::with_causes;

use crate::session::Session;
use crate::stop::Stop;
use crate::work::{ROOT, WorkDir, private_directory, private_file};

/// Most missing files that a refusal names.
const MOST_MISSING: usize = 10;

/// How thoroughly images are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Images {
    /// Only that each blob is there and has its size: a plan moves none of them, and those that go into a registry are
    /// verified on their way.
    Present,
    /// Every byte, as it would stream into a registry.
    Streamed,
}

/// What was fetched.
pub(crate) struct Fetched {
    /// What the build's Terraform step needs, if it has one.
    pub(crate) bundle: Option<Bundle>,
}

/// A Terraform bundle, extracted.
pub(crate) struct Bundle {
    /// The root module.
    pub(crate) root: PathBuf,
    /// The text of its files.
    pub(crate) written: Written,
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
        judge(admission, artifact, &work.join(ROOT))?;
        for blob in providers(session, manifest, work).await? {
            seen.add(blob);
        }
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
    present_files(session, manifest).await?;
    // None of them is large, and what would be uploaded is known to be right before anything begins.
    for blob in archives(manifest) {
        session.may_go_on()?;
        session.sides().artifacts.read_blob(&blob, io::sink()).await?;
        seen.add(blob);
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

/// Where the providers that the build brings are, in the work directory: a filesystem mirror in Terraform's packed
/// layout.
pub(crate) const MIRROR: &str = "providers";

/// Streams the build's providers for this machine into a mirror; they have been judged. Terraform compares each with
/// the lock file when it installs it.
async fn providers(session: &Session, manifest: &BuildManifest, work: &WorkDir) -> Result<Vec<BlobRef>, Stop> {
    let failed = |error: io::Error| Stop::failed(format!("can't write to the work directory: {error}"));
    let mirror = work.join(MIRROR);
    private_directory(&mirror).map_err(failed)?;
    let mut fetched = Vec::new();
    for (provider, artifact) in manifest.providers().filter(|(provider, _)| provider.platform.as_str() == platform()) {
        session.may_go_on()?;
        let path = mirror.join(provider.packed_path());
        path.parent().map_or(Ok(()), private_directory).map_err(failed)?;
        let blob = BlobRef { digest: artifact.digest, size: artifact.size };
        session.sides().artifacts.read_blob(&blob, private_file(&path).map_err(failed)?).await?;
        fetched.push(blob);
    }
    Ok(fetched)
}

/// What Terraform calls the machine that this program was built for.
fn platform() -> String {
    let system = match std::env::consts::OS {
        "macos" => "darwin",
        other => other,
    };
    let machine = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    format!("{system}_{machine}")
}

/// The blobs of every image that a step runs, each once.
fn image_blobs(manifest: &BuildManifest) -> BTreeSet<BlobRef> {
    manifest.images_to_run().flat_map(|(artifact, _)| artifact.blobs()).collect()
}

/// The zip archives that functions run, each once.
fn archives(manifest: &BuildManifest) -> BTreeSet<BlobRef> {
    let named = manifest.functions().filter(|step| step.code.image().is_none());
    let artifacts = named.filter_map(|step| manifest.artifact(step.code.artifact()));
    artifacts.map(|artifact| BlobRef { digest: artifact.digest, size: artifact.size }).collect()
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

/// Whether every file that goes into a bucket is there: what is sent is verified on its way.
async fn present_files(session: &Session, manifest: &BuildManifest) -> Result<(), Stop> {
    let files = manifest.files().flat_map(|(_, files)| files);
    let blobs: BTreeSet<BlobRef> = files.map(|file| BlobRef { digest: file.digest, size: file.size }).collect();
    let artifacts = &session.sides().artifacts;
    let there = artifacts.present(&blobs).await?;
    let missing = |blob: &BlobRef| {
        let message = format!("{} of {} bytes is not in {}", blob.digest, blob.size, artifacts.location());
        Reason::new(Code::BlobMissing, message)
    };
    let missing: Vec<Reason> = blobs.difference(&there).take(MOST_MISSING).map(missing).collect();
    if missing.is_empty() { Ok(()) } else { Err(Stop::Refused(missing)) }
}

/// Streams the bundle into the private directory, and extracts it only when it is what the manifest names.
async fn extract(session: &Session, work: &WorkDir, artifact: &Artifact, blob: BlobRef) -> Result<Bundle, Stop> {
    let failed = |error: io::Error| Stop::failed(format!("can't write to the work directory: {error}"));
    let (archive, root) = (work.join("bundle.tar"), work.join(ROOT));
    let sink = Both(private_file(&archive).map_err(failed)?, Written::default());
    let Both(_, written) = session.sides().artifacts.read_blob(&blob, sink).await?;
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
    Ok(Bundle { root, written })
}

/// A file, and what is read from it on its way there.
struct Both(File, Written);

impl io::Write for Both {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write_all(bytes).and_then(|()| self.1.write_all(bytes)).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().and_then(|()| self.1.flush())
    }
}

fn files(artifact: &Artifact) -> &[FileEntry] {
    match &artifact.content {
        Content::Terraform { files, .. } => files,
        Content::File | Content::Provider(_) | Content::Directory { .. } | Content::Image(_) => &[],
    }
}

/// Gate 13: the configuration, and what providers the build brings, are judged before Terraform sees them.
fn judge(admission: &Admission, artifact: &Artifact, root: &std::path::Path) -> Result<(), Stop> {
    let read = |file: &FileEntry| {
        let bytes = fs::read(root.join(file.path.as_str()));
        bytes.map_err(|error| Stop::failed(format!("can't read {}: {error}", file.path)))
    };
    let contents = files(artifact).iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let listed = files(artifact).iter().zip(&contents);
    let listed: Vec<_> = listed.map(|(file, bytes)| ConfigFile { path: file.path.as_str(), bytes }).collect();
    let rules = &admission.environment().terraform;
    let mut problems = configuration::check(&listed, Some(rules));
    let variables = admission.manifest().manifest().terraform().into_iter().flat_map(|(_, variables)| variables);
    let references = variables.filter(|(_, variable)| variable.is_reference()).map(|(name, _)| name.as_str());
    problems.extend(configuration::check_references(&listed, references));
    problems.retain(|problem| problem.counts(|rule| rules.relaxed.contains(&rule)));
    let lock = listed.iter().find(|file| file.path == LOCK_FILE).map_or(&[][..], |file| file.bytes);
    // One that can't be read locks nothing, and was refused above.
    let locked = configuration::locked_providers(lock).unwrap_or_default();
    problems.extend(admission.manifest().manifest().providers().filter_map(|(provider, artifact)| {
        configuration::check_brought(artifact.name.as_str(), provider, artifact.digest, &locked, rules)
    }));
    let reasons = problems.iter().map(|problem| Reason::new(Code::TerraformForbidden, problem.to_string()));
    let reasons: Vec<_> = reasons.collect();
    if reasons.is_empty() { Ok(()) } else { Err(Stop::Refused(reasons)) }
}
