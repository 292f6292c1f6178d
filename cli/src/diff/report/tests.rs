//! What a comparison tells, before it has a format.

use super::*;
use crate::diff::samples::{many, rich};

/// Every item of a report, however deep.
fn count(items: &[Item]) -> usize {
    let inner = |item: &Item| {
        let held = item.body.iter().map(|body| match body {
            Body::Item(item) => count(std::slice::from_ref(item)),
            Body::Hunks(hunks) => hunks.iter().map(|hunk| hunk.lines.len()).sum(),
            Body::Note(_) => 1,
        });
        1 + held.sum::<usize>()
    };
    items.iter().map(inner).sum()
}

fn labels(section: &Section) -> Vec<&str> {
    section.items.iter().map(|item| item.label.as_str()).collect()
}

#[test]
fn what_changes_production_most_comes_first() {
    let report = Report::of(&rich("x"), Limits::WHOLE);
    let told: Vec<_> = report.sections.iter().map(|section| (section.title, labels(section))).collect();
    let expected = [
        ("Deploy steps", vec!["the steps come in another order", "terraform infra", "service cron"]),
        ("Terraform", vec!["infra"]),
        ("Image settings", vec!["web"]),
        ("Sources", vec!["https://git.example/hello", "x"]),
        ("Artifacts", vec!["site", "config"]),
        ("Evidence", vec!["sast"]),
    ];
    assert_eq!(told, expected);
    let held = |section: usize| -> Vec<&str> {
        let items = report.sections[section].items[0].body.iter();
        items.filter_map(|body| if let Body::Item(item) = body { Some(item.label.as_str()) } else { None }).collect()
    };
    assert_eq!(held(1), ["module airlock-modules/vpc", "main.tf", "README.md"], "modules, then Terraform's own files");
    assert_eq!(held(4)[..3], ["current", "run.sh", "css/<b>`x`|[y](z).css"], "links, then what may be executed now");
}

#[test]
fn many_files_are_grouped_and_folded() {
    let report = Report::of(&many(300, true), Limits::WHOLE);
    let [Section { items, .. }] = report.sections.as_slice() else { panic!("{report:?}") };
    assert_eq!(items[0].body.len(), 6, "one group for each directory");
    for body in &items[0].body {
        let Body::Item(group) = body else { panic!("{body:?}") };
        assert!(!group.open && group.label.starts_with("pages/0000"), "{group:?}");
        assert_eq!((group.facts.as_slice(), group.body.len()), (&["50 changed".to_owned()][..], 50));
    }
}

/// However much differs, what is told stays within its limits.
#[test]
fn a_hundred_thousand_files_are_told_within_limits() {
    let diff = many(100_000, false);
    for (limits, most) in [(Limits::SCREEN, 80), (Limits::COMMENT, 800), (Limits::WHOLE, 10_000)] {
        let told = count(&Report::of(&diff, limits).sections[0].items);
        assert!(told <= most, "{told} with {limits:?}");
    }
    let diff = many(2_000, true);
    for limits in [Limits::SCREEN, Limits::COMMENT, Limits::WHOLE] {
        let told = count(&Report::of(&diff, limits).sections[0].items);
        assert!(told <= limits.lines + 3 * limits.files, "{told} with {limits:?}");
    }
}

#[test]
fn one_build_or_one_content_is_said_in_a_sentence() {
    let mut diff = many(0, false);
    diff.artifacts.clear();
    assert_eq!(Report::of(&diff, Limits::SCREEN).summary, ["nothing differs but number, place and time"]);
    diff.new = diff.old.clone();
    assert_eq!(Report::of(&diff, Limits::SCREEN).summary, ["this is one and the same build"]);
}
