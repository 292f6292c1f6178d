//! An image as an artifact: an OCI image layout (image-spec v1.1, image-layout.md), an archive of one, or what
//! `docker save` writes.
//!
//! The bytes of every document are kept as they are, so the artifact's digest is the one that a registry reports. A
//! document is read only after its digest and size are found right, so nothing can point back at what points to it.
//! One wrong descriptor refuses the image whole.

mod listed;
mod place;
mod saved;

use std::collections::BTreeMap;
use std::path::Path;

use manifest_schema::Digest;
use manifest_schema::manifest::{Artifact, BlobEntry, BlobRef, Content};
use manifest_schema::names::ArtifactName;

use self::listed::{Listed, Referrer};
use self::place::{Form, Place};
use self::saved::Layers;
use crate::error::{ImageProblem, PackError};
use crate::oci::{self, DOCUMENT_LIMIT, Descriptor, ImageDocument};
use crate::pack::is_media_type;
use crate::read::{Part, on_all_cores};
use crate::{BlobSource, Origin, Packed, Progress};

/// Most manifests on the way from the top to an image: an index of indexes of images.
const DEPTH_LIMIT: usize = 3;

/// Most blobs of an image with all its platforms.
const BLOB_LIMIT: usize = 10_000;

/// Packs one image, or one multi-platform index with all it names. `path` is an OCI image layout, a tar file of one, or
/// a tar file that `docker save` wrote; what it is, shows from what is in it. The content has the image's manifest
/// first, then what it names, depth first in the documents' order, each digest once; and then in the same way what the
/// layout lists beside it that refers to it or to one of its manifests (`subject`), such as an SBOM.
///
/// An archive is never extracted: its blobs are parts of it ([`Origin::Range`]). One of `docker save` before image
/// layouts has no image manifest, so one is made, the same for the same archive ([`Origin::Bytes`]). Layers that are
/// not compressed must be those of the configuration's `diff_ids`; whether compressed ones are, shows where the image
/// is unpacked.
///
/// # Errors
/// When `path` is none of these, names none or several images or what refers to another one, or when any blob is missing, changes, or contradicts
/// what names it; and when readers of tar could disagree about an archive.
pub fn pack_image(name: ArtifactName, path: &Path, progress: Progress<'_>) -> Result<Packed, PackError> {
    let place = Place::open(path)?;
    let blobs = match place.form()? {
        Form::Oci => read_layout(&place, progress)?,
        Form::DockerSave => saved::read(&place, Layers::Hashed, progress)?,
    };
    let Some((BlobEntry { media_type, digest, size }, _)) = blobs.first().cloned() else {
        return Err(place.refuse(ImageProblem::Missing));
    };
    let entries = blobs.iter().map(|(entry, _)| entry.clone()).collect();
    let sources = blobs
        .into_iter()
        .map(|(entry, origin)| BlobSource { blob: BlobRef { digest: entry.digest, size: entry.size }, origin });
    let artifact = Artifact { name, media_type, digest, size, content: Content::Image(entries) };
    Ok(Packed::new(artifact, sources))
}

/// Where the blobs of an image are that was packed from `path` before. What can be known without hashing is not
/// hashed: whoever copies the bytes does that. Blobs that are no longer there are left out.
///
/// # Errors
/// When `path` can't be read, or is an archive that would not be packed.
pub fn locate_image(path: &Path, blobs: &[BlobEntry]) -> Result<BTreeMap<Digest, Origin>, PackError> {
    let place = Place::open(path)?;
    if place.form()? == Form::DockerSave {
        let found = saved::read(&place, Layers::Believed, &|_| ())?;
        return Ok(found.into_iter().map(|(entry, origin)| (entry.digest, origin)).collect());
    }
    let mut found = BTreeMap::new();
    for BlobEntry { digest, .. } in blobs {
        if let Some(part) = place.blob(digest)? {
            found.insert(*digest, part.origin());
        }
    }
    Ok(found)
}

fn read_layout(place: &Place, progress: Progress<'_>) -> Result<Vec<(BlobEntry, Origin)>, PackError> {
    let refuse = |problem| place.refuse(problem);
    oci::check_marker(&place.document("oci-layout", progress)?.0).map_err(refuse)?;
    let listed = oci::read_listed(&place.document("index.json", progress)?.0).map_err(refuse)?;
    let Listed { image, referrers } = Listed::tell(listed, place, progress)?;

    let mut walk = Walk { place, progress, blobs: Vec::new(), roles: BTreeMap::new() };
    walk.document(&image, 1)?;
    for Referrer { descriptor, .. } in &referrers {
        walk.document(descriptor, 1)?;
    }
    // What refers to something that refers to the image belongs to it; there are no circles of digests.
    for Referrer { descriptor, subject } in &referrers {
        if !walk.roles.get(subject).is_some_and(|(role, _)| *role == Role::Document) {
            return Err(refusal(place, descriptor, ImageProblem::Stranger { subject: *subject }));
        }
    }
    let blobs = walk.blobs;
    verify_contents(place, &blobs, progress)?;
    Ok(blobs.into_iter().map(|Found { entry, part, .. }| (entry, part.origin())).collect())
}

/// What a descriptor is used for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Document,
    Contents,
}

