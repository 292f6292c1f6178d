use std::collections::BTreeSet;

use super::super::report::Report;
use super::super::samples::{many, rich};
use super::super::{LONGEST_MARKDOWN, Limits, html as page, markdown as comment};
use super::*;
use crate::output::Paint;

fn as_text(text: &str, width: Option<usize>) -> String {
    text::render(&Report::of(&rich(text), Limits::SCREEN), width, Paint::off())
}

#[test]
fn a_terminal_shows_it_wide_and_narrow() {
    insta::assert_snapshot!("rich_wide", as_text("plain text", Some(120)));
    let narrow = as_text("plain text", Some(40));
    // Only single words may be wider than the terminal.
    for line in narrow.lines() {
        assert!(unicode_width::UnicodeWidthStr::width(line) <= 40 || !line.trim().contains(' '), "{line}");
    }
    insta::assert_snapshot!("rich_narrow", narrow);
    let many = Report::of(&many(300, true), Limits::SCREEN);
    insta::assert_snapshot!("many_wide", text::render(&many, Some(120), Paint::off()));
}

#[test]
fn a_comment_folds_it() {
    insta::assert_snapshot!("rich_markdown", comment(&rich("plain text")));
}

#[test]
fn a_page_folds_it() {
    let page = page(&rich("plain text"));
    insta::assert_snapshot!("rich_html", page.replace(include_str!("style.css"), "[STYLE]\n"));
}

#[test]
fn a_comment_is_never_longer_than_forges_take() {
    for (diff, whole) in [(many(300, true), true), (many(5_000, true), false), (many(100_000, false), false)] {
        let text = comment(&diff);
        assert!(text.len() <= LONGEST_MARKDOWN, "{} characters", text.len());
        assert_eq!(!text.contains("… and "), whole, "what is left out is said");
    }
}

/// Threat 35: what commits, paths, values and files might hold to become markup, or to steer a terminal.
const HOSTILE: [&str; 14] = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "</code></summary></details><h1>approved</h1>",
    "\"><a href='javascript:alert(1)'>x</a>",
    "</pre></style><style>body { display: none }",
    "[click](https://evil.example) ![](https://evil.example/x.png)",
    "`code` ``` ```` ````` ~~~",
    "```\n\n# approved\n\n- [x] reviewed",
    "a | b | c\n|---|---|---|",
    "@everyone #1 fixes #2 https://evil.example www.evil.example",
    "&lt;b&gt; &#60;b&#62; <!-- -->",
    "\x1b[31mred\x1b]0;title\x07 \u{9b}2J",
    "a\r\nb\tc\u{8}\u{7f}",
    "\u{202e}deppats\u{2066} \u{200f}",
];

fn steers(c: char) -> bool {
    c.is_control() && c != '\n'
        || matches!(c, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[test]
fn hostile_text_stays_text_on_a_terminal() {
    let lines = as_text("harmless", None).lines().count();
    for hostile in HOSTILE {
        let text = as_text(hostile, None);
        assert!(!text.contains(steers), "{hostile:?} steers: {text:?}");
        // A file may have more lines; nothing else may.
        let more = 4 * hostile.matches('\n').count();
        assert!(text.lines().count() <= lines + more * 4, "{hostile:?} makes lines of its own: {text}");
        assert!(!text.lines().any(|line| line.starts_with("# approved")), "{text}");
    }
}

/// The tags of a page, attributes included.
fn tags(html: &str) -> BTreeSet<&str> {
    html.split('<').skip(1).map(|rest| rest.split('>').next().unwrap_or_default()).collect()
}

#[test]
fn hostile_text_stays_text_in_a_page() {
    let harmless = page(&rich("harmless"));
    let expected = tags(&harmless);
    for hostile in HOSTILE {
        let html = page(&rich(hostile));
        let found = tags(&html);
        let new: Vec<_> = found.difference(&expected).collect();
        assert!(new.is_empty(), "{hostile:?} makes tags: {new:?}");
        assert!(!html.contains(steers), "{hostile:?} steers");
        assert_eq!(html.matches("<h1>").count(), 1);
        // Every ampersand begins one of our own entities.
        for rest in html.split('&').skip(1) {
            let known = ["amp;", "lt;", "gt;", "quot;", "#39;"];
            assert!(known.iter().any(|entity| rest.starts_with(entity)), "{hostile:?}: &{}", &rest[..8]);
        }
    }
}

/// A comment without its fenced blocks, as CommonMark finds them: a block ends at a line that is only backticks, at
/// least as many as it began with.
fn unfenced(markdown: &str) -> Vec<&str> {
    let mut fence: Option<usize> = None;
    let mut outside = Vec::new();
    for line in markdown.lines() {
        let run = line.len() - line.trim_start_matches('`').len();
        match fence {
            None if run >= 3 => fence = Some(run),
            None => outside.push(line),
            Some(length) if run >= length && line.trim_end().len() == run => fence = None,
            Some(_) => {}
        }
    }
    assert_eq!(fence, None, "a block is never closed");
    outside
}

#[test]
fn hostile_text_stays_text_in_a_comment() {
    let shape = |text: &str| {
        let comment = comment(&rich(text));
        assert!(!comment.contains(steers), "{text:?} steers");
        let outside = unfenced(&comment);
        let tags: Vec<String> = outside.iter().flat_map(|line| tags(line)).map(str::to_owned).collect();
        // What is in <code> is text of a document; no Markdown is read where HTML stands.
        let words: Vec<String> = outside
            .iter()
            .map(|line| {
                let mut parts = line.split("<code>");
                let first = parts.next().unwrap_or_default().to_owned();
                parts
                    .map(|part| part.split_once("</code>").map_or(part, |(_, rest)| rest))
                    .fold(first, |all, part| all + part)
            })
            .collect();
        (tags, words)
    };
    let expected = shape("harmless");
    for hostile in HOSTILE {
        assert_eq!(shape(hostile), expected, "{hostile:?}");
    }
}

#[test]
fn a_page_needs_nothing_else() {
    let page = page(&rich("https://evil.example/"));
    for outside in ["<script", "<link", "<img", "<iframe", "<object", "@import", "url(", "src=", "href="] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(page.contains("default-src 'none'") && page.contains("prefers-color-scheme: dark"));
}
