//! What packing files, directories and Terraform modules promises and refuses.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests may")]

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use artifacts::{Origin, PackError, pack_directory, pack_file, pack_terraform};
use manifest_schema::Digest;
use manifest_schema::manifest::{Content, FileEntry, FileMode, TreeProblem};
use manifest_schema::names::ArtifactName;
use tempfile::TempDir;

fn name() -> ArtifactName {
    ArtifactName::new("thing").unwrap()
}

fn put(root: &Path, path: &str, content: &[u8], mode: u32) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
}

fn entries(content: &Content) -> &[FileEntry] {
    match content {
        Content::Directory { files, .. } | Content::Terraform { files, .. } => files,
        Content::File | Content::Provider(_) | Content::Image(_) => panic!("no files"),
    }
}

fn paths(content: &Content) -> Vec<&str> {
    entries(content).iter().map(|file| file.path.as_str()).collect()
}

#[test]
fn a_file_is_one_blob() {
    let dir = TempDir::new().unwrap();
    put(dir.path(), "app.zip", b"airlock", 0o755);
    let hashed = AtomicU64::new(0);
    let progress = |bytes| {
        hashed.fetch_add(bytes, Ordering::Relaxed);
    };
    let packed = pack_file(name(), &dir.path().join("app.zip"), Some("application/zip"), &progress).unwrap();
    assert_eq!(packed.artifact.digest, Digest::of(b"airlock"));
    assert_eq!(packed.artifact.size, 7);
    assert_eq!(packed.artifact.media_type, "application/zip");
    assert_eq!(packed.artifact.content, Content::File);
    assert_eq!(packed.blobs[0].origin, Origin::File(dir.path().join("app.zip")));
    assert_eq!(hashed.into_inner(), 7);

    let plain = pack_file(name(), &dir.path().join("app.zip"), None, &|_| ()).unwrap();
    assert_eq!(plain.artifact.media_type, "application/octet-stream");
}

#[test]
fn media_types_are_checked() {
    let dir = TempDir::new().unwrap();
    put(dir.path(), "f", b"", 0o644);
    for good in ["text/html; charset=utf-8", "application/vnd.a.b+json"] {
        assert!(pack_file(name(), &dir.path().join("f"), Some(good), &|_| ()).is_ok(), "{good}");
    }
    for bad in ["", "text", "/", "text/", "te xt/html", "text/html\n", "text/html;\u{7}", "a/b/c"] {
        let error = pack_file(name(), &dir.path().join("f"), Some(bad), &|_| ()).unwrap_err();
        assert!(matches!(error, PackError::MediaType(_)), "{bad:?}: {error}");
    }
}

/// The same tree twice, made in another order, with other times and other bits that don't count.
fn twins() -> (TempDir, TempDir) {
    let files: [(&str, &[u8], u32, u32); 6] = [
        ("index.html", b"<p>", 0o644, 0o600),
        ("bin/run", b"#!/bin/sh\n", 0o755, 0o700),
        ("bin.d/x", b"", 0o644, 0o666),
        ("assets/\u{e9}.svg", b"<svg/>", 0o644, 0o444),
        (".hidden", b"same", 0o644, 0o655),
        ("copy/of-hidden", b"same", 0o644, 0o640),
    ];
    let (one, two) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    for (path, content, mode, _) in files {
        put(one.path(), path, content, mode);
    }
    for (path, content, _, mode) in files.into_iter().rev() {
        put(two.path(), path, content, mode);
        let past = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        File::open(two.path().join(path)).unwrap().set_modified(past).unwrap();
    }
    fs::create_dir(two.path().join("empty")).unwrap();
    (one, two)
}

#[test]
fn the_same_files_give_the_same_directory_artifact() {
    let (one, two) = twins();
    let packed = pack_directory(name(), one.path(), &|_| ()).unwrap();
    assert_eq!(packed.artifact, pack_directory(name(), two.path(), &|_| ()).unwrap().artifact);
    assert_eq!(
        paths(&packed.artifact.content),
        [".hidden", "assets/\u{e9}.svg", "bin.d/x", "bin/run", "copy/of-hidden", "index.html"]
    );
    let modes: Vec<FileMode> = entries(&packed.artifact.content).iter().map(|file| file.mode).collect();
    assert_eq!(modes.iter().filter(|mode| **mode == FileMode::Executable).count(), 1);
    assert_eq!(packed.blobs.len(), 5, "equal files are one blob");
}

