//! For a terminal. Only words that are longer than a line make it wider than the terminal; lines of files are cut.

use manifest_schema::diff::Hunk;
use unicode_width::UnicodeWidthChar as _;

use super::super::report::{Body, Item, Mark, Report};
use super::{heading, line, value};
use crate::output::{Paint, plain, wrap};

/// How much further each level stands to the right.
const INDENT: usize = 2;

/// Most columns of a line of a file where nobody says how wide the terminal is.
const WIDEST: usize = 160;

/// Writes a report for a terminal of this width.
pub(in crate::diff) fn render(report: &Report, width: Option<usize>, paint: Paint) -> String {
    let mut text = Text { width, paint, text: String::new() };
    text.line(0, &report.title, |title| paint.bold(title));
    text.line(0, &report.summary.join(", "), str::to_owned);
    for warning in &report.warnings {
        text.line(0, &format!("! {warning}"), |line| paint.yellow(line));
    }
    for section in &report.sections {
        text.text.push('\n');
        text.line(0, section.title, |title| paint.bold(title));
        section.items.iter().for_each(|item| text.item(item, 1));
    }
    if !report.unseen.is_empty() {
        text.text.push('\n');
        text.line(0, "Not looked at", |title| paint.bold(title));
        report.unseen.iter().for_each(|line| text.line(1, line, str::to_owned));
    }
    text.text
}

struct Text {
    width: Option<usize>,
    paint: Paint,
    text: String,
}

impl Text {
    fn item(&mut self, item: &Item, depth: usize) {
        let mut line = [item.mark.sign(), &item.label].join(" ").trim_start().to_owned();
        let value = value(item);
        if !value.is_empty() {
            line.push_str(": ");
            line.push_str(&value);
        }
        let facts: Vec<_> = item.facts.iter().filter(|fact| !fact.is_empty()).map(String::as_str).collect();
        if !facts.is_empty() {
            line.push_str(&format!(" ({})", facts.join(", ")));
        }
        let paint = self.paint;
        // A line break in a label would begin a line that looks like one of ours.
        self.line(depth, &line.replace('\n', " "), |line| match item.mark {
            Mark::Added => paint.green(line),
            Mark::Removed => paint.red(line),
            Mark::Changed => paint.yellow(line),
            Mark::Kept | Mark::None => line.to_owned(),
        });
        for body in &item.body {
            match body {
                Body::Item(item) => self.item(item, depth + 1),
                Body::Hunks(hunks) => hunks.iter().for_each(|hunk| self.hunk(hunk, depth + 1)),
                Body::Note(note) => self.line(depth + 1, note, str::to_owned),
            }
        }
    }

    fn hunk(&mut self, hunk: &Hunk, depth: usize) {
        self.line(depth, &heading(hunk), str::to_owned);
        let indent = INDENT * depth;
        let most = self.width.unwrap_or(WIDEST).saturating_sub(indent).max(20);
        for (sign, text) in hunk.lines.iter().map(line) {
            let shown = fit(&plain(&format!("{sign}{}", text.replace('\t', "    "))).replace('\n', " "), most);
            let painted = match sign {
                '+' => self.paint.green(&shown),
                '-' => self.paint.red(&shown),
                _ => shown,
            };
            self.text.push_str(&format!("{}{}\n", " ".repeat(indent), painted.trim_end()));
        }
    }

    fn line(&mut self, depth: usize, line: &str, painted: impl Fn(&str) -> String) {
        let indent = INDENT * depth;
        self.text.push_str(&painted(&wrap(&plain(line).replace('\n', " "), self.width, indent, indent + 2 * INDENT)));
        self.text.push('\n');
    }
}

/// As much of a line as fits, and a mark if that isn't all of it.
fn fit(line: &str, columns: usize) -> String {
    let mut column = 0;
    for (at, c) in line.char_indices() {
        column += c.width().unwrap_or(0);
        if column > columns {
            // One column back for the mark.
            let kept: Vec<_> = line[..at].chars().collect();
            return kept[..kept.len().saturating_sub(1)].iter().chain(&['…']).collect();
        }
    }
    line.to_owned()
}
