//! Gate 12: only the exact bundle of the listed files becomes files.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests may")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::thread;

use artifacts::{BundleLimits, EntryProblem, ExtractError, Origin, bundle_contents, extract_bundle, pack_terraform};
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use manifest_schema::Digest;
use manifest_schema::manifest::{Content, FileEntry, FileMode, TreeProblem};
use manifest_schema::names::{ArtifactName, RelativePath};
use proptest::prelude::*;
use tar::{EntryType, Header};
use tempfile::TempDir;

const MAIN: &[u8] = b"resource {}\n";
const TOOL: &[u8] = b"#!/bin/sh\n";

fn file(path: &str, mode: FileMode, content: &[u8]) -> FileEntry {
    let path = RelativePath::new(path).unwrap();
    FileEntry { path, mode, digest: Digest::of(content), size: content.len() as u64 }
}

/// What the manifest lists in every attack below.
fn listed() -> Vec<FileEntry> {
    vec![file("main.tf", FileMode::Regular, MAIN), file("mod/tool", FileMode::Executable, TOOL)]
}

/// A header as bundles have it, made by hand, before `change`; the checksum is always right.
fn head(path: &str, mode: u32, size: usize, change: impl FnOnce(&mut Header)) -> Vec<u8> {
    let mut header = Header::new_ustar();
    header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
    header.set_entry_type(EntryType::Regular);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size as u64);
    change(&mut header);
    header.set_cksum();
    header.as_bytes().to_vec()
}

