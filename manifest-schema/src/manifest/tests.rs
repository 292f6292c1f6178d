//! Manifests that hold, and each way in which one contradicts itself.

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

/// A provider of this version.
fn provider(name: &str, version: &str) -> Artifact {
    let provider = Provider {
        address: ProviderAddress::new("registry.terraform.io/hashicorp/aws").unwrap(),
        version: ProviderVersion::new(version).unwrap(),
        platform: Platform::new("linux_amd64").unwrap(),
    };
    Artifact { content: Content::Provider(provider), ..single(name, version) }
}

fn module(path: &str) -> VendoredModule {
    let path = RelativePath::new(path).unwrap();
    VendoredModule { path, source: "../shared".to_owned(), version: None, commit: None }
}

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

type Break = fn(&mut BuildManifest);

/// Every rule that the types alone don't state, with the part of the refusal that names it.
#[test]
fn inconsistent_manifests_are_refused() {
    fn tree(manifest: &mut BuildManifest, files: Vec<FileEntry>) {
        let mut artifact = directory("site", Vec::new());
        artifact.digest = tree_digest(&files, &[]);
        artifact.size = files.iter().fold(0u64, |sum, file| sum.wrapping_add(file.size));
        artifact.content = Content::Directory { files, links: Vec::new() };
        manifest.artifacts[2] = artifact;
    }
    fn bundle(manifest: &mut BuildManifest, files: Vec<FileEntry>) {
        manifest.artifacts[1].content = Content::Terraform { files, modules: Vec::new() };
    }
    fn modules(manifest: &mut BuildManifest, paths: &[&str]) {
        let files = vec![file("a/main.tf", ""), file("b/main.tf", ""), file("c", "")];
        let modules = paths.iter().map(|path| module(path)).collect();
        manifest.artifacts[1].content = Content::Terraform { files, modules };
    }
    fn of(manifest: &mut BuildManifest) -> &mut ServiceStep {
        let Step::Service(service) = &mut manifest.deploy[1] else { unreachable!("the second step is one") };
        service
    }
    fn task(manifest: &mut BuildManifest) -> &mut TaskStep {
        let Step::Task(task) = &mut manifest.deploy[3] else { unreachable!("the fourth step is one") };
        task
    }
    fn function(manifest: &mut BuildManifest) -> &mut FunctionStep {
        let Step::Function(function) = &mut manifest.deploy[4] else { unreachable!("the fifth step is one") };
        function
    }
    fn code(manifest: &mut BuildManifest, of: fn(ArtifactName) -> FunctionCode, artifact: &str) {
        function(manifest).code = of(artifact.parse().unwrap());
    }
    fn text(manifest: &mut BuildManifest, container: &str, name: &str, text: &str) {
        let variables = of(manifest).environment.entry(container.parse().unwrap()).or_default();
        variables.insert(name.parse().unwrap(), text.to_owned());
    }
    let broken: &[(&str, Break, &str)] = &[
        ("artifacts unsorted", |m| m.artifacts.swap(0, 1), "artifacts must be sorted"),
        ("artifact twice", |m| m.artifacts.insert(0, m.artifacts[0].clone()), "artifacts must be sorted"),
        ("a module out of order", |m| modules(m, &["b", "a"]), "modules must be sorted"),
        ("a module that isn't there", |m| modules(m, &["a", "b", "c"]), "it holds nothing of the module c"),
        (
            "a provider twice",
            |m| m.artifacts.splice(0..0, ["a1", "a2"].map(|name| provider(name, "5.100.0"))).for_each(drop),
            "hashicorp/aws 5.100.0 for linux_amd64 is there twice",
        ),
        ("evidence twice", |m| m.evidence.push(report("sast", "other")), "evidence must be sorted"),
        ("sources unsorted", |m| m.sources.swap(0, 1), "sources must be sorted"),
        ("source twice, two commits", |m| m.sources[1] = source("https://git.example/hello", '3'), "sources must be"),
        ("digest of a directory", |m| m.artifacts[2].digest = Digest::of(b"x"), "not that of its file list"),
        ("size of a directory", |m| m.artifacts[2].size += 1, "not the sum of its files"),
        (
            "sizes beyond 2^64",
            |m| {
                let huge = |path| FileEntry { size: u64::MAX / 2 + 2, ..file(path, "x") };
                tree(m, vec![huge("a"), huge("b")]);
            },
            "not the sum of its files",
        ),
        ("files unsorted", |m| tree(m, vec![file("b", "1"), file("a", "2")]), "twice or out of order"),
        ("file twice", |m| tree(m, vec![file("a", "1"), file("a", "2")]), "twice or out of order"),
        ("case clash", |m| tree(m, vec![file("README", "1"), file("readme", "2")]), "differs only in case"),
        ("case clash beyond ASCII", |m| tree(m, vec![file("É", "1"), file("é", "2")]), "differs only in case"),
        ("file and directory", |m| tree(m, vec![file("a", "1"), file("a/b", "2")]), "both a directory and"),
        ("file and directory by case", |m| tree(m, vec![file("A", "1"), file("a/b/c", "2")]), "both a directory and"),
        (
            "link out of a directory",
            |m| {
                let Content::Directory { links, .. } = &mut m.artifacts[2].content else { unreachable!() };
                links.push(link("l", "../a.html"));
            },
            "leads out of the directory",
        ),
        ("bundle unsorted", |m| bundle(m, vec![file("b", "1"), file("a", "2")]), "twice or out of order"),
        ("bundle with a case clash", |m| bundle(m, vec![file("A", "1"), file("a", "2")]), "differs only in case"),
        ("image without blobs", |m| m.artifacts[3].content = Content::Image(Vec::new()), "must be its own manifest"),
        ("image of another digest", |m| m.artifacts[3].digest = Digest::of(b"x"), "must be its own manifest"),
        ("image of another size", |m| m.artifacts[3].size += 1, "must be its own manifest"),
        (
            "image with a blob twice",
            |m| {
                let Content::Image(blobs) = &mut m.artifacts[3].content else { unreachable!() };
                blobs.push(blobs[1].clone());
            },
            "a blob is listed twice",
        ),
        ("two terraform steps", |m| m.deploy.push(m.deploy[0].clone()), "at most one is allowed"),
        ("service twice", |m| m.deploy.push(service("web", "web")), "deployed twice"),
        ("service without containers", |m| of(m).containers.clear(), "no container is named"),
        ("service with too little CPU", |m| of(m).cpu = Some(127), "service web: cpu is 127; use 128 to 196608"),
        ("service with too much CPU", |m| of(m).cpu = Some(196_609), "cpu is 196609"),
        ("service without memory", |m| of(m).memory = Some(0), "memory is 0; use 6 to"),
        ("service with too many tasks", |m| of(m).desired_count = Some(10_001), "at most 10000 are possible"),
        (
            "service with too long a text",
            |m| text(m, "app", "X", &"x".repeat(16_385)),
            "containers.app.environment.X is longer than 16384 bytes",
        ),
        (
            "service with too many variables",
            |m| (0..198).for_each(|number| text(m, "app", &format!("X{number}"), "")),
            "201 variables of containers; at most 200",
        ),
        (
            "a variable that is a text and a secret",
            |m| text(m, "app", "DB", "x"),
            "variable DB of container app is both a text and a secret",
        ),
        (
            "a group with another step in between",
            |m| {
                of(m).group = Some("front".parse().unwrap());
                m.deploy.extend([service("between", "web"), grouped("after", "front")]);
            },
            "the steps of group front don't follow one another",
        ),
        ("task twice", |m| m.deploy.push(m.deploy[3].clone()), "task migrate: there is another of this name"),
        ("task without containers", |m| task(m).containers.clear(), "task migrate: no container is named"),
        ("task without a command", |m| task(m).command.clear(), "task migrate: its command is empty"),
        ("task with too long a command", |m| task(m).command.push("\"".repeat(4_000)), "bytes as JSON; at most 7168"),
        ("task without time", |m| task(m).timeout_seconds = Some(0), "timeoutSeconds is 0; use 1 to 43200"),
        ("task with too much time", |m| task(m).timeout_seconds = Some(43_201), "timeoutSeconds is 43201"),
        (
            "task in a container of another image",
            |m| task(m).container = Some("router".parse().unwrap()),
            "container router, which runs the command, is not among its containers",
        ),
        (
            "task in one of several containers",
            |m| {
                task(m).containers.insert("router".parse().unwrap(), "web".parse().unwrap());
                task(m).container = None;
            },
            "say which runs the command",
        ),
        (
            "schedule twice",
            |m| {
                let trigger = Trigger::Schedule { name: "batch".parse().unwrap(), group: None };
                m.deploy.push(Step::Schedule(ScheduleStep { trigger: trigger.clone(), ..nightly() }));
                let Trigger::Schedule { name, .. } = trigger else { unreachable!() };
                let trigger = Trigger::Schedule { name, group: Some("default".parse().unwrap()) };
                m.deploy.push(Step::Schedule(ScheduleStep { trigger, ..nightly() }));
            },
            "schedule batch: there is another step of it",
        ),
        (
            "the same target of a rule twice",
            |m| m.deploy.push(hourly(Some("orders"), Some("report"))),
            "rule orders/hourly (target report): there is another step of it",
        ),
        (
            "a target of a rule, and whichever it has",
            |m| m.deploy.push(hourly(Some("orders"), None)),
            "rule orders/hourly: there is another step of it",
        ),
        (
            "schedule without containers",
            |m| m.deploy.push(Step::Schedule(ScheduleStep { containers: BTreeMap::new(), ..nightly() })),
            "schedule jobs/nightly: no container is named",
        ),
        (
            "schedule of what is no image",
            |m| {
                let containers = [("app".parse().unwrap(), "site".parse().unwrap())].into();
                m.deploy.push(Step::Schedule(ScheduleStep { containers, ..nightly() }));
            },
            "schedule jobs/nightly: artifact site is of kind directory, not image",
        ),
        (
            "task of what is no image",
            |m| drop(task(m).containers.insert("app".parse().unwrap(), "site".parse().unwrap())),
            "task migrate: artifact site is of kind directory, not image",
        ),
        ("function twice", |m| m.deploy.push(m.deploy[4].clone()), "function resize: the function is deployed twice"),
        ("function of no file", |m| code(m, FunctionCode::Zip, "site"), "artifact site is of kind directory, not file"),
        (
            "function of no image",
            |m| code(m, FunctionCode::Image, "config"),
            "artifact config is of kind file, not image",
        ),
        ("function of nothing", |m| code(m, FunctionCode::Zip, "gone"), "there is no artifact gone"),
        ("function of a large archive", |m| m.artifacts[0].size = (50 << 20) + 1, "make the function one of an image"),
        (
            "function of an index",
            |m| {
                m.artifacts[3].media_type = INDEX.to_owned();
                let Content::Image(blobs) = &mut m.artifacts[3].content else { unreachable!() };
                blobs[0].media_type = INDEX.to_owned();
                code(m, FunctionCode::Image, "web");
            },
            "function resize: image web is an index",
        ),
        (
            "function with an alarm twice",
            |m| function(m).alarms.push("errors".parse().unwrap()),
            "alarm errors is named twice",
        ),
        (
            "function with too many alarms",
            |m| function(m).alarms = (0..21).map(|number| format!("a{number}").parse().unwrap()).collect(),
            "21 alarms; at most 20",
        ),
        ("function that watches nothing", |m| function(m).alarms.clear(), "how long to watch no alarms"),
        ("function watched for no time", |m| function(m).watch_seconds = Some(0), "watchSeconds is 0; use 1 to 3600"),
        ("function watched for too long", |m| function(m).watch_seconds = Some(3601), "watchSeconds is 3601"),
        ("service of what is no image", |m| m.deploy[1] = service("web", "site"), "is of kind directory, not image"),
        ("service of nothing", |m| m.deploy[1] = service("web", "gone"), "there is no artifact gone"),
        (
            "terraform of what is no bundle",
            |m| {
                let artifact = "site".parse().unwrap();
                m.deploy[0] = Step::Terraform { artifact, variables: BTreeMap::new() };
            },
            "is of kind directory, not terraform",
        ),
        (
            "variable of nothing",
            |m| {
                let variables = BTreeMap::from([("v".to_owned(), Variable::DigestOf("gone".parse().unwrap()))]);
                m.deploy[0] = Step::Terraform { artifact: "infra".parse().unwrap(), variables };
            },
            "variable v names an artifact",
        ),
    ];
    for (case, breaks, expected) in broken {
        let mut manifest = build(7);
        breaks(&mut manifest);
        match read(&manifest) {
            Err(DocumentError::Inconsistent { problem, .. }) => {
                assert!(problem.contains(expected), "{case}: {problem}")
            }
            other => panic!("{case} was taken: {other:?}"),
        }
    }
}

