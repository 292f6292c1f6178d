//! What can be wrong with an archive.

use manifest_schema::names::NameError;

/// Why an archive, or an entry for which all of it, is refused.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveProblem {
    /// Something else, or a tar of before POSIX.
    #[error("it is neither a POSIX nor a GNU tar file")]
    NotTar,
    /// An archive inside a compressed file.
    #[error("it is compressed with {with}: decompress it first, for example with {tool}")]
    Compressed {
        /// How.
        with: &'static str,
        /// What undoes it.
        tool: &'static str,
    },
    /// Something else where the next header should be.
    #[error("at byte {offset} there is no header")]
    NoHeader {
        /// Where.
        offset: u64,
    },
    /// The file ends before the archive does.
    #[error("it is cut short: it has no end mark")]
    CutShort,
    /// Bytes after the end mark, which some readers take for more entries.
    #[error("something other than a little padding follows its end")]
    AfterEnd,
    /// An extension header without an entry.
    #[error("it ends with a header about an entry that does not follow")]
    NothingFollows,
    /// More entries than any image has.
    #[error("there are more than {limit} entries")]
    TooMany {
        /// The limit.
        limit: usize,
    },
    /// A header that was damaged or edited.
    #[error("its header has a wrong checksum")]
    Checksum,
    /// A field that is no number, or one that is negative or too large.
    #[error("a number in its header is malformed, negative or too large")]
    Number,
    /// A name that readers could take for different ones.
    #[error("its name or target is not UTF-8")]
    NotUtf8,
    /// A name that is no path inside the archive.
    #[error("its name leaves the archive, or is no name")]
    Name(#[from] NameError),
    /// Neither a file nor a directory nor a symbolic link.
    #[error("it is {0}: only files, directories and symbolic links inside are taken")]
    Kind(&'static str),
    /// A file that would run as its owner or group.
    #[error("it has a set-user-id or set-group-id bit")]
    SetId,
    /// A directory or link with a length.
    #[error("it is no file, but has contents")]
    Contents,
    /// A pax header of another size than the header (RUSTSEC-2026-0068).
    #[error("its header says {header} bytes, its pax header {pax}")]
    TwoSizes {
        /// In the header.
        header: u64,
        /// In the pax header.
        pax: u64,
    },
    /// A size beyond the end of the file.
    #[error("its header says {size} bytes; only {room} are left in the archive")]
    Beyond {
        /// In the header.
        size: u64,
        /// To the end of the file.
        room: u64,
    },
    /// A pax header or long name that is malformed or changes what an entry is.
    #[error("its pax header or long name is refused: {0}")]
    Pax(String),
    /// Headers in an order in which readers disagree about whom they are about.
    #[error("several headers contradict each other about what it is")]
    Ambiguous,
    /// The same name twice, so that readers keep another one.
    #[error("the name is there twice")]
    Duplicate,
    /// On a case-insensitive file system one would overwrite the other.
    #[error("its name differs only in case from {0:?}")]
    Case(String),
    /// A file where another entry needs a directory.
    #[error("it is below {0:?}, which is no directory")]
    BelowFile(String),
    /// A link that leads out of the archive.
    #[error("it is a link out of the archive, to {0:?}")]
    LinkOut(String),
    /// A link to a link, a directory or nothing.
    #[error("it is a link to {0:?}, which is no file of the archive")]
    LinkNowhere(String),
}
