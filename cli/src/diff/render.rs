//! A report in three formats. Each makes harmless what documents hold, in its own way, at the one place where it
//! writes text from them.

pub(super) mod html;
pub(super) mod markdown;
pub(super) mod text;

use manifest_schema::diff::{Hunk, Line};

use super::report::{Item, Value};

/// The line before the lines of a hunk, as in a unified diff.
fn heading(hunk: &Hunk) -> String {
    let (old, new) = hunk.lengths();
    format!("@@ -{},{old} +{},{new} @@", hunk.old_start, hunk.new_start)
}

/// A line of a hunk: its sign, and its text.
fn line(line: &Line) -> (char, &str) {
    match line {
        Line::Same(text) => (' ', text),
        Line::Removed(text) => ('-', text),
        Line::Added(text) => ('+', text),
        Line::NoNewline => ('\\', " no line break at the end of the file"),
    }
}

/// What an item was and is, in one line.
fn value(item: &Item) -> String {
    match &item.value {
        Value::None => String::new(),
        Value::One(one) => one.clone(),
        Value::Two(old, new) => format!("{old} → {new}"),
    }
}

#[cfg(test)]
mod tests;
