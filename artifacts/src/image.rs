//! An OCI image layout as an artifact (image-spec v1.1, image-layout.md).
//!
//! The bytes of every document are kept as they are, so the artifact's digest is the one that a registry reports. A
//! document is read only after its digest and size are found right, so nothing can point back at what points to it.
//! One wrong descriptor refuses the image whole.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use manifest_schema::Digest;
use manifest_schema::manifest::{Artifact, BlobEntry, BlobRef, Content};
use manifest_schema::names::ArtifactName;

use crate::error::{ImageProblem, PackError};
use crate::oci::{self, DOCUMENT_LIMIT, Descriptor, ImageDocument};
use crate::pack::is_media_type;
use crate::read::{self, Still};
use crate::{BlobSource, Origin, Packed, Progress};

/// Most manifests on the way from the top to an image: an index of indexes of images.
const DEPTH_LIMIT: usize = 3;

/// Most blobs of an image with all its platforms.
const BLOB_LIMIT: usize = 10_000;

/// Packs an OCI image layout that holds one image or one multi-platform index. `blobs` has that manifest first, then
/// what it names, depth first in the documents' order, each digest once.
///
/// # Errors
/// When `path` is no image layout, names none or several images, or when any blob is missing, changes, or contradicts
/// its descriptor.
pub fn pack_image(name: ArtifactName, path: &Path, progress: Progress<'_>) -> Result<Packed, PackError> {
    let refuse = |source| PackError::Layout { path: path.to_owned(), source };
    oci::check_marker(&read_document(&path.join("oci-layout"), progress)?).map_err(refuse)?;
    let top = oci::read_top(&read_document(&path.join("index.json"), progress)?).map_err(refuse)?;

    let mut walk = Walk { layout: path, progress, blobs: Vec::new(), roles: BTreeMap::new() };
    walk.document(&top, 1)?;
    let blobs = walk.blobs;
    verify_contents(path, &blobs, progress)?;

    let sources: Vec<BlobSource> = blobs
        .iter()
        .map(|Found { entry, path, .. }| BlobSource {
            blob: BlobRef { digest: entry.digest, size: entry.size },
            origin: Origin::File(path.clone()),
        })
        .collect();
    let entries: Vec<BlobEntry> = blobs.into_iter().map(|found| found.entry).collect();
    let Some(BlobEntry { media_type, digest, size }) = entries.first().cloned() else {
        return Err(refuse(ImageProblem::Missing));
    };
    let artifact = Artifact { name, media_type, digest, size, content: Content::Image(entries) };
    Ok(Packed::new(artifact, sources))
}

/// One of the two files of a layout that no descriptor names.
fn read_document(path: &Path, progress: Progress<'_>) -> Result<Vec<u8>, PackError> {
    let still = Still::open(path)?;
    let size = still.size();
    if size > DOCUMENT_LIMIT {
        let source = ImageProblem::TooLarge { size, limit: DOCUMENT_LIMIT };
        return Err(PackError::Layout { path: path.to_owned(), source });
    }
    let mut bytes = Vec::new();
    still.read(progress, |piece| bytes.extend_from_slice(piece))?;
    Ok(bytes)
}

/// What a descriptor is used for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Document,
    Contents,
}

struct Found {
    entry: BlobEntry,
    path: PathBuf,
    role: Role,
}

struct Walk<'a> {
    layout: &'a Path,
    progress: Progress<'a>,
    blobs: Vec<Found>,
    roles: BTreeMap<Digest, (Role, u64)>,
}

