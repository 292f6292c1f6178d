//! Blobs: streamed in and out once, hashed on the way.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Write};

use manifest_schema::Digest;
use manifest_schema::digest::Hasher;
use manifest_schema::manifest::BlobRef;
use manifest_schema::storage::{Key, prefix};
use rustix::fs::AtFlags;
use rustix::io::Errno;

use super::tree::{Temporary, Tree};
use crate::error::StoreError;
use crate::object::{Creation, Repair, Replacement, Source, Version};

/// Bytes held in memory per blob on its way: few enough to be hashed from the cache of the core that copied them.
pub(super) const BUFFER: usize = 64 << 10;

pub(super) fn create(tree: &Tree, blob: &BlobRef, source: Source) -> Result<Creation, StoreError> {
    let key = Key::Blob(blob.digest).to_string();
    if let Some((_, size)) = tree.open_object(&key)? {
        return check_size(tree, blob, size).map(|()| Creation::Exists);
    }
    let temporary = copy(tree, blob, source, &key)?;
    let creation = tree.publish_new(temporary, &key)?;
    if creation == Creation::Exists
        && let Some((_, size)) = tree.open_object(&key)?
    {
        check_size(tree, blob, size)?;
    }
    Ok(creation)
}

/// Which of the blobs are there with the size they should have.
pub(super) fn present(tree: &Tree, blobs: BTreeSet<BlobRef>) -> Result<BTreeSet<BlobRef>, StoreError> {
    let mut present = BTreeSet::new();
    for blob in blobs {
        if tree.size_of(&Key::Blob(blob.digest).to_string())? == Some(blob.size) {
            present.insert(blob);
        }
    }
    Ok(present)
}

/// Replaces a blob that isn't what its name says.
pub(super) fn repair(tree: &Tree, blob: &BlobRef, source: Source) -> Result<Repair, StoreError> {
    let key = Key::Blob(blob.digest).to_string();
    let sound = Version::of_content(blob.digest);
    match tree.version_of(&key)? {
        Some(found) if found == sound => Ok(Repair::Sound),
        Some(wrong) => {
            let temporary = copy(tree, blob, source, &key)?;
            match tree.swap(temporary, &key, &wrong, sound)? {
                Replacement::Replaced(_) => Ok(Repair::Replaced),
                Replacement::Conflict => Err(mismatch(tree, blob, "somebody else replaced it just now".to_owned())),
            }
        }
        None => match create(tree, blob, source)? {
            Creation::Created => Ok(Repair::Created),
            Creation::Exists => Ok(Repair::Sound),
        },
    }
}

/// Copies a source into a temporary file, if it is the blob.
fn copy(tree: &Tree, blob: &BlobRef, mut source: Source, key: &str) -> Result<Temporary, StoreError> {
    let (origin, digest) = (source.name(), blob.digest);
    let changed = |detail| StoreError::SourceChanged { origin: origin.clone(), digest, detail };
    let unreadable = |source| StoreError::SourceUnreadable { origin: origin.clone(), digest, source };

    // One byte more than expected is enough to know; an endless source must not fill the disk.
    let mut reader = source.open().map_err(unreadable)?.take(blob.size.saturating_add(1));
    let mut temporary = tree.temporary(key)?;
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(unreadable(error)),
        };
        hasher.update(&buffer[..count]);
        temporary.write(&buffer[..count]).map_err(tree.failed("write", key))?;
    }
    let (found, size) = hasher.finish();
    if size > blob.size {
        return Err(changed(format!("it has more than {} bytes", blob.size)));
    }
    if size < blob.size {
        return Err(changed(format!("it has {size} bytes instead of {}", blob.size)));
    }
    if found != digest {
        return Err(changed(format!("its digest is {found}")));
    }
    Ok(temporary)
}

pub(super) fn read<W: Write>(tree: &Tree, blob: &BlobRef, mut sink: W) -> Result<W, StoreError> {
    let key = Key::Blob(blob.digest).to_string();
    let Some((mut file, size)) = tree.open_object(&key)? else {
        return Err(StoreError::BlobMissing { store: tree.shown().to_owned(), digest: blob.digest });
    };
    check_size(tree, blob, size)?;
    let failed = |source| StoreError::SinkFailed { digest: blob.digest, source };

    let mut hasher = Hasher::default();
    let mut buffer = vec![0; BUFFER];
    let mut passed = 0;
    loop {
        let count = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(tree.failed("read", &key)(error)),
        };
        // The file may have grown since its size was checked.
        passed += count as u64;
        check_size(tree, blob, size.max(passed))?;
        hasher.update(&buffer[..count]);
        sink.write_all(&buffer[..count]).map_err(failed)?;
    }
    let (found, size) = hasher.finish();
    check_size(tree, blob, size)?;
    if found != blob.digest {
        return Err(mismatch(tree, blob, format!("its bytes have the digest {found}")));
    }
    sink.flush().map_err(failed)?;
    Ok(sink)
}

/// Removes those of these blobs that are there, and says how many they were. When it returns, they stay removed even
/// after a power cut.
pub(super) fn remove(tree: &Tree, blobs: &[Digest]) -> Result<usize, StoreError> {
    let folder = tree.find_folder(prefix::BLOBS.trim_end_matches('/'))?;
    let Some(folder) = folder else { return Ok(0) };
    let mut removed = 0;
    for digest in blobs {
        match rustix::fs::unlinkat(&folder, digest.hex(), AtFlags::empty()) {
            Ok(()) => removed += 1,
            Err(Errno::NOENT) => {}
            Err(error) => return Err(tree.failed("remove", &Key::Blob(*digest).to_string())(error)),
        }
    }
    folder.sync_all().map_err(tree.failed("remove blobs from", prefix::BLOBS))?;
    Ok(removed)
}

fn check_size(tree: &Tree, blob: &BlobRef, size: u64) -> Result<(), StoreError> {
    if size == blob.size {
        return Ok(());
    }
    Err(mismatch(tree, blob, format!("it has {size} bytes instead of {}", blob.size)))
}

fn mismatch(tree: &Tree, blob: &BlobRef, detail: String) -> StoreError {
    StoreError::BlobMismatch { store: tree.shown().to_owned(), digest: blob.digest, detail }
}
