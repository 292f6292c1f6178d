//! What of several manifests that `index.json` lists is the image, and what refers to it: its SBOM, its signatures
//! (image-spec v1.1, "Associating Artifacts": `subject`). Some tools list each manifest that the image's index names, too.

use std::collections::BTreeSet;

use manifest_schema::Digest;

use super::place::Place;
use super::{BLOB_LIMIT, document_bytes, refusal};
use crate::Progress;
use crate::error::{ImageProblem, PackError};
use crate::oci::{self, Descriptor, ImageDocument};

/// How a tool names what a person asked for (image-spec v1.1, annotations.md).
const NAME: &str = "org.opencontainers.image.ref.name";

/// What `index.json` lists, told apart.
pub(super) struct Listed {
    pub(super) image: Descriptor,
    pub(super) referrers: Vec<Referrer>,
}

/// A manifest about another one.
pub(super) struct Referrer {
    pub(super) descriptor: Descriptor,
    pub(super) subject: Digest,
}

impl Listed {
    /// Finds the one image; several are refused, and so is one that can only be guessed.
    pub(super) fn tell(all: Vec<Descriptor>, place: &Place, progress: Progress<'_>) -> Result<Self, PackError> {
        let all = match <[Descriptor; 1]>::try_from(all) {
            Ok([image]) => return Ok(Self { image, referrers: Vec::new() }),
            Err(all) => all,
        };
        if all.len() > BLOB_LIMIT {
            return Err(place.refuse(ImageProblem::TooMany { limit: BLOB_LIMIT }));
        }
        let (mut images, mut referrers, mut named) = (Vec::new(), Vec::new(), BTreeSet::new());
        for descriptor in all {
            let bytes = document_bytes(place, &descriptor, progress)?;
            let document = ImageDocument::from_bytes(&bytes, &descriptor.media_type);
            match document.map_err(|source| refusal(place, &descriptor, source))? {
                ImageDocument::Index { manifests } => named.extend(manifests.iter().map(|one| one.digest)),
                ImageDocument::Image { .. } => {}
            }
            match oci::read_subject(&bytes).map_err(|source| refusal(place, &descriptor, source))? {
                Some(subject) => referrers.push(Referrer { descriptor, subject: subject.digest }),
                None => images.push(descriptor),
            }
        }
        // One with a name was asked for by that name.
        images.retain(|image| image.annotations.contains_key(NAME) || !named.contains(&image.digest));
        match (images.pop(), images.len()) {
            (Some(image), 0) => Ok(Self { image, referrers }),
            (Some(_), others) => Err(place.refuse(ImageProblem::Several { document: "index.json", count: others + 1 })),
            (None, _) => {
                Err(place.refuse(ImageProblem::Shape("index.json names no image, only what refers to one".to_owned())))
            }
        }
    }
}
