//! Why files can't be packed.

use std::io;
use std::path::{Path, PathBuf};

use manifest_schema::manifest::TreeProblem;
use manifest_schema::names::NameError;

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
    /// A directory that is no usable OCI image layout.
    #[error("{} is not an image layout that can be packed", path.display())]
    Layout {
        /// The layout's directory.
        path: PathBuf,
        /// Why.
        source: ImageProblem,
    },
    /// A blob of an image that contradicts the descriptor naming it.
    #[error("blob {digest} of the image {} is refused", path.display())]
    ImageBlob {
        /// The layout's directory.
        path: PathBuf,
        /// The digest as the descriptor has it.
        digest: manifest_schema::Digest,
        /// Why.
        source: ImageProblem,
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

/// What is wrong with an OCI image layout (image-spec v1.1) or one of its blobs.
#[derive(Debug, thiserror::Error)]
pub enum ImageProblem {
    /// No such blob in `blobs/sha256`.
    #[error("it is missing from blobs/sha256")]
    Missing,
    /// The file has another length than its descriptor says.
    #[error("it has {found} bytes; its descriptor says {declared}")]
    Size {
        /// Bytes in the file.
        found: u64,
        /// Bytes according to the descriptor.
        declared: u64,
    },
    /// The file has another digest than its descriptor says.
    #[error("its bytes have the digest {found}")]
    Digest {
        /// What the bytes hash to.
        found: manifest_schema::Digest,
    },
    /// A JSON document larger than any registry takes.
    #[error("it has {size} bytes; at most {limit} are read")]
    TooLarge {
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// Indexes inside indexes beyond any use.
    #[error("indexes are nested more than {limit} deep")]
    TooDeep {
        /// Most manifests on the way from the top to an image, both included.
        limit: usize,
    },
    /// More blobs than any image has.
    #[error("the image has more than {limit} blobs")]
    TooMany {
        /// The limit.
        limit: usize,
    },
    /// A descriptor with a media type that is none.
    #[error("{0:?} is not a media type")]
    MediaType(String),
    /// A descriptor that should name an image manifest or an image index.
    #[error("its media type {0:?} is neither an image manifest's nor an image index's")]
    NotAnImage(String),
    /// A manifest that calls itself something else than its descriptor does.
    #[error("it calls itself {found:?}; its descriptor says {declared:?}")]
    OtherMediaType {
        /// The document's own `mediaType`.
        found: String,
        /// The descriptor's.
        declared: String,
    },
    /// The same bytes used as a manifest and as a layer or configuration.
    #[error("it is used both as a manifest and as something else")]
    TwoRoles,
    /// No JSON, a repeated key, or not of the right shape.
    #[error("it can't be read")]
    Json(#[source] serde_json::Error),
    /// Well-formed JSON that is not what it should be.
    #[error("{0}")]
    Shape(String),
}
