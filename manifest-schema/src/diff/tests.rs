//! What two manifests differ in, as tables and as properties.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::deployment::{LiveBuild, StepOutcome, StepRecord};
use crate::manifest::tests::{
    build, directory, file, image, link, linked, manifests, report, service, single, source, terraform,
};
use crate::manifest::{Artifact, FileEntry};
use crate::statement::Outcome;

fn diff(old: &BuildManifest, new: &BuildManifest) -> ManifestDiff {
    let side = |manifest| Side { digest: Digest::of(&BuildManifest::to_bytes(manifest)), manifest };
    ManifestDiff::between(side(old), side(new))
}

/// A change in a word, as the tables below write it.
fn word<T>(change: &Change<T>) -> &'static str {
    match change {
        Change::Added(_) => "added",
        Change::Removed(_) => "removed",
        Change::Changed { .. } => "changed",
    }
}

#[test]
fn the_same_things_under_another_number_are_no_difference() {
    let (old, mut new) = (build(7), build(7));
    new.build.number = 8;
    let diff = diff(&old, &new);
    assert!(diff.is_empty());
    assert_eq!((diff.old.build.to_string(), diff.new.build.to_string()), ("0.7".to_owned(), "0.8".to_owned()));
    assert_ne!(diff.old.manifest, diff.new.manifest);
    assert_eq!(ManifestDiff::from_bytes(&diff.to_bytes()).unwrap(), diff);
}

type Edit = fn(&mut BuildManifest);

/// One edit each: which lines the difference then has.
#[test]
fn every_kind_of_difference_is_told() {
    let edits: &[(&str, Edit, &[&str])] = &[
        ("another project", |m| m.project = "other".parse().unwrap(), &[]),
        (
            "source at another commit",
            |m| m.sources[0] = source("https://git.example/hello", '3'),
            &["source https://git.example/hello changed"],
        ),
        (
            "source at another ref",
            |m| m.sources[1].reference = "refs/tags/v2".to_owned(),
            &["source https://git.example/pipeline changed"],
        ),
        ("dirty source", |m| m.sources[0].dirty = true, &["source https://git.example/hello changed"]),
        (
            "source replaced",
            |m| m.sources[0] = source("https://git.example/new", '3'),
            &["source https://git.example/hello removed", "source https://git.example/new added"],
        ),
        ("artifact added", |m| m.artifacts.insert(0, single("a", "1")), &["artifact a added"]),
        (
            "artifact removed",
            |m| {
                m.artifacts.remove(0);
            },
            &["artifact config removed"],
        ),
        ("file changed", |m| m.artifacts[0] = single("config", "a = 2"), &["artifact config changed"]),
        (
            "files of a directory",
            |m| {
                let executable = FileEntry { mode: FileMode::Executable, ..file("css/b.css", "b") };
                m.artifacts[2] = directory("site", vec![executable, file("c.html", "c")]);
            },
            &["artifact site changed", "  a.html removed", "  c.html added", "  css/b.css changed"],
        ),
        (
            "links of a directory",
            |m| {
                let links = vec![link("latest", "a.html"), link("current", "css")];
                m.artifacts[2] = linked("site", vec![file("a.html", "a"), file("css/b.css", "b")], links);
            },
            &["artifact site changed", "  link current added", "  link latest added"],
        ),
        (
            "files of a bundle",
            |m| m.artifacts[1] = terraform("infra", vec![file("main.tf", "terraform { }")]),
            &["artifact infra changed", "  main.tf changed"],
        ),
        (
            "kind",
            |m| m.artifacts[2] = Artifact { name: "site".parse().unwrap(), ..single("site", "tar") },
            &["artifact site changed"],
        ),
        (
            "layers of an image",
            |m| m.artifacts[3] = image("web", &["base", "app2"]),
            &["artifact web changed", "  blobs +2 -2 =1"],
        ),
        ("step added", |m| m.deploy.push(service("cron", "web")), &["step service cron added"]),
        (
            "step removed",
            |m| {
                m.deploy.remove(1);
            },
            &["step service web removed"],
        ),
        ("steps in another order", |m| m.deploy.swap(1, 2), &["reordered"]),
        (
            "variables",
            |m| {
                let Step::Terraform { variables, .. } = &mut m.deploy[0] else { unreachable!() };
                variables.remove("site");
                variables.insert("release".to_owned(), Variable::Value("r8".to_owned()));
                variables.insert("token".to_owned(), Variable::Parameter("token".parse().unwrap()));
                variables.insert("zone".to_owned(), Variable::Value("a".to_owned()));
            },
            &["step terraform infra changed", "  release changed", "  site removed", "  token changed", "  zone added"],
        ),
        (
            "another bundle",
            |m| {
                m.artifacts[1] = terraform("infra2", vec![file("main.tf", "terraform {}")]);
                m.deploy[0] = Step::Terraform { artifact: "infra2".parse().unwrap(), variables: BTreeMap::new() };
            },
            &[
                "artifact infra removed",
                "artifact infra2 added",
                "step terraform infra2 changed",
                "  password removed",
                "  release removed",
                "  site removed",
                "  token removed",
            ],
        ),
        ("evidence", |m| m.evidence[0] = report("sast", "2 findings"), &["evidence sast changed"]),
        ("evidence removed", |m| m.evidence.clear(), &["evidence sast removed"]),
    ];
    for (case, edit, expected) in edits {
        let (old, mut new) = (build(7), build(7));
        edit(&mut new);
        let diff = diff(&old, &new);
        assert_eq!(lines(&diff), *expected, "{case}");
        assert!(!diff.is_empty(), "{case}");
    }
}

