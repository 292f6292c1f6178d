//! What can be wrong with an image.

/// What is wrong with an image or one of its blobs.
#[derive(Debug, thiserror::Error)]
pub enum ImageProblem {
    /// No such blob in `blobs/sha256`.
    #[error("it is missing from blobs/sha256")]
    Missing,
    /// An index that names more platforms than were written.
    #[error(
        "the image for {0:?} is missing: `docker save --platform` writes one platform; to have all, pull all first"
    )]
    MissingPlatform(String),
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
    /// An archive that is neither of the two forms.
    #[error("it holds neither oci-layout and index.json (an OCI archive) nor manifest.json (of docker save)")]
    NoForm,
    /// Several images where one is packed.
    #[error("{document} names {count} images; one is packed at a time: write each to a file or directory of its own")]
    Several {
        /// What names them.
        document: &'static str,
        /// How many different ones.
        count: usize,
    },
    /// A manifest beside the image that is about something else.
    #[error("it refers to {subject}, which is not part of the image: write the image to a directory of its own")]
    Stranger {
        /// What it is about.
        subject: manifest_schema::Digest,
    },
    /// A name in `manifest.json` that no file of the archive has.
    #[error("manifest.json names {0:?}, which is no file of the archive")]
    NoEntry(String),
    /// A configuration whose name is another digest than its bytes have.
    #[error("the configuration {name:?} has the digest {found}")]
    ConfigName {
        /// As `manifest.json` has it.
        name: String,
        /// What the bytes hash to.
        found: manifest_schema::Digest,
    },
    /// Another number of layers than the configuration has `diff_ids`.
    #[error("manifest.json names {layers} layers; rootfs.diff_ids of the configuration has {diff_ids}")]
    LayerCount {
        /// Layers in `manifest.json`.
        layers: usize,
        /// Layers in the configuration.
        diff_ids: usize,
    },
    /// An uncompressed layer that is not the one of the configuration.
    #[error("the layer {name:?} has the digest {found}; rootfs.diff_ids of the configuration has another")]
    DiffId {
        /// As `manifest.json` has it.
        name: String,
        /// What the bytes hash to.
        found: manifest_schema::Digest,
    },
    /// No JSON, a repeated key, or not of the right shape.
    #[error("it can't be read")]
    Json(#[source] serde_json::Error),
    /// Well-formed JSON that is not what it should be.
    #[error("{0}")]
    Shape(String),
}
