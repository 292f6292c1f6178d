//! Each way in which a manifest contradicts itself.

use super::*;

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
        ("service twice", |m| m.deploy.push(service("web", "web")), "service web: there is another of this name"),
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
            "schedule batch: there is another of this name",
        ),
        (
            "the same target of a rule twice",
            |m| m.deploy.push(hourly(Some("orders"), Some("report"))),
            "rule orders/hourly (target report): there is another of this name",
        ),
        (
            "a target of a rule, and whichever it has",
            |m| m.deploy.push(hourly(Some("orders"), None)),
            "rule orders/hourly: there is another step of it",
        ),
        (
            "schedule without containers",
            |m| m.deploy[5] = Step::Schedule(ScheduleStep { containers: BTreeMap::new(), ..nightly() }),
            "schedule jobs/nightly: no container is named",
        ),
        (
            "schedule of what is no image",
            |m| {
                let containers = [("app".parse().unwrap(), "site".parse().unwrap())].into();
                m.deploy[5] = Step::Schedule(ScheduleStep { containers, ..nightly() });
            },
            "schedule jobs/nightly: artifact site is of kind directory, not image",
        ),
        (
            "task of what is no image",
            |m| drop(task(m).containers.insert("app".parse().unwrap(), "site".parse().unwrap())),
            "task migrate: artifact site is of kind directory, not image",
        ),
        ("function twice", |m| m.deploy.push(m.deploy[4].clone()), "function resize: there is another of this name"),
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
