//! Images in tar files: OCI archives and what `docker save` writes. Hostile ones are refused whole.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests may")]

mod tar;

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use artifacts::{Origin, PackError, Packed, locate_image, pack_image};
use manifest_schema::Digest;
use manifest_schema::manifest::{BlobEntry, Content};
use manifest_schema::names::ArtifactName;
use serde_json::{Value, json};
use tempfile::TempDir;

use self::tar::Tar;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// A file in a directory of its own.
struct Archive(TempDir);

impl Archive {
    fn of(bytes: &[u8]) -> Self {
        let dir = TempDir::new().unwrap();
        fs::write(dir.path().join("image.tar"), bytes).unwrap();
        Self(dir)
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("image.tar")
    }

    fn pack(&self) -> Result<Packed, PackError> {
        pack_image(ArtifactName::new("app").unwrap(), &self.path(), &|_| ())
    }
}

fn pack(tar: Tar) -> Result<Packed, PackError> {
    Archive::of(&tar.end()).pack()
}

/// All that a person reads about a refusal.
fn refusal(tar: Tar) -> String {
    chain(&pack(tar).unwrap_err())
}

fn chain(error: &dyn std::error::Error) -> String {
    error.to_string() + &error.source().map_or_else(String::new, |source| format!(": {}", chain(source)))
}

fn blobs(packed: &Packed) -> Vec<BlobEntry> {
    match &packed.artifact.content {
        Content::Image(blobs) => blobs.clone(),
        Content::File | Content::Provider(_) | Content::Directory { .. } | Content::Terraform { .. } => {
            panic!("no image")
        }
    }
}

fn read(origin: &Origin) -> Vec<u8> {
    match origin {
        Origin::File(path) => fs::read(path).unwrap(),
        Origin::Range { path, offset, length } => {
            let mut bytes = vec![0; usize::try_from(*length).unwrap()];
            fs::File::open(path).unwrap().read_exact_at(&mut bytes, *offset).unwrap();
            bytes
        }
        Origin::Bytes(bytes) => bytes.clone(),
    }
}

/// Every blob is where packing and locating say, with the bytes that it is named after.
fn expect_blobs_in_place(packed: &Packed, path: &std::path::Path) {
    let located = locate_image(path, &blobs(packed)).unwrap();
    assert_eq!(located.len(), packed.blobs.len());
    for source in &packed.blobs {
        assert_eq!(Digest::of(&read(&source.origin)), source.blob.digest);
        assert_eq!(located[&source.blob.digest], source.origin);
    }
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": Digest::of(bytes), "size": bytes.len() })
}

fn blob(tar: Tar, bytes: &[u8]) -> Tar {
    tar.file(&format!("blobs/sha256/{}", Digest::of(bytes).hex()), bytes)
}

/// An OCI archive whose manifest names `layers`, without the layers themselves.
fn layout(layers: &[Value]) -> (Tar, Value) {
    let config = br#"{"os":"linux"}"#;
    let image = json!({ "schemaVersion": 2, "config": descriptor(CONFIG, config), "layers": layers }).to_string();
    let top = descriptor(MANIFEST, image.as_bytes());
    let tar = with_index(Tar::default(), std::slice::from_ref(&top));
    (blob(blob(tar, config), image.as_bytes()), top)
}

fn with_index(tar: Tar, manifests: &[Value]) -> Tar {
    let index = json!({ "schemaVersion": 2, "manifests": manifests }).to_string();
    tar.file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#).file("index.json", index.as_bytes())
}

/// A good OCI archive with one layer.
fn good() -> Tar {
    blob(layout(&[descriptor(LAYER, b"layer")]).0, b"layer")
}

/// A `docker save` archive of before image layouts, with these layers by name.
fn saved(layers: &[&str], diff_ids: &[Digest]) -> Tar {
    saved_with(&json!({ "rootfs": { "type": "layers", "diff_ids": diff_ids } }).to_string(), layers)
}

fn saved_with(config: &str, layers: &[&str]) -> Tar {
    let name = format!("{}.json", Digest::of(config.as_bytes()).hex());
    let listed = json!([{ "Config": name, "RepoTags": ["app:1"], "Layers": layers }]).to_string();
    Tar::default().file(&name, config.as_bytes()).file("manifest.json", listed.as_bytes())
}

