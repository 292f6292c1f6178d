//! Archives from outside, never extracted: a table of where in the file each entry's bytes are.
//!
//! Readers of tar disagree about odd archives, and a file that is one image to one reader and another to the next is an
//! attack. So only what all read alike is taken (POSIX.1-2024 ustar and pax, and GNU tar's long names and large
//! numbers), and anything else refuses the archive whole: hard links, devices and pipes, set-id bits, sparse files,
//! names that leave the archive or collide, pax headers that change what an entry is, numbers that are none, bytes
//! after the end.

mod header;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use manifest_schema::names::{LinkTarget, RelativePath};

use self::header::{BLOCK, Block, Header, Kind, OCTAL_MOST, Pax};
use crate::error::{ArchiveProblem, PackError};
use crate::read::{Part, Stamp, Still};

/// Most entries: a `docker save` archive has four for each layer of an image.
const MOST_ENTRIES: usize = 50_000;

/// Most bytes of a pax header or of a GNU long name.
const MOST_EXTENSION: u64 = 64 << 10;

/// Most zeros after the last entry: GNU tar's largest block is a mebibyte.
const MOST_PADDING: u64 = 1 << 20;

/// Compressed files by their first bytes: with what, and what undoes it.
const COMPRESSED: [(&[u8], &str, &str); 4] = [
    (b"\x1f\x8b", "gzip", "gunzip"),
    (b"\x28\xb5\x2f\xfd", "zstd", "zstd -d"),
    (b"\xfd7zXZ\0", "xz", "unxz"),
    (b"BZh", "bzip2", "bunzip2"),
];

/// A tar file whose entries were all looked at, and found fit to be believed.
pub(crate) struct Archive {
    path: PathBuf,
    stamp: Stamp,
    entries: BTreeMap<String, Entry>,
}

enum Entry {
    File {
        offset: u64,
        size: u64,
    },
    Directory,
    /// To an entry that is a file.
    Link {
        to: String,
    },
}

impl Archive {
    /// Reads all headers, and no contents.
    ///
    /// # Errors
    /// When `path` is no regular file or no archive, or when any entry is refused.
    pub(crate) fn open(path: &Path) -> Result<Self, PackError> {
        let still = Still::open(path)?;
        let scan = Scan { file: &still, path, at: 0, ahead: Ahead::default(), entries: BTreeMap::new() };
        let entries = scan.all()?;
        still.expect_unchanged()?;
        Ok(Self { path: path.to_owned(), stamp: still.stamp(), entries })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The bytes of a file, or of the file that a link leads to.
    pub(crate) fn find(&self, name: &str) -> Option<Part> {
        let entry = match self.entries.get(name)? {
            Entry::Link { to } => self.entries.get(to)?,
            entry @ (Entry::File { .. } | Entry::Directory) => entry,
        };
        match *entry {
            Entry::File { offset, size } => Some(Part::of_file(self.path.clone(), self.stamp, offset, size)),
            Entry::Directory | Entry::Link { .. } => None,
        }
    }
}

/// What extension headers say about the entry that comes next.
#[derive(Default)]
struct Ahead {
    pax: Option<Pax>,
    long_name: Option<String>,
    long_target: Option<String>,
}

impl Ahead {
    fn is_empty(&self) -> bool {
        self.pax.is_none() && self.long_name.is_none() && self.long_target.is_none()
    }
}

struct Scan<'a> {
    file: &'a Still<'a>,
    path: &'a Path,
    at: u64,
    ahead: Ahead,
    entries: BTreeMap<String, Entry>,
}

