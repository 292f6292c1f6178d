//! Comparisons to try the formats on.

use manifest_schema::Digest;
use manifest_schema::diff::{
    ArtifactDiff, ArtifactState, BlobsDiff, Change, CommitList, CommitState, CommitsDiff, ComparedBuild, EvidenceDiff,
    EvidenceState, FileDiff, FileState, Hunk, ImageDiff, Layer, LayerDiff, Line, LinesDiff, LinkDiff, ManifestDiff,
    PlatformDiff, Presence, Setting, SettingDiff, SettingKind, SettingValue, SourceDiff, SourceState, StepDiff,
};
use manifest_schema::manifest::{
    ArtifactKind, BlobRef, BuildNumber, FileMode, ServiceStep, Step, Variable, VendoredModule,
};
use manifest_schema::names::{LinkTarget, RelativePath};

fn build(number: u64) -> ComparedBuild {
    ComparedBuild {
        project: "hello".parse().unwrap(),
        build: BuildNumber { epoch: 0, number },
        manifest: Digest::of(&number.to_le_bytes()),
        deployed: None,
    }
}

/// A comparison in which nothing differs yet.
fn empty() -> ManifestDiff {
    ManifestDiff {
        schema: Default::default(),
        old: build(7),
        new: build(8),
        sources: Vec::new(),
        artifacts: Vec::new(),
        steps: Vec::new(),
        steps_reordered: false,
        evidence: Vec::new(),
        unseen: Vec::new(),
    }
}

fn artifact(name: &str, kind: ArtifactKind, sizes: [u64; 2]) -> ArtifactDiff {
    let state = |text: &str, size| ArtifactState {
        kind,
        media_type: "application/octet-stream".to_owned(),
        digest: Digest::of(format!("{name} {text}").as_bytes()),
        size,
        provider: None,
    };
    ArtifactDiff {
        name: name.parse().unwrap(),
        change: Change::Changed { old: state("old", sizes[0]), new: state("new", sizes[1]) },
        files: Vec::new(),
        links: Vec::new(),
        modules: Vec::new(),
        blobs: None,
        image: None,
        lines: None,
    }
}

fn state(text: &str, size: u64) -> FileState {
    FileState { mode: FileMode::Regular, digest: Digest::of(text.as_bytes()), size }
}

fn changed(path: &str, old: &str, new: &str) -> FileDiff {
    let lines = super::lines::compare(Some(old.as_bytes()), Some(new.as_bytes()), 1_000);
    let change = Change::Changed { old: state(old, old.len() as u64), new: state(new, new.len() as u64) };
    FileDiff { path: RelativePath::new(path).unwrap(), change, lines: Some(lines) }
}

fn commit(digit: char, subject: &str, author: &str, merge: bool) -> CommitState {
    CommitState {
        commit: digit.to_string().repeat(40).try_into().unwrap(),
        committed_at: "2026-11-22T08:00:00Z".parse().unwrap(),
        author: author.to_owned(),
        subject: subject.to_owned(),
        merge,
    }
}

fn source(digit: char, reference: &str) -> SourceState {
    SourceState {
        commit: digit.to_string().repeat(40).try_into().unwrap(),
        committed_at: "2026-11-22T08:00:00Z".parse().unwrap(),
        reference: reference.to_owned(),
        dirty: false,
    }
}

fn setting(kind: SettingKind, key: Option<&str>, change: Change<&str>) -> SettingDiff {
    let text = |value: &str| SettingValue::Text(value.to_owned());
    let change = match change {
        Change::Added(new) => Change::Added(text(new)),
        Change::Removed(old) => Change::Removed(text(old)),
        Change::Changed { old, new } => Change::Changed { old: text(old), new: text(new) },
    };
    SettingDiff { setting: Setting { kind, key: key.map(str::to_owned) }, change }
}

/// One of everything; `text` stands wherever whoever wrote a commit, a configuration or a file could have put it.
pub(super) fn rich(text: &str) -> ManifestDiff {
    let mut diff = empty();
    let value = |value: &str| Variable::Value(value.to_owned());
    let terraform = |greeting: &str| Step::Terraform {
        artifact: "infra".parse().unwrap(),
        variables: [("greeting".to_owned(), value(greeting))].into(),
    };
    let containers = [("app".parse().unwrap(), "web".parse().unwrap())].into();
    let mut cron = ServiceStep::new("cron".parse().unwrap(), containers);
    cron.cpu = Some(512);
    let variable = ("GREETING".parse().unwrap(), text.to_owned());
    cron.environment = [("app".parse().unwrap(), [variable].into())].into();
    diff.steps = vec![
        StepDiff {
            step: "terraform infra".to_owned(),
            change: Change::Changed { old: terraform("hello"), new: terraform(text) },
            variables: Vec::new(),
        },
        StepDiff { step: "service cron".to_owned(), change: Change::Added(Step::Service(cron)), variables: Vec::new() },
    ];
    diff.steps_reordered = true;
    let added =
        CommitList { count: 40, commits: vec![commit('2', text, "Alice", true), commit('3', "Mend it", text, false)] };
    let removed = CommitList { count: 1, commits: vec![commit('4', "Break it", "Bob", false)] };
    diff.sources = vec![
        SourceDiff {
            uri: "https://git.example/hello".to_owned(),
            change: Change::Changed { old: source('1', "refs/heads/main"), new: source('2', text) },
            commits: Some(CommitsDiff { added, removed, shallow: true }),
        },
        SourceDiff { uri: text.to_owned(), change: Change::Added(source('5', "refs/tags/v1")), commits: None },
    ];
    diff.artifacts = vec![config(text), infra(text), site(text), web(text)];
    let report = EvidenceState {
        kind: text.to_owned(),
        media_type: "application/sarif+json".to_owned(),
        digest: Digest::of(b"report"),
        size: 4_096,
    };
    diff.evidence = vec![EvidenceDiff { name: "sast".parse().unwrap(), change: Change::Removed(report) }];
    diff.unseen = vec![format!("the commits of {text} are not told: there is no git repository here")];
    diff
}

