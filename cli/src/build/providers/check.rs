//! Whether an archive is what a lock file says.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use artifacts::Progress as Advance;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use manifest_schema::Digest;
use manifest_schema::digest::Hasher;
use manifest_schema::manifest::{Artifact, Provider};
use manifest_schema::names::ArtifactName;
use manifest_schema::plan::LockedProvider;
use serde::{Deserialize, Serialize};
use zip::ZipArchive;

use super::artifact;
use crate::exit::Failure;

/// What was found out about an archive, so that the next build needn't unpack it.
#[derive(Serialize, Deserialize)]
pub(super) struct Note {
    /// Of the archive.
    pub(super) digest: Digest,
    /// Of what is in it.
    pub(super) h1: String,
}

impl Note {
    /// Where the note is about an archive that is, or could be, kept there.
    fn path(kept: &Path) -> PathBuf {
        kept.with_extension("zip.json")
    }

    /// Writes it.
    ///
    /// # Errors
    /// When the directory can't be written to.
    pub(super) fn write(&self, kept: &Path) -> io::Result<()> {
        let path = Self::path(kept);
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::write(path, serde_json::to_vec(self)?)
    }

    fn read(kept: &Path, digest: Digest) -> Option<String> {
        let note: Self = serde_json::from_slice(&fs::read(Self::path(kept)).ok()?).ok()?;
        (note.digest == digest).then_some(note.h1)
    }
}

/// Hashes an archive, and compares it with what is locked. `kept` is where it is or would be kept, for the note.
///
/// Terraform takes an archive for its `zh:` hash when it installs, and then plans only with what its `h1:` hash names: of
/// what it unpacked, it knows no other.
///
/// # Errors
/// When it can't be read, or what is in it isn't locked.
pub(super) fn archive(
    path: &Path,
    kept: &Path,
    locked: &LockedProvider,
    provider: &Provider,
    advance: Advance<'_>,
) -> Result<Artifact, Failure> {
    let name = ArtifactName::new("provider").map_err(anyhow::Error::new)?;
    let packed = artifacts::pack_file(name, path, None, advance)?.artifact;
    let h1 = match Note::read(kept, packed.digest) {
        Some(h1) => h1,
        None => {
            let note = Note { digest: packed.digest, h1: inside(path)? };
            // It only saves time: where none can be written, the next build looks again.
            let _ = note.write(kept);
            note.h1
        }
    };
    if locked.hashes.contains(&h1) {
        Ok(artifact(provider, packed))
    } else if locked.hashes.contains(&format!("zh:{}", packed.digest.hex())) {
        Err(only_archive(provider))
    } else {
        Err(refused(path, provider))
    }
}

/// Refuses what Terraform would install, and then not plan with.
fn only_archive(provider: &Provider) -> Failure {
    let problem = anyhow::anyhow!(
        "the lock file names the archive of {provider} (zh:), but not what is in it (h1:): Terraform would install it and \
         refuse to plan with it"
    );
    Failure::from(problem).hint(format!(
        "run terraform providers lock -platform={} where the lock file is, and commit it",
        provider.platform
    ))
}

/// Refuses what the lock file doesn't name.
pub(super) fn refused(path: &Path, provider: &Provider) -> Failure {
    let problem = anyhow::anyhow!("{} is not the {provider} that the lock file names", path.display());
    Failure::from(problem).hint(format!(
        "remove it if it shouldn't be there; if it should, run terraform providers lock -platform={}",
        provider.platform
    ))
}

/// Go's `h1:` hash of what is in an archive (golang.org/x/mod/sumdb/dirhash, Hash1).
fn inside(path: &Path) -> Result<String, Failure> {
    let broken = || format!("{} is no archive that can be read", path.display());
    let file = File::open(path).with_context(|| format!("can't read {}", path.display()))?;
    let mut archive = ZipArchive::new(io::BufReader::new(file)).with_context(broken)?;
    let mut files = Vec::new();
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).with_context(broken)?;
        let name = entry.name().with_context(broken)?.into_owned();
        files.push((name, digest(&mut entry).with_context(broken)?));
    }
    h1(files).with_context(broken).map_err(Failure::from)
}

/// The SHA-256 of everything that is left to read.
pub(super) fn digest(source: &mut impl io::Read) -> io::Result<Digest> {
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; 64 << 10];
    loop {
        match source.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finish().0),
            Ok(length) => hasher.update(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// SHA-256 over a line `<hex digest>  <name>` per file, sorted by name.
///
/// # Errors
/// When a name has a line break, which would make two lists look alike.
pub(super) fn h1(mut files: Vec<(String, Digest)>) -> anyhow::Result<String> {
    files.sort();
    let mut hasher = Hasher::default();
    for (name, digest) in files {
        anyhow::ensure!(!name.contains('\n'), "a name in it has a line break");
        hasher.update(format!("{}  {name}\n", digest.hex()).as_bytes());
    }
    let bytes: Vec<u8> = hex_bytes(&hasher.finish().0.hex());
    Ok(format!("h1:{}", STANDARD.encode(bytes)))
}

fn hex_bytes(hex: &str) -> Vec<u8> {
    let pairs = hex.as_bytes().chunks(2).filter_map(|pair| std::str::from_utf8(pair).ok());
    pairs.filter_map(|pair| u8::from_str_radix(pair, 16).ok()).collect()
}
