//! OCI image layouts: what becomes an artifact, and what is refused whole.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests may")]

use std::collections::BTreeSet;
use std::error::Error as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use artifacts::{ImageProblem, Origin, PackError, Packed, pack_image};
use manifest_schema::Digest;
use manifest_schema::manifest::Content;
use manifest_schema::names::ArtifactName;
use serde_json::{Value, json};
use tempfile::TempDir;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// An image layout in a temporary directory.
struct Layout(TempDir);

impl Layout {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        fs::create_dir_all(dir.path().join("blobs/sha256")).unwrap();
        fs::write(dir.path().join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        Self(dir)
    }

    fn path_of(&self, digest: &Digest) -> PathBuf {
        self.0.path().join("blobs/sha256").join(digest.hex())
    }

    /// Writes a blob and returns its descriptor.
    fn blob(&self, media_type: &str, bytes: &[u8]) -> Value {
        let digest = Digest::of(bytes);
        fs::write(self.path_of(&digest), bytes).unwrap();
        json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() })
    }

    fn document(&self, media_type: &str, document: &Value) -> Value {
        self.blob(media_type, document.to_string().as_bytes())
    }

    /// An image with a configuration and two layers.
    fn image(&self, platform: &str) -> Value {
        let config = self.blob(CONFIG, format!(r#"{{"os":"{platform}"}}"#).as_bytes());
        let layers = [self.blob(LAYER, b"base"), self.blob(LAYER, platform.as_bytes())];
        self.document(MANIFEST, &image_of(&config, &layers))
    }

    /// Writes `index.json` and packs.
    fn pack(&self, manifests: &[Value]) -> Result<Packed, PackError> {
        self.pack_index(&json!({ "schemaVersion": 2, "manifests": manifests }).to_string())
    }

    fn pack_index(&self, index: &str) -> Result<Packed, PackError> {
        fs::write(self.0.path().join("index.json"), index).unwrap();
        pack_image(ArtifactName::new("app").unwrap(), self.0.path(), &|_| ())
    }
}

fn image_of(config: &Value, layers: &[Value]) -> Value {
    json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers, "annotations": {"a": "b"} })
}

fn digest_of(descriptor: &Value) -> Digest {
    descriptor["digest"].as_str().unwrap().parse().unwrap()
}

fn types(packed: &Packed) -> Vec<(String, Digest)> {
    match &packed.artifact.content {
        Content::Image(blobs) => blobs.iter().map(|blob| (blob.media_type.clone(), blob.digest)).collect(),
        Content::File | Content::Provider(_) | Content::Directory { .. } | Content::Terraform { .. } => {
            panic!("no image")
        }
    }
}

