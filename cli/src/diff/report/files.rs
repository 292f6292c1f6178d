//! Files: listed when they are few, by directory when they are many.

use std::collections::BTreeMap;

use manifest_schema::diff::{Change, FileDiff, FileState, Hunk, LinesDiff, LinkDiff};
use manifest_schema::manifest::FileMode;

use super::{Body, Item, Mark, Teller, bounded, part, sizes};
use crate::diff::UNGROUPED;
use crate::output::count;

/// Most lines of a file that are seen without unfolding.
const OPEN_LINES: usize = 40;

/// How many changed, how many are new, how many are gone: those that are not none.
pub(super) fn counts<'a, T: 'a>(changes: impl Iterator<Item = &'a Change<T>>) -> Option<String> {
    let (mut changed, mut added, mut removed) = (0usize, 0usize, 0usize);
    for change in changes {
        match change {
            Change::Changed { .. } => changed += 1,
            Change::Added(_) => added += 1,
            Change::Removed(_) => removed += 1,
        }
    }
    let told = |(number, word): (usize, &str)| (number > 0).then(|| format!("{number} {word}"));
    let told: Vec<_> =
        [(changed, "changed"), (added, "added"), (removed, "removed")].into_iter().filter_map(told).collect();
    (!told.is_empty()).then(|| told.join(", "))
}

impl Teller {
    /// What an artifact of files holds. Links come first: what a path means may change with them entirely.
    pub(super) fn files(&mut self, files: &[FileDiff], links: &[LinkDiff]) -> Vec<Body> {
        let link = |diff: &LinkDiff| Item::of(diff.path.to_string(), &diff.change, ToString::to_string).fact("link");
        let mut body = bounded(links.iter().map(link), self.limits.others, "links");
        let mut sorted: Vec<_> = files.iter().collect();
        sorted.sort_by(|a, b| rank(a).cmp(&rank(b)));
        if sorted.len() <= UNGROUPED {
            body.extend(self.listed(&sorted, self.limits.files));
            return body;
        }
        let common = common_directory(files);
        let mut groups: BTreeMap<&str, Vec<&FileDiff>> = BTreeMap::new();
        for file in sorted {
            groups.entry(directory(file, common)).or_default().push(file);
        }
        // All in one place: a group would say nothing.
        if groups.len() == 1 {
            body.extend(groups.into_values().flat_map(|files| self.listed(&files, self.limits.files)));
            return body;
        }
        body.extend(self.groups(groups));
        body
    }

    /// An item for each directory, the one with most changed files first, and of those the one with most files.
    fn groups(&mut self, groups: BTreeMap<&str, Vec<&FileDiff>>) -> Vec<Body> {
        let most = (self.limits.files / 4).max(1);
        let listed = if self.limits.folds { self.limits.files } else { self.limits.files / 2 };
        let each = (listed / groups.len().min(most)).max(2);
        let mut groups: Vec<_> = groups.into_iter().collect();
        let changed = |file: &&&FileDiff| matches!(file.change, Change::Changed { .. });
        groups.sort_by_key(|(_, files)| std::cmp::Reverse((files.iter().filter(changed).count(), files.len())));
        let rest = groups.split_off(groups.len().min(most));
        let mut body = Vec::new();
        for (directory, files) in groups {
            let label = if directory.is_empty() { "(top)".to_owned() } else { format!("{directory}/") };
            let mut item = Item::new(Mark::None, label);
            item.facts.extend(counts(files.iter().map(|file| &file.change)));
            item.body = self.listed(&files, each);
            // Unfolding a directory shows its files, not all of their lines.
            item.body.iter_mut().for_each(|body| {
                if let Body::Item(file) = body {
                    file.open = false
                }
            });
            body.push(Body::Item(item));
        }
        if !rest.is_empty() {
            let files = rest.iter().map(|(_, files)| files.len()).sum();
            let directories = if rest.len() == 1 { "directory" } else { "directories" };
            body.push(Body::Note(format!("… and {} in {} more {directories}", count(files, "file"), rest.len())));
        }
        body
    }

    fn listed(&mut self, files: &[&FileDiff], most: usize) -> Vec<Body> {
        let mut body: Vec<_> = files.iter().take(most).map(|file| Body::Item(self.file(file))).collect();
        let more = files.get(most..).unwrap_or_default();
        if let Some(counts) = counts(more.iter().map(|file| &file.change)) {
            body.push(Body::Note(format!("… and {}: {counts}", count(more.len(), "more file"))));
        }
        body
    }

