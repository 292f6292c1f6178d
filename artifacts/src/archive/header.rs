//! One header of a tar archive, and what extension headers say (POSIX.1-2024, pax; GNU tar's manual, "Basic Tar Format").
//!
//! The `tar` crate knows where the fields are; what is in them is read here, because it takes more than all readers
//! agree on: signs and blanks within numbers, negative numbers, headers without a magic number.

use crate::error::ArchiveProblem;

/// Archives are made of blocks of this many bytes.
pub(super) const BLOCK: u64 = 512;

/// One of them.
pub(super) type Block = [u8; 512];

/// The largest number that twelve bytes hold in octal: 8 GiB less one.
pub(super) const OCTAL_MOST: u64 = (8 << 30) - 1;

/// What a header stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Directory,
    Link,
    /// A pax header about the next entry.
    Pax,
    /// A pax header about all entries that follow.
    PaxForAll,
    /// GNU tar's way to name the next entry.
    LongName,
    /// GNU tar's way to say where the next entry, a link, leads.
    LongTarget,
}

/// A header, without what extension headers say about the entry.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) target: String,
    pub(super) size: u64,
    /// Whether it runs as its owner or group.
    pub(super) set_id: bool,
}

impl Header {
    pub(super) fn parse(block: &Block) -> Result<Self, ArchiveProblem> {
        let header = tar::Header::from_byte_slice(block);
        // Schily's star has a shorter prefix field, and says so at the end.
        if (header.as_ustar().is_none() && header.as_gnu().is_none()) || block.ends_with(b"tar\0") {
            return Err(ArchiveProblem::NotTar);
        }
        let sum = block.iter().enumerate().map(|(at, byte)| match at {
            148..156 => u64::from(b' '),
            _ => u64::from(*byte),
        });
        if number(&header.as_old().cksum)? != sum.sum::<u64>() {
            return Err(ArchiveProblem::Checksum);
        }
        let kind = kind(header.entry_type().as_byte())?;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|_| ArchiveProblem::NotUtf8);
        Ok(Self {
            kind,
            name: text(&header.path_bytes())?,
            target: text(&header.link_name_bytes().unwrap_or_default())?,
            size: number(&header.as_old().size)?,
            set_id: number(&header.as_old().mode)? & 0o6000 != 0,
        })
    }
}

fn kind(flag: u8) -> Result<Kind, ArchiveProblem> {
    Ok(match flag {
        b'0' | b'\0' => Kind::File,
        b'5' => Kind::Directory,
        b'2' => Kind::Link,
        b'x' => Kind::Pax,
        b'g' => Kind::PaxForAll,
        b'L' => Kind::LongName,
        b'K' => Kind::LongTarget,
        b'1' => return Err(ArchiveProblem::Kind("a hard link")),
        b'3' | b'4' => return Err(ArchiveProblem::Kind("a device")),
        b'6' => return Err(ArchiveProblem::Kind("a named pipe")),
        b'S' => return Err(ArchiveProblem::Kind("a sparse file")),
        _ => return Err(ArchiveProblem::Kind("of a type that readers treat differently")),
    })
}

/// An octal number, or for twelve bytes GNU tar's base-256 form where octal has no room.
fn number(field: &[u8]) -> Result<u64, ArchiveProblem> {
    if let [0x80, rest @ ..] = field {
        let value = rest.iter().try_fold(0_u64, |value, byte| Some(value.checked_mul(256)? + u64::from(*byte)));
        return value.filter(|value| *value > OCTAL_MOST).ok_or(ArchiveProblem::Number);
    }
    let blank = |byte: &u8| matches!(byte, b' ' | b'\0');
    let start = field.iter().position(|byte| *byte != b' ').unwrap_or(field.len());
    let field = &field[start..];
    let end = field.iter().position(blank).unwrap_or(field.len());
    let (digits, rest) = field.split_at(end);
    if !rest.iter().all(blank) || !digits.iter().all(|digit| (b'0'..=b'7').contains(digit)) {
        return Err(ArchiveProblem::Number);
    }
    Ok(digits.iter().fold(0, |value, digit| value * 8 + u64::from(digit - b'0')))
}

