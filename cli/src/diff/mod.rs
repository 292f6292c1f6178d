//! `airlock manifest diff`: two builds compared, with all that is at hand about them, and told in one of four formats.
//!
//! What the manifests say is compared by `manifest_schema::diff`, whole. [`collect()`] adds what only the artifacts store
//! and the local repositories know; when they aren't at hand it says so in the comparison and goes on. [`report`]
//! decides what is told, in which order and how much of it; the renderers below it only write that down, and each
//! makes harmless whatever a commit, a path or a value might hold.

mod collect;
mod commits;
mod images;
mod inside;
mod lines;
mod render;
mod report;
#[cfg(test)]
mod samples;

use manifest_schema::diff::ManifestDiff;

pub(crate) use collect::collect;

use crate::output::{Format, Output};
use report::Report;

/// Most files of an artifact that are listed without grouping them.
const UNGROUPED: usize = 15;

/// How much is looked at and told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Files whose lines are compared, and files that are listed.
    pub(crate) files: usize,
    /// Lines of all files together, context included.
    pub(crate) lines: usize,
    /// Lines of one file.
    pub(crate) lines_per_file: usize,
    /// Whether what nobody wants to see at first can be folded. Where it can't, it is left out: lines of files that are
    /// grouped because they are many, and layers that are kept.
    pub(crate) folds: bool,
    /// Commits of one repository.
    pub(crate) commits: usize,
    /// Variables, settings and other things of one kind.
    pub(crate) others: usize,
}

impl Limits {
    /// For a terminal, where nothing can be folded: what a person reads in one go.
    const SCREEN: Self = Self { files: 40, lines: 160, lines_per_file: 25, folds: false, commits: 30, others: 60 };
    /// For a comment in a forge or a tracker.
    const COMMENT: Self =
        Self { files: 300, lines: 1_000, lines_per_file: 200, folds: true, commits: 100, others: 100 };
    /// For a page of its own, and for programs.
    const WHOLE: Self =
        Self { files: 5_000, lines: 50_000, lines_per_file: 5_000, folds: true, commits: 1_000, others: 10_000 };

    /// What a format has place for.
    pub(crate) fn of(format: Format) -> Self {
        match format {
            Format::Text => Self::SCREEN,
            Format::Markdown => Self::COMMENT,
            Format::Html | Format::Json => Self::WHOLE,
        }
    }

    /// Half as much.
    fn halved(self) -> Self {
        let Self { files, lines, lines_per_file, folds, commits, others } = self;
        Self {
            files: files / 2,
            lines: lines / 2,
            lines_per_file: lines_per_file / 2,
            folds,
            commits: commits / 2,
            others: others / 2,
        }
    }
}

/// Longest Markdown: GitHub takes comments of 65,536 characters.
const LONGEST_MARKDOWN: usize = 60_000;

/// The comparison as a terminal shows it.
pub(crate) fn text(diff: &ManifestDiff, out: &Output) -> String {
    render::text::render(&Report::of(diff, Limits::SCREEN), out.width(), out.paint_out())
}

/// The comparison as one HTML file that needs nothing else.
pub(crate) fn html(diff: &ManifestDiff) -> String {
    render::html::render(&Report::of(diff, Limits::WHOLE))
}

/// The comparison as a comment, told more briefly until it fits into one.
pub(crate) fn markdown(diff: &ManifestDiff) -> String {
    let mut limits = Limits::COMMENT;
    loop {
        let text = render::markdown::render(&Report::of(diff, limits));
        if text.len() <= LONGEST_MARKDOWN || limits.files == 0 {
            return text;
        }
        limits = limits.halved();
    }
}
