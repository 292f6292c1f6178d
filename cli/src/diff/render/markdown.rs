//! For a comment in a forge or a tracker.
//!
//! Text from documents stands in one of two places only: in a fenced block whose fence is longer than any run of
//! backticks in it, and, as HTML in `<code>`, in a `<summary>`. In neither is Markdown read: no link, image, mention,
//! reference to an issue, or markup of any kind comes from it.

use std::fmt::Write as _;

use manifest_schema::diff::Hunk;

use super::super::report::{Body, Item, Mark, Report};
use super::html::escape;
use super::{heading, line, value};
use crate::output::plain;

/// Writes a report as GitHub-flavoured Markdown.
pub(in crate::diff) fn render(report: &Report) -> String {
    let mut text = String::new();
    // Names of projects and numbers only.
    let _ = writeln!(text, "## {}\n", report.title);
    let _ = writeln!(text, "{}\n", report.summary.join(" · "));
    if !report.warnings.is_empty() {
        text.push_str("**Before you read on:**\n\n");
        text.push_str(&fenced("text", &report.warnings));
    }
    for section in &report.sections {
        let _ = writeln!(text, "### {}\n", section.title);
        bodies(&mut text, section.items.iter().map(BodyRef::Item));
    }
    if !report.unseen.is_empty() {
        text.push_str("### Not looked at\n\n");
        text.push_str(&fenced("text", &report.unseen));
    }
    text.push_str("<details><summary>Which builds exactly</summary>\n\n");
    let builds: Vec<_> = report.builds.iter().map(|(label, value)| format!("{label}: {value}")).collect();
    text.push_str(&fenced("text", &builds));
    text.push_str("</details>\n");
    text
}

/// What an item holds, by reference.
enum BodyRef<'a> {
    Item(&'a Item),
    Hunks(&'a [Hunk]),
    Note(&'a str),
}

/// Items that hold nothing, hunks and notes go into one fenced block until an item comes that is to be folded.
fn bodies<'a>(text: &mut String, parts: impl Iterator<Item = BodyRef<'a>>) {
    let mut lines: Vec<String> = Vec::new();
    for part in parts {
        match part {
            BodyRef::Item(item) if item.body.is_empty() => lines.push(one_line(item)),
            BodyRef::Item(item) => {
                flush(text, &mut lines);
                folded(text, item);
            }
            BodyRef::Hunks(hunks) => {
                for hunk in hunks {
                    lines.push(heading(hunk));
                    lines.extend(hunk.lines.iter().map(line).map(|(sign, text)| format!("{sign}{text}")));
                }
            }
            BodyRef::Note(note) => lines.push(format!("  {note}")),
        }
    }
    flush(text, &mut lines);
}

fn flush(text: &mut String, lines: &mut Vec<String>) {
    if !lines.is_empty() {
        text.push_str(&fenced("diff", lines));
        lines.clear();
    }
}

fn one_line(item: &Item) -> String {
    let sign = if item.mark == Mark::None { " " } else { item.mark.sign() };
    let value = value(item);
    let value = if value.is_empty() { value } else { format!(": {value}") };
    let facts = facts(item);
    let facts = if facts.is_empty() { facts } else { format!("  ({facts})") };
    format!("{sign} {}{value}{facts}", item.label)
}

fn facts(item: &Item) -> String {
    item.facts.iter().filter(|fact| !fact.is_empty()).map(String::as_str).collect::<Vec<_>>().join(", ")
}

fn folded(text: &mut String, item: &Item) {
    let code = |text: &str| format!("<code>{}</code>", one_escaped_line(text));
    let sign = if item.mark == Mark::None { String::new() } else { format!("<b>{}</b> ", item.mark.sign()) };
    let _ = write!(text, "<details{}><summary>{sign}{}", if item.open { " open" } else { "" }, code(&item.label));
    let value = value(item);
    if !value.is_empty() {
        let _ = write!(text, " {}", code(&value));
    }
    let facts = facts(item);
    if !facts.is_empty() {
        let _ = write!(text, " {}", code(&facts));
    }
    // A blank line ends the HTML, so that what follows is Markdown again.
    text.push_str("</summary>\n\n");
    bodies(
        text,
        item.body.iter().map(|body| match body {
            Body::Item(item) => BodyRef::Item(item),
            Body::Hunks(hunks) => BodyRef::Hunks(hunks),
            Body::Note(note) => BodyRef::Note(note),
        }),
    );
    text.push_str("</details>\n\n");
}

fn one_escaped_line(text: &str) -> String {
    escape(&text.replace('\n', " "))
}

/// Lines in a block that none of them can end.
fn fenced<T: AsRef<str>>(language: &str, lines: &[T]) -> String {
    let lines: Vec<String> = lines.iter().map(|line| plain(line.as_ref()).replace('\n', " ")).collect();
    let longest = lines.iter().map(|line| longest_run(line)).max().unwrap_or(0);
    let fence = "`".repeat((longest + 1).max(3));
    format!("{fence}{language}\n{}\n{fence}\n\n", lines.join("\n"))
}

fn longest_run(line: &str) -> usize {
    line.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}
