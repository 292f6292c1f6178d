//! Deploy steps, sources and evidence.

use std::collections::BTreeMap;

use manifest_schema::diff::{
    Change, CommitList, CommitState, EvidenceDiff, ManifestDiff, SourceDiff, SourceState, StepDiff,
};
use manifest_schema::manifest::{Commit, Step, Variable};

use super::super::lines::clip;
use super::{Body, Item, Mark, Value, bounded, part, sizes};
use crate::diff::Limits;
use crate::output::count;

/// Longest value that is told, in characters.
const VALUE: usize = 300;

/// Most commits that are seen without unfolding.
const OPEN_COMMITS: usize = 20;

pub(super) fn steps(diff: &ManifestDiff, limits: Limits) -> Vec<Item> {
    let mut items: Vec<_> = diff.steps.iter().map(|diff| step(diff, limits)).collect();
    if diff.steps_reordered {
        items.insert(0, Item::new(Mark::Changed, "the steps come in another order"));
    }
    items
}

fn step(diff: &StepDiff, limits: Limits) -> Item {
    let mut parts: Vec<Item> = Vec::new();
    if let Change::Changed { old: Step::Terraform { artifact: old, .. }, new: Step::Terraform { artifact: new, .. } } =
        &diff.change
        && old != new
    {
        let value = Value::Two(old.to_string(), new.to_string());
        parts.push(Item { value, ..Item::new(Mark::Changed, "bundle") });
    }
    let changes = parts_of(&diff.change, variables);
    parts.extend(changes.iter().map(|(name, change)| Item::of(format!("variable {name}"), change, variable)));
    let changes = parts_of(&diff.change, containers);
    parts.extend(changes.iter().map(|(name, change)| Item::of(format!("container {name}"), change, Clone::clone)));
    let changes = parts_of(&diff.change, settings);
    parts.extend(changes.iter().map(|(path, change)| Item::of(path, change, |text| clip(text, VALUE))));
    let body = bounded(parts.into_iter(), limits.others, "variables and containers");
    Item { open: true, body, ..Item::new(Mark::of(&diff.change), &diff.step) }
}

/// What differs between the variables, the containers or the settings of a step's states.
fn parts_of<V: Clone + Eq>(
    change: &Change<Step>,
    map: impl Fn(&Step) -> BTreeMap<String, V>,
) -> Vec<(String, Change<V>)> {
    let (mut old, new) = match change {
        Change::Added(new) => (BTreeMap::new(), map(new)),
        Change::Removed(old) => (map(old), BTreeMap::new()),
        Change::Changed { old, new } => (map(old), map(new)),
    };
    let mut changes: BTreeMap<String, Change<V>> = BTreeMap::new();
    for (name, new) in new {
        let change = match old.remove(&name) {
            Some(old) if old == new => continue,
            Some(old) => Change::Changed { old, new },
            None => Change::Added(new),
        };
        changes.insert(name, change);
    }
    changes.extend(old.into_iter().map(|(name, old)| (name, Change::Removed(old))));
    changes.into_iter().collect()
}

fn variables(step: &Step) -> BTreeMap<String, Variable> {
    match step {
        Step::Terraform { variables, .. } => variables.clone(),
        Step::Service(_) | Step::Task(_) | Step::Files(_) | Step::Function(_) | Step::Schedule(_) => BTreeMap::new(),
    }
}

fn containers(step: &Step) -> BTreeMap<String, String> {
    let containers = match step {
        Step::Terraform { .. } | Step::Files(_) | Step::Function(_) => return BTreeMap::new(),
        Step::Service(service) => &service.containers,
        Step::Task(task) => &task.containers,
        Step::Schedule(schedule) => &schedule.containers,
    };
    containers.iter().map(|(container, image)| (container.to_string(), image.to_string())).collect()
}