/// Threat model, rows 11 and 18, in the manifest's own words.
#[test]
fn malformed_manifests_are_refused() {
    let text = String::from_utf8(build(7).to_bytes()).unwrap();
    for (case, from, to) in [
        ("unknown kind", r#""kind": "file""#, r#""kind": "script""#),
        ("file with files", r#""kind": "file","#, r#""kind": "file", "files": [],"#),
        ("file with blobs", r#""kind": "file","#, r#""kind": "file", "blobs": [],"#),
        ("provider with files", r#""kind": "file","#, r#""kind": "provider", "files": [],"#),
        ("image without blobs", r#""kind": "file""#, r#""kind": "image""#),
        ("image with files too", r#""kind": "image","#, r#""kind": "image", "files": [],"#),
        ("directory without files", r#""kind": "file""#, r#""kind": "directory""#),
        ("terraform with blobs too", r#""kind": "terraform","#, r#""kind": "terraform", "blobs": [],"#),
        ("variable twice", r#""release": {"#, r#""release": {"value": "1"}, "release": {"#),
        ("setting of a container twice", r#""LOG_LEVEL": "debug""#, r#""LOG_LEVEL": "debug", "LOG_LEVEL": "info""#),
        ("container with settings twice", r#""environment": {"#, r#""environment": {"app": {}, "#),
        ("secret of two kinds", r#""parameter": "db/url""#, r#""parameter": "db/url", "secret": "x""#),
        ("secret in plain text", r#""parameter": "db/url""#, r#""value": "postgres://""#),
        ("cluster by its ARN", r#""cluster": "main""#, r#""cluster": "arn:aws:ecs:eu-central-1:1:cluster/main""#),
        ("task whose name is no family's", r#""task": "migrate""#, r#""task": "mi.grate""#),
        ("function by its ARN", r#""function": "resize""#, r#""function": "arn:aws:lambda:x:1:function:resize""#),
        ("function of two codes", r#""zip": "config""#, r#""zip": "config", "image": "web""#),
        ("alias that is a version", r#""alias": "live""#, r#""alias": "7""#),
        ("task with a command for a shell", r#""command": ["#, r#""command": "migrate", "_": ["#),
        ("schedule by its ARN", r#""name": "nightly""#, r#""name": "arn:aws:scheduler:x:1:schedule/jobs/nightly""#),
        ("schedule in another", r#""name": "nightly""#, r#""name": "..""#),
        ("what is a schedule and a rule", r#""schedule": {"#, r#""rule": {"name": "x"}, "schedule": {"#),
        ("unknown field of a schedule", r#""group": "jobs""#, r#""group": "jobs", "eventBus": "x""#),
        ("a fraction of a CPU", r#""cpu": 512"#, r#""cpu": 0.5"#),
        ("container twice", r#""app": "web""#, r#""app": "web", "app": "web""#),
        ("setuid", r#""mode": "0644""#, r#""mode": "4755""#),
        ("link", r#""mode": "0644""#, r#""mode": "120000""#),
        ("path that leaves", r#""path": "a.html""#, r#""path": "../a.html""#),
        ("absolute path", r#""path": "a.html""#, r#""path": "/a.html""#),
        ("build number as text", r#""number": 7"#, r#""number": "7""#),
        ("build number with a fraction", r#""number": 7"#, r#""number": 7.0"#),
        ("short commit", &"1".repeat(40), &"1".repeat(39)),
        ("upper-case digest", "sha256:", "SHA256:"),
        ("another schema", "build-manifest/v1", "build-manifest/v2"),
        ("unknown step", r#""kind": "service""#, r#""kind": "shell""#),
        ("unknown field of a step", r#""service": "web""#, r#""service": "web", "command": "x""#),
        ("variable of two kinds", r#""value": "r7""#, r#""value": "r7", "digestOf": "site""#),
        ("local time", "2026-11-22T08:00:00Z", "2026-11-22T08:00:00+01:00"),
    ] {
        assert!(text.contains(from), "{case}: nothing to replace");
        let broken = text.replacen(from, to, 1);
        assert!(BuildManifest::from_bytes(broken.as_bytes()).is_err(), "{case} was taken");
    }
    assert!(BuildManifest::from_bytes(text.as_bytes()).is_ok());
}

#[test]
fn sizes_beyond_the_limits_are_refused() {
    let padded = |size: usize| {
        let mut bytes = build(7).to_bytes();
        bytes.resize(size, b' ');
        BuildManifest::from_bytes(&bytes)
    };
    assert!(padded(BuildManifest::LIMIT).is_ok());
    assert!(matches!(padded(BuildManifest::LIMIT + 1), Err(DocumentError::TooLarge { .. })));
    // In memory, where no limit of bytes holds: every list counts, those of bundles too.
    let directory: fn(_) -> _ = |files| Content::Directory { files, links: Vec::new() };
    let bundle: fn(_) -> _ = |files| Content::Terraform { files, modules: Vec::new() };
    for content in [directory, bundle] {
        let mut manifest = build(7);
        manifest.artifacts[1].content = content(vec![file("a", "a"); MOST_ENTRIES]);
        let problem = manifest.check().unwrap_err();
        assert!(problem.contains("at most 1000000 are read"), "{problem}");
    }
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