struct Found {
    entry: BlobEntry,
    part: Part,
    role: Role,
}

struct Walk<'a> {
    place: &'a Place,
    progress: Progress<'a>,
    blobs: Vec<Found>,
    roles: BTreeMap<Digest, (Role, u64)>,
}

impl Walk<'_> {
    /// Adds a manifest or index and all it names; `depth` counts from 1 at the top.
    fn document(&mut self, descriptor: &Descriptor, depth: usize) -> Result<(), PackError> {
        let place = self.place;
        let refuse = |source| refusal(place, descriptor, source);
        if depth > DEPTH_LIMIT {
            return Err(refuse(ImageProblem::TooDeep { limit: DEPTH_LIMIT }));
        }
        if self.add(descriptor, Role::Document)?.is_none() {
            return Ok(());
        }
        let bytes = document_bytes(place, descriptor, self.progress)?;
        match ImageDocument::from_bytes(&bytes, &descriptor.media_type).map_err(refuse)? {
            ImageDocument::Index { manifests } => manifests.iter().try_for_each(|next| self.document(next, depth + 1)),
            ImageDocument::Image { config, layers } => {
                [&config].into_iter().chain(&layers).try_for_each(|next| self.add(next, Role::Contents).map(|_| ()))
            }
        }
    }

    /// Takes a descriptor into the list unless its digest is there already; returns where its bytes are if it is new.
    fn add(&mut self, descriptor: &Descriptor, role: Role) -> Result<Option<Part>, PackError> {
        let refuse = |source| refusal(self.place, descriptor, source);
        let Descriptor { media_type, digest, size, platform, .. } = descriptor;
        if !is_media_type(media_type) {
            return Err(refuse(ImageProblem::MediaType(media_type.clone())));
        }
        if let Some((earlier, found)) = self.roles.get(digest) {
            if found != size {
                return Err(refuse(ImageProblem::Size { found: *found, declared: *size }));
            }
            return if *earlier == role { Ok(None) } else { Err(refuse(ImageProblem::TwoRoles)) };
        }
        if self.blobs.len() >= BLOB_LIMIT {
            return Err(refuse(ImageProblem::TooMany { limit: BLOB_LIMIT }));
        }
        let Some(part) = self.place.blob(digest)? else {
            return Err(refuse(match (role, platform) {
                (Role::Document, Some(platform)) => ImageProblem::MissingPlatform(platform.to_string()),
                (Role::Document, None) | (Role::Contents, _) => ImageProblem::Missing,
            }));
        };
        if part.size() != *size {
            return Err(refuse(ImageProblem::Size { found: part.size(), declared: *size }));
        }
        self.roles.insert(*digest, (role, *size));
        let entry = BlobEntry { media_type: media_type.clone(), digest: *digest, size: *size };
        self.blobs.push(Found { entry, part: part.clone(), role });
        Ok(Some(part))
    }
}

/// A manifest's or an index's bytes, which are those of their descriptor.
fn document_bytes(place: &Place, descriptor: &Descriptor, progress: Progress<'_>) -> Result<Vec<u8>, PackError> {
    let refuse = |source| refusal(place, descriptor, source);
    if !ImageDocument::is_media_type(&descriptor.media_type) {
        return Err(refuse(ImageProblem::NotAnImage(descriptor.media_type.clone())));
    }
    let too_large = |size| ImageProblem::TooLarge { size, limit: DOCUMENT_LIMIT };
    if descriptor.size > DOCUMENT_LIMIT {
        return Err(refuse(too_large(descriptor.size)));
    }
    let part = place.blob(&descriptor.digest)?.ok_or_else(|| refuse(ImageProblem::Missing))?;
    let Some((bytes, found)) = part.bytes(DOCUMENT_LIMIT, progress)? else {
        return Err(refuse(too_large(part.size())));
    };
    let found = BlobRef { digest: found, size: bytes.len() as u64 };
    check(BlobRef { digest: descriptor.digest, size: descriptor.size }, found).map_err(refuse)?;
    Ok(bytes)
}

/// Hashes configurations and layers, which the walk has only measured.
fn verify_contents(place: &Place, blobs: &[Found], progress: Progress<'_>) -> Result<(), PackError> {
    let contents: Vec<&Found> = blobs.iter().filter(|found| found.role == Role::Contents).collect();
    let hashed = on_all_cores(&contents, |found| found.part.hash(progress))?;
    for (Found { entry, .. }, found) in contents.into_iter().zip(hashed) {
        check(BlobRef { digest: entry.digest, size: entry.size }, found).map_err(|source| PackError::ImageBlob {
            path: place.path().to_owned(),
            digest: entry.digest,
            source,
        })?;
    }
    Ok(())
}

/// Whether the bytes that were read are those of their descriptor.
fn check(declared: BlobRef, found: BlobRef) -> Result<(), ImageProblem> {
    if found.size != declared.size {
        return Err(ImageProblem::Size { found: found.size, declared: declared.size });
    }
    if found.digest != declared.digest { Err(ImageProblem::Digest { found: found.digest }) } else { Ok(()) }
}

fn refusal(place: &Place, descriptor: &Descriptor, source: ImageProblem) -> PackError {
    PackError::ImageBlob { path: place.path().to_owned(), digest: descriptor.digest, source }
}