    fn file(&mut self, diff: &FileDiff) -> Item {
        let mut item = Item::new(Mark::of(&diff.change), diff.path.to_string());
        item.facts.push(sizes(&part(&diff.change, |state| state.size)));
        item.facts.extend(mode(&diff.change).map(str::to_owned));
        // All lines of a file that is gone say little: where they can't be folded, they are left out.
        let gone = matches!(diff.change, Change::Removed(_));
        if let Some(lines) = diff.lines.as_ref().filter(|_| self.limits.folds || !gone) {
            self.add_lines(&mut item, lines);
        }
        item
    }

    /// Adds how the lines differ, as far as there is place for them.
    pub(super) fn add_lines(&mut self, item: &mut Item, lines: &LinesDiff) {
        match lines {
            LinesDiff::Binary => item.facts.push("binary".to_owned()),
            LinesDiff::TooLarge => item.facts.push("too large to compare line by line".to_owned()),
            LinesDiff::Text { added, removed, hunks, omitted } => {
                item.facts.push(format!("+{added} −{removed}"));
                let whole: usize = hunks.iter().map(|hunk| hunk.lines.len()).sum();
                let most = self.limits.lines_per_file.min(self.lines);
                let shown = first_lines(hunks, most);
                let told: usize = shown.iter().map(|hunk| hunk.lines.len()).sum();
                self.lines -= told;
                item.open = told <= OPEN_LINES;
                if told > 0 {
                    item.body.push(Body::Hunks(shown));
                }
                let more = (whole - told) as u64 + omitted;
                if more > 0 && told > 0 {
                    item.body.push(Body::Note(format!("… {more} more lines")));
                }
            }
        }
    }
}

fn first_lines(hunks: &[Hunk], mut most: usize) -> Vec<Hunk> {
    let mut shown = Vec::new();
    for hunk in hunks {
        let lines: Vec<_> = hunk.lines.iter().take(most).cloned().collect();
        most -= lines.len();
        if lines.is_empty() {
            break;
        }
        shown.push(Hunk { lines, ..*hunk });
    }
    shown
}

/// What comes first: what may be executed now, Terraform's own files, what has lines to show, what changed; then by
/// path.
fn rank(diff: &FileDiff) -> (bool, bool, bool, u8, &str) {
    let path = diff.path.as_str();
    let terraform =
        [".tf", ".tf.json", ".tfvars", ".tfvars.json", ".terraform.lock.hcl"].iter().any(|end| path.ends_with(end));
    let kind = match diff.change {
        Change::Changed { .. } => 0,
        Change::Added(_) => 1,
        Change::Removed(_) => 2,
    };
    (mode(&diff.change).is_none(), !terraform, diff.lines.is_none(), kind, path)
}

fn mode(change: &Change<FileState>) -> Option<&'static str> {
    let executable = |state: &FileState| state.mode == FileMode::Executable;
    match change {
        Change::Added(state) => executable(state).then_some("executable"),
        Change::Removed(_) => None,
        Change::Changed { old, new } => match (executable(old), executable(new)) {
            (false, true) => Some("now executable"),
            (true, false) => Some("no longer executable"),
            (true, true) | (false, false) => None,
        },
    }
}

/// The directory that all files are in, with its final slash; empty if there is none.
fn common_directory(files: &[FileDiff]) -> &str {
    // The list is sorted, so what its ends share, all share.
    let (Some(first), Some(last)) = (files.first(), files.last()) else { return "" };
    let (first, last) = (first.path.as_str(), last.path.as_str());
    let shared = first.bytes().zip(last.bytes()).take_while(|(a, b)| a == b).count();
    first.get(..shared).and_then(|shared| shared.rfind('/').map(|end| &first[..=end])).unwrap_or_default()
}

/// The directory of a file, one level below the common one; the common one itself for a file right in it.
fn directory<'a>(file: &'a FileDiff, common: &str) -> &'a str {
    let path = file.path.as_str();
    match path[common.len()..].find('/') {
        Some(end) => &path[..common.len() + end],
        None => path[..common.len()].trim_end_matches('/'),
    }
}