#[test]
fn an_archive_of_a_layout_is_the_image_in_it() {
    let (tar, top) = layout(&[descriptor(LAYER, b"layer")]);
    let archive = Archive::of(&blob(tar, b"layer").end());
    let packed = archive.pack().unwrap();
    assert_eq!(json!(packed.artifact.digest), top["digest"]);
    assert_eq!(
        blobs(&packed).iter().map(|blob| blob.media_type.as_str()).collect::<Vec<_>>(),
        [MANIFEST, CONFIG, LAYER]
    );
    assert!(packed.blobs.iter().all(|source| matches!(source.origin, Origin::Range { .. })));
    expect_blobs_in_place(&packed, &archive.path());
}

#[test]
fn several_names_for_one_image_are_one_image() {
    let (_, top) = layout(&[]);
    let (mut first, mut second) = (top.clone(), top);
    first["annotations"] = json!({ "io.containerd.image.name": "app:1" });
    second["annotations"] = json!({ "io.containerd.image.name": "app:2" });
    let config = br#"{"os":"linux"}"#;
    let image = json!({ "schemaVersion": 2, "config": descriptor(CONFIG, config), "layers": [] }).to_string();
    let tar = with_index(blob(blob(Tar::default(), config), image.as_bytes()), &[first, second]);
    assert!(pack(tar).is_ok());
}

/// What Docker writes since version 25: an image layout, and `manifest.json` besides.
#[test]
fn of_both_forms_the_layout_counts() {
    let (tar, top) = layout(&[descriptor(LAYER, b"layer")]);
    let packed = pack(blob(tar, b"layer").file("manifest.json", b"not even JSON")).unwrap();
    assert_eq!(json!(packed.artifact.digest), top["digest"]);
}

#[test]
fn platforms_that_docker_left_out_are_named() {
    let mut arm = descriptor(MANIFEST, b"elsewhere");
    arm["platform"] = json!({ "os": "linux", "architecture": "arm64" });
    let index = json!({ "schemaVersion": 2, "manifests": [arm] }).to_string();
    let tar = blob(with_index(Tar::default(), &[descriptor(INDEX, index.as_bytes())]), index.as_bytes());
    let said = refusal(tar);
    assert!(said.contains(r#"the image for "linux/arm64" is missing: `docker save --platform`"#), "{said}");
}

#[test]
fn an_old_docker_archive_becomes_the_image_that_a_registry_gets() {
    let (base, top) = (Digest::of(b"base"), Digest::of(b"top"));
    let tar = saved(&["a/layer.tar", "b/layer.tar", "c/layer.tar"], &[base, top, base])
        .entry("a/", b'5', b"")
        .file("a/layer.tar", b"base")
        .file("b/layer.tar", b"top")
        .link("c/layer.tar", "../a/layer.tar")
        .file("repositories", b"{}");
    let archive = Archive::of(&tar.clone().end());
    let packed = archive.pack().unwrap();
    let config = json!({ "rootfs": { "type": "layers", "diff_ids": [base, top, base] } }).to_string();
    let expected = format!(
        r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{{"mediaType":"{CONFIG}","digest":"{}","size":{}}},"layers":[{{"mediaType":"{LAYER}","digest":"{base}","size":4}},{{"mediaType":"{LAYER}","digest":"{top}","size":3}},{{"mediaType":"{LAYER}","digest":"{base}","size":4}}]}}"#,
        Digest::of(config.as_bytes()),
        config.len(),
    );
    assert_eq!(String::from_utf8(read(&packed.blobs[0].origin)).unwrap(), expected, "the same bytes every time");
    assert_eq!(packed.artifact.digest, Digest::of(expected.as_bytes()));
    assert_eq!(packed.blobs.len(), 4, "a layer that is there twice is one blob");
    expect_blobs_in_place(&packed, &archive.path());
}

