//! Gate 12: a verified bundle becomes files in a private directory.
//!
//! The list of files comes from a verified manifest, and a bundle has one encoding, so every byte that is not content
//! is known beforehand and compared, and all content is hashed while it is written. Links, devices, `..`, absolute or
//! repeated names, pax and GNU extensions, sparse files, special mode bits: none of them can be among the expected
//! bytes. The archive is looked into only to tell a person what was found instead.

use std::collections::BTreeSet;
use std::io::{self, Read, Write as _};

use cap_std::fs::{Dir, DirBuilder, DirBuilderExt as _, OpenOptions, OpenOptionsExt as _};
use manifest_schema::Digest;
use manifest_schema::digest::Hasher;
use manifest_schema::manifest::{FileEntry, FileMode, TreeProblem, check_tree};
use tar::Header;

use crate::bundle::{BLOCK, BundleLimits, END, entry_size, header};

/// A bundle that is refused, or could not be read or written. Files may have been written already: none may be used.
#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    /// The list itself can't be a tree.
    #[error("the bundle's file list is refused")]
    List(#[source] TreeProblem),
    /// More files than the limit.
    #[error("the bundle lists {found} files; at most {limit} are extracted")]
    TooMany {
        /// Files listed.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// More bytes than the limit.
    #[error("the bundle lists {found} bytes; at most {limit} are extracted")]
    TooLarge {
        /// Bytes of an archive with the files listed.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// The target is in use.
    #[error("bundles are only extracted into an empty directory")]
    NotEmpty,
    /// The archive has something else than the list at this place.
    #[error("entry {entry:?} of the bundle is refused")]
    Entry {
        /// The entry's name as the archive has it, unprintable bytes replaced.
        entry: String,
        /// What is wrong with it.
        source: EntryProblem,
    },
    /// The archive ends in order before this entry.
    #[error("the bundle has no entry {entry:?}, which the manifest lists")]
    Missing {
        /// The first entry that is missing.
        entry: String,
    },
    /// The archive breaks off.
    #[error("the bundle breaks off in or before entry {entry:?}")]
    Truncated {
        /// The entry, or `end of archive`.
        entry: String,
    },
    /// Bytes after the end of the archive.
    #[error("the bundle goes on after its end")]
    Trailing,
    /// The archive can't be read.
    #[error("can't read the bundle")]
    Read(#[source] io::Error),
    /// A file or directory can't be made.
    #[error("can't write {path:?}")]
    Write {
        /// Where, inside the target.
        path: String,
        /// What the system said.
        source: io::Error,
    },
}

/// How an entry differs from what the manifest lists.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryProblem {
    /// No file of that name is listed.
    #[error("the manifest doesn't list it")]
    NotListed,
    /// It is listed, but not at this place.
    #[error("it is there twice or out of order")]
    OutOfPlace,
    /// Not a regular file, or an extension that changes what follows.
    #[error("it is {0}; bundles hold regular files only")]
    Kind(&'static str),
    /// Other permission bits.
    #[error("it has mode {found:04o}; the manifest says {listed:04o}")]
    Mode {
        /// In the archive.
        found: u32,
        /// In the manifest.
        listed: u32,
    },
    /// Another size in its header.
    #[error("it has {found} bytes; the manifest says {listed}")]
    Size {
        /// In the archive.
        found: u64,
        /// In the manifest.
        listed: u64,
    },
    /// Another header than bundles have: checksum, owner, time, link name, pax records.
    #[error("its header is not one that bundles have")]
    Header,
    /// Something between its content and the next entry.
    #[error("its padding is not zero")]
    Padding,
    /// Other content.
    #[error("its content has digest {found}; the manifest says {listed}")]
    Digest {
        /// Of the archive's content.
        found: Digest,
        /// In the manifest.
        listed: Digest,
    },
}

/// Extracts a bundle that must hold exactly `files`, in that order, into an empty directory. Files become 0600, or
/// 0700 if executable, and directories 0700: they are private to the worker.
///
/// # Errors
/// When the archive is anything but the one encoding of `files`, a limit is exceeded, or reading or writing fails.
/// The caller then deletes the directory: what is in it proves nothing.
pub fn extract_bundle(
    archive: impl Read,
    files: &[FileEntry],
    into: &Dir,
    limits: BundleLimits,
) -> Result<(), ExtractError> {
    check_limits(files, limits)?;
    check_tree(files, &[]).map_err(ExtractError::List)?;
    let write_error = |source| ExtractError::Write { path: ".".to_owned(), source };
    if into.entries().map_err(write_error)?.next().is_some() {
        return Err(ExtractError::NotEmpty);
    }
    let mut extraction = Extraction { archive, files, into, made: BTreeSet::new(), buffer: vec![0; 64 << 10] };
    for file in files {
        extraction.expect_header(file)?;
        extraction.write(file)?;
        extraction.expect_padding(file)?;
    }
    extraction.expect_end()
}

fn check_limits(files: &[FileEntry], limits: BundleLimits) -> Result<(), ExtractError> {
    if files.len() > limits.files {
        return Err(ExtractError::TooMany { found: files.len(), limit: limits.files });
    }
    let sizes = files.iter().map(|file| entry_size(&file.path, file.size));
    let found = sizes.fold(END.len() as u64, u64::saturating_add);
    if found > limits.bytes { Err(ExtractError::TooLarge { found, limit: limits.bytes }) } else { Ok(()) }
}

struct Extraction<'a, R> {
    archive: R,
    files: &'a [FileEntry],
    into: &'a Dir,
    /// Directories that exist already.
    made: BTreeSet<&'a str>,
    buffer: Vec<u8>,
}

impl<'a, R: Read> Extraction<'a, R> {
    fn expect_header(&mut self, file: &FileEntry) -> Result<(), ExtractError> {
        let name = file.path.as_str();
        for (number, expected) in header(&file.path, file.mode, file.size).chunks_exact(BLOCK).enumerate() {
            let found = self.block(name)?;
            if found == *expected {
                continue;
            }
            if number == 0 && found == [0; BLOCK] {
                return Err(ExtractError::Missing { entry: name.to_owned() });
            }
            let found = Header::from_byte_slice(&found);
            let expected = Header::from_byte_slice(expected);
            return Err(if number == 0 {
                self.differs(found, expected)
            } else {
                refused(name, inner(found, expected))
            });
        }
        Ok(())
    }

    fn write(&mut self, file: &'a FileEntry) -> Result<(), ExtractError> {
        let path = file.path.as_str();
        self.make_parents(path)?;
        let write_error = |source| ExtractError::Write { path: path.to_owned(), source };
        let mode = match file.mode {
            FileMode::Regular => 0o600,
            FileMode::Executable => 0o700,
        };
        // `create_new` follows no link, and `Dir` leaves the directory by none.
        let mut out = self
            .into
            .open_with(path, OpenOptions::new().write(true).create_new(true).mode(mode))
            .map_err(write_error)?;
        let mut hasher = Hasher::default();
        let mut left = file.size;
        while left > 0 {
            let length = usize::try_from(left).map_or(self.buffer.len(), |left| left.min(self.buffer.len()));
            let piece = &mut self.buffer[..length];
            self.archive.read_exact(piece).map_err(|error| read_error(path, error))?;
            hasher.update(piece);
            out.write_all(piece).map_err(write_error)?;
            left -= length as u64;
        }
        let (found, _) = hasher.finish();
        let listed = file.digest;
        if found == listed { Ok(()) } else { Err(refused(path, EntryProblem::Digest { found, listed })) }
    }

    fn make_parents(&mut self, path: &'a str) -> Result<(), ExtractError> {
        for (end, _) in path.match_indices('/') {
            let parent = &path[..end];
            if self.made.insert(parent) {
                let made = self.into.create_dir_with(parent, DirBuilder::new().mode(0o700));
                made.map_err(|source| ExtractError::Write { path: parent.to_owned(), source })?;
            }
        }
        Ok(())
    }

    fn expect_padding(&mut self, file: &FileEntry) -> Result<(), ExtractError> {
        let padding = file.size.next_multiple_of(BLOCK as u64) - file.size;
        let Ok(length) = usize::try_from(padding) else {
            return Err(refused(file.path.as_str(), EntryProblem::Padding));
        };
        let piece = &mut self.buffer[..length];
        self.archive.read_exact(piece).map_err(|error| read_error(file.path.as_str(), error))?;
        if piece.iter().all(|byte| *byte == 0) {
            Ok(())
        } else {
            Err(refused(file.path.as_str(), EntryProblem::Padding))
        }
    }

    fn expect_end(&mut self) -> Result<(), ExtractError> {
        let first = self.block("end of archive")?;
        if first != [0; BLOCK] {
            let found = Header::from_byte_slice(&first);
            let problem = kind(found).map_or_else(|| self.misplaced(found), EntryProblem::Kind);
            return Err(refused(&display_name(found), problem));
        }
        if self.block("end of archive")? != [0; BLOCK] {
            return Err(ExtractError::Trailing);
        }
        match self.archive.read_exact(&mut [0]) {
            Ok(()) => Err(ExtractError::Trailing),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
            Err(error) => Err(ExtractError::Read(error)),
        }
    }

    fn block(&mut self, entry: &str) -> Result<[u8; BLOCK], ExtractError> {
        let mut block = [0; BLOCK];
        self.archive.read_exact(&mut block).map_err(|error| read_error(entry, error))?;
        Ok(block)
    }

    /// Says how an entry's first header differs from the expected one.
    fn differs(&self, found: &Header, expected: &Header) -> ExtractError {
        let name = display_name(found);
        if same_type(found, expected) && name == display_name(expected) {
            return refused(&name, inner(found, expected));
        }
        refused(&name, kind(found).map_or_else(|| self.misplaced(found), EntryProblem::Kind))
    }

    fn misplaced(&self, found: &Header) -> EntryProblem {
        let name = display_name(found);
        let listed = self.files.iter().any(|file| file.path.as_str() == name);
        if listed { EntryProblem::OutOfPlace } else { EntryProblem::NotListed }
    }
}

fn refused(entry: &str, source: EntryProblem) -> ExtractError {
    ExtractError::Entry { entry: entry.to_owned(), source }
}

fn read_error(entry: &str, error: io::Error) -> ExtractError {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        ExtractError::Truncated { entry: entry.to_owned() }
    } else {
        ExtractError::Read(error)
    }
}

/// How two headers of the same entry differ.
fn inner(found: &Header, expected: &Header) -> EntryProblem {
    if let (Some(kind), false) = (kind(found), same_type(found, expected)) {
        return EntryProblem::Kind(kind);
    }
    match (found.mode(), expected.mode()) {
        (Ok(found), Ok(listed)) if found != listed => return EntryProblem::Mode { found, listed },
        _ => {}
    }
    match (found.entry_size(), expected.entry_size()) {
        (Ok(found), Ok(listed)) if found != listed => EntryProblem::Size { found, listed },
        _ => EntryProblem::Header,
    }
}

fn same_type(found: &Header, expected: &Header) -> bool {
    found.as_old().linkflag == expected.as_old().linkflag
}

/// What an entry is, in words, unless it is a regular file.
fn kind(header: &Header) -> Option<&'static str> {
    // The raw byte: the parsed type takes pre-POSIX archives' zero for a regular file.
    match header.as_old().linkflag[0] {
        b'0' => None,
        b'1' => Some("a hard link"),
        b'2' => Some("a symbolic link"),
        b'3' | b'4' => Some("a device"),
        b'5' => Some("a directory"),
        b'6' => Some("a named pipe"),
        b'S' => Some("a sparse file"),
        b'L' | b'K' => Some("a GNU long-name extension"),
        b'x' => Some("a pax header"),
        b'g' => Some("a global pax header"),
        _ => Some("an entry of unknown type"),
    }
}

/// The entry's name for people, with its ustar prefix if it has one.
fn display_name(header: &Header) -> String {
    String::from_utf8_lossy(&header.path_bytes()).into_owned()
}