#[test]
fn the_same_files_give_the_same_terraform_artifact() {
    let (one, two) = twins();
    let packed = pack_terraform(name(), one.path(), &|_| ()).unwrap();
    let twin = pack_terraform(name(), two.path(), &|_| ()).unwrap();
    assert_eq!(packed.artifact, twin.artifact);
    assert_eq!(packed.blobs, twin.blobs);
}

/// The encoding is a contract between versions: a change of this digest needs another media type.
#[test]
fn the_bundle_format_is_pinned() {
    let (one, _) = twins();
    put(one.path(), &format!("{}/main.tf", "long/".repeat(30)), b"# far down", 0o644);
    let packed = pack_terraform(name(), one.path(), &|_| ()).unwrap();
    assert_eq!(packed.artifact.media_type, "application/vnd.airlock.terraform.bundle.v1+tar");
    let digest = "sha256:86ff5f756f27ed18441fae60c278b3ac4d4aa94fd2fcfc4677047ac4b534c4f9";
    assert_eq!(packed.artifact.digest.to_string(), digest);

    let Origin::Bytes(bytes) = &packed.blobs[0].origin else { panic!("a bundle is made in memory") };
    let mut archive = tar::Archive::new(bytes.as_slice());
    let listed: Vec<(String, u64, u32)> = archive
        .entries()
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let path = entry.path().unwrap().to_str().unwrap().to_owned();
            (path, entry.size(), entry.header().mode().unwrap())
        })
        .collect();
    let expected: Vec<(String, u64, u32)> = entries(&packed.artifact.content)
        .iter()
        .map(|file| (file.path.to_string(), file.size, file.mode.bits()))
        .collect();
    assert_eq!(listed, expected, "another tar reader sees the same files");
}

#[test]
fn terraform_leftovers_and_state_stay_out() {
    let dir = TempDir::new().unwrap();
    for path in [
        "main.tf",
        ".terraform.lock.hcl",
        ".terraformrc",
        "modules/vpc/main.tf",
        "crash.tf",
        ".gitignore",
        ".terraform/providers/evil",
        "modules/vpc/.terraform/x",
        ".git/config",
        "modules/vpc/.git",
        "terraform.tfstate",
        "terraform.tfstate.backup",
        "terraform.tfstate.d/prod/terraform.tfstate",
        ".terraform.tfstate.lock.info",
        "crash.log",
        "crash.20240101.log",
    ] {
        put(dir.path(), path, b"", 0o644);
    }
    symlink("/", dir.path().join("modules/.terraform")).unwrap();
    let packed = pack_terraform(name(), dir.path(), &|_| ()).unwrap();
    assert_eq!(
        paths(&packed.artifact.content),
        [".gitignore", ".terraform.lock.hcl", ".terraformrc", "crash.tf", "main.tf", "modules/vpc/main.tf"]
    );
}

#[test]
fn a_bundle_over_64_mib_is_refused_before_it_is_read() {
    let dir = TempDir::new().unwrap();
    put(dir.path(), "main.tf", b"", 0o644);
    File::create(dir.path().join("big")).unwrap().set_len(64 << 20).unwrap();
    let error = pack_terraform(name(), dir.path(), &|_| panic!("was read")).unwrap_err();
    assert!(matches!(error, PackError::BundleTooLarge { .. }), "{error}");
}

#[test]
fn only_regular_files_and_directories_are_packed() {
    for (case, make) in [
        ("socket", (|at| drop(UnixListener::bind(at).unwrap())) as fn(&Path)),
        ("named pipe", |at| {
            let mode = rustix::fs::Mode::from_raw_mode(0o600);
            rustix::fs::mkfifoat(rustix::fs::CWD, at, mode).unwrap();
        }),
    ] {
        let dir = TempDir::new().unwrap();
        put(dir.path(), "file", b"x", 0o644);
        let odd = dir.path().join("odd");
        make(&odd);
        for error in [
            pack_directory(name(), dir.path(), &|_| ()).unwrap_err(),
            pack_terraform(name(), dir.path(), &|_| ()).unwrap_err(),
            pack_file(name(), &odd, None, &|_| ()).unwrap_err(),
            pack_directory(name(), &odd, &|_| ()).unwrap_err(),
        ] {
            assert!(matches!(&error, PackError::Kind { path, .. } if *path == odd), "{case}: {error}");
        }
    }
    let error = pack_file(name(), Path::new("/dev/null"), None, &|_| ()).unwrap_err();
    assert_eq!(error.to_string(), "/dev/null is a device, not a regular file: nothing else can be packed");
}