fn padded(content: &[u8]) -> Vec<u8> {
    let mut bytes = content.to_vec();
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn main_entry(change: impl FnOnce(&mut Header)) -> Vec<u8> {
    [head("main.tf", 0o644, MAIN.len(), change), padded(MAIN)].concat()
}

fn tool_entry() -> Vec<u8> {
    [head("mod/tool", 0o755, TOOL.len(), |_| ()), padded(TOOL)].concat()
}

fn good() -> Vec<u8> {
    [main_entry(|_| ()), tool_entry(), vec![0; 1024]].concat()
}

fn extension(kind: EntryType, name: &str, content: &[u8]) -> Vec<u8> {
    [head(name, 0o644, content.len(), |header| header.set_entry_type(kind)), padded(content)].concat()
}

fn target() -> (TempDir, Dir) {
    let dir = TempDir::new().unwrap();
    let into = Dir::open_ambient_dir(dir.path(), ambient_authority()).unwrap();
    (dir, into)
}

fn extract(archive: impl Read, files: &[FileEntry]) -> Result<TempDir, ExtractError> {
    let (dir, into) = target();
    extract_bundle(archive, files, &into, BundleLimits::default()).map(|()| dir)
}

#[test]
fn the_listed_files_are_written_privately() {
    let dir = extract(good().as_slice(), &listed()).unwrap();
    let mode = |path: &str| fs::metadata(dir.path().join(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!(fs::read(dir.path().join("main.tf")).unwrap(), MAIN);
    assert_eq!(fs::read(dir.path().join("mod/tool")).unwrap(), TOOL);
    assert_eq!((mode("main.tf"), mode("mod/tool"), mode("mod")), (0o600, 0o700, 0o700));
}

/// Attacks on the first entry's header: what a lenient reader would do with `main.tf` differs from the list.
#[test]
fn hostile_entries_are_refused() {
    use EntryProblem::{Header as BadHeader, Kind, Mode, NotListed, OutOfPlace, Size};

    type Change = fn(&mut Header);
    let rename = |header: &mut Header, name: &[u8]| {
        let field = &mut header.as_old_mut().name;
        field.fill(0);
        field[..name.len()].copy_from_slice(name);
    };
    let renamed = |name: &str| main_entry(|header| rename(header, name.as_bytes()));
    let changed = |change: Change| main_entry(change);
    let after = |first: Vec<u8>| [first, tool_entry(), vec![0; 1024]].concat();
    let pax = |content: &[u8]| [extension(EntryType::XHeader, "pax/x", content), main_entry(|_| ())].concat();

    let attacks: Vec<(&str, Vec<u8>, &str, EntryProblem)> = vec![
        ("unknown entry", renamed("other.tf"), "other.tf", NotListed),
        ("dot entry", renamed(".terraform/x"), ".terraform/x", NotListed),
        ("parent traversal", renamed("../main.tf"), "../main.tf", NotListed),
        ("traversal inside", renamed("mod/../main.tf"), "mod/../main.tf", NotListed),
        ("leading dot slash", renamed("./main.tf"), "./main.tf", NotListed),
        ("absolute path", renamed("/etc/passwd"), "/etc/passwd", NotListed),
        ("trailing slash makes it a directory", renamed("main.tf/"), "main.tf/", NotListed),
        ("other case", renamed("MAIN.tf"), "MAIN.tf", NotListed),
        ("backslash", renamed("mod\\tool"), "mod\\tool", NotListed),
        ("bytes after the name's end", renamed("main.tf\0.exe"), "main.tf", BadHeader),
        ("no UTF-8", main_entry(|header| rename(header, b"main\xff")), "main\u{fffd}", NotListed),
        ("ustar prefix", changed(|h| h.as_ustar_mut().unwrap().prefix[0] = b'a'), "a/main.tf", NotListed),
        ("out of order", tool_entry(), "mod/tool", OutOfPlace),
        ("twice", [main_entry(|_| ()), main_entry(|_| ())].concat(), "main.tf", OutOfPlace),
        ("symbolic link", changed(|h| h.set_entry_type(EntryType::Symlink)), "main.tf", Kind("a symbolic link")),
        ("hard link", changed(|h| h.set_entry_type(EntryType::Link)), "main.tf", Kind("a hard link")),
        ("character device", changed(|h| h.set_entry_type(EntryType::Char)), "main.tf", Kind("a device")),
        ("block device", changed(|h| h.set_entry_type(EntryType::Block)), "main.tf", Kind("a device")),
        ("named pipe", changed(|h| h.set_entry_type(EntryType::Fifo)), "main.tf", Kind("a named pipe")),
        ("directory", changed(|h| h.set_entry_type(EntryType::Directory)), "main.tf", Kind("a directory")),
        ("GNU sparse", changed(|h| h.set_entry_type(EntryType::GNUSparse)), "main.tf", Kind("a sparse file")),
        (
            "contiguous file",
            changed(|h| h.set_entry_type(EntryType::Continuous)),
            "main.tf",
            Kind("an entry of unknown type"),
        ),
        (
            "pre-POSIX file type",
            changed(|h| h.as_old_mut().linkflag = [0]),
            "main.tf",
            Kind("an entry of unknown type"),
        ),
        ("link name on a regular file", changed(|h| h.as_old_mut().linkname[0] = b'/'), "main.tf", BadHeader),
        ("setuid", changed(|h| h.set_mode(0o4644)), "main.tf", Mode { found: 0o4644, listed: 0o644 }),
        ("setgid", changed(|h| h.set_mode(0o2644)), "main.tf", Mode { found: 0o2644, listed: 0o644 }),
        ("sticky", changed(|h| h.set_mode(0o1644)), "main.tf", Mode { found: 0o1644, listed: 0o644 }),
        ("executable", changed(|h| h.set_mode(0o755)), "main.tf", Mode { found: 0o755, listed: 0o644 }),
        ("larger", changed(|h| h.set_size(4096)), "main.tf", Size { found: 4096, listed: 12 }),
        ("enormous", changed(|h| h.set_size(1 << 50)), "main.tf", Size { found: 1 << 50, listed: 12 }),
        ("size with a sign", changed(|h| h.as_old_mut().size = *b"-0000000014\0"), "main.tf", BadHeader),
        (
            "same size in base 256",
            changed(|h| h.as_old_mut().size = *b"\x80\0\0\0\0\0\0\0\0\0\0\x0c"),
            "main.tf",
            BadHeader,
        ),
        ("owner", changed(|h| h.set_uid(1000)), "main.tf", BadHeader),
        ("owner's name", changed(|h| h.set_username("root").unwrap()), "main.tf", BadHeader),
        ("time", changed(|h| h.set_mtime(1)), "main.tf", BadHeader),
        ("GNU magic", changed(|h| h.as_ustar_mut().unwrap().magic = *b"ustar "), "main.tf", BadHeader),
        (
            "pax header that changes the size (RUSTSEC-2026-0067, -0068)",
            pax(b"12 size=512\n"),
            "pax/x",
            Kind("a pax header"),
        ),
        ("pax header that changes the path", pax(b"17 path=other.tf\n"), "pax/x", Kind("a pax header")),
        (
            "global pax header",
            [extension(EntryType::XGlobalHeader, "g", b"17 path=other.tf\n"), main_entry(|_| ())].concat(),
            "g",
            Kind("a global pax header"),
        ),
        (
            "GNU long name",
            [extension(EntryType::GNULongName, "././@LongLink", b"main.tf\0"), main_entry(|_| ())].concat(),
            "././@LongLink",
            Kind("a GNU long-name extension"),
        ),
    ];
    for (attack, first, name, expected) in attacks {
        match extract(after(first).as_slice(), &listed()) {
            Err(ExtractError::Entry { entry, source }) => {
                assert_eq!((entry.as_str(), source), (name, expected), "{attack}")
            }
            Err(other) => panic!("{attack}: {other}"),
            Ok(_) => panic!("{attack} was extracted"),
        }
    }
}

#[test]
fn hostile_archives_are_refused() {
    let tool = tool_entry();
    let end = vec![0; 1024];
    let edited =
        [head("main.tf", 0o644, MAIN.len(), |_| ()), padded(b"resource !!\n"), tool.clone(), end.clone()].concat();
    let mut smuggled = good();
    smuggled[512 + MAIN.len()] = b'x';
    let mut checksum = good();
    checksum[148] = b'7';
    for (attack, archive, message) in [
        ("empty", vec![], "the bundle breaks off in or before entry \"main.tf\""),
        ("only an end", end.clone(), "the bundle has no entry \"main.tf\", which the manifest lists"),
        (
            "missing entry",
            [main_entry(|_| ()), end.clone()].concat(),
            "the bundle has no entry \"mod/tool\", which the manifest lists",
        ),
        ("cut in the content", good()[..515].to_vec(), "the bundle breaks off in or before entry \"main.tf\""),
        ("cut in a header", good()[..1100].to_vec(), "the bundle breaks off in or before entry \"mod/tool\""),
        ("no end", good()[..2048].to_vec(), "the bundle breaks off in or before entry \"end of archive\""),
        ("half an end", good()[..2560].to_vec(), "the bundle breaks off in or before entry \"end of archive\""),
        ("edited content", edited, "entry \"main.tf\" of the bundle is refused"),
        ("data in the padding", smuggled, "entry \"main.tf\" of the bundle is refused"),
        ("wrong checksum", checksum, "entry \"main.tf\" of the bundle is refused"),
        (
            "another entry",
            [main_entry(|_| ()), tool.clone(), extension(EntryType::Regular, "z.tf", b"x"), end.clone()].concat(),
            "entry \"z.tf\" of the bundle is refused",
        ),
        (
            "last entry twice",
            [main_entry(|_| ()), tool.clone(), tool.clone(), end.clone()].concat(),
            "entry \"mod/tool\" of the bundle is refused",
        ),
        ("garbage after the end", [good(), b"x".to_vec()].concat(), "the bundle goes on after its end"),
        ("zeros after the end", [good(), vec![0; 512]].concat(), "the bundle goes on after its end"),
        ("an archive after the end", [good(), good()].concat(), "the bundle goes on after its end"),
        (
            "entry behind one block of zeros",
            [main_entry(|_| ()), tool.clone(), vec![0; 512], main_entry(|_| ()), end].concat(),
            "the bundle goes on after its end",
        ),
        ("compressed", b"\x28\xb5\x2f\xfd".repeat(500), "entry \"(\u{fffd}/\u{fffd}"),
    ] {
        let error = extract(archive.as_slice(), &listed()).map(drop).unwrap_err().to_string();
        assert!(error.starts_with(message), "{attack}: {error}");
    }
}

#[test]
fn every_flipped_byte_is_refused() {
    let good = good();
    for at in 0..good.len() {
        let mut archive = good.clone();
        archive[at] ^= 1;
        assert!(extract(archive.as_slice(), &listed()).is_err(), "byte {at} doesn't matter");
    }
}

#[test]
fn lists_that_are_no_tree_are_refused() {
    let plain = |path| file(path, FileMode::Regular, b"");
    for (case, files, problem) in [
        ("unsorted", vec![plain("b"), plain("a")], TreeProblem::Order("a".to_owned())),
        ("twice", vec![plain("a"), plain("a")], TreeProblem::Order("a".to_owned())),
        ("case collision", vec![plain("A"), plain("a")], TreeProblem::Case("a".to_owned())),
        ("file and directory", vec![plain("a"), plain("a/b")], TreeProblem::FileAndDirectory("a".to_owned())),
        ("in another case", vec![plain("A/b"), plain("a")], TreeProblem::FileAndDirectory("a".to_owned())),
    ] {
        match extract(io::empty(), &files) {
            Err(ExtractError::List(found)) => assert_eq!(found, problem, "{case}"),
            other => panic!("{case}: {other:?}"),
        }
    }
}

/// Limits are decided from the list, before a byte is read; an archive without end is left as soon as it goes wrong.
#[test]
fn endless_data_is_not_read() {
    struct Unread;
    impl Read for Unread {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            panic!("was read");
        }
    }
    let (_dir, into) = target();
    let limits = BundleLimits { files: 1, bytes: 1 << 20 };
    let error = extract_bundle(Unread, &listed(), &into, limits).unwrap_err();
    assert!(matches!(error, ExtractError::TooMany { found: 2, limit: 1 }), "{error}");

    let mut huge = listed();
    huge[0].size = u64::MAX;
    let error = extract_bundle(Unread, &huge, &into, BundleLimits::default()).unwrap_err();
    assert!(matches!(error, ExtractError::TooLarge { .. }), "{error}");
    assert!(into.entries().unwrap().next().is_none(), "something was written");

    let error = extract(good().chain(io::repeat(0)), &listed()).unwrap_err();
    assert!(matches!(error, ExtractError::Trailing), "{error}");
}

#[test]
fn only_an_empty_directory_is_extracted_into() {
    let outside = TempDir::new().unwrap();
    let (dir, into) = target();
    symlink(outside.path(), dir.path().join("mod")).unwrap();
    let error = extract_bundle(good().as_slice(), &listed(), &into, BundleLimits::default()).unwrap_err();
    assert!(matches!(error, ExtractError::NotEmpty), "{error}");
}

/// Somebody puts links into the directory while the archive is being extracted.
#[test]
fn links_put_there_meanwhile_are_not_followed() {
    struct Swap<'a, F: Fn()>(&'a [u8], usize, F);
    impl<F: Fn()> Read for Swap<'_, F> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            self.1 += 1;
            if self.1 == 1 {
                (self.2)();
            }
            self.0.read(into)
        }
    }
    for link in ["main.tf", "mod", "mod/tool"] {
        let outside = TempDir::new().unwrap();
        let (dir, into) = target();
        let at = dir.path().join(link);
        let swap = || {
            fs::create_dir_all(at.parent().unwrap()).unwrap();
            symlink(outside.path().join("victim"), &at).unwrap();
        };
        let archive = good();
        let result = extract_bundle(Swap(&archive, 0, swap), &listed(), &into, BundleLimits::default());
        assert!(matches!(result, Err(ExtractError::Write { .. })), "{link}: {result:?}");
        assert!(fs::read_dir(outside.path()).unwrap().next().is_none(), "{link} was followed");
    }
}

