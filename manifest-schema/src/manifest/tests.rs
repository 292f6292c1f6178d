//! Manifests that hold.

mod inconsistent;
mod malformed;

use proptest::prelude::*;

use super::*;
use crate::json::DocumentError;
use crate::names::{LinkTarget, ParameterName, RelativePath};

/// A regular file.
pub(crate) fn file(path: &str, content: &str) -> FileEntry {
    let BlobRef { digest, size } = BlobRef::of(content.as_bytes());
    FileEntry { path: RelativePath::new(path).unwrap(), mode: FileMode::Regular, digest, size }
}

/// A symbolic link.
pub(crate) fn link(path: &str, target: &str) -> LinkEntry {
    LinkEntry { path: RelativePath::new(path).unwrap(), target: LinkTarget::new(target).unwrap() }
}

/// A directory of these files, sorted.
pub(crate) fn directory(name: &str, files: Vec<FileEntry>) -> Artifact {
    linked(name, files, Vec::new())
}

/// A directory of these files and links, sorted.
pub(crate) fn linked(name: &str, mut files: Vec<FileEntry>, mut links: Vec<LinkEntry>) -> Artifact {
    files.sort_unstable();
    links.sort_unstable();
    Artifact {
        name: name.parse().unwrap(),
        media_type: "application/vnd.airlock.directory.v1".to_owned(),
        digest: tree_digest(&files, &links),
        size: files.iter().map(|file| file.size).sum(),
        content: Content::Directory { files, links },
    }
}

/// A Terraform bundle of these files.
pub(crate) fn terraform(name: &str, files: Vec<FileEntry>) -> Artifact {
    let tree = directory(name, files);
    let Content::Directory { files, .. } = tree.content else { unreachable!("a directory has files") };
    Artifact {
        media_type: "application/x-tar".to_owned(),
        size: 10_240,
        content: Content::Terraform { files, modules: Vec::new() },
        ..tree
    }
}

/// An image with these layers.
pub(crate) fn image(name: &str, layers: &[&str]) -> Artifact {
    let entry = |media_type: &str, bytes: &[u8]| {
        let BlobRef { digest, size } = BlobRef::of(bytes);
        BlobEntry { media_type: media_type.to_owned(), digest, size }
    };
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let first = entry(media_type, layers.concat().as_bytes());
    let (digest, size) = (first.digest, first.size);
    let layers = layers.iter().map(|layer| entry("application/vnd.oci.image.layer.v1.tar+gzip", layer.as_bytes()));
    let content = Content::Image(std::iter::once(first).chain(layers).collect());
    Artifact { name: name.parse().unwrap(), media_type: media_type.to_owned(), digest, size, content }
}

/// One plain file.
pub(crate) fn single(name: &str, content: &str) -> Artifact {
    let BlobRef { digest, size } = BlobRef::of(content.as_bytes());
    let media_type = "application/octet-stream".to_owned();
    Artifact { name: name.parse().unwrap(), media_type, digest, size, content: Content::File }
}

/// A step that makes `service` run the image `artifact` in its container `app`.
pub(crate) fn service(service: &str, artifact: &str) -> Step {
    let containers = BTreeMap::from([("app".parse().unwrap(), artifact.parse().unwrap())]);
    Step::Service(ServiceStep::new(service.parse().unwrap(), containers))
}

/// A service's step in a group.
fn grouped(name: &str, group: &str) -> Step {
    let containers = BTreeMap::from([("app".parse().unwrap(), "web".parse().unwrap())]);
    Step::Service(ServiceStep { group: group.parse().ok(), ..ServiceStep::new(name.parse().unwrap(), containers) })
}

#[test]
fn schedules_and_rules_are_told_apart_by_all_that_names_them() {
    let mut manifest = build(7);
    manifest.deploy.extend([hourly(None, Some("a")), hourly(Some("default"), Some("b")), hourly(Some("x/y"), None)]);
    let names: Vec<_> = manifest.schedules().map(|step| step.trigger.to_string()).collect();
    let expected = [
        "schedule jobs/nightly",
        "rule orders/hourly (target report)",
        "rule hourly (target a)",
        "rule hourly (target b)",
        "rule x/y/hourly",
    ];
    assert_eq!(names, expected);
    assert_eq!(read(&manifest).unwrap(), manifest);
}