#[test]
fn links_are_kept_in_directories_only_and_never_followed() {
    let dir = TempDir::new().unwrap();
    put(dir.path(), "site/releases/1/index.html", b"<p>", 0o644);
    symlink("releases/1", dir.path().join("site/current")).unwrap();
    symlink("../../current/index.html", dir.path().join("site/releases/1/again")).unwrap();
    let site = dir.path().join("site");
    let packed = pack_directory(name(), &site, &|_| ()).unwrap();
    let Content::Directory { files, links } = &packed.artifact.content else { panic!("a directory") };
    assert_eq!(files.len(), 1);
    let links: Vec<_> = links.iter().map(|link| (link.path.as_str(), link.target.as_str())).collect();
    assert_eq!(links, [("current", "releases/1"), ("releases/1/again", "../../current/index.html")]);
    assert_eq!((packed.artifact.size, packed.blobs.len()), (3, 1), "a link is no blob");

    symlink("site", dir.path().join("alias")).unwrap();
    for (error, at) in [
        (pack_terraform(name(), &site, &|_| ()).unwrap_err(), site.join("current")),
        (pack_directory(name(), &dir.path().join("alias"), &|_| ()).unwrap_err(), dir.path().join("alias")),
        (pack_file(name(), &site.join("releases/1/again"), None, &|_| ()).unwrap_err(), site.join("releases/1/again")),
    ] {
        assert!(matches!(&error, PackError::Kind { path, .. } if *path == at), "{error}");
    }
}

#[test]
fn links_that_lead_out_of_a_directory_are_refused() {
    let dir = TempDir::new().unwrap();
    put(dir.path(), "outside", b"x", 0o644);
    put(dir.path(), "site/file", b"x", 0o644);
    let (site, odd) = (dir.path().join("site"), dir.path().join("site/odd"));
    let absolute = site.join("file");
    for (target, expected) in [
        (Path::new("../outside"), "the link \"odd\" leads out of the directory"),
        (Path::new("/etc/passwd"), "the link \"odd\" leads out of the directory"),
        // It would lead elsewhere on the next machine.
        (&absolute, "the link \"odd\" leads out of the directory"),
        (Path::new("gone"), "the link \"odd\" leads nowhere"),
        (Path::new("odd"), "the link \"odd\" leads nowhere"),
        (Path::new("a\\b"), "is not a link's target"),
    ] {
        symlink(target, &odd).unwrap();
        let error = pack_directory(name(), &site, &|_| ()).unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains(expected), "{}: {cause}", target.display());
        fs::remove_file(&odd).unwrap();
    }
}

#[test]
fn names_that_are_not_the_same_everywhere_are_refused() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join(OsStr::from_bytes(b"caf\xe9")), b"").unwrap();
    let error = pack_directory(name(), dir.path(), &|_| ()).unwrap_err();
    assert!(matches!(error, PackError::NotUtf8 { .. }), "{error}");

    for odd in ["new\nline", "back\\slash"] {
        let dir = TempDir::new().unwrap();
        put(dir.path(), odd, b"", 0o644);
        let error = pack_directory(name(), dir.path(), &|_| ()).unwrap_err();
        assert!(matches!(error, PackError::Name { .. }), "{odd:?}: {error}");
    }

    let dir = TempDir::new().unwrap();
    put(dir.path(), "Readme", b"", 0o644);
    put(dir.path(), "README", b"", 0o644);
    if fs::read_dir(dir.path()).unwrap().count() == 2 {
        for error in [
            pack_directory(name(), dir.path(), &|_| ()).unwrap_err(),
            pack_terraform(name(), dir.path(), &|_| ()).unwrap_err(),
        ] {
            assert!(matches!(error, PackError::List { source: TreeProblem::Case(_), .. }), "{error}");
        }
    }
}

