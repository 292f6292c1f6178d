//! What is told about a comparison, in which order, and how much of it: the same for every format.
//!
//! A report is sections of items; items hold further items, and lines of files. What changes production most comes
//! first: deploy steps and their variables, Terraform, the settings of images; then the commits; then everything else
//! by how much of it changed. Texts are as the documents have them: making them harmless is each renderer's matter,
//! because it differs.

mod artifacts;
mod files;
mod images;
mod rest;

use manifest_schema::diff::{Change, ComparedBuild, Hunk, ManifestDiff};

use super::Limits;
use crate::build::named::not_all_live;
use crate::output::size;
use crate::pipeline::events::outcome_text;

/// A comparison as it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Report {
    /// Which builds.
    pub(super) title: String,
    /// How much differs, in a few words each.
    pub(super) summary: Vec<String>,
    /// Which builds, precisely: a label and a value each.
    pub(super) builds: Vec<(&'static str, String)>,
    /// What to know before reading on.
    pub(super) warnings: Vec<String>,
    /// The most important one first; none is empty.
    pub(super) sections: Vec<Section>,
    /// What could not be looked at.
    pub(super) unseen: Vec<String>,
}

/// Items of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Section {
    /// Its heading.
    pub(super) title: &'static str,
    /// The most important one first.
    pub(super) items: Vec<Item>,
}

/// Something that differs, or holds things that do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    /// What became of it.
    pub(super) mark: Mark,
    /// What it is.
    pub(super) label: String,
    /// What it was and is.
    pub(super) value: Value,
    /// More about it, a few words each.
    pub(super) facts: Vec<String>,
    /// Whether it is to be seen without unfolding it.
    pub(super) open: bool,
    /// What it holds.
    pub(super) body: Vec<Body>,
}

/// What became of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// Only the new build has it.
    Added,
    /// Only the old build has it.
    Removed,
    /// Both have it, and it differs.
    Changed,
    /// Both have it, and it is the same.
    Kept,
    /// It holds others.
    None,
}

/// What something was and is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// Its label says it all.
    None,
    /// It is there in one build, or the same in both.
    One(String),
    /// Before and after.
    Two(String, String),
}

/// Something that an item holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Body {
    /// Another item.
    Item(Item),
    /// Lines of a file.
    Hunks(Vec<Hunk>),
    /// What is left out.
    Note(String),
}

impl Report {
    /// Tells a comparison, as far as the limits reach.
    pub(super) fn of(diff: &ManifestDiff, limits: Limits) -> Self {
        let (old, new) = (&diff.old, &diff.new);
        let title = if old.project == new.project {
            format!("{} {} → {}", old.project, old.build, new.build)
        } else {
            format!("{} {} → {} {}", old.project, old.build, new.project, new.build)
        };
        let mut teller = Teller { limits, lines: limits.lines };
        let sections = teller.sections(diff);
        Self {
            title,
            summary: summary(diff),
            builds: [("old", old), ("new", new)].map(|(label, build)| (label, told(build))).into(),
            warnings: [old, new].into_iter().filter_map(|build| not_all_live(build.deployed.as_ref()?)).collect(),
            sections,
            unseen: diff.unseen.clone(),
        }
    }
}

/// Tells one section after the other; lines of files that one took are gone for the next.
struct Teller {
    limits: Limits,
    lines: usize,
}

impl Teller {
    fn sections(&mut self, diff: &ManifestDiff) -> Vec<Section> {
        let [terraform, settings, others] = artifacts::sorted(&diff.artifacts);
        let sections = [
            ("Deploy steps", rest::steps(diff, self.limits)),
            ("Terraform", self.artifacts(&terraform)),
            ("Image settings", self.artifacts(&settings)),
            ("Sources", rest::sources(&diff.sources)),
            ("Artifacts", self.artifacts(&others)),
            ("Evidence", rest::evidence(&diff.evidence, self.limits)),
        ];
        let sections = sections.into_iter().map(|(title, items)| Section { title, items });
        sections.filter(|section| !section.items.is_empty()).collect()
    }
}