impl Walk<'_> {
    /// Adds a manifest or index and all it names; `depth` counts from 1 at the top.
    fn document(&mut self, descriptor: &Descriptor, depth: usize) -> Result<(), PackError> {
        let layout = self.layout;
        let refuse = |source| refusal(layout, descriptor, source);
        if depth > DEPTH_LIMIT {
            return Err(refuse(ImageProblem::TooDeep { limit: DEPTH_LIMIT }));
        }
        if !ImageDocument::is_media_type(&descriptor.media_type) {
            return Err(refuse(ImageProblem::NotAnImage(descriptor.media_type.clone())));
        }
        if descriptor.size > DOCUMENT_LIMIT {
            return Err(refuse(ImageProblem::TooLarge { size: descriptor.size, limit: DOCUMENT_LIMIT }));
        }
        let Some(path) = self.add(descriptor, Role::Document)? else { return Ok(()) };
        let still = Still::open(&path)?;
        // Asked again of the open file, so that no more than the limit is ever held.
        if still.size() != descriptor.size {
            return Err(refuse(ImageProblem::Size { found: still.size(), declared: descriptor.size }));
        }
        let mut bytes = Vec::new();
        let found = still.read(self.progress, |piece| bytes.extend_from_slice(piece))?;
        if found != descriptor.digest {
            return Err(refuse(ImageProblem::Digest { found }));
        }
        match ImageDocument::from_bytes(&bytes, &descriptor.media_type).map_err(refuse)? {
            ImageDocument::Index { manifests } => manifests.iter().try_for_each(|next| self.document(next, depth + 1)),
            ImageDocument::Image { config, layers } => {
                [&config].into_iter().chain(&layers).try_for_each(|next| self.add(next, Role::Contents).map(|_| ()))
            }
        }
    }

    /// Takes a descriptor into the list unless its digest is there already; returns where its bytes are if it is new.
    fn add(&mut self, descriptor: &Descriptor, role: Role) -> Result<Option<PathBuf>, PackError> {
        let refuse = |source| refusal(self.layout, descriptor, source);
        let digest = descriptor.digest;
        if !is_media_type(&descriptor.media_type) {
            return Err(refuse(ImageProblem::MediaType(descriptor.media_type.clone())));
        }
        if let Some((earlier, size)) = self.roles.get(&digest) {
            if *size != descriptor.size {
                return Err(refuse(ImageProblem::Size { found: *size, declared: descriptor.size }));
            }
            return if *earlier == role { Ok(None) } else { Err(refuse(ImageProblem::TwoRoles)) };
        }
        if self.blobs.len() >= BLOB_LIMIT {
            return Err(refuse(ImageProblem::TooMany { limit: BLOB_LIMIT }));
        }
        let path = self.layout.join("blobs").join("sha256").join(digest.hex());
        let found = match read::expect_file(&path) {
            Ok(metadata) => metadata.len(),
            Err(PackError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Err(refuse(ImageProblem::Missing));
            }
            Err(error) => return Err(error),
        };
        if found != descriptor.size {
            return Err(refuse(ImageProblem::Size { found, declared: descriptor.size }));
        }
        self.roles.insert(digest, (role, descriptor.size));
        let entry = BlobEntry { media_type: descriptor.media_type.clone(), digest, size: descriptor.size };
        self.blobs.push(Found { entry, path: path.clone(), role });
        Ok(Some(path))
    }
}

/// Hashes configurations and layers, which the walk has only measured.
fn verify_contents(layout: &Path, blobs: &[Found], progress: Progress<'_>) -> Result<(), PackError> {
    let contents = || blobs.iter().filter(|found| found.role == Role::Contents);
    let paths: Vec<PathBuf> = contents().map(|found| found.path.clone()).collect();
    for (Found { entry, .. }, hashed) in contents().zip(read::hash_all(&paths, progress)?) {
        let found = hashed.blob;
        let source = if found.size != entry.size {
            ImageProblem::Size { found: found.size, declared: entry.size }
        } else if found.digest != entry.digest {
            ImageProblem::Digest { found: found.digest }
        } else {
            continue;
        };
        return Err(PackError::ImageBlob { path: layout.to_owned(), digest: entry.digest, source });
    }
    Ok(())
}

fn refusal(layout: &Path, descriptor: &Descriptor, source: ImageProblem) -> PackError {
    PackError::ImageBlob { path: layout.to_owned(), digest: descriptor.digest, source }
}