#[test]
fn missing_and_empty_paths_are_named() {
    let dir = TempDir::new().unwrap();
    fs::create_dir_all(dir.path().join("a/b")).unwrap();
    let error = pack_directory(name(), dir.path(), &|_| ()).unwrap_err();
    assert!(matches!(error, PackError::Empty { .. }), "{error}");
    let error = pack_directory(name(), &dir.path().join("gone"), &|_| ()).unwrap_err();
    assert!(matches!(&error, PackError::Read { path, .. } if path.ends_with("gone")), "{error}");
    let error = pack_file(name(), &dir.path().join("gone"), None, &|_| ()).unwrap_err();
    assert!(matches!(&error, PackError::Read { path, .. } if path.ends_with("gone")), "{error}");
}

/// Changes happen inside the progress callback: after the first bytes were read, before the last.
#[test]
fn a_file_that_changes_while_it_is_read_is_refused() {
    let size = 1 << 20;
    for (case, change) in [
        ("appended to", (|at| File::options().append(true).open(at).unwrap().write_all(b"x").unwrap()) as fn(&Path)),
        ("truncated", |at| File::options().write(true).open(at).unwrap().set_len(10).unwrap()),
        ("overwritten in place", |at| File::options().write(true).open(at).unwrap().write_all(b"y").unwrap()),
        ("made executable", |at| fs::set_permissions(at, fs::Permissions::from_mode(0o755)).unwrap()),
        ("replaced", |at| {
            fs::write(at.with_extension("new"), vec![b'x'; 1 << 20]).unwrap();
            fs::rename(at.with_extension("new"), at).unwrap();
        }),
        ("removed", |at| fs::remove_file(at).unwrap()),
    ] {
        let dir = TempDir::new().unwrap();
        put(dir.path(), "file", &vec![b'x'; size], 0o644);
        let path = dir.path().join("file");
        File::open(&path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        let done = AtomicBool::new(false);
        let progress = |_| {
            if !done.swap(true, Ordering::Relaxed) {
                change(&path);
            }
        };
        let error = pack_file(name(), &path, None, &progress).unwrap_err();
        let (PackError::Changed { path: named } | PackError::Read { path: named, .. }) = &error else {
            panic!("{case}: {error}");
        };
        assert_eq!(*named, path, "{case}");
    }
}

#[test]
fn a_directory_that_changes_while_it_is_read_is_refused() {
    let late = |root: &Path| fs::write(root.join("d/late"), b"").unwrap();
    let linked = |root: &Path| symlink("file", root.join("d/late")).unwrap();
    type Pack = fn(&Path, artifacts::Progress<'_>) -> Result<artifacts::Packed, PackError>;
    let packers: [Pack; 2] = [
        |root, progress| pack_directory(name(), root, progress),
        |root, progress| pack_terraform(name(), root, progress),
    ];
    for (pack, change) in packers.into_iter().flat_map(|pack| [(pack, late as fn(&Path)), (pack, linked)]) {
        let dir = TempDir::new().unwrap();
        put(dir.path(), "d/file", b"x", 0o644);
        File::open(dir.path().join("d")).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        let error = pack(dir.path(), &|_| change(dir.path())).unwrap_err();
        assert!(matches!(&error, PackError::Changed { path } if path.ends_with("d")), "{error}");
    }
}

#[test]
fn many_files_keep_their_order_and_their_digests() {
    let dir = TempDir::new().unwrap();
    for number in 0..500 {
        put(dir.path(), &format!("{}/{number}", number % 7), number.to_string().as_bytes(), 0o644);
    }
    let packed = pack_directory(name(), dir.path(), &|_| ()).unwrap();
    let files = entries(&packed.artifact.content);
    assert_eq!(files.len(), 500);
    assert!(files.windows(2).all(|pair| pair[0].path < pair[1].path));
    for file in files {
        let (_, number) = file.path.as_str().split_once('/').unwrap();
        assert_eq!(file.digest, Digest::of(number.as_bytes()), "{}", file.path);
    }
}
