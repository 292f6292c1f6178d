//! Why files can't be packed.

mod archive;
mod image;
mod module;

use std::io;
use std::path::{Path, PathBuf};

use manifest_schema::manifest::TreeProblem;
use manifest_schema::names::NameError;

pub use archive::ArchiveProblem;
pub use image::ImageProblem;
pub use module::ModuleProblem;

/// Files that can't become an artifact.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// Missing, vanished, or not readable.
    #[error("can't read {}", path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Neither a regular file nor, where one is expected, a directory.
    #[error("{} is {found}, not {expected}: nothing else can be packed", path.display())]
    Kind {
        /// What was met.
        path: PathBuf,
        /// What it is.
        found: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// Written to, replaced or renamed while it was read.
    #[error("{} changed while it was read: pack after the build has finished", path.display())]
    Changed {
        /// The file or directory.
        path: PathBuf,
    },
    /// A name that is not UTF-8, so that two machines could read it differently.
    #[error("the name of {}, or what it links to, is not UTF-8", path.display())]
    NotUtf8 {
        /// The file or directory, with replacement characters when displayed.
        path: PathBuf,
    },
    /// A name that no path inside an artifact may have.
    #[error("{} can't be packed under its name", path.display())]
    Name {
        /// The file.
        path: PathBuf,
        /// The rule it breaks.
        source: NameError,
    },
    /// A directory in which there is nothing to pack.
    #[error("{} holds no files to pack: was it built, and is the path right?", path.display())]
    Empty {
        /// The directory.
        path: PathBuf,
    },
    /// More files than an artifact may have.
    #[error("{} holds more than {limit} files", path.display())]
    TooMany {
        /// The directory.
        path: PathBuf,
        /// The limit.
        limit: usize,
    },
    /// A Terraform bundle that would be larger than a worker extracts.
    #[error(
        "the bundle of {} would be larger than {limit} bytes: keep providers, build output and data out of it",
        path.display()
    )]
    BundleTooLarge {
        /// The directory.
        path: PathBuf,
        /// The limit in bytes of the archive.
        limit: u64,
    },
    /// A module that can't be copied into a Terraform bundle.
    #[error("{} can't be packed", path.display())]
    Module {
        /// The root module.
        path: PathBuf,
        /// Which module, and why.
        source: ModuleProblem,
    },
    /// Paths that do not fit together.
    #[error("{} can't be packed", path.display())]
    List {
        /// The directory.
        path: PathBuf,
        /// Which paths, and why.
        source: TreeProblem,
    },
    /// Text that is no media type.
    #[error("{0:?} is not a media type: expected type/subtype, as in RFC 6838")]
    MediaType(String),
    /// A directory or archive that is no usable image.
    #[error("{} is not an image that can be packed", path.display())]
    Image {
        /// The directory or archive.
        path: PathBuf,
        /// Why.
        source: ImageProblem,
    },
    /// A blob of an image that contradicts the descriptor naming it.
    #[error("blob {digest} of the image {} is refused", path.display())]
    ImageBlob {
        /// The directory or archive.
        path: PathBuf,
        /// The digest as the descriptor has it.
        digest: manifest_schema::Digest,
        /// Why.
        source: ImageProblem,
    },
    /// A file that is no archive as all readers read it.
    #[error("{} is not an archive that can be packed", path.display())]
    Archive {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ArchiveProblem,
    },
    /// An entry for which an archive is refused.
    #[error("the archive {} is refused for its entry {entry:?}", path.display())]
    Entry {
        /// The archive.
        path: PathBuf,
        /// The entry's name, with replacement characters where it is not UTF-8.
        entry: String,
        /// Why.
        source: ArchiveProblem,
    },
}

impl PackError {
    pub(crate) fn read(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        move |source| Self::Read { path: path.to_owned(), source }
    }

    pub(crate) fn name(path: &Path) -> impl FnOnce(NameError) -> Self + '_ {
        move |source| Self::Name { path: path.to_owned(), source }
    }
}