#[test]
fn stages_are_steps_and_groups() {
    let mut manifest = build(7);
    manifest.deploy.truncate(1);
    manifest.deploy.extend([grouped("a", "x"), grouped("b", "x"), grouped("c", "y"), service("d", "web")]);
    manifest.deploy.extend([service("e", "web")]);
    let stages: Vec<Vec<u32>> =
        manifest.stages().iter().map(|stage| stage.iter().map(|(number, _)| *number).collect()).collect();
    assert_eq!(stages, [vec![1], vec![2, 3], vec![4], vec![5], vec![6]]);
}

/// A step with everything that a service's step can have.
fn sized_service() -> ServiceStep {
    let containers = BTreeMap::from([("app".parse().unwrap(), "web".parse().unwrap())]);
    let secrets = [
        ("DB".parse().unwrap(), SecretReference::Parameter("db/url".parse().unwrap())),
        ("TOKEN".parse().unwrap(), SecretReference::Secret("token".parse().unwrap())),
    ];
    ServiceStep {
        cluster: Some("main".parse().unwrap()),
        group: Some("front".parse().unwrap()),
        cpu: Some(512),
        memory: Some(1024),
        desired_count: Some(2),
        environment: [("app".parse().unwrap(), [("LOG_LEVEL".parse().unwrap(), "debug".to_owned())].into())].into(),
        secrets: [("app".parse().unwrap(), secrets.into())].into(),
        ..ServiceStep::new("web".parse().unwrap(), containers)
    }
}

/// A step with everything that a task's step can have.
fn migration() -> TaskStep {
    TaskStep {
        task: "migrate".parse().unwrap(),
        service: "web".parse().unwrap(),
        cluster: Some("main".parse().unwrap()),
        containers: [("app".parse().unwrap(), "web".parse().unwrap())].into(),
        container: Some("app".parse().unwrap()),
        command: vec!["migrate".to_owned(), "--all".to_owned()],
        timeout_seconds: Some(600),
        environment: [("app".parse().unwrap(), [("STEPS".parse().unwrap(), "all".to_owned())].into())].into(),
        secrets: [(
            "app".parse().unwrap(),
            [("OWNER".parse().unwrap(), SecretReference::Secret("db/owner".parse().unwrap()))].into(),
        )]
        .into(),
    }
}

/// A step with everything that a scheduled task's step can have.
fn nightly() -> ScheduleStep {
    ScheduleStep {
        trigger: Trigger::Schedule { name: "nightly".parse().unwrap(), group: Some("jobs".parse().unwrap()) },
        containers: [("app".parse().unwrap(), "web".parse().unwrap())].into(),
        cpu: Some(512),
        memory: Some(1024),
        environment: [("app".parse().unwrap(), [("DAYS".parse().unwrap(), "7".to_owned())].into())].into(),
        secrets: [(
            "app".parse().unwrap(),
            [("READER".parse().unwrap(), SecretReference::Secret("db/reader".parse().unwrap()))].into(),
        )]
        .into(),
    }
}

/// A step of the rule `hourly`.
fn hourly(bus: Option<&str>, target: Option<&str>) -> Step {
    let (event_bus, target) = (bus.map(|bus| bus.parse().unwrap()), target.map(|target| target.parse().unwrap()));
    let trigger = Trigger::Rule { name: "hourly".parse().unwrap(), event_bus, target };
    Step::Schedule(ScheduleStep { trigger, ..nightly() })
}

/// With everything that a function's step can say.
fn resize() -> FunctionStep {
    FunctionStep {
        function: "resize".parse().unwrap(),
        code: FunctionCode::Zip("config".parse().unwrap()),
        alias: "live".parse().unwrap(),
        alarms: ["errors", "slow"].map(|name| name.parse().unwrap()).into(),
        watch_seconds: Some(90),
    }
}

