//! What of an image is a manifest, what is content, and in which order manifests go.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use artifacts::{DOCUMENT_LIMIT, Descriptor, ImageDocument, ImageProblem};
use bytes::Bytes;
use manifest_schema::Digest;
use manifest_schema::manifest::{BlobEntry, BlobRef};
use store::Store;

use crate::error::RegistryError;

/// An image, sorted for pushing.
#[derive(Debug, Default)]
pub(crate) struct Documents {
    /// Manifests and indexes: each after all that it names.
    pub(crate) manifests: Vec<BlobEntry>,
    /// Configurations and layers, in the order in which they are named.
    pub(crate) contents: Vec<BlobRef>,
}

impl Documents {
    /// Reads every manifest of an image from the store, the first entry first. Manifests that it doesn't reach, such as
    /// those that refer to it as their `subject`, come after it.
    ///
    /// # Errors
    /// When the list and the manifests contradict each other, a manifest can't be read, or the store doesn't have it.
    pub(crate) async fn read(image: &[BlobEntry], store: &Store) -> Result<Self, RegistryError> {
        if image.is_empty() {
            return Err(wrong("it is empty".to_owned()));
        }
        let listed = image.iter().map(|entry| (entry.digest, entry)).collect();
        let mut reading = Reading { listed, seen: BTreeSet::new(), found: Self::default() };
        for entry in image {
            let is_root = entry.digest == image[0].digest || ImageDocument::is_media_type(&entry.media_type);
            if is_root && !reading.seen.contains(&entry.digest) {
                reading.walk(entry, store).await?;
            }
        }
        match image.iter().find(|entry| !reading.seen.contains(&entry.digest)) {
            Some(entry) => Err(wrong(format!("no manifest names {}", entry.digest))),
            None => Ok(reading.found),
        }
    }
}

struct Reading<'a> {
    listed: BTreeMap<Digest, &'a BlobEntry>,
    seen: BTreeSet<Digest>,
    found: Documents,
}

/// A manifest on the way down, or on the way up again, when all that it names was seen.
enum Visit<'a> {
    Down(&'a BlobEntry),
    Up(&'a BlobEntry),
}

impl<'a> Reading<'a> {
    /// Goes through a manifest and all that it names.
    async fn walk(&mut self, top: &'a BlobEntry, store: &Store) -> Result<(), RegistryError> {
        let mut visits = vec![Visit::Down(top)];
        while let Some(visit) = visits.pop() {
            let entry = match visit {
                Visit::Down(entry) => entry,
                Visit::Up(entry) => {
                    self.found.manifests.push(entry.clone());
                    continue;
                }
            };
            if !self.seen.insert(entry.digest) {
                continue;
            }
            visits.push(Visit::Up(entry));
            let bytes = bytes_of(entry, store).await?;
            let refuse = |source| RegistryError::Document { digest: entry.digest, source };
            match ImageDocument::from_bytes(&bytes, &entry.media_type).map_err(refuse)? {
                ImageDocument::Index { manifests } => {
                    for named in manifests.iter().rev() {
                        visits.push(Visit::Down(self.listed(entry, named)?));
                    }
                }
                ImageDocument::Image { config, layers } => {
                    for named in [&config].into_iter().chain(&layers) {
                        let content = self.listed(entry, named)?;
                        if self.seen.insert(content.digest) {
                            self.found.contents.push(BlobRef { digest: content.digest, size: content.size });
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn listed(&self, by: &BlobEntry, named: &Descriptor) -> Result<&'a BlobEntry, RegistryError> {
        let entry = self.listed.get(&named.digest).copied();
        entry.filter(|entry| entry.size == named.size).ok_or_else(|| {
            wrong(format!("{} names {} of {} bytes, which is not in it", by.digest, named.digest, named.size))
        })
    }
}

fn wrong(problem: String) -> RegistryError {
    RegistryError::WrongList { problem }
}

/// A manifest's verified bytes.
pub(crate) async fn bytes_of(entry: &BlobEntry, store: &Store) -> Result<Bytes, RegistryError> {
    let (digest, size) = (entry.digest, entry.size);
    if size > DOCUMENT_LIMIT {
        let source = ImageProblem::TooLarge { size, limit: DOCUMENT_LIMIT };
        return Err(RegistryError::Document { digest, source });
    }
    let read = store.read_blob(&BlobRef { digest, size }, io::Cursor::new(Vec::new())).await?;
    Ok(Bytes::from(read.into_inner()))
}