/// Somebody else replaces a directory by a link as soon as it is there, while files are still written into it.
#[test]
fn a_directory_swapped_for_a_link_leads_nowhere() {
    let source = TempDir::new().unwrap();
    let tree = (0..300).map(|n| (format!("mod/file{n:03}.tf"), (false, MAIN.to_vec()))).collect();
    write_tree(source.path(), &tree);
    let packed = pack_terraform(ArtifactName::new("infra").unwrap(), source.path(), &|_| ()).unwrap();
    let Content::Terraform { files, .. } = &packed.artifact.content else { panic!("another kind") };
    let Origin::Bytes(archive) = &packed.blobs[0].origin else { panic!("not in memory") };
    for _ in 0..20 {
        let outside = TempDir::new().unwrap();
        let (dir, into) = target();
        let (there, away) = (dir.path().join("mod"), dir.path().join("away"));
        let result = thread::scope(|scope| {
            let swapped = scope.spawn(|| {
                while fs::rename(&there, &away).is_err() {
                    thread::yield_now();
                }
                symlink(outside.path(), &there).unwrap();
            });
            let result = extract_bundle(archive.as_slice(), files, &into, BundleLimits::default());
            swapped.join().unwrap();
            result
        });
        // Whether the swap came in time or after the last file, nothing went through the link.
        assert!(matches!(result, Ok(()) | Err(ExtractError::Write { .. })), "{result:?}");
        assert!(fs::read_dir(outside.path()).unwrap().next().is_none(), "the link was followed");
    }
}