/// A source at the commit that is `digit` forty times.
pub(crate) fn source(uri: &str, digit: char) -> Source {
    Source {
        uri: uri.to_owned(),
        commit: digit.to_string().repeat(40).try_into().unwrap(),
        committed_at: "2026-11-22T08:00:00Z".parse().unwrap(),
        reference: "refs/heads/main".to_owned(),
        dirty: false,
    }
}

/// A report of this kind.
pub(crate) fn report(name: &str, content: &str) -> Evidence {
    let BlobRef { digest, size } = BlobRef::of(content.as_bytes());
    let media_type = "application/sarif+json".to_owned();
    Evidence { name: name.parse().unwrap(), kind: name.to_owned(), media_type, digest, size }
}

/// Build `0.number` of `hello`, with one artifact and one step of each kind.
pub(crate) fn build(number: u64) -> BuildManifest {
    let variables = BTreeMap::from([
        ("release".to_owned(), Variable::Value(format!("r{number}"))),
        ("site".to_owned(), Variable::DigestOf("site".parse().unwrap())),
        ("password".to_owned(), Variable::Parameter("db/password".parse().unwrap())),
        ("token".to_owned(), Variable::Secret("token".parse().unwrap())),
    ]);
    BuildManifest {
        schema: BuildManifestSchema,
        project: "hello".parse().unwrap(),
        build: Build { epoch: 0, number, id: None, url: None, builder: "local".to_owned() },
        sources: vec![source("https://git.example/hello", '1'), source("https://git.example/pipeline", '2')],
        artifacts: vec![
            single("config", "a = 1"),
            terraform("infra", vec![file("main.tf", "terraform {}")]),
            directory("site", vec![file("a.html", "a"), file("css/b.css", "b")]),
            image("web", &["base", "app"]),
        ],
        deploy: vec![
            Step::Terraform { artifact: "infra".parse().unwrap(), variables },
            Step::Service(sized_service()),
            service("worker", "web"),
            Step::Task(migration()),
            Step::Function(resize()),
            Step::Schedule(nightly()),
            hourly(Some("orders"), Some("report")),
        ],
        evidence: vec![report("sast", "clean")],
    }
}

/// Reads the manifest back from its bytes: what every reader does.
fn read(manifest: &BuildManifest) -> Result<BuildManifest, DocumentError> {
    BuildManifest::from_bytes(&manifest.to_bytes())
}

#[test]
fn a_sound_manifest_round_trips_and_names_every_blob_once() {
    let manifest = build(7);
    assert_eq!(read(&manifest).unwrap(), manifest);
    assert_eq!(manifest.to_bytes(), manifest.clone().to_bytes());
    // config, infra, a.html, b.css, the image's manifest and two layers, sast.
    assert_eq!(manifest.blobs().len(), 8);
    assert_eq!(manifest.terraform().unwrap().0.name.as_str(), "infra");
    let variables = manifest.terraform().unwrap().1;
    let public: Vec<_> = variables.values().map(|variable| manifest.public_text(variable)).collect();
    let digest = manifest.artifacts[2].digest.to_string();
    assert_eq!(public, [None, Some("r7".to_owned()), Some(digest), None], "password, release, site, token");
}

#[test]
fn build_numbers_have_one_spelling_and_sort_by_epoch_first() {
    let parse = |text: &str| text.parse::<BuildNumber>();
    assert!(parse("0.9").unwrap() < parse("0.10").unwrap() && parse("0.10").unwrap() < parse("1.1").unwrap());
    assert_eq!(parse("4294967295.18446744073709551615").unwrap().to_string(), "4294967295.18446744073709551615");
    for bad in ["", "1", ".", "1.", ".1", "01.1", "1.01", "+1.1", "1.+1", "1.1.1", " 1.1", "4294967296.1", "1.-1"] {
        assert!(parse(bad).is_err(), "{bad:?} was taken");
    }
}