/// What any other step than Terraform's says beside containers' images, by path.
fn settings(step: &Step) -> BTreeMap<String, String> {
    match step {
        Step::Terraform { .. } => BTreeMap::new(),
        Step::Service(service) => service.settings(),
        Step::Task(task) => task.settings(),
        Step::Files(files) => files.settings(),
        Step::Schedule(schedule) => schedule.revision().settings(),
        Step::Function(function) => function.settings(),
    }
}

fn variable(value: &Variable) -> String {
    match value {
        Variable::Value(text) => clip(&format!("{text:?}"), VALUE),
        Variable::DigestOf(artifact) => format!("digest of {artifact}"),
        Variable::Parameter(name) => format!("parameter {name}"),
        Variable::Secret(name) => format!("secret {name}"),
    }
}

pub(super) fn sources(diffs: &[SourceDiff]) -> Vec<Item> {
    diffs.iter().map(source).collect()
}

fn source(diff: &SourceDiff) -> Item {
    let mut item = Item::of(&diff.uri, &diff.change, state);
    let Some(commits) = &diff.commits else { return item };
    let (added, removed) = (&commits.added, &commits.removed);
    match (added.count, removed.count) {
        (0, 0) => item.facts.push("no commit between".to_owned()),
        (new, 0) => item.facts.push(number(new)),
        (0, old) => item.facts.push(format!("back by {}", number(old))),
        (new, old) => {
            item.facts.push(format!(
                "diverged: {} only in the new build, {} only in the old",
                number(new),
                number(old)
            ));
        }
    }
    if commits.shallow {
        item.facts.push("from a shallow clone: there may be more".to_owned());
    }
    item.open = added.commits.len() + removed.commits.len() <= OPEN_COMMITS;
    item.body = listed(added, Mark::Added).into_iter().chain(listed(removed, Mark::Removed)).collect();
    item
}

fn number(commits: u64) -> String {
    count(usize::try_from(commits).unwrap_or(usize::MAX), "commit")
}

fn listed(list: &CommitList, mark: Mark) -> Vec<Body> {
    let mut body: Vec<_> = list.commits.iter().map(|commit| Body::Item(commit_item(commit, mark))).collect();
    let more = list.count.saturating_sub(list.commits.len() as u64);
    if more > 0 {
        body.push(Body::Note(format!("… and {more} more commits")));
    }
    body
}

fn commit_item(commit: &CommitState, mark: Mark) -> Item {
    let subject = clip(&commit.subject, VALUE);
    let item = Item { value: Value::One(subject), ..Item::new(mark, short(&commit.commit)) };
    let item = item.fact(clip(&commit.author, VALUE));
    if commit.merge { item.fact("merge") } else { item }
}

fn short(commit: &Commit) -> String {
    commit.as_str().get(..12).unwrap_or_default().to_owned()
}

fn state(state: &SourceState) -> String {
    let reference = &state.reference;
    let name = reference.strip_prefix("refs/heads/").or(reference.strip_prefix("refs/tags/")).unwrap_or(reference);
    let dirty = if state.dirty { ", uncommitted changes" } else { "" };
    format!("{} ({name}{dirty})", short(&state.commit))
}

pub(super) fn evidence(diffs: &[EvidenceDiff], limits: Limits) -> Vec<Item> {
    let item = |diff: &EvidenceDiff| {
        let item = Item::of(diff.name.to_string(), &diff.change, |state| state.digest.short());
        let kind = match &diff.change {
            Change::Added(state) | Change::Removed(state) => state.kind.clone(),
            Change::Changed { old, new } if old.kind == new.kind => new.kind.clone(),
            Change::Changed { old, new } => format!("{} → {}", old.kind, new.kind),
        };
        item.fact(kind).fact(sizes(&part(&diff.change, |state| state.size)))
    };
    let more = diffs.len().saturating_sub(limits.others);
    let mut items: Vec<_> = diffs.iter().take(limits.others).map(item).collect();
    if more > 0 {
        items.push(Item::new(Mark::None, format!("… and {more} more reports")));
    }
    items
}
