//! One HTML file that needs nothing else: no script, no font, no image, and a policy in it that allows none.

use std::fmt::Write as _;

use manifest_schema::diff::Hunk;

use super::super::report::{Body, Item, Mark, Report, Value};
use super::{heading, line};
use crate::output::plain;

const STYLE: &str = include_str!("style.css");

/// Writes a report as an HTML document.
pub(in crate::diff) fn render(report: &Report) -> String {
    let title = escape(&report.title);
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; \
         base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<header>\n<h1>{title}</h1>\n"
    );
    let chips: String = report.summary.iter().map(|words| format!("<li>{}</li>", escape(words))).collect();
    let _ = writeln!(html, "<ul class=\"summary\">{chips}</ul>");
    for warning in &report.warnings {
        let _ = writeln!(html, "<p class=\"warning\">{}</p>", escape(warning));
    }
    html.push_str("<details class=\"builds\"><summary>Which builds exactly</summary><dl>");
    for (label, value) in &report.builds {
        let _ = write!(html, "<dt>{label}</dt><dd>{}</dd>", escape(value));
    }
    html.push_str("</dl></details>\n</header>\n<main>\n");
    for section in &report.sections {
        let _ = writeln!(html, "<section>\n<h2>{}</h2>", section.title);
        section.items.iter().for_each(|item| self::item(&mut html, item));
        html.push_str("</section>\n");
    }
    if !report.unseen.is_empty() {
        html.push_str("<section class=\"unseen\">\n<h2>Not looked at</h2>\n<ul>\n");
        for text in &report.unseen {
            let _ = writeln!(html, "<li>{}</li>", escape(text));
        }
        html.push_str("</ul>\n</section>\n");
    }
    html.push_str("</main>\n</body>\n</html>\n");
    html
}

/// Text as HTML shows it: no markup, and no character that hides or reorders others.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in plain(text).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

fn item(html: &mut String, item: &Item) {
    let class = match item.mark {
        Mark::Added => "added",
        Mark::Removed => "removed",
        Mark::Changed => "changed",
        Mark::Kept => "kept",
        Mark::None => "plain",
    };
    if item.body.is_empty() {
        let _ = writeln!(html, "<div class=\"item {class}\">{}</div>", told(item));
        return;
    }
    let open = if item.open { " open" } else { "" };
    let _ =
        writeln!(html, "<details class=\"item {class}\"{open}><summary>{}</summary><div class=\"body\">", told(item));
    for body in &item.body {
        match body {
            Body::Item(inner) => self::item(html, inner),
            Body::Hunks(hunks) => lines(html, hunks),
            Body::Note(note) => html.push_str(&format!("<p class=\"note\">{}</p>\n", escape(note))),
        }
    }
    html.push_str("</div></details>\n");
}

/// What is said of an item in its own line.
fn told(item: &Item) -> String {
    let mut told = String::new();
    if item.mark != Mark::None {
        let _ = write!(told, "<span class=\"mark\">{}</span>", item.mark.sign());
    }
    let _ = write!(told, "<span class=\"told\"><span class=\"label\">{}</span>", escape(&item.label));
    match &item.value {
        Value::None => {}
        Value::One(one) if one.is_empty() => {}
        Value::One(one) => told.push_str(&format!(" <span class=\"value\">{}</span>", escape(one))),
        Value::Two(old, new) => {
            let (old, new) = (escape(old), escape(new));
            let _ = write!(told, " <span class=\"value\"><del>{old}</del> → <ins>{new}</ins></span>");
        }
    }
    for fact in item.facts.iter().filter(|fact| !fact.is_empty()) {
        let _ = write!(told, " <span class=\"fact\">{}</span>", escape(fact));
    }
    told.push_str("</span>");
    told
}

fn lines(html: &mut String, hunks: &[Hunk]) {
    html.push_str("<pre>");
    for hunk in hunks {
        let _ = write!(html, "<span class=\"hunk\">{}</span>", heading(hunk));
        for (sign, text) in hunk.lines.iter().map(line) {
            let tag = match sign {
                '+' => "ins",
                '-' => "del",
                _ => "span",
            };
            let _ = write!(html, "<{tag}>{sign}{}</{tag}>", escape(&text.replace('\t', "    ")));
        }
    }
    html.push_str("</pre>\n");
}