prop_compose! {
    fn files()(names in prop::collection::btree_map("[a-z]{1,3}(/[a-z]{4,6}){0,2}", any::<Vec<u8>>(), 0..12))
        -> Vec<FileEntry> {
        let mut taken: Vec<FileEntry> = Vec::new();
        for (path, bytes) in names {
            let inside = |file: &FileEntry| path.starts_with(&format!("{}/", file.path));
            if taken.iter().any(inside) { continue }
            let BlobRef { digest, size } = BlobRef::of(&bytes);
            let mode = if size % 2 == 0 { FileMode::Regular } else { FileMode::Executable };
            taken.push(FileEntry { path: RelativePath::new(path).unwrap(), mode, digest, size });
        }
        taken
    }
}

/// A deployment record has an entry per step: one that can't be read again would shut its project for good.
#[test]
fn more_steps_than_a_record_can_hold_are_refused() {
    let mut manifest = build(7);
    manifest.deploy = (0..200).map(|number| service(&format!("S{number}"), "web")).collect();
    read(&manifest).unwrap();
    manifest.deploy.push(service("last", "web"));
    let refused = read(&manifest).unwrap_err().to_string();
    assert!(refused.contains("201 deploy steps; at most 200"), "{refused}");
}

prop_compose! {
    /// Manifests that builders can make, with anything in their free texts.
    pub(crate) fn manifests()(
        site in files(),
        infra in files(),
        number in any::<u64>(),
        epoch in any::<u32>(),
        id in any::<Option<String>>(),
        text in any::<String>(),
        dirty in any::<bool>(),
        linked_files in 0usize..3,
        layers in prop::collection::btree_set("[a-z]{1,4}", 2..6),
        evidence in prop::collection::btree_map("[a-z]{1,5}", "[a-z]{1,4}", 0..4),
        services in prop::collection::btree_set("[A-Z][a-z]{0,4}", 0..4).prop_map(Vec::from_iter).prop_shuffle(),
    ) -> BuildManifest {
        let mut manifest = build(number);
        manifest.build.epoch = epoch;
        manifest.build.id = id;
        manifest.sources[0].dirty = dirty;
        manifest.sources[0].reference = text.clone();
        manifest.artifacts[1] = terraform("infra", infra);
        let links = site.iter().take(linked_files).map(|file| link(&format!("{}.link", file.path), file.path.as_str()));
        let links = links.filter(|link| !link.path.as_str().contains('/')).collect();
        manifest.artifacts[2] = linked("site", site, links);
        manifest.artifacts[3] = image("web", &layers.iter().map(String::as_str).collect::<Vec<_>>());
        manifest.evidence = evidence.iter().map(|(name, content)| report(name, content)).collect();
        let name: String = text.bytes().filter(u8::is_ascii_alphanumeric).map(char::from).collect();
        let name: ParameterName = format!("a{name}").parse().unwrap();
        let variables = BTreeMap::from([
            ("parameter".to_owned(), Variable::Parameter(name.clone())),
            ("secret".to_owned(), Variable::Secret(name)),
            ("text".to_owned(), Variable::Value(text)),
        ]);
        manifest.deploy = vec![Step::Terraform { artifact: "infra".parse().unwrap(), variables }];
        manifest.deploy.extend(services.iter().map(|name| service(name, "web")));
        manifest
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(manifest in manifests()) {
        prop_assert_eq!(read(&manifest).unwrap(), manifest);
    }

    /// Threat model, row 9: whatever the bytes, reading ends in a value or an error.
    #[test]
    fn reading_never_panics(manifest in manifests(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = manifest.to_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(read) = BuildManifest::from_bytes(&bytes) {
            prop_assert_eq!(read.check(), Ok(()));
        }
        // Without the newline at its end it is whole.
        prop_assert!(at + 1 == bytes.len() || BuildManifest::from_bytes(&bytes[..at]).is_err());
    }
}