impl Scan<'_> {
    fn all(mut self) -> Result<BTreeMap<String, Entry>, PackError> {
        while let Some(header) = self.header()? {
            let data = self.at;
            // Who reads on must not come back to the same place.
            let end = header.size.checked_next_multiple_of(BLOCK).and_then(|size| data.checked_add(size));
            match header.kind {
                Kind::Pax | Kind::PaxForAll | Kind::LongName | Kind::LongTarget => {
                    let name = header.name.clone();
                    let taken = self.extension(&header);
                    taken.map_err(|source| self.refuse_entry(&name, source))?;
                    self.at = end.unwrap_or(u64::MAX);
                }
                Kind::File | Kind::Directory | Kind::Link => {
                    let ahead = std::mem::take(&mut self.ahead);
                    let name = ahead.name(&header);
                    let taken = self.entry(&name, &header, ahead);
                    let size = taken.map_err(|source| self.refuse_entry(&name, source))?;
                    self.at = data.saturating_add(size.next_multiple_of(BLOCK));
                }
            }
        }
        self.expect_tree()?;
        Ok(self.entries)
    }

    /// The next header, unless the archive ends here as archives end.
    fn header(&mut self) -> Result<Option<Header>, PackError> {
        let mut block: Block = [0; 512];
        let here = self.at;
        let room = self.file.size().checked_sub(here);
        if room.is_none_or(|room| room < BLOCK) {
            let problem = if here == 0 { ArchiveProblem::NotTar } else { ArchiveProblem::CutShort };
            return Err(self.refuse(problem));
        }
        self.file.read_at(here, &mut block)?;
        if block.iter().all(|byte| *byte == 0) {
            self.expect_end(here)?;
            return Ok(None);
        }
        self.at = here + BLOCK;
        if here == 0
            && let Some((_, with, tool)) = COMPRESSED.iter().find(|(magic, ..)| block.starts_with(magic))
        {
            return Err(self.refuse(ArchiveProblem::Compressed { with, tool }));
        }
        let name = || String::from_utf8_lossy(&block[..100]).trim_end_matches('\0').to_owned();
        match Header::parse(&block) {
            Ok(header) => Ok(Some(header)),
            Err(ArchiveProblem::NotTar) if here == 0 => Err(self.refuse(ArchiveProblem::NotTar)),
            Err(ArchiveProblem::NotTar) => Err(self.refuse(ArchiveProblem::NoHeader { offset: here })),
            Err(source) => Err(self.refuse_entry(&name(), source)),
        }
    }

    /// Nothing but zeros may follow: another reader might go on there.
    fn expect_end(&self, from: u64) -> Result<(), PackError> {
        if !self.ahead.is_empty() {
            return Err(self.refuse(ArchiveProblem::NothingFollows));
        }
        let left = self.file.size() - from;
        if left > MOST_PADDING {
            return Err(self.refuse(ArchiveProblem::AfterEnd));
        }
        let mut rest = vec![0; usize::try_from(left).unwrap_or(0)];
        self.file.read_at(from, &mut rest)?;
        if rest.iter().any(|byte| *byte != 0) { Err(self.refuse(ArchiveProblem::AfterEnd)) } else { Ok(()) }
    }

    /// Takes in a header that describes the entry after it.
    fn extension(&mut self, header: &Header) -> Result<(), ArchiveProblem> {
        if header.size > MOST_EXTENSION {
            return Err(ArchiveProblem::Pax(format!(
                "it has {} bytes; at most {MOST_EXTENSION} are read",
                header.size
            )));
        }
        self.expect_room(header.size)?;
        let mut bytes = vec![0; usize::try_from(header.size).unwrap_or(0)];
        self.file.read_at(self.at, &mut bytes).map_err(|_| ArchiveProblem::CutShort)?;
        let ahead = &mut self.ahead;
        let twice = match header.kind {
            Kind::PaxForAll => {
                // Between a header and its entry, readers disagree whom it is about.
                let between = !ahead.is_empty();
                Pax::parse(&bytes)?.expect_nothing()?;
                between
            }
            // Readers disagree which wins, or whether the pax header is about the long name (GHSA-3cv2-h65g-fgmm).
            Kind::Pax => {
                let between = !ahead.is_empty();
                ahead.pax = Some(Pax::parse(&bytes)?);
                between
            }
            Kind::LongName => ahead.pax.is_some() || ahead.long_name.replace(header::long_text(&bytes)?).is_some(),
            Kind::LongTarget => ahead.pax.is_some() || ahead.long_target.replace(header::long_text(&bytes)?).is_some(),
            Kind::File | Kind::Directory | Kind::Link => false,
        };
        if twice { Err(ArchiveProblem::Ambiguous) } else { Ok(()) }
    }

    /// Takes in a file, directory or link, and returns how many bytes it has.
    fn entry(&mut self, name: &str, header: &Header, ahead: Ahead) -> Result<u64, ArchiveProblem> {
        if header.set_id && header.kind != Kind::Directory {
            return Err(ArchiveProblem::SetId);
        }
        let pax = ahead.pax.unwrap_or_default();
        let size = match pax.size {
            // A size that has no room in the header is zero there.
            Some(size) if header.size == 0 && size > OCTAL_MOST => size,
            Some(size) if size != header.size => {
                return Err(ArchiveProblem::TwoSizes { header: header.size, pax: size });
            }
            Some(_) | None => header.size,
        };
        if header.kind != Kind::File && size != 0 {
            return Err(ArchiveProblem::Contents);
        }
        if header.kind != Kind::Link && (pax.target.is_some() || ahead.long_target.is_some()) {
            return Err(ArchiveProblem::Ambiguous);
        }
        self.expect_room(size)?;
        let name = name.strip_prefix("./").unwrap_or(name);
        let name = if header.kind == Kind::Directory { name.strip_suffix('/').unwrap_or(name) } else { name };
        // `tar -c .` begins with the directory itself.
        if header.kind == Kind::Directory && matches!(name, "" | ".") {
            return Ok(size);
        }
        let name = RelativePath::new(name)?;
        let entry = match header.kind {
            Kind::Directory => Entry::Directory,
            Kind::Link => {
                let target = pax.target.or(ahead.long_target).unwrap_or_else(|| header.target.clone());
                Entry::Link { to: inside(&name, &target)? }
            }
            Kind::File | Kind::Pax | Kind::PaxForAll | Kind::LongName | Kind::LongTarget => {
                Entry::File { offset: self.at, size }
            }
        };
        if self.entries.len() >= MOST_ENTRIES {
            return Err(ArchiveProblem::TooMany { limit: MOST_ENTRIES });
        }
        match (self.entries.insert(String::from(name), entry), header.kind) {
            (None, _) | (Some(Entry::Directory), Kind::Directory) => Ok(size),
            (Some(_), _) => Err(ArchiveProblem::Duplicate),
        }
    }

    fn expect_room(&self, size: u64) -> Result<(), ArchiveProblem> {
        let room = self.file.size().saturating_sub(self.at);
        if size > room { Err(ArchiveProblem::Beyond { size, room }) } else { Ok(()) }
    }

    /// Whether the entries can exist together: no names that differ only in case, nothing below a file, and links to
    /// files only.
    fn expect_tree(&self) -> Result<(), PackError> {
        let mut folded = BTreeMap::new();
        for (name, entry) in &self.entries {
            if let Some(other) = folded.insert(name.to_lowercase(), name) {
                return Err(self.refuse_entry(name, ArchiveProblem::Case(other.clone())));
            }
            for (end, _) in name.match_indices('/') {
                let parent = &name[..end];
                match self.entries.get(parent) {
                    None | Some(Entry::Directory) => {}
                    Some(Entry::File { .. } | Entry::Link { .. }) => {
                        return Err(self.refuse_entry(name, ArchiveProblem::BelowFile(parent.to_owned())));
                    }
                }
            }
            if let Entry::Link { to } = entry
                && !matches!(self.entries.get(to), Some(Entry::File { .. }))
            {
                return Err(self.refuse_entry(name, ArchiveProblem::LinkNowhere(to.clone())));
            }
        }
        Ok(())
    }

    fn refuse(&self, source: ArchiveProblem) -> PackError {
        PackError::Archive { path: self.path.to_owned(), source }
    }

    fn refuse_entry(&self, name: &str, source: ArchiveProblem) -> PackError {
        PackError::Entry { path: self.path.to_owned(), entry: name.to_owned(), source }
    }
}

impl Ahead {
    /// What the entry with this header is called.
    fn name(&self, header: &Header) -> String {
        let pax = self.pax.as_ref().and_then(|pax| pax.path.clone());
        pax.or_else(|| self.long_name.clone()).unwrap_or_else(|| header.name.clone())
    }
}

/// The entry that a link's target means.
fn inside(link: &RelativePath, target: &str) -> Result<String, ArchiveProblem> {
    let out = || ArchiveProblem::LinkOut(target.to_owned());
    LinkTarget::new(target).map_err(|_| out())?;
    let mut at: Vec<&str> = link.as_str().split('/').collect();
    at.pop();
    for part in target.split('/') {
        match part {
            "." => {}
            ".." => {
                at.pop().ok_or_else(out)?;
            }
            part => at.push(part),
        }
    }
    Ok(at.join("/"))
}
