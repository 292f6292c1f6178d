//! Goes through two manifests at once and keeps what differs.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::{
    ArtifactDiff, ArtifactState, BlobsDiff, Change, EvidenceDiff, EvidenceState, FileDiff, FileState, LinkDiff,
    SourceDiff, SourceState, StepDiff, VariableDiff,
};
use crate::manifest::{
    Artifact, BlobEntry, BlobRef, Content, Evidence, FileEntry, LinkEntry, Provider, Source, Step, Variable,
    VendoredModule,
};

/// A change between two states of one thing; `None` when there is none, or nothing.
fn change<T, S: Eq>(old: Option<&T>, new: Option<&T>, state: impl Fn(&T) -> S) -> Option<Change<S>> {
    match (old.map(&state), new.map(&state)) {
        (None, Some(new)) => Some(Change::Added(new)),
        (Some(old), None) => Some(Change::Removed(old)),
        (Some(old), Some(new)) if old != new => Some(Change::Changed { old, new }),
        (Some(_), Some(_)) | (None, None) => None,
    }
}

/// Goes through two lists sorted by `key` at once, and hands what has the same key to `each` together.
fn join<'a, T, K: Ord>(
    old: &'a [T],
    new: &'a [T],
    key: impl Fn(&'a T) -> K,
    mut each: impl FnMut(Option<&'a T>, Option<&'a T>),
) {
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    loop {
        let order = match (old.peek(), new.peek()) {
            (Some(before), Some(after)) => key(before).cmp(&key(after)),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return,
        };
        match order {
            Ordering::Less => each(old.next(), None),
            Ordering::Greater => each(None, new.next()),
            Ordering::Equal => each(old.next(), new.next()),
        }
    }
}

pub(super) fn sources(old: &[Source], new: &[Source]) -> Vec<SourceDiff> {
    let state = |source: &Source| SourceState {
        commit: source.commit.clone(),
        committed_at: source.committed_at,
        reference: source.reference.clone(),
        dirty: source.dirty,
    };
    let mut diffs = Vec::new();
    join(
        old,
        new,
        |source| &source.uri,
        |old, new| {
            if let (Some(source), Some(change)) = (new.or(old), change(old, new, state)) {
                diffs.push(SourceDiff { uri: source.uri.clone(), change, commits: None });
            }
        },
    );
    diffs
}

pub(super) fn artifacts(old: &[Artifact], new: &[Artifact]) -> Vec<ArtifactDiff> {
    let state = |artifact: &Artifact| ArtifactState {
        kind: artifact.kind(),
        media_type: artifact.media_type.clone(),
        digest: artifact.digest,
        size: artifact.size,
        provider: provider(artifact).cloned(),
    };
    let mut diffs = Vec::new();
    join(
        old,
        new,
        |artifact| &artifact.name,
        |old, new| {
            let Contents { files, links, modules, blobs } = Contents::between(old, new);
            // A damaged pair could agree on the digest and not on the files: what is inside counts, too.
            let listed = !files.is_empty() || !links.is_empty() || !modules.is_empty();
            let inside = listed || blobs.as_ref().is_some_and(BlobsDiff::differs);
            let change = match (old, new) {
                (Some(old), Some(new)) if inside => Some(Change::Changed { old: state(old), new: state(new) }),
                _ => change(old, new, state),
            };
            if let (Some(artifact), Some(change)) = (new.or(old), change) {
                let name = artifact.name.clone();
                diffs.push(ArtifactDiff { name, change, files, links, modules, blobs, image: None, lines: None });
            }
        },
    );
    diffs
}

/// What differs inside of two artifacts.
#[derive(Default)]
struct Contents {
    files: Vec<FileDiff>,
    links: Vec<LinkDiff>,
    modules: Vec<Change<VendoredModule>>,
    blobs: Option<BlobsDiff>,
}

impl Contents {
    fn between(old: Option<&Artifact>, new: Option<&Artifact>) -> Self {
        let (Some(old), Some(new)) = (old, new) else { return Self::default() };
        match (tree(old), tree(new), &old.content, &new.content) {
            (_, _, Content::Terraform { files: was, modules: old }, Content::Terraform { files: is, modules: new }) => {
                Self { files: files(was, is), modules: modules(old, new), ..Self::default() }
            }
            (Some((was, old)), Some((is, new)), ..) => {
                Self { files: files(was, is), links: links(old, new), ..Self::default() }
            }
            (_, _, Content::Image(old), Content::Image(new)) => {
                Self { blobs: Some(blobs(old, new)), ..Self::default() }
            }
            _ => Self::default(),
        }
    }
}

/// The files and links of an artifact that has such.
fn tree(artifact: &Artifact) -> Option<(&[FileEntry], &[LinkEntry])> {
    match &artifact.content {
        Content::Directory { files, links } => Some((files, links)),
        Content::Terraform { files, .. } => Some((files, &[])),
        Content::File | Content::Provider(_) | Content::Image(_) => None,
    }
}

