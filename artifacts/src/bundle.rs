//! The Terraform bundle: one encoding of a list of files, byte for byte.
//!
//! Version 1 is a POSIX.1-2001 tar archive, uncompressed. For each file, in the order of its path's bytes:
//!
//! 1. if the path is not ASCII or longer than 100 bytes, a pax header (type `x`, named `pax/` and the hex SHA-256 of
//!    the path) whose only record is `path`; the file's own header then repeats that name;
//! 2. a `ustar` header: type `0`, mode 0644 or 0755, size, and otherwise zeros: no owner, no time, no prefix;
//! 3. the content, padded with zeros to a multiple of 512.
//!
//! Numbers in headers are octal digits that fill their field up to a final NUL, the checksum's too.
//!
//! Two blocks of zeros end it, and nothing follows. There are no directories, links or anything else. Any tar reads
//! it; because it follows from the list of files, whoever has the list needs no parser to read it.

use std::path::Path;

use manifest_schema::Digest;
use manifest_schema::manifest::{Artifact, BlobRef, Content, FileEntry, FileMode, check_tree};
use manifest_schema::names::{ArtifactName, RelativePath};
use tar::{EntryType, Header};

use crate::error::PackError;
use crate::modules::{self, Gathered, Rewritten};
use crate::read::{Still, expect_file};
use crate::walk::Tree;
use crate::{BlobSource, Origin, Packed, Progress};

/// The media type of Terraform bundles; it stands for exactly one encoding, described in this crate's `bundle` module.
pub const BUNDLE_MEDIA_TYPE: &str = "application/vnd.airlock.terraform.bundle.v1+tar";

/// Headers, padding and the end are counted in blocks of this many bytes.
pub(crate) const BLOCK: usize = 512;

/// What follows the last entry.
pub(crate) const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// How much a bundle may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BundleLimits {
    /// Most files.
    pub files: usize,
    /// Most bytes of the archive, headers included.
    pub bytes: u64,
}

impl Default for BundleLimits {
    /// 20,000 files and 64 MiB, which is also what packing keeps to.
    fn default() -> Self {
        Self { files: 20_000, bytes: 64 << 20 }
    }
}

/// Packs a Terraform root module as one archive of [`BUNDLE_MEDIA_TYPE`], held in memory, with every module that it
/// calls: those below it where they are, and copies of those from elsewhere below `airlock-modules`. Files that call the
/// latter name them by path in the bundle; the artifact lists where they came from.
///
/// Left out, at any depth: `.terraform` and `.git`, state (any name containing `.tfstate`), and crash logs
/// (`crash.log`, `crash.*.log`). `.terraform.lock.hcl` goes along. What else Terraform may not find in a bundle is for
/// the worker's gate to refuse.
///
/// # Errors
/// As for directories; when a module that is called wasn't fetched, or isn't what its caller asks for; and when the
/// bundle would exceed the default [`BundleLimits`].
pub fn pack_terraform(name: ArtifactName, path: &Path, progress: Progress<'_>) -> Result<Packed, PackError> {
    let limits = BundleLimits::default();
    let tree = Tree::list(path, is_left_out)?;
    if let Some(link) = tree.links.first() {
        let expected = "a file or a directory";
        return Err(PackError::Kind { path: path.join(link.path.as_str()), found: "a symbolic link", expected });
    }
    let Gathered { files: more, rewritten, modules, trees } = modules::gather(path)?;
    let mut listed: Vec<_> = tree.files.iter().chain(&more).collect();
    listed.sort();
    if listed.len() > limits.files {
        return Err(PackError::TooMany { path: path.to_owned(), limit: limits.files });
    }
    let too_large = || PackError::BundleTooLarge { path: path.to_owned(), limit: limits.bytes };
    let mut expected = END.len() as u64;
    for (inside, path) in &listed {
        let size = match rewritten.get(inside) {
            Some(rewritten) => rewritten.bytes.len() as u64,
            None => expect_file(path)?.len(),
        };
        expected = expected.saturating_add(entry_size(inside, size));
    }
    let capacity = usize::try_from(expected).ok().filter(|_| expected <= limits.bytes).ok_or_else(too_large)?;

    let mut archive = Archive { bytes: Vec::with_capacity(capacity), files: Vec::with_capacity(listed.len()) };
    for (inside, path) in listed {
        match rewritten.get(inside) {
            Some(rewritten) => archive.add(inside, rewritten),
            None => archive.read(inside, path, limits, progress)?.then_some(()).ok_or_else(too_large)?,
        }
    }
    std::iter::once(&tree).chain(&trees).try_for_each(Tree::expect_unchanged)?;
    let Archive { bytes, files } = archive.ended();
    check_tree(&files, &[]).map_err(|source| PackError::List { path: path.to_owned(), source })?;

    let blob = BlobRef::of(&bytes);
    let media_type = BUNDLE_MEDIA_TYPE.to_owned();
    let content = Content::Terraform { files, modules };
    let artifact = Artifact { name, media_type, digest: blob.digest, size: blob.size, content };
    Ok(Packed::new(artifact, [BlobSource { blob, origin: Origin::Bytes(bytes) }]))
}