#[test]
fn an_image_is_its_manifest_and_what_that_names() {
    let layout = Layout::new();
    let image = layout.image("linux");
    layout.blob(LAYER, b"nobody names this");
    let packed = layout.pack(std::slice::from_ref(&image)).unwrap();
    assert_eq!(packed.artifact.digest, digest_of(&image), "what a registry would report");
    assert_eq!(packed.artifact.media_type, MANIFEST);
    assert_eq!(
        types(&packed),
        [
            (MANIFEST.to_owned(), digest_of(&image)),
            (CONFIG.to_owned(), Digest::of(br#"{"os":"linux"}"#)),
            (LAYER.to_owned(), Digest::of(b"base")),
            (LAYER.to_owned(), Digest::of(b"linux")),
        ]
    );
    for source in &packed.blobs {
        assert_eq!(source.origin, Origin::File(layout.path_of(&source.blob.digest)));
    }
    assert_eq!(packed.artifact.blobs().len(), packed.blobs.len());
}

#[test]
fn an_index_brings_every_platform_and_shared_layers_once() {
    let layout = Layout::new();
    let images = [layout.image("linux"), layout.image("windows")];
    let inner = layout.document(INDEX, &json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": images }));
    let outer = layout.document(INDEX, &json!({ "schemaVersion": 2, "manifests": [inner, images[0]] }));
    let packed = layout.pack(std::slice::from_ref(&outer)).unwrap();
    assert_eq!(packed.artifact.digest, digest_of(&outer));
    assert_eq!(packed.artifact.media_type, INDEX);
    let media_types: Vec<String> = types(&packed).into_iter().map(|(media_type, _)| media_type).collect();
    assert_eq!(media_types, [INDEX, INDEX, MANIFEST, CONFIG, LAYER, LAYER, MANIFEST, CONFIG, LAYER]);
}

/// A manifest about another one, as tools attach an SBOM or a signature.
fn about(layout: &Layout, subject: &Value, content: &str) -> Value {
    let empty = layout.blob("application/vnd.oci.empty.v1+json", b"{}");
    let sbom = layout.blob("application/spdx+json", content.as_bytes());
    let mut manifest = image_of(&empty, &[sbom]);
    manifest["artifactType"] = json!("application/spdx+json");
    manifest["subject"] = subject.clone();
    layout.document(MANIFEST, &manifest)
}

#[test]
fn what_refers_to_the_image_belongs_to_it_and_comes_last() {
    let layout = Layout::new();
    let images = [layout.image("linux"), layout.image("windows")];
    let index = layout.document(INDEX, &json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": images }));
    let sbom = about(&layout, &index, "of the index");
    let of_one = about(&layout, &images[1], "of one platform");
    let signature = about(&layout, &sbom, "a signature of the first SBOM");
    let alone = types(&layout.pack(std::slice::from_ref(&index)).unwrap());
    // However they are listed; some tools list what the index names, too.
    for listed in [
        [&signature, &of_one, &sbom, &index].map(Clone::clone).to_vec(),
        [&index, &images[0], &images[1], &signature, &of_one, &sbom].map(Clone::clone).to_vec(),
    ] {
        let packed = layout.pack(&listed).unwrap();
        assert_eq!((packed.artifact.digest, packed.artifact.media_type.as_str()), (digest_of(&index), INDEX));
        let all = types(&packed);
        assert_eq!(all[..alone.len()], alone);
        let more: BTreeSet<Digest> = all[alone.len()..].iter().map(|(_, digest)| *digest).collect();
        let texts = ["{}", "of the index", "of one platform", "a signature of the first SBOM"];
        let mut expected: BTreeSet<Digest> = texts.iter().map(|text| Digest::of(text.as_bytes())).collect();
        expected.extend([&sbom, &of_one, &signature].map(digest_of));
        assert_eq!(more, expected);
    }
}

#[test]
fn what_refers_to_something_else_or_can_only_be_guessed_is_refused() {
    let layout = Layout::new();
    let (image, other) = (layout.image("linux"), layout.image("windows"));
    let index = layout.document(INDEX, &json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [image] }));
    let named = |descriptor: &Value| {
        let mut named = descriptor.clone();
        named["annotations"] = json!({ "org.opencontainers.image.ref.name": "latest" });
        named
    };
    let (own, foreign) = (about(&layout, &image, "ours"), about(&layout, &other, "another's"));
    let signature = about(&layout, &foreign, "a signature of what is another's");
    let of_layer = about(&layout, &layout.blob(LAYER, b"base"), "of a layer");
    let misspelt = layout.document(
        MANIFEST,
        &json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": layout.blob(CONFIG, b"{}"), "layers": [],
                 "Subject": image }),
    );
    let mut resized = own.clone();
    resized["size"] = json!(1);
    for (case, listed, problem) in [
        ("of another image", vec![image.clone(), foreign.clone()], "which is not part of the image"),
        ("of what is another's", vec![image.clone(), signature], "which is not part of the image"),
        ("of a layer", vec![image.clone(), of_layer], "which is not part of the image"),
        ("two images, each with its own", vec![image.clone(), own.clone(), other, foreign], "names 2 images"),
        ("nothing but what refers to an image", vec![own.clone(), about(&layout, &image, "more")], "names no image"),
        ("an index and what it names, by name", vec![index, named(&image)], "names 2 images"),
        ("a subject in another case", vec![image.clone(), misspelt], "can't be read"),
        ("another size", vec![image.clone(), resized], "its descriptor says 1"),
    ] {
        let error = layout.pack(&listed).unwrap_err();
        let text = format!("{error}: {}", error.source().map(ToString::to_string).unwrap_or_default());
        assert!(text.contains(problem), "{case}: {text}");
    }
    // One alone is what it is, whatever it refers to.
    assert_eq!(layout.pack(std::slice::from_ref(&own)).unwrap().artifact.digest, digest_of(&own));
}