fn write_tree(root: &Path, tree: &BTreeMap<String, (bool, Vec<u8>)>) {
    for (path, (executable, content)) in tree {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        let mode = if *executable { 0o755 } else { 0o644 };
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
}

/// Paths whose directories start with `d` and whose files start with `f`, so that none is both; short ones that fit a
/// header and long or accented ones that need pax.
fn trees() -> impl Strategy<Value = BTreeMap<String, (bool, Vec<u8>)>> {
    let path = "(d[a-c\u{e9}]{0,2}/|d[a-c]{40}/){0,4}f[a-c \u{e9}]{0,3}(\\.tf|[a-c]{90})?";
    let content = prop_oneof![Just(vec![]), prop::collection::vec(any::<u8>(), 500..1100)];
    prop::collection::btree_map(path, (any::<bool>(), content), 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn what_is_packed_is_what_is_extracted(tree in trees()) {
        let source = TempDir::new().unwrap();
        write_tree(source.path(), &tree);
        let packed = pack_terraform(ArtifactName::new("infra").unwrap(), source.path(), &|_| ()).unwrap();
        let Content::Terraform { files, .. } = &packed.artifact.content else { panic!("another kind") };
        let Origin::Bytes(archive) = &packed.blobs[0].origin else { panic!("not in memory") };
        prop_assert_eq!(Digest::of(archive), packed.artifact.digest);

        let out = extract(archive.as_slice(), files).unwrap();
        let again = pack_terraform(ArtifactName::new("infra").unwrap(), out.path(), &|_| ()).unwrap();
        prop_assert_eq!(&again.artifact, &packed.artifact);
        for (path, (_, content)) in &tree {
            prop_assert_eq!(&fs::read(out.path().join(path)).unwrap(), content);
        }
        prop_assert_eq!(files.len(), tree.len());

        let held: Vec<_> = tree.values().map(|(_, content)| Some(content.as_slice())).collect();
        prop_assert_eq!(bundle_contents(archive, files), held);
        // Content that isn't the listed one is no content; a size that goes beyond the archive is none, either.
        let mut altered = files.clone();
        altered[0].digest = Digest::of(b"something else");
        prop_assert_eq!(bundle_contents(archive, &altered)[0], None);
        altered[0].size = u64::MAX;
        prop_assert!(bundle_contents(archive, &altered).iter().all(Option::is_none));

        let mut reader = tar::Archive::new(archive.as_slice());
        for (entry, file) in reader.entries().unwrap().zip(files) {
            let seen = entry.unwrap().path_bytes().into_owned();
            prop_assert_eq!(String::from_utf8(seen).unwrap(), file.path.as_str());
        }
    }
}