fn lines(diff: &ManifestDiff) -> Vec<String> {
    let mut lines: Vec<_> =
        diff.sources.iter().map(|source| format!("source {} {}", source.uri, word(&source.change))).collect();
    for artifact in &diff.artifacts {
        lines.push(format!("artifact {} {}", artifact.name, word(&artifact.change)));
        lines.extend(artifact.files.iter().map(|file| format!("  {} {}", file.path, word(&file.change))));
        lines.extend(artifact.links.iter().map(|link| format!("  link {} {}", link.path, word(&link.change))));
        let count = |blobs: &BlobsDiff| {
            format!("  blobs +{} -{} ={}", blobs.added.len(), blobs.removed.len(), blobs.kept.len())
        };
        lines.extend(artifact.blobs.iter().map(count));
    }
    for step in &diff.steps {
        lines.push(format!("step {} {}", step.step, word(&step.change)));
        lines.extend(step.variables.iter().map(|variable| format!("  {} {}", variable.name, word(&variable.change))));
    }
    lines.extend(diff.steps_reordered.then(|| "reordered".to_owned()));
    lines.extend(diff.evidence.iter().map(|report| format!("evidence {} {}", report.name, word(&report.change))));
    lines
}

#[test]
fn old_and_new_values_are_in_their_places() {
    let (old, mut new) = (build(7), build(8));
    new.artifacts[0] = single("config", "a = 22");
    let diff = diff(&old, &new);
    let Change::Changed { old, new } = &diff.artifacts[0].change else { panic!("{diff:?}") };
    assert_eq!((old.size, new.size), (5, 6));
    assert_eq!((old.digest, new.digest), (Digest::of(b"a = 1"), Digest::of(b"a = 22")));
    let release = |number: u64| Variable::Value(format!("r{number}"));
    assert_eq!(diff.steps[0].variables[0].change, Change::Changed { old: release(7), new: release(8) });
}

#[test]
fn a_link_that_leads_elsewhere_says_from_where_to_where() {
    let with = |target| BuildManifest {
        artifacts: vec![linked("site", vec![file("a", "a"), file("b", "b")], vec![link("latest", target)])],
        deploy: Vec::new(),
        ..build(7)
    };
    let diff = diff(&with("a"), &with("b"));
    let Change::Changed { old, new } = &diff.artifacts[0].links[0].change else { panic!("{diff:?}") };
    assert_eq!((old.as_str(), new.as_str()), ("a", "b"));
    assert!(diff.artifacts[0].files.is_empty());
}

#[test]
fn only_one_build_in_every_step_is_what_is_deployed() {
    let live = |number: u64| LiveBuild { build: BuildNumber { epoch: 0, number }, manifest: Digest::of(b"m") };
    let deployed = |steps: &[&[u64]]| Deployed {
        environment: "production".parse().unwrap(),
        sequence: 1,
        finished_at: Timestamp::from_millis(0).unwrap(),
        outcome: Outcome::Failed,
        steps: steps
            .iter()
            .map(|builds| StepRecord {
                name: "service web".to_owned(),
                outcome: StepOutcome::Done,
                live: builds.iter().copied().map(live).collect(),
            })
            .collect(),
    };
    for (steps, expected) in [
        (&[&[7][..], &[7]][..], Some(7)),
        (&[&[7], &[8]], None),
        (&[&[7], &[7, 8]], None),
        (&[&[7], &[]], None),
        (&[&[]], None),
        (&[], None),
    ] {
        assert_eq!(deployed(steps).only_live().map(|live| live.build.number), expected, "{steps:?}");
    }
}

/// The two manifests of a diff, in any order, tell the same story the other way round.
fn mirrored<T: Clone>(change: &Change<T>) -> Change<T> {
    match change.clone() {
        Change::Added(new) => Change::Removed(new),
        Change::Removed(old) => Change::Added(old),
        Change::Changed { old, new } => Change::Changed { old: new, new: old },
    }
}

proptest! {
    #[test]
    fn a_manifest_does_not_differ_from_itself(manifest in manifests()) {
        prop_assert!(diff(&manifest, &manifest).is_empty());
    }

    /// Only equal contents give an empty difference, and every path is told at most once.
    #[test]
    fn nothing_that_differs_is_left_out(old in manifests(), new in manifests()) {
        let there = diff(&old, &new);
        let same = (&old.sources, &old.artifacts, &old.deploy, &old.evidence)
            == (&new.sources, &new.artifacts, &new.deploy, &new.evidence);
        prop_assert_eq!(there.is_empty(), same);
        for artifact in &there.artifacts {
            prop_assert!(artifact.files.windows(2).all(|pair| pair[0].path < pair[1].path));
        }
        prop_assert_eq!(&ManifestDiff::from_bytes(&there.to_bytes()).unwrap(), &there);
    }

    #[test]
    fn the_other_way_round_is_the_mirror_image(old in manifests(), new in manifests()) {
        let (there, back) = (diff(&old, &new), diff(&new, &old));
        prop_assert_eq!(there.artifacts.len(), back.artifacts.len());
        for (one, other) in there.artifacts.iter().zip(&back.artifacts) {
            prop_assert_eq!(&one.change, &mirrored(&other.change));
            let files: Vec<_> = other.files.iter().map(|file| mirrored(&file.change)).collect();
            prop_assert_eq!(one.files.iter().map(|file| file.change.clone()).collect::<Vec<_>>(), files);
            let blobs = other.blobs.clone().map(|b| BlobsDiff { added: b.removed, removed: b.added, kept: b.kept });
            prop_assert_eq!(&one.blobs, &blobs);
        }
        prop_assert_eq!(there.steps_reordered, back.steps_reordered);
    }
}