/// An archive that grows, and what is in it.
struct Archive {
    bytes: Vec<u8>,
    files: Vec<FileEntry>,
}

impl Archive {
    /// Adds what is in memory.
    fn add(&mut self, inside: &RelativePath, Rewritten { mode, bytes }: &Rewritten) {
        let BlobRef { digest, size } = BlobRef::of(bytes);
        self.bytes.extend(header(inside, *mode, size));
        self.bytes.extend_from_slice(bytes);
        self.entry(FileEntry { path: inside.clone(), mode: *mode, digest, size });
    }

    /// Adds a file; false if that would be more than the limits allow, because it has grown since it was listed.
    fn read(
        &mut self,
        inside: &RelativePath,
        path: &Path,
        limits: BundleLimits,
        progress: Progress<'_>,
    ) -> Result<bool, PackError> {
        let still = Still::open(path)?;
        let (mode, size) = (still.mode(), still.size());
        if self.bytes.len() as u64 + entry_size(inside, size) + END.len() as u64 > limits.bytes {
            return Ok(false);
        }
        self.bytes.extend(header(inside, mode, size));
        let digest = still.read(progress, |bytes| self.bytes.extend_from_slice(bytes))?;
        self.entry(FileEntry { path: inside.clone(), mode, digest, size });
        Ok(true)
    }

    fn entry(&mut self, entry: FileEntry) {
        self.bytes.resize(self.bytes.len().next_multiple_of(BLOCK), 0);
        self.files.push(entry);
    }

    fn ended(mut self) -> Self {
        self.bytes.extend(END);
        self
    }
}

/// What Terraform and git leave in a working directory, and what must never be published: state holds secrets.
pub(crate) fn is_left_out(name: &str) -> bool {
    let crash_log = name == "crash.log" || (name.starts_with("crash.") && name.ends_with(".log"));
    matches!(name, ".terraform" | ".git") || name.contains(".tfstate") || crash_log
}

/// The content of each of `files` in a bundle that holds exactly these, in that order; `None` where the archive has
/// something else. Each content is checked against its digest, and nothing of the archive is parsed: where a file
/// stands follows from the list.
pub fn bundle_contents<'a>(archive: &'a [u8], files: &'a [FileEntry]) -> Vec<Option<&'a [u8]>> {
    let mut at = 0u64;
    let content = |file: &FileEntry| {
        let start = at.saturating_add(header(&file.path, file.mode, file.size).len() as u64);
        at = at.saturating_add(entry_size(&file.path, file.size));
        let range = usize::try_from(start).ok()?..usize::try_from(start.saturating_add(file.size)).ok()?;
        archive.get(range).filter(|bytes| Digest::of(bytes) == file.digest)
    };
    files.iter().map(content).collect()
}

/// Everything that precedes a file's content: one header, or three and more blocks if its path needs pax.
pub(crate) fn header(path: &RelativePath, mode: FileMode, size: u64) -> Vec<u8> {
    let path = path.as_str();
    if path.is_ascii() && path.len() <= 100 {
        return ustar(EntryType::Regular, path, mode, size);
    }
    let stand_in = format!("pax/{}", Digest::of(path.as_bytes()).hex());
    let record = pax_record("path", path);
    let mut blocks = ustar(EntryType::XHeader, &stand_in, FileMode::Regular, record.len() as u64);
    blocks.extend(record.as_bytes());
    blocks.resize(blocks.len().next_multiple_of(BLOCK), 0);
    blocks.extend(ustar(EntryType::Regular, &stand_in, mode, size));
    blocks
}

/// Bytes of header, content and padding together.
pub(crate) fn entry_size(path: &RelativePath, size: u64) -> u64 {
    let header = header(path, FileMode::Regular, 0).len() as u64;
    size.checked_next_multiple_of(BLOCK as u64).unwrap_or(u64::MAX).saturating_add(header)
}

fn ustar(kind: EntryType, name: &str, mode: FileMode, size: u64) -> Vec<u8> {
    let mut header = Header::new_ustar();
    let fields = header.as_old_mut();
    for (field, byte) in fields.name.iter_mut().zip(name.bytes()) {
        *field = byte;
    }
    header.set_entry_type(kind);
    header.set_mode(mode.bits());
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header.set_cksum();
    header.as_bytes().to_vec()
}

/// `<length> <key>=<value>\n`, where the length counts its own digits (POSIX.1-2001, pax extended header).
fn pax_record(key: &str, value: &str) -> String {
    let rest = format!(" {key}={value}\n");
    let mut length = rest.len();
    loop {
        let record = format!("{length}{rest}");
        if record.len() == length {
            return record;
        }
        length = record.len();
    }
}
