//! One file, or a directory of files, as an artifact.

use std::path::{Path, PathBuf};

use manifest_schema::manifest::{Artifact, Content, FileEntry, check_tree, tree_digest};
use manifest_schema::names::ArtifactName;

use crate::error::PackError;
use crate::walk::Tree;
use crate::{BlobSource, Origin, Packed, Progress, read};

/// The media type of a file artifact for which none is given.
pub const DEFAULT_MEDIA_TYPE: &str = "application/octet-stream";

/// The media type of a directory artifact. Its digest is a `tree_digest`, which names no blob.
pub const DIRECTORY_MEDIA_TYPE: &str = "application/vnd.airlock.directory.v1";

/// Packs one file as one blob; without a media type it is [`DEFAULT_MEDIA_TYPE`]. The file's mode is not recorded.
///
/// # Errors
/// When it can't be read, is no regular file (links are not followed) or changes while it is read, and when
/// `media_type` is none.
pub fn pack_file(
    name: ArtifactName,
    path: &Path,
    media_type: Option<&str>,
    progress: Progress<'_>,
) -> Result<Packed, PackError> {
    let media_type = media_type.unwrap_or(DEFAULT_MEDIA_TYPE).to_owned();
    if !is_media_type(&media_type) {
        return Err(PackError::MediaType(media_type));
    }
    let blob = read::hash(path, progress)?.blob;
    let artifact = Artifact { name, media_type, digest: blob.digest, size: blob.size, content: Content::File };
    Ok(Packed::new(artifact, [BlobSource { blob, origin: Origin::File(path.to_owned()) }]))
}

/// Packs every file below a directory, hidden ones included, as one blob each. Of a file's mode only the owner's
/// execute bit counts; empty directories do not. Symbolic links are kept as links, and not followed, if they lead from
/// one place inside to another.
///
/// # Errors
/// When something can't be read, is no regular file, directory or link to a place inside (`path` itself is no link), or
/// changes meanwhile; when a name is not UTF-8 or two differ only in case; and when there is no file at all.
pub fn pack_directory(name: ArtifactName, path: &Path, progress: Progress<'_>) -> Result<Packed, PackError> {
    let tree = Tree::list(path, |_| false)?;
    let paths: Vec<PathBuf> = tree.files.iter().map(|(_, path)| path.clone()).collect();
    let hashed = read::hash_all(&paths, progress)?;
    tree.expect_unchanged()?;

    let mut files = Vec::with_capacity(paths.len());
    let mut sources = Vec::with_capacity(paths.len());
    for ((inside, path), hashed) in tree.files.into_iter().zip(hashed) {
        let blob = hashed.blob;
        files.push(FileEntry { path: inside, mode: hashed.mode, digest: blob.digest, size: blob.size });
        sources.push(BlobSource { blob, origin: Origin::File(path) });
    }
    let links = tree.links;
    check_tree(&files, &links).map_err(|source| PackError::List { path: path.to_owned(), source })?;
    let artifact = Artifact {
        name,
        media_type: DIRECTORY_MEDIA_TYPE.to_owned(),
        digest: tree_digest(&files, &links),
        size: files.iter().map(|file| file.size).sum(),
        content: Content::Directory { files, links },
    };
    Ok(Packed::new(artifact, sources))
}

/// `type/subtype` in the characters of RFC 6838, section 4.2; parameters may follow.
pub(crate) fn is_media_type(text: &str) -> bool {
    let (essence, parameters) = text.split_once(';').unwrap_or((text, ""));
    let name = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphanumeric())
            && part.len() <= 127
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
    };
    let printable = parameters.len() <= 255 && parameters.bytes().all(|b| (b' '..=b'~').contains(&b));
    printable && essence.split_once('/').is_some_and(|(kind, subtype)| name(kind) && name(subtype))
}
