//! Where the named bytes of an image are.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use manifest_schema::Digest;

use crate::Progress;
use crate::archive::Archive;
use crate::error::{ImageProblem, PackError};
use crate::oci::DOCUMENT_LIMIT;
use crate::read::Part;

/// A directory, or a tar file of one.
pub(super) enum Place {
    Directory(PathBuf),
    Archive(Archive),
}

/// What names what in an image.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// image-spec v1.1, image-layout.md.
    Oci,
    /// Docker's image specification v1.2, "Combined Image JSON + Filesystem Changeset Format".
    DockerSave,
}

impl Place {
    pub(super) fn open(path: &Path) -> Result<Self, PackError> {
        if fs::metadata(path).map_err(PackError::read(path))?.is_dir() {
            return Ok(Self::Directory(path.to_owned()));
        }
        Archive::open(path).map(Self::Archive)
    }

    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Directory(path) => path,
            Self::Archive(archive) => archive.path(),
        }
    }

    /// What `docker save` writes today is of both forms; then it is an OCI layout, whose digests are the registry's.
    pub(super) fn form(&self) -> Result<Form, PackError> {
        let has = |name: &str| match self {
            Self::Directory(_) => true,
            Self::Archive(archive) => archive.find(name).is_some(),
        };
        if has("oci-layout") && has("index.json") {
            Ok(Form::Oci)
        } else if has("manifest.json") {
            Ok(Form::DockerSave)
        } else {
            Err(self.refuse(ImageProblem::NoForm))
        }
    }

    pub(super) fn find(&self, name: &str) -> Result<Option<Part>, PackError> {
        match self {
            Self::Archive(archive) => Ok(archive.find(name)),
            Self::Directory(path) => match Part::whole(path.join(name)) {
                Ok(part) => Ok(Some(part)),
                Err(PackError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error),
            },
        }
    }

    pub(super) fn blob(&self, digest: &Digest) -> Result<Option<Part>, PackError> {
        self.find(&format!("blobs/sha256/{}", digest.hex()))
    }

    /// A document that no descriptor names.
    pub(super) fn document(&self, name: &str, progress: Progress<'_>) -> Result<(Vec<u8>, Digest), PackError> {
        let Some(part) = self.find(name)? else {
            return Err(match self {
                Self::Directory(path) => PackError::read(&path.join(name))(io::ErrorKind::NotFound.into()),
                Self::Archive(_) => self.refuse(ImageProblem::NoEntry(name.to_owned())),
            });
        };
        let too_large = || self.refuse(ImageProblem::TooLarge { size: part.size(), limit: DOCUMENT_LIMIT });
        part.bytes(DOCUMENT_LIMIT, progress)?.ok_or_else(too_large)
    }

    pub(super) fn refuse(&self, source: ImageProblem) -> PackError {
        PackError::Image { path: self.path().to_owned(), source }
    }
}
