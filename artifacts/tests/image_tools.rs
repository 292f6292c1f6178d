//! What real tools write is packed, and a real registry reports the digest that packing found. Needs skopeo, umoci,
//! docker-registry and GNU tar; `make test-tools` says where they are from.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests may")]

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use artifacts::{Origin, Packed, pack_image};
use manifest_schema::Digest;
use manifest_schema::manifest::{BlobEntry, Content};
use manifest_schema::names::ArtifactName;
use serde_json::{Value, json};
use tempfile::TempDir;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Runs a program in a directory and expects success.
fn run(directory: &Path, program: &str, arguments: &[&str]) {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(directory).env("HOME", directory).stdin(Stdio::null());
    let output = command.output();
    let output = output.unwrap_or_else(|error| panic!("can't run {program}: install the package {program} ({error})"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
}

fn skopeo(directory: &Path, arguments: &[&str]) {
    run(directory, "skopeo", &[&["--insecure-policy", "--tmpdir", "."], arguments].concat());
}

/// A layout `layout` made by umoci, with one image for each architecture, tagged with its name.
fn layout(architectures: &[&str]) -> TempDir {
    let dir = TempDir::new().unwrap();
    let umoci = |arguments: &[&str]| run(dir.path(), "umoci", arguments);
    umoci(&["init", "--layout", "layout"]);
    fs::write(dir.path().join("base"), "base".repeat(10_000)).unwrap();
    for name in architectures {
        let image = format!("layout:{name}");
        fs::write(dir.path().join("top"), name).unwrap();
        umoci(&["new", "--image", &image]);
        umoci(&["insert", "--rootless", "--image", &image, "base", "/base"]);
        umoci(&["insert", "--rootless", "--image", &image, "top", "/top"]);
        umoci(&["config", "--image", &image, "--architecture", name, "--config.user", "app"]);
    }
    dir
}

/// What `index.json` names under a tag.
fn tagged(layout: &Path, tag: &str) -> Value {
    let index: Value = serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    let manifests = index["manifests"].as_array().unwrap();
    let named = |one: &&Value| one["annotations"]["org.opencontainers.image.ref.name"] == tag;
    let mut found = manifests.iter().find(named).unwrap().clone();
    found.as_object_mut().unwrap().remove("annotations");
    found
}

fn write_index(layout: &Path, manifests: &[Value]) {
    let index = json!({ "schemaVersion": 2, "manifests": manifests });
    fs::write(layout.join("index.json"), index.to_string()).unwrap();
}

/// Makes the tagged images of a layout one multi-platform image.
fn unite(layout: &Path, architectures: &[&str]) {
    let image = |name: &&str| {
        let mut image = tagged(layout, name);
        image["platform"] = json!({ "os": "linux", "architecture": name });
        image
    };
    let images: Vec<Value> = architectures.iter().map(image).collect();
    let bytes = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": images }).to_string();
    let digest = Digest::of(bytes.as_bytes());
    fs::write(layout.join("blobs/sha256").join(digest.hex()), &bytes).unwrap();
    write_index(layout, &[json!({ "mediaType": INDEX, "digest": digest, "size": bytes.len() })]);
}

fn pack(path: &Path) -> Packed {
    pack_image(ArtifactName::new("app").unwrap(), path, &|_| ()).unwrap()
}

fn blobs(packed: &Packed) -> &[BlobEntry] {
    match &packed.artifact.content {
        Content::Image(blobs) => blobs,
        Content::File | Content::Provider(_) | Content::Directory { .. } | Content::Terraform { .. } => {
            panic!("no image")
        }
    }
}

/// Writes exactly the blobs that packing found, as the worker has them, into a layout.
fn unpack(packed: &Packed, layout: &Path) {
    fs::create_dir_all(layout.join("blobs/sha256")).unwrap();
    fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    for source in &packed.blobs {
        let bytes = match &source.origin {
            Origin::File(path) => fs::read(path).unwrap(),
            Origin::Range { path, offset, length } => {
                let mut bytes = vec![0; usize::try_from(*length).unwrap()];
                File::open(path).unwrap().read_exact_at(&mut bytes, *offset).unwrap();
                bytes
            }
            Origin::Bytes(bytes) => bytes.clone(),
        };
        fs::write(layout.join("blobs/sha256").join(source.blob.digest.hex()), bytes).unwrap();
    }
    let artifact = &packed.artifact;
    let top = json!({ "mediaType": artifact.media_type, "digest": artifact.digest, "size": artifact.size });
    write_index(layout, &[top]);
}

/// Debian's registry on a loopback port of its own.
struct Registry {
    child: Child,
    address: String,
    _dir: TempDir,
}

impl Registry {
    fn start() -> Self {
        let dir = TempDir::new().unwrap();
        let config = dir.path().join("config.yml");
        let storage = dir.path().join("storage");
        let text = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:0\n",
            storage.display()
        );
        fs::write(&config, text).unwrap();
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let started = command.spawn();
        let mut child = started.unwrap_or_else(|error| panic!("install the package docker-registry ({error})"));
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let listening = |line: String| Some(line.split("listening on ").nth(1)?.split('"').next()?.to_owned());
        let address = log.find_map(|line| listening(line.unwrap())).unwrap();
        std::thread::spawn(move || log.for_each(drop));
        Self { child, address, _dir: dir }
    }

    /// Pushes the one image of a layout, whole.
    fn push(&self, directory: &Path, layout: &str, tag: &str) {
        let target = format!("docker://{}/app:{tag}", self.address);
        // Otherwise skopeo compresses layers that are not.
        let faithfully = ["copy", "--all", "--preserve-digests", "--dest-tls-verify=false"];
        skopeo(directory, &[&faithfully[..], &[&format!("oci:{layout}"), &target]].concat());
    }

    /// The digest that the registry reports for a tag.
    fn digest(&self, tag: &str, media_type: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "HEAD /v2/app/manifests/{tag} HTTP/1.0\r\nAccept: {media_type}\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let header = answer.lines().find_map(|line| line.strip_prefix("Docker-Content-Digest: "));
        header.unwrap_or_else(|| panic!("{answer}")).to_owned()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_registry_reports_the_digest_of_a_multi_platform_image() {
    let dir = layout(&["amd64", "arm64"]);
    unite(&dir.path().join("layout"), &["amd64", "arm64"]);
    let packed = pack(&dir.path().join("layout"));
    assert_eq!(packed.artifact.media_type, INDEX);
    unpack(&packed, &dir.path().join("pushed"));
    let registry = Registry::start();
    registry.push(dir.path(), "pushed", "multi");
    assert_eq!(registry.digest("multi", INDEX), packed.artifact.digest.to_string());
}

#[test]
fn a_registry_reports_the_digest_of_a_docker_archive() {
    let dir = layout(&["amd64"]);
    skopeo(dir.path(), &["copy", "oci:layout:amd64", "docker-archive:saved.tar:app:1"]);
    let packed = pack(&dir.path().join("saved.tar"));
    unpack(&packed, &dir.path().join("pushed"));
    let registry = Registry::start();
    registry.push(dir.path(), "pushed", "saved");
    assert_eq!(registry.digest("saved", &packed.artifact.media_type), packed.artifact.digest.to_string());

    // skopeo makes a manifest of another media type of it, which names the same blobs.
    skopeo(dir.path(), &["copy", "docker-archive:saved.tar", "dir:seen"]);
    let seen: Value = serde_json::from_slice(&fs::read(dir.path().join("seen/manifest.json")).unwrap()).unwrap();
    let theirs = [&seen["config"]].into_iter().chain(seen["layers"].as_array().unwrap());
    let theirs: Vec<&Value> = theirs.map(|descriptor| &descriptor["digest"]).collect();
    let ours: Vec<Value> = blobs(&packed)[1..].iter().map(|blob| json!(blob.digest)).collect();
    assert_eq!(theirs, ours.iter().collect::<Vec<_>>());
}

#[test]
fn every_form_that_tools_write_of_an_oci_image_is_the_same_artifact() {
    let dir = layout(&["amd64"]);
    let path = |name: &str| dir.path().join(name);
    let expected = pack(&path("layout")).artifact;
    assert_eq!(json!(expected.digest), tagged(&path("layout"), "amd64")["digest"]);
    skopeo(dir.path(), &["copy", "oci:layout:amd64", "oci-archive:skopeo.tar:app"]);
    run(dir.path(), "tar", &["-cf", "gnu.tar", "-C", "layout", "."]);
    run(dir.path(), "tar", &["--format=posix", "-cf", "pax.tar", "-C", "layout", "."]);
    run(
        dir.path(),
        "tar",
        &["--format=ustar", "-cf", "ustar.tar", "-C", "layout", "oci-layout", "index.json", "blobs"],
    );
    for archive in ["skopeo.tar", "gnu.tar", "pax.tar", "ustar.tar"] {
        assert_eq!(pack(&path(archive)).artifact, expected, "{archive}");
    }
}
