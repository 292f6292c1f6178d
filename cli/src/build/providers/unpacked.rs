//! A provider that a mirror holds unpacked, as the archive that crosses the gap.
//!
//! The same files make the same archive: sorted, without times or owners, executable if their owner may execute them.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use artifacts::Progress as Advance;
use manifest_schema::digest::Hasher;
use manifest_schema::manifest::Provider;
use manifest_schema::plan::LockedProvider;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::check::{self, Note};
use crate::exit::Failure;

/// How hard it is compressed: 700 MB take seconds rather than a minute, and become not much larger for it.
const LEVEL: i64 = 1;

/// Packs `directory` as `archive`, if its files are what is locked.
///
/// # Errors
/// When they aren't, or can't be read, or the archive can't be written.
pub(super) fn pack(
    directory: &Path,
    archive: &Path,
    locked: &LockedProvider,
    provider: &Provider,
    advance: Advance<'_>,
) -> Result<(), Failure> {
    let cant_write = || format!("can't write {}", archive.display());
    let parent = archive.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent).with_context(cant_write)?;
    let mut temporary = tempfile::NamedTempFile::new_in(parent).with_context(cant_write)?;
    let h1 = write(directory, temporary.as_file_mut(), advance)?;
    // Hashed while it was read, so what was packed is what was compared.
    if !locked.hashes.contains(&h1) {
        return Err(check::refused(directory, provider));
    }
    let digest = check::digest(&mut File::open(temporary.path()).with_context(cant_write)?).with_context(cant_write)?;
    Note { digest, h1 }.write(archive).with_context(cant_write)?;
    temporary.persist(archive).with_context(cant_write)?;
    Ok(())
}

/// Writes the archive; returns the `h1:` hash of what is in it.
fn write(directory: &Path, target: &mut File, advance: Advance<'_>) -> anyhow::Result<String> {
    let mut files = Vec::new();
    list(directory, "", &mut files)?;
    files.sort();
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(LEVEL))
        .last_modified_time(DateTime::DEFAULT);
    let mut writer = ZipWriter::new(BufWriter::new(target));
    let mut hashed = Vec::new();
    for (name, path) in files {
        let cant_read = || format!("can't read {}", path.display());
        let mut source = File::open(&path).with_context(cant_read)?;
        let metadata = source.metadata().with_context(cant_read)?;
        let executable = metadata.permissions().mode() & 0o100 != 0;
        let large = metadata.len() >= u64::from(u32::MAX);
        let options = options.unix_permissions(if executable { 0o755 } else { 0o644 }).large_file(large);
        writer.start_file(&*name, options).context("can't write the archive")?;
        let mut hasher = Hasher::default();
        let mut buffer = vec![0; 64 << 10];
        loop {
            match source.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => {
                    hasher.update(&buffer[..length]);
                    writer.write_all(&buffer[..length]).context("can't write the archive")?;
                    advance(length as u64);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error).with_context(cant_read),
            }
        }
        hashed.push((name, hasher.finish().0));
    }
    writer.finish().and_then(|mut file| Ok(file.flush()?)).context("can't write the archive")?;
    check::h1(hashed)
}

/// Every file below a directory, by its name in an archive. Anything else isn't a provider's.
fn list(directory: &Path, prefix: &str, files: &mut Vec<(String, PathBuf)>) -> anyhow::Result<()> {
    let cant_read = || format!("can't read {}", directory.display());
    for entry in fs::read_dir(directory).with_context(cant_read)? {
        let entry = entry.with_context(cant_read)?;
        let path = entry.path();
        let name =
            entry.file_name().into_string().map_err(|_| anyhow::anyhow!("{} has no UTF-8 name", path.display()))?;
        let kind = entry.file_type().with_context(cant_read)?;
        if kind.is_dir() {
            list(&path, &format!("{prefix}{name}/"), files)?;
        } else {
            anyhow::ensure!(
                kind.is_file(),
                "{} is neither a file nor a directory: a provider has no such",
                path.display()
            );
            files.push((format!("{prefix}{name}"), path));
        }
    }
    Ok(())
}