/// The text of a GNU long name: it ends with its only NUL.
pub(super) fn long_text(bytes: &[u8]) -> Result<String, ArchiveProblem> {
    match bytes.split_last() {
        Some((0, text)) if !text.is_empty() && !text.contains(&0) => {
            String::from_utf8(text.to_vec()).map_err(|_| ArchiveProblem::NotUtf8)
        }
        Some(_) | None => Err(ArchiveProblem::Pax("its long name does not end where it says".to_owned())),
    }
}

/// What a pax header says about what an entry is.
#[derive(Debug, Default)]
pub(super) struct Pax {
    pub(super) path: Option<String>,
    pub(super) target: Option<String>,
    pub(super) size: Option<u64>,
}

/// What a pax header may say besides, because it changes nothing about names and bytes: the end of the key, if it ends
/// in a dot, is free.
const HARMLESS: [&str; 17] = [
    "atime",
    "ctime",
    "mtime",
    "uid",
    "gid",
    "uname",
    "gname",
    "comment",
    "SCHILY.dev",
    "SCHILY.ino",
    "SCHILY.nlink",
    "SCHILY.fflags",
    "SCHILY.xattr.",
    "SCHILY.acl.",
    "LIBARCHIVE.xattr.",
    "LIBARCHIVE.creationtime",
    "RHT.security.",
];

impl Pax {
    /// Reads records of the form `<length> <key>=<value>\n`. Whatever is not known to be harmless is refused, sparse
    /// files and other character sets for example; and so is an empty value, which means different things.
    pub(super) fn parse(mut bytes: &[u8]) -> Result<Self, ArchiveProblem> {
        let refuse = |problem: String| ArchiveProblem::Pax(problem);
        let mut pax = Self::default();
        while !bytes.is_empty() {
            let (key, value, rest) = record(bytes).ok_or_else(|| refuse("it is no list of records".to_owned()))?;
            bytes = rest;
            let slot = match key {
                "path" => &mut pax.path,
                "linkpath" => &mut pax.target,
                "size" => {
                    let digits = !value.is_empty() && value.bytes().all(|digit| digit.is_ascii_digit());
                    let size = value.parse().ok().filter(|_| digits).ok_or(ArchiveProblem::Number)?;
                    if pax.size.replace(size).is_some() {
                        return Err(refuse("it has two sizes".to_owned()));
                    }
                    continue;
                }
                key if HARMLESS.iter().any(|known| *known == key || known.ends_with('.') && key.starts_with(known)) => {
                    continue;
                }
                key => return Err(refuse(format!("it sets {key:?}, which readers treat differently"))),
            };
            if value.is_empty() || value.contains('\0') || slot.replace(value.to_owned()).is_some() {
                return Err(refuse(format!("it sets {key:?} to nothing, or twice")));
            }
        }
        Ok(pax)
    }

    /// About all entries, it must not say what they are.
    pub(super) fn expect_nothing(&self) -> Result<(), ArchiveProblem> {
        if self.path.is_none() && self.target.is_none() && self.size.is_none() {
            return Ok(());
        }
        Err(ArchiveProblem::Pax("it sets the name, target or size of all entries".to_owned()))
    }
}

/// The first record: its key, its value, and what follows it.
fn record(bytes: &[u8]) -> Option<(&str, &str, &[u8])> {
    let space = bytes.iter().take(20).position(|byte| *byte == b' ')?;
    let length = std::str::from_utf8(&bytes[..space]).ok().filter(|text| !text.starts_with(['+', '0']))?;
    let (whole, rest) = bytes.split_at_checked(length.parse().ok()?)?;
    let text = whole.get(space + 1..)?.strip_suffix(b"\n")?;
    // Values that are not text, such as file attributes, are harmless ones; they are passed over unread.
    let equals = text.iter().position(|byte| *byte == b'=')?;
    let key = std::str::from_utf8(&text[..equals]).ok()?;
    let value = match std::str::from_utf8(&text[equals + 1..]) {
        Ok(value) => value,
        Err(_) if key.contains('.') => "",
        Err(_) => return None,
    };
    Some((key, value, rest))
}