#[test]
fn what_docker_writes_into_a_layout_is_an_image_too() {
    let layout = Layout::new();
    let docker = "application/vnd.docker.distribution.manifest.v2+json";
    let config = layout.blob("application/vnd.docker.container.image.v1+json", b"{}");
    let document = json!({ "schemaVersion": 2, "mediaType": docker, "config": config, "layers": [] });
    let packed = layout.pack(&[layout.document(docker, &document)]).unwrap();
    assert_eq!(packed.artifact.media_type, docker);
}

#[test]
fn layouts_that_are_none_are_refused() {
    let layout = Layout::new();
    let image = layout.image("linux");
    let index = |manifests: Value| json!({ "schemaVersion": 2, "manifests": manifests }).to_string();
    for (case, text) in [
        ("no image", index(json!([]))),
        ("two images", index(json!([image, layout.image("windows")]))),
        ("no manifests", json!({ "schemaVersion": 2 }).to_string()),
        ("schema 1", json!({ "schemaVersion": 1, "manifests": [image] }).to_string()),
        ("duplicate key", format!(r#"{{"schemaVersion":2,"manifests":[{image}],"manifests":[]}}"#)),
        ("duplicate key in another case", format!(r#"{{"schemaVersion":2,"manifests":[{image}],"Manifests":[]}}"#)),
        ("duplicate key with a long s", format!(r#"{{"schemaVersion":2,"manifests":[{image}],"manifestſ":[]}}"#)),
        ("duplicate key deep inside", format!(r#"{{"schemaVersion":2,"manifests":[{image}],"x":[{{"a":1,"a":1}}]}}"#)),
        ("also a manifest", json!({ "schemaVersion": 2, "manifests": [image], "layers": [] }).to_string()),
        (
            "calls itself a manifest",
            json!({ "schemaVersion": 2, "mediaType": MANIFEST, "manifests": [image] }).to_string(),
        ),
        ("negative size", index(json!([{ "mediaType": MANIFEST, "digest": image["digest"], "size": -1 }]))),
        ("no JSON", "manifests".to_owned()),
        ("too large", format!("{}{}", index(json!([image])), " ".repeat(4 << 20))),
    ] {
        let error = layout.pack_index(&text).unwrap_err();
        assert!(matches!(error, PackError::Image { .. }), "{case}: {error}");
    }
    for (case, marker) in [("version", r#"{"imageLayoutVersion":"2.0.0"}"#), ("shape", "{}"), ("no JSON", "")] {
        fs::write(layout.0.path().join("oci-layout"), marker).unwrap();
        let error = layout.pack(std::slice::from_ref(&image)).unwrap_err();
        assert!(matches!(error, PackError::Image { .. }), "{case}: {error}");
    }
    fs::remove_file(layout.0.path().join("oci-layout")).unwrap();
    let error = layout.pack(&[image]).unwrap_err();
    assert!(matches!(&error, PackError::Read { path, .. } if path.ends_with("oci-layout")), "{error}");
}

/// All that a person reads about an error.
fn chain(error: &dyn std::error::Error) -> String {
    error.to_string() + &error.source().map_or_else(String::new, |source| format!(": {}", chain(source)))
}

/// Each breaks one thing of a good layout; the refusal names the descriptor's digest and the reason.
#[test]
fn descriptors_that_lie_are_refused() {
    type Break = fn(&Layout) -> (Value, String);
    type Build = Box<dyn Fn(&Layout) -> (Value, String)>;
    let broken_layer = |layout: &Layout, change: fn(&mut Value)| {
        let mut layer = layout.blob(LAYER, b"layer");
        change(&mut layer);
        let config = layout.blob(CONFIG, b"{}");
        let named = layer["digest"].as_str().unwrap().to_owned();
        (layout.document(MANIFEST, &image_of(&config, &[layer])), named)
    };
    let with_layer = |change: fn(&mut Value)| move |layout: &Layout| broken_layer(layout, change);
    let cases: Vec<(&str, Build, &str)> = vec![
        ("layer's size", Box::new(with_layer(|d| d["size"] = json!(6))), "it has 5 bytes; its descriptor says 6"),
        (
            "layer's digest",
            Box::new(with_layer(|d| d["digest"] = json!(Digest::of(b"other")))),
            "it is missing from blobs/sha256",
        ),
        (
            "sha512",
            Box::new(with_layer(|d| d["digest"] = json!(format!("sha512:{}", "0".repeat(128))))),
            "is not a digest: expected sha256: and 64 lower-case hex digits",
        ),
        (
            "digest that is a path",
            Box::new(with_layer(|d| d["digest"] = json!("sha256:../../index.json"))),
            "is not a digest: expected sha256: and 64 lower-case hex digits",
        ),
        ("media type", Box::new(with_layer(|d| d["mediaType"] = json!("layer"))), "\"layer\" is not a media type"),
        ("layer's bytes", Box::new(edited_layer as Break), "its bytes have the digest"),
        ("manifest's bytes", Box::new(edited_manifest as Break), "its bytes have the digest"),
        ("manifest too large", Box::new(large_manifest as Break), "at most 4194304 are read"),
        ("blob removed", Box::new(removed_config as Break), "it is missing from blobs/sha256"),
        (
            "layer that is a manifest",
            Box::new(two_roles as Break),
            "it is used both as a manifest and as something else",
        ),
        ("one digest, two sizes", Box::new(two_sizes as Break), "it has 5 bytes; its descriptor says 4"),
        ("no manifest at the top", Box::new(top_is_layer as Break), "neither an image manifest's nor an image index's"),
        ("index called a manifest", Box::new(index_as_manifest as Break), "has what only image indexes have"),
        ("manifest and index at once", Box::new(polyglot as Break), "has what only image indexes have"),
        ("its own media type", Box::new(calls_itself_index as Break), "it calls itself"),
        ("duplicate key", Box::new(duplicate_key as Break), "it can't be read: duplicate key"),
        ("too deep", Box::new(too_deep as Break), "indexes are nested more than 3 deep"),
        ("points at itself", Box::new(cycle as Break), "its bytes have the digest"),
    ];
    for (case, build, reason) in cases {
        let layout = Layout::new();
        let (top, named) = build(&layout);
        let error = layout.pack(&[top]).unwrap_err();
        assert!(matches!(error, PackError::ImageBlob { .. }), "{case}: {error}");
        assert!(error.source().unwrap().is::<ImageProblem>(), "{case}: {error}");
        let said = chain(&error);
        assert!(said.contains(&named), "{case}: {said} doesn't name {named}");
        assert!(said.contains(reason), "{case}: {said}");
    }
}

fn named(descriptor: Value) -> (Value, String) {
    let digest = digest_of(&descriptor).to_string();
    (descriptor, digest)
}

fn edited_layer(layout: &Layout) -> (Value, String) {
    let image = layout.image("linux");
    fs::write(layout.path_of(&Digest::of(b"base")), b"b4se").unwrap();
    (image, Digest::of(b"base").to_string())
}

fn edited_manifest(layout: &Layout) -> (Value, String) {
    let image = layout.image("linux");
    let path = layout.path_of(&digest_of(&image));
    let edited = fs::read_to_string(&path).unwrap().replace(r#""a":"b""#, r#""a":"c""#);
    fs::write(path, edited).unwrap();
    named(image)
}

fn large_manifest(layout: &Layout) -> (Value, String) {
    named(layout.blob(MANIFEST, &vec![b' '; (4 << 20) + 1]))
}

fn removed_config(layout: &Layout) -> (Value, String) {
    let image = layout.image("linux");
    let config = Digest::of(br#"{"os":"linux"}"#);
    fs::remove_file(layout.path_of(&config)).unwrap();
    (image, config.to_string())
}

fn two_roles(layout: &Layout) -> (Value, String) {
    let (image, inner) = named(layout.image("linux"));
    let mut layer = image.clone();
    layer["mediaType"] = json!(LAYER);
    let sly = layout.document(MANIFEST, &image_of(&layout.blob(CONFIG, b"{}"), &[layer]));
    (layout.document(INDEX, &json!({ "schemaVersion": 2, "manifests": [image, sly] })), inner)
}

fn two_sizes(layout: &Layout) -> (Value, String) {
    let layer = layout.blob(LAYER, b"layer");
    let mut shorter = layer.clone();
    shorter["size"] = json!(4);
    let digest = digest_of(&layer).to_string();
    (layout.document(MANIFEST, &image_of(&layout.blob(CONFIG, b"{}"), &[layer, shorter])), digest)
}

fn top_is_layer(layout: &Layout) -> (Value, String) {
    named(layout.blob(LAYER, b"layer"))
}

fn index_as_manifest(layout: &Layout) -> (Value, String) {
    let image = layout.image("linux");
    named(layout.document(MANIFEST, &json!({ "schemaVersion": 2, "manifests": [image] })))
}

fn polyglot(layout: &Layout) -> (Value, String) {
    let mut both = image_of(&layout.blob(CONFIG, b"{}"), &[]);
    both["manifests"] = json!([]);
    named(layout.document(MANIFEST, &both))
}

fn calls_itself_index(layout: &Layout) -> (Value, String) {
    let mut image = image_of(&layout.blob(CONFIG, b"{}"), &[]);
    image["mediaType"] = json!(INDEX);
    named(layout.document(MANIFEST, &image))
}

fn duplicate_key(layout: &Layout) -> (Value, String) {
    let image = image_of(&layout.blob(CONFIG, b"{}"), &[]).to_string();
    named(layout.blob(MANIFEST, image.replacen('{', r#"{"Layers":[],"#, 1).as_bytes()))
}

fn too_deep(layout: &Layout) -> (Value, String) {
    let (image, deepest) = named(layout.image("linux"));
    let nested =
        (0..3).fold(image, |inner, _| layout.document(INDEX, &json!({ "schemaVersion": 2, "manifests": [inner] })));
    (nested, deepest)
}

/// Nobody can make an index that names its own digest, only one stored under the digest that it names.
fn cycle(layout: &Layout) -> (Value, String) {
    let digest = Digest::of(b"chosen");
    let index = |size: usize| {
        let next = json!({ "mediaType": INDEX, "digest": digest, "size": size });
        json!({ "schemaVersion": 2, "manifests": [next] }).to_string()
    };
    let size = index(100).len();
    fs::write(layout.path_of(&digest), index(size)).unwrap();
    named(json!({ "mediaType": INDEX, "digest": digest, "size": size }))
}

#[test]
fn blobs_are_regular_files() {
    let layout = Layout::new();
    let image = layout.image("linux");
    let path = layout.path_of(&Digest::of(b"base"));
    fs::rename(&path, layout.0.path().join("elsewhere")).unwrap();
    symlink("../../elsewhere", &path).unwrap();
    let error = layout.pack(&[image]).unwrap_err();
    assert!(matches!(&error, PackError::Kind { path: at, .. } if *at == path), "{error}");
}

#[test]
fn the_same_layout_gives_the_same_artifact() {
    let (one, two) = (Layout::new(), Layout::new());
    two.image("windows");
    let packed = one.pack(&[one.image("linux")]).unwrap();
    assert_eq!(packed.artifact, two.pack(&[two.image("linux")]).unwrap().artifact);
}