impl Item {
    /// An item that holds nothing yet.
    fn new(mark: Mark, label: impl Into<String>) -> Self {
        let (value, facts, body) = (Value::None, Vec::new(), Vec::new());
        Self { mark, label: label.into(), value, facts, open: false, body }
    }

    /// An item for a change; `told` puts its states into words.
    fn of<T>(label: impl Into<String>, change: &Change<T>, told: impl Fn(&T) -> String) -> Self {
        let value = match change {
            Change::Added(one) | Change::Removed(one) => Value::One(told(one)),
            Change::Changed { old, new } => match (told(old), told(new)) {
                (old, new) if old == new => Value::One(new),
                (old, new) => Value::Two(old, new),
            },
        };
        Self { value, ..Self::new(Mark::of(change), label) }
    }

    /// With more about it.
    fn fact(mut self, fact: impl Into<String>) -> Self {
        self.facts.push(fact.into());
        self
    }
}

impl Mark {
    fn of<T>(change: &Change<T>) -> Self {
        match change {
            Change::Added(_) => Self::Added,
            Change::Removed(_) => Self::Removed,
            Change::Changed { .. } => Self::Changed,
        }
    }

    /// Its sign. Colours only repeat it.
    pub(super) fn sign(self) -> &'static str {
        match self {
            Self::Added => "+",
            Self::Removed => "-",
            Self::Changed => "~",
            Self::Kept => "=",
            Self::None => "",
        }
    }
}

/// At most `most` items, and how many are left out.
fn bounded(items: impl ExactSizeIterator<Item = Item>, most: usize, what: &str) -> Vec<Body> {
    let more = items.len().saturating_sub(most);
    let mut body: Vec<_> = items.take(most).map(Body::Item).collect();
    if more > 0 {
        body.push(Body::Note(format!("… and {more} more {what}")));
    }
    body
}

/// One size, or before and after.
fn sizes(change: &Change<u64>) -> String {
    match change {
        Change::Added(one) | Change::Removed(one) => size(*one),
        Change::Changed { old, new } if size(*old) == size(*new) => size(*new),
        Change::Changed { old, new } => format!("{} → {}", size(*old), size(*new)),
    }
}

/// A change of a part of something.
fn part<T, P>(change: &Change<T>, part: impl Fn(&T) -> P) -> Change<P> {
    match change {
        Change::Added(new) => Change::Added(part(new)),
        Change::Removed(old) => Change::Removed(part(old)),
        Change::Changed { old, new } => Change::Changed { old: part(old), new: part(new) },
    }
}

fn told(build: &ComparedBuild) -> String {
    let deployed = build.deployed.as_ref().map_or_else(String::new, |deployed| {
        let (environment, outcome) = (&deployed.environment, outcome_text(deployed.outcome));
        format!(", deployed in {environment} (deployment {}, {outcome} {})", deployed.sequence, deployed.finished_at)
    });
    format!("{} {}, {}{deployed}", build.project, build.build, build.manifest)
}

/// How much differs.
fn summary(diff: &ManifestDiff) -> Vec<String> {
    if diff.old.manifest == diff.new.manifest {
        return vec!["this is one and the same build".to_owned()];
    }
    if diff.is_empty() {
        return vec!["nothing differs but number, place and time".to_owned()];
    }
    let commits: u64 =
        diff.sources.iter().flat_map(|source| &source.commits).map(|c| c.added.count + c.removed.count).sum();
    let files = diff.artifacts.iter().map(|artifact| artifact.files.len() + artifact.links.len()).sum();
    let steps = diff.steps.len() + usize::from(diff.steps_reordered && diff.steps.is_empty());
    let counted = [
        (steps, "deploy step"),
        (diff.artifacts.len(), "artifact"),
        (files, "file"),
        (diff.sources.len(), "source"),
        (usize::try_from(commits).unwrap_or(usize::MAX), "commit"),
        (diff.evidence.len(), "report"),
    ];
    counted
        .into_iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, noun)| crate::output::count(number, noun))
        .collect()
}

#[cfg(test)]
mod tests;