fn config(text: &str) -> ArtifactDiff {
    let lines = super::lines::compare(Some(b"a = 1"), Some(format!("a = {text}").as_bytes()), 100);
    ArtifactDiff { lines: Some(lines), ..artifact("config", ArtifactKind::File, [5, 6]) }
}

fn infra(text: &str) -> ArtifactDiff {
    let old = "variable \"size\" {\n  default = 1\n}\n";
    let new = format!("variable \"size\" {{\n  default = 3 # {text}\n}}\n");
    let files = vec![changed("README.md", "old", text), changed("main.tf", old, &new)];
    let module = |version: &str| VendoredModule {
        path: RelativePath::new("airlock-modules/vpc").unwrap(),
        source: format!("registry.terraform.io/{text}/vpc/aws"),
        version: Some(version.to_owned()),
        commit: None,
    };
    let modules = vec![Change::Changed { old: module("5.1.0"), new: module("5.2.0") }];
    ArtifactDiff { files, modules, ..artifact("infra", ArtifactKind::Terraform, [10_240, 10_240]) }
}

fn site(text: &str) -> ArtifactDiff {
    let path = |path: &str| RelativePath::new(path).unwrap();
    let executable = FileState { mode: FileMode::Executable, ..state("run", 10) };
    let mut files = vec![
        changed("css/<b>`x`|[y](z).css", "a { }\n", &format!("a {{ color: red }} /* {text} */\n")),
        FileDiff {
            path: path("logo.png"),
            change: Change::Added(state("png", 70_000)),
            lines: Some(LinesDiff::Binary),
        },
        FileDiff { path: path("old.html"), change: Change::Removed(state("old", 12)), lines: None },
        FileDiff {
            path: path("run.sh"),
            change: Change::Changed { old: state("run", 10), new: executable },
            lines: None,
        },
    ];
    let long: Vec<_> = (0..100).map(|number| Line::Added(format!("line {number}"))).collect();
    let hunks = vec![Hunk { old_start: 0, new_start: 1, lines: long }];
    files.push(FileDiff {
        path: path("sitemap.xml"),
        change: Change::Added(state("map", 2_000_000)),
        lines: Some(LinesDiff::Text { added: 3_000, removed: 0, hunks, omitted: 2_900 }),
    });
    let target = |target: &str| LinkTarget::new(target).unwrap();
    let change = Change::Changed { old: target("v1"), new: target("v2") };
    let links = vec![LinkDiff { path: path("current"), change }];
    ArtifactDiff { files, links, ..artifact("site", ArtifactKind::Directory, [100_000, 2_170_000]) }
}

fn web(text: &str) -> ArtifactDiff {
    let layer = |presence, name: &str, size| LayerDiff {
        presence,
        layer: Layer { digest: Digest::of(name.as_bytes()), size, created_by: Some(format!("RUN make {name}")) },
    };
    let hidden = Change::Changed { old: SettingValue::Hidden, new: SettingValue::Hidden };
    let token = Setting { kind: SettingKind::Environment, key: Some("API_TOKEN".to_owned()) };
    let settings = vec![
        setting(SettingKind::User, None, Change::Changed { old: "app", new: "root" }),
        setting(SettingKind::Entrypoint, None, Change::Changed { old: r#"["/start"]"#, new: text }),
        SettingDiff { setting: token, change: hidden },
        setting(SettingKind::Environment, Some(text), Change::Added(text)),
        setting(SettingKind::Port, Some("8080/tcp"), Change::Removed("")),
    ];
    let layers = vec![
        layer(Presence::Kept, "base", 30_000_000),
        layer(Presence::Removed, "app", 2_000_000),
        layer(Presence::Added, text, 2_100_000),
    ];
    let platform = |platform: &str, settings, layers| PlatformDiff {
        platform: platform.to_owned(),
        presence: Presence::Kept,
        settings,
        layers,
    };
    let blob = |name: &str, size| BlobRef { digest: Digest::of(name.as_bytes()), size };
    ArtifactDiff {
        blobs: Some(BlobsDiff {
            added: vec![blob("app 2", 2_100_000)],
            removed: vec![blob("app", 2_000_000)],
            kept: vec![blob("base", 30_000_000)],
        }),
        image: Some(ImageDiff { platforms: vec![platform("linux/amd64", settings, layers)] }),
        ..artifact("web", ArtifactKind::Image, [1_000, 1_000])
    }
}

/// This many changed files in directories of fifty, with a line each where `lines` says so.
pub(super) fn many(number: usize, lines: bool) -> ManifestDiff {
    let file = |index: usize| {
        let path = format!("pages/{:05}/page-{:02}.html", index / 50, index % 50);
        let mut diff = changed(&path, "<p>old\n", "<p>new\n");
        diff.lines = diff.lines.filter(|_| lines);
        diff
    };
    let files = (0..number).map(file).collect();
    let sizes = [number as u64 * 7; 2];
    ManifestDiff {
        artifacts: vec![ArtifactDiff { files, ..artifact("site", ArtifactKind::Directory, sizes) }],
        ..empty()
    }
}