fn provider(artifact: &Artifact) -> Option<&Provider> {
    match &artifact.content {
        Content::Provider(provider) => Some(provider),
        Content::File | Content::Directory { .. } | Content::Terraform { .. } | Content::Image(_) => None,
    }
}

fn modules(old: &[VendoredModule], new: &[VendoredModule]) -> Vec<Change<VendoredModule>> {
    let mut diffs = Vec::new();
    join(old, new, |module| &module.path, |old, new| diffs.extend(change(old, new, VendoredModule::clone)));
    diffs
}

fn links(old: &[LinkEntry], new: &[LinkEntry]) -> Vec<LinkDiff> {
    let mut diffs = Vec::new();
    join(
        old,
        new,
        |link| &link.path,
        |old, new| {
            if let (Some(link), Some(change)) = (new.or(old), change(old, new, |link| link.target.clone())) {
                diffs.push(LinkDiff { path: link.path.clone(), change });
            }
        },
    );
    diffs
}

fn files(old: &[FileEntry], new: &[FileEntry]) -> Vec<FileDiff> {
    let state = |file: &FileEntry| FileState { mode: file.mode, digest: file.digest, size: file.size };
    let mut diffs = Vec::new();
    join(
        old,
        new,
        |file| &file.path,
        |old, new| {
            if let (Some(file), Some(change)) = (new.or(old), change(old, new, state)) {
                diffs.push(FileDiff { path: file.path.clone(), change, lines: None });
            }
        },
    );
    diffs
}

fn blobs(old: &[BlobEntry], new: &[BlobEntry]) -> BlobsDiff {
    let sorted = |blobs: &[BlobEntry]| {
        let mut refs: Vec<_> = blobs.iter().map(|blob| BlobRef { digest: blob.digest, size: blob.size }).collect();
        refs.sort_unstable();
        refs
    };
    let (old, new) = (sorted(old), sorted(new));
    let mut diff = BlobsDiff::default();
    join(
        &old,
        &new,
        |blob| *blob,
        |old, new| match (old, new) {
            (Some(_), Some(kept)) => diff.kept.push(*kept),
            (Some(removed), None) => diff.removed.push(*removed),
            (None, Some(added)) => diff.added.push(*added),
            (None, None) => {}
        },
    );
    diff
}

impl BlobsDiff {
    fn differs(&self) -> bool {
        !self.added.is_empty() || !self.removed.is_empty()
    }
}

pub(super) fn evidence(old: &[Evidence], new: &[Evidence]) -> Vec<EvidenceDiff> {
    let state = |report: &Evidence| EvidenceState {
        kind: report.kind.clone(),
        media_type: report.media_type.clone(),
        digest: report.digest,
        size: report.size,
    };
    let mut diffs = Vec::new();
    join(
        old,
        new,
        |report| &report.name,
        |old, new| {
            if let (Some(report), Some(change)) = (new.or(old), change(old, new, state)) {
                diffs.push(EvidenceDiff { name: report.name.clone(), change });
            }
        },
    );
    diffs
}

/// Steps that differ, and whether those that both have come in another order.
pub(super) fn steps(old: &[Step], new: &[Step]) -> (Vec<StepDiff>, bool) {
    // There is one Terraform step at most: with another bundle it is the same step, changed.
    let identity = |step: &Step| match step {
        Step::Terraform { .. } => "terraform".to_owned(),
        Step::Service(_) | Step::Task(_) | Step::Files(_) | Step::Function(_) | Step::Schedule(_) => step.to_string(),
    };
    let place = |steps: &[Step]| -> BTreeMap<String, usize> { steps.iter().map(identity).zip(0..).collect() };
    let (was_at, is_at) = (place(old), place(new));
    let diff_of = |old: Option<&Step>, new: Option<&Step>| {
        let step = new.or(old)?.to_string();
        Some(StepDiff { step, change: change(old, new, Step::clone)?, variables: variables(old, new) })
    };
    let here = new.iter().map(|step| (was_at.get(&identity(step)).and_then(|at| old.get(*at)), Some(step)));
    let gone = old.iter().filter(|step| !is_at.contains_key(&identity(step))).map(|step| (Some(step), None));
    let diffs = here.chain(gone).filter_map(|(old, new)| diff_of(old, new)).collect();
    let both: Vec<_> = new.iter().filter_map(|step| was_at.get(&identity(step))).collect();
    (diffs, !both.is_sorted())
}

fn variables(old: Option<&Step>, new: Option<&Step>) -> Vec<VariableDiff> {
    let (Some(Step::Terraform { variables: old, .. }), Some(Step::Terraform { variables: new, .. })) = (old, new)
    else {
        return Vec::new();
    };
    let added = new.keys().filter(|name| !old.contains_key(*name));
    let mut names: Vec<_> = old.keys().chain(added).collect();
    names.sort_unstable();
    let diff_of = |name: &String| {
        let change = change(old.get(name), new.get(name), Variable::clone)?;
        Some(VariableDiff { name: name.clone(), change })
    };
    names.into_iter().filter_map(diff_of).collect()
}