#[test]
fn compressed_layers_are_taken_as_they_are() {
    let plain = Digest::of(b"what was compressed");
    let (gzip, zstd) = (b"\x1f\x8bgzip", b"\x28\xb5\x2f\xfdzstd");
    let tar = saved(&["a", "b"], &[plain, plain]).file("a", gzip).file("b", zstd);
    let archive = Archive::of(&tar.end());
    let packed = archive.pack().unwrap();
    let layers: Vec<_> = blobs(&packed)[2..].iter().map(|blob| (blob.media_type.clone(), blob.digest)).collect();
    let expected = [(format!("{LAYER}+gzip"), Digest::of(gzip)), (format!("{LAYER}+zstd"), Digest::of(zstd))];
    assert_eq!(layers, expected);
    expect_blobs_in_place(&packed, &archive.path());
}

#[test]
fn old_docker_archives_that_contradict_themselves_are_refused() {
    let layer = Digest::of(b"layer");
    let config = br#"{"rootfs":{"diff_ids":[]}}"#;
    let listed = |list: Value| Tar::default().file("c", config).file("manifest.json", list.to_string().as_bytes());
    let wrong_name = format!("{}.json", Digest::of(b"other").hex());
    for (case, tar, reason) in [
        ("no such layer", saved(&["gone"], &[layer]), "manifest.json names \"gone\", which is no file"),
        ("layer outside", saved(&["../x"], &[layer]), "manifest.json names \"../x\", which is no file"),
        ("absolute layer", saved(&["/etc/passwd"], &[layer]), "names \"/etc/passwd\", which is no file"),
        ("a directory", saved(&["d"], &[layer]).entry("d/", b'5', b""), "names \"d\", which is no file"),
        (
            "another layer",
            saved(&["a"], &[layer]).file("a", b"other"),
            "rootfs.diff_ids of the configuration has another",
        ),
        (
            "layers in another order",
            saved(&["a", "b"], &[layer, Digest::of(b"b")]).file("a", b"b").file("b", b"layer"),
            "rootfs.diff_ids of the configuration has another",
        ),
        (
            "one file for two layers",
            saved(&["a", "b"], &[layer, Digest::of(b"b")]).file("a", b"layer").link("b", "a"),
            "rootfs.diff_ids of the configuration has another",
        ),
        ("too few layers", saved(&[], &[layer]), "names 0 layers; rootfs.diff_ids of the configuration has 1"),
        ("no configuration", listed(json!([{ "Config": "gone", "Layers": [] }])), "names \"gone\", which is no file"),
        (
            "configuration of another digest",
            listed(json!([{ "Config": wrong_name, "Layers": null }])).file(&wrong_name, config),
            "has the digest sha256:",
        ),
        (
            "two images",
            listed(json!([{ "Config": "c", "Layers": [] }, { "Config": "d", "Layers": [] }])),
            "manifest.json names 2 images; one is packed at a time: write each to a file or directory of its own",
        ),
        ("no image", listed(json!([])), "manifest.json names no image"),
        ("two lists", listed(json!([])).file("x", b"").file("Manifest.json", b"[]"), "differs only in case"),
        (
            "duplicate key",
            Tar::default().file("manifest.json", br#"[{"Config":"c","config":"d","Layers":[]}]"#),
            "duplicate key",
        ),
        ("deep", Tar::default().file("manifest.json", "[".repeat(100_000).as_bytes()), "recursion limit"),
        ("no JSON configuration", saved_with("[", &[]), "it can't be read"),
        ("neither form", Tar::default().file("x", b""), "neither oci-layout and index.json"),
    ] {
        let said = refusal(tar);
        assert!(said.contains(reason), "{case}: {said}");
    }
    let twice = json!([{ "Config": "c", "RepoTags": ["a:1"], "Layers": [] }, { "Config": "c", "RepoTags": ["b:1"], "Layers": [] }]);
    assert!(pack(listed(twice)).is_ok(), "one image under two names");
}

/// Each is a good archive with one bad entry; the refusal names the entry and the reason.
#[test]
fn hostile_entries_refuse_the_archive() {
    let mode = |mode: &'static [u8; 8]| move |block: &mut [u8; 512]| block[100..108].copy_from_slice(mode);
    let size = |size: &'static [u8]| move |block: &mut [u8; 512]| block[124..124 + size.len()].copy_from_slice(size);
    let gnu = |block: &mut [u8; 512]| block[257..265].copy_from_slice(b"ustar  \0");
    let long = "d/".repeat(60) + "x";
    let cases: Vec<(&str, Tar, &str, &str)> = vec![
        ("parent", good().file("../x", b""), "../x", "leaves the archive"),
        ("parent within", good().file("a/../../x", b""), "a/../../x", "leaves the archive"),
        ("absolute", good().file("/etc/x", b""), "/etc/x", "leaves the archive"),
        ("backslash", good().file("a\\b", b""), "a\\\\b", "leaves the archive"),
        ("control character", good().file("a\u{1b}[2J", b""), "a\\u{1b}[2J", "leaves the archive"),
        ("no name", good().file("", b""), "", "leaves the archive"),
        ("file with a slash", good().file("x/", b""), "x/", "leaves the archive"),
        ("not UTF-8", good().edited("x", b'0', b"", |block| block[1] = 0xff), "x\u{fffd}", "not UTF-8"),
        ("link out", good().link("x", "../../etc/passwd"), "x", "a link out of the archive, to \"../../etc/passwd\""),
        ("absolute link", good().link("x", "/etc/passwd"), "x", "a link out of the archive"),
        ("link nowhere", good().link("x", "gone"), "x", "a link to \"gone\", which is no file"),
        ("link to a directory", good().entry("d/", b'5', b"").link("x", "d"), "x", "which is no file"),
        ("link to a link", good().link("x", "y").link("y", "index.json"), "x", "a link to \"y\", which is no file"),
        ("links in a circle", good().link("a/x", "../b/x").link("b/x", "../a/x"), "a/x", "which is no file"),
        ("link to itself", good().link("x", "x"), "x", "which is no file"),
        ("below a link", good().link("x", "index.json").file("x/y", b""), "x/y", "it is below \"x\""),
        ("below a file", good().file("index.json/y", b""), "index.json/y", "it is below \"index.json\""),
        ("hard link", good().entry("x", b'1', b""), "x", "a hard link"),
        ("character device", good().entry("x", b'3', b""), "x", "a device"),
        ("block device", good().entry("x", b'4', b""), "x", "a device"),
        ("pipe", good().entry("x", b'6', b""), "x", "a named pipe"),
        ("contiguous file", good().entry("x", b'7', b""), "x", "readers treat differently"),
        ("unknown type", good().entry("x", b'Z', b""), "x", "readers treat differently"),
        ("volume label", good().entry("x", b'V', b""), "x", "readers treat differently"),
        ("setuid", good().edited("x", b'0', b"", mode(b"0004755\0")), "x", "set-user-id"),
        ("setgid", good().edited("x", b'0', b"", mode(b"0002755\0")), "x", "set-group-id"),
        ("duplicate", good().file("index.json", b"{}"), "index.json", "the name is there twice"),
        ("duplicate with a dot", good().file("./index.json", b"{}"), "./index.json", "the name is there twice"),
        ("file and directory", good().entry("index.json/", b'5', b""), "index.json/", "the name is there twice"),
        ("case", good().file("Index.json", b"{}"), "index.json", "differs only in case from \"Index.json\""),
        ("directory with contents", good().entry("d", b'5', b"x"), "d", "it is no file, but has contents"),
        ("link with contents", good().entry("d", b'2', b"x"), "d", "it is no file, but has contents"),
        ("GNU sparse", good().entry("x", b'S', b""), "x", "a sparse file"),
        ("pax sparse", good().pax(b'x', &[("GNU.sparse.size", "1")]).file("x", b""), "PaxHeaders/x", "GNU.sparse.size"),
        ("pax sparse 1.0", good().pax(b'x', &[("GNU.sparse.major", "1")]).file("x", b""), "PaxHeaders/x", "GNU.sparse"),
        (
            "star sparse",
            good().pax(b'x', &[("SCHILY.realsize", "1")]).file("x", b""),
            "PaxHeaders/x",
            "SCHILY.realsize",
        ),
        ("pax charset", good().pax(b'x', &[("hdrcharset", "BINARY")]).file("x", b""), "PaxHeaders/x", "hdrcharset"),
        ("pax path out", good().pax(b'x', &[("path", "../x")]).file("x", b""), "../x", "leaves the archive"),
        (
            "pax path twice",
            good().pax(b'x', &[("path", "a"), ("path", "b")]).file("x", b""),
            "PaxHeaders/x",
            "or twice",
        ),
        ("pax path removed", good().pax(b'x', &[("path", "")]).file("x", b""), "PaxHeaders/x", "to nothing"),
        ("pax NUL", good().pax(b'x', &[("path", "a\0b")]).file("x", b""), "PaxHeaders/x", "to nothing"),
        ("pax link out", good().pax(b'x', &[("linkpath", "../x")]).link("x", "index.json"), "x", "a link out"),
        ("pax target of a file", good().pax(b'x', &[("linkpath", "a")]).file("x", b""), "x", "contradict each other"),
        // RUSTSEC-2026-0068: the header hides an entry inside the contents that the pax header gives the file.
        (
            "pax size larger",
            good().pax(b'x', &[("size", "513")]).file("x", b"1"),
            "x",
            "says 1 bytes, its pax header 513",
        ),
        ("pax size smaller", good().pax(b'x', &[("size", "0")]).file("x", b"1"), "x", "says 1 bytes, its pax header 0"),
        (
            "pax size for zero",
            good().pax(b'x', &[("size", "512")]).file("x", b"").file("y", b""),
            "x",
            "its pax header 512",
        ),
        ("pax size signed", good().pax(b'x', &[("size", "+1")]).file("x", b"1"), "PaxHeaders/x", "malformed, negative"),
        (
            "pax size negative",
            good().pax(b'x', &[("size", "-1")]).file("x", b"1"),
            "PaxHeaders/x",
            "malformed, negative",
        ),
        (
            "pax size beyond",
            good().pax(b'x', &[("size", "8589934592")]).edited("x", b'0', b"", |_| ()),
            "x",
            "says 8589934592 bytes; only 1024 are left",
        ),
        ("pax record too long", good().entry("h", b'x', b"99 path=a\n").file("x", b""), "h", "no list of records"),
        ("pax record of no length", good().entry("h", b'x', b"0 path=a\n").file("x", b""), "h", "no list of records"),
        ("pax not a record", good().entry("h", b'x', b"path=a\n").file("x", b""), "h", "no list of records"),
        ("pax too large", good().entry("h", b'x', &vec![b'1'; 65_537]).file("x", b""), "h", "at most 65536 are read"),
        // GHSA-3cv2-h65g-fgmm: is the pax header about the long name or about the file?
        (
            "pax before a long name",
            good().pax(b'x', &[("size", "1")]).edited("L", b'L', b"x\0", gnu).file("x", b"1"),
            "L",
            "contradict each other",
        ),
        (
            "pax after a long name",
            good().entry("L", b'L', b"x\0").pax(b'x', &[]).file("x", b""),
            "PaxHeaders/x",
            "contradict",
        ),
        ("pax twice", good().pax(b'x', &[("path", "a")]).pax(b'x', &[]).file("x", b""), "PaxHeaders/x", "contradict"),
        ("global pax path", good().pax(b'g', &[("path", "a")]), "PaxHeaders/x", "of all entries"),
        ("global pax size", good().pax(b'g', &[("size", "0")]), "PaxHeaders/x", "of all entries"),
        ("global pax in between", good().pax(b'x', &[]).pax(b'g', &[]).file("x", b""), "PaxHeaders/x", "contradict"),
        ("long name out", good().entry("L", b'L', b"../x\0").file("x", b""), "../x", "leaves the archive"),
        ("long name twice", good().entry("L", b'L', b"a\0").entry("L", b'L', b"b\0").file("x", b""), "L", "contradict"),
        (
            "long name with two ends",
            good().entry("L", b'L', b"a\0b\0").file("x", b""),
            "L",
            "does not end where it says",
        ),
        ("long name without end", good().entry("L", b'L', long.as_bytes()).file("x", b""), "L", "does not end where"),
        (
            "long target out",
            good().entry("K", b'K', b"/etc/x\0").link("x", "index.json"),
            "x",
            "a link out of the archive",
        ),
        (
            "base-256 negative",
            good().edited("x", b'0', b"", size(&[0xff; 12])),
            "x",
            "malformed, negative or too large",
        ),
        (
            "base-256 for a small one",
            good().edited("x", b'0', b"", size(b"\x80\0\0\0\0\0\0\0\0\0\0\x01")),
            "x",
            "malformed",
        ),
        (
            "base-256 huge",
            good().edited("x", b'0', b"", size(b"\x80\x7f\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")),
            "x",
            "malformed",
        ),
        (
            "base-256 wrapping",
            good().edited("x", b'0', b"", size(b"\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff")),
            "x",
            "only 1024 are left",
        ),
        ("signed size", good().edited("x", b'0', b"", size(b"-0000000001\0")), "x", "malformed"),
        ("plus in a size", good().edited("x", b'0', b"", size(b"+0000000001\0")), "x", "malformed"),
        ("decimal size", good().edited("x", b'0', b"", size(b"00000000009\0")), "x", "malformed"),
        ("two sizes in one field", good().edited("x", b'0', b"", size(b"0 000000001\0")), "x", "malformed"),
        (
            "more than there is",
            good().edited("x", b'0', b"", size(b"00000002001\0")),
            "x",
            "says 1025 bytes; only 1024 are left",
        ),
    ];
    for (case, tar, entry, reason) in cases {
        let error = pack(tar).unwrap_err();
        assert!(matches!(error, PackError::Entry { .. }), "{case}: {error}");
        let said = chain(&error);
        assert!(said.contains(&format!("\"{entry}\"")), "{case}: {said} doesn't name {entry}");
        assert!(said.contains(reason), "{case}: {said}");
    }
}

#[test]
fn harmless_oddities_of_real_tools_are_taken() {
    let long = format!("{}/{}", "d".repeat(90), "x".repeat(90));
    let gnu = |block: &mut [u8; 512]| block[257..265].copy_from_slice(b"ustar  \0");
    let setgid = |block: &mut [u8; 512]| block[100..108].copy_from_slice(b"0042755\0");
    let prefix = |block: &mut [u8; 512]| block[345..348].copy_from_slice(b"pre");
    let gnu_long = Tar::default().edited("././@LongLink", b'L', format!("{long}\0").as_bytes(), gnu);
    for (case, tar) in [
        ("directories, twice", good().entry("d/", b'5', b"").entry("d", b'5', b"")),
        ("the directory itself", Tar(Tar::default().entry("./", b'5', b"").0.into_iter().chain(good().0).collect())),
        ("a leading dot", good().file("./x", b"")),
        ("directory with setgid", good().edited("d", b'5', b"", setgid)),
        ("a prefix", good().edited("x", b'0', b"", prefix)),
        ("a long name", Tar(good().0.into_iter().chain(gnu_long.0).collect()).edited("short", b'0', b"", gnu)),
        ("a pax name", good().pax(b'x', &[("path", &long), ("mtime", "1.5")]).file("x", b"")),
        ("the same size twice", good().pax(b'x', &[("size", "1")]).file("x", b"1")),
        (
            "attributes",
            good().pax(b'x', &[("SCHILY.xattr.user.x", "y"), ("LIBARCHIVE.creationtime", "1")]).file("x", b""),
        ),
        ("git's comment", Tar(Tar::default().pax(b'g', &[("comment", "abc")]).0.into_iter().chain(good().0).collect())),
        ("type NUL", good().entry("x", b'\0', b"x")),
    ] {
        let packed = pack(tar);
        assert!(packed.is_ok(), "{case}: {}", chain(&packed.unwrap_err()));
    }
}

#[test]
fn files_that_are_no_whole_archive_are_refused() {
    let good = good().end();
    let cut = |length: usize| good[..length].to_vec();
    let followed = |more: &[u8]| [&good, more].concat();
    let mut checksum = good.clone();
    checksum[0] ^= 1;
    let mut no_header = good.clone();
    no_header[1024] = 0;
    no_header[1024 + 257] = b'x';
    for (case, bytes, reason) in [
        ("empty", Vec::new(), "neither a POSIX nor a GNU tar file"),
        ("text", b"hello".repeat(200), "neither a POSIX nor a GNU tar file"),
        ("gzip", [b"\x1f\x8b\x08".to_vec(), vec![0; 600]].concat(), "compressed with gzip: decompress it first"),
        ("zstd", [b"\x28\xb5\x2f\xfd".to_vec(), vec![0; 600]].concat(), "for example with zstd -d"),
        ("no end mark", cut(good.len() - 1024), "cut short"),
        ("cut within a header", cut(good.len() - 1024 - 600), "cut short"),
        ("cut within a file", cut(good.len() - 1024 - 510), "says 5 bytes; only 2 are left"),
        ("an archive behind it", followed(&good), "something other than a little padding follows its end"),
        ("a byte behind it", followed(b"x"), "something other than a little padding"),
        ("endless zeros", followed(&vec![0; 2 << 20]), "something other than a little padding"),
        ("checksum", checksum, "wrong checksum"),
        ("no header", no_header, "at byte 1024 there is no header"),
        ("pax at the end", Tar(good[..good.len() - 1024].to_vec()).pax(b'x', &[]).end(), "does not follow"),
        (
            "long name at the end",
            Tar(good[..good.len() - 1024].to_vec()).entry("L", b'L', b"x\0").end(),
            "does not follow",
        ),
    ] {
        let said = chain(&Archive::of(&bytes).pack().unwrap_err());
        assert!(said.contains(reason), "{case}: {said}");
    }
    let padded = Archive::of(&followed(&[0; 10_240])).pack();
    assert!(padded.is_ok(), "GNU tar pads");
}

#[test]
fn archives_with_too_many_entries_are_refused() {
    let tar = (0..50_001).fold(Tar::default(), |tar, number| tar.file(&number.to_string(), b""));
    let said = refusal(tar);
    assert!(said.contains("there are more than 50000 entries"), "{said}");
}

/// Descriptors in an archive are believed no more than in a directory.
#[test]
fn descriptors_that_lie_about_entries_are_refused() {
    let layer = |change: fn(&mut Value)| {
        let mut layer = descriptor(LAYER, b"layer");
        change(&mut layer);
        layout(&[layer]).0
    };
    let many: Vec<Value> = (0..10_001_u32).map(|n| descriptor(LAYER, &n.to_le_bytes())).collect();
    let many_blobs = (0..10_001_u32).fold(layout(&many).0, |tar, n| blob(tar, &n.to_le_bytes()));
    let named = |bytes: &[u8]| format!("blobs/sha256/{}", Digest::of(bytes).hex());
    let deep = format!(r#"{{"schemaVersion":2,"manifests":{}{}}}"#, "[".repeat(9999), "]".repeat(9999));
    let marker = Tar::default().file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#);
    for (case, tar, reason) in [
        ("too large", blob(layer(|d| d["size"] = json!(6)), b"layer"), "it has 5 bytes; its descriptor says 6"),
        ("too small", blob(layer(|d| d["size"] = json!(4)), b"layer"), "it has 5 bytes; its descriptor says 4"),
        ("negative", blob(layer(|d| d["size"] = json!(-1)), b"layer"), "it can't be read"),
        ("other bytes", layer(|_| ()).file(&named(b"layer"), b"l4yer"), "its bytes have the digest"),
        ("missing", layer(|_| ()), "it is missing from blobs/sha256"),
        ("a link to other bytes", layer(|_| ()).link(&named(b"layer"), "../../index.json"), "its descriptor says 5"),
        ("too many", many_blobs, "more than 10000 blobs"),
        ("index bomb", marker.clone().file("index.json", deep.as_bytes()), "recursion limit"),
        ("huge index", marker.clone().file("index.json", &vec![b' '; (4 << 20) + 1]), "at most 4194304 are read"),
    ] {
        let said = refusal(tar);
        assert!(said.contains(reason), "{case}: {said}");
    }
}

#[test]
fn an_archive_that_changes_meanwhile_is_refused() {
    let archive = Archive::of(&good().end());
    let path = archive.path();
    let append = |_| {
        let mut bytes = fs::read(&path).unwrap();
        bytes.resize(bytes.len() + 512, 0);
        fs::write(&path, bytes).unwrap();
    };
    let error = pack_image(ArtifactName::new("app").unwrap(), &archive.path(), &append).unwrap_err();
    assert!(matches!(&error, PackError::Changed { .. }), "{error}");
}
