//! Terraform's machine-readable UI (`-json`), one JSON object a line, turned into lines for people.
//!
//! Only addresses, actions, counts and diagnostics pass. Ids, output values, provisioner output, instance keys that are
//! text, and messages that the configuration's author wrote do not: they may hold secrets from the state.

use serde::Deserialize;
use serde::de::IgnoredAny;

/// What one line says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Something is going on.
    Progress(String),
    /// Something is wrong.
    Error {
        /// In a few words.
        summary: String,
        /// In more words, and where.
        detail: String,
    },
    /// A condition of the configuration doesn't hold. Which one, and how many, may say what a secret is, bit by bit: an author
    /// may have a condition for each.
    Condition {
        /// Whether Terraform ends because of it.
        ends: bool,
        /// In a few words.
        summary: String,
        /// Which one it was.
        place: String,
    },
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Message {
    PlannedChange {
        change: Change,
    },
    ResourceDrift {
        change: Change,
    },
    ChangeSummary {
        changes: Summary,
    },
    ApplyStart {
        hook: Hook,
    },
    ApplyProgress {
        hook: Hook,
    },
    ApplyComplete {
        hook: Hook,
    },
    ApplyErrored {
        hook: Hook,
    },
    Diagnostic {
        diagnostic: Diagnostic,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Change {
    resource: Resource,
    action: String,
}

#[derive(Deserialize)]
struct Resource {
    addr: String,
}

impl Resource {
    /// The address without the text of instance keys.
    fn name(&self) -> String {
        without_keys(&self.addr)
    }
}

/// `module.a["key"].b.c[0]` → `module.a[…].b.c[0]`.
fn without_keys(address: &str) -> String {
    let mut name = String::new();
    let mut rest = address;
    while let Some((before, key)) = rest.split_once("[\"") {
        name.push_str(before);
        name.push_str("[…]");
        // A quote inside a key is escaped; a key that doesn't end hides the rest.
        let mut escaped = false;
        let end = key.char_indices().find(|(_, c)| {
            let ends = *c == '"' && !escaped;
            escaped = *c == '\\' && !escaped;
            ends
        });
        rest = end.and_then(|(at, _)| key.get(at + 1..)).map_or("", |after| after.strip_prefix(']').unwrap_or(after));
    }
    name + rest
}

#[derive(Deserialize)]
struct Summary {
    add: u64,
    change: u64,
    remove: u64,
    operation: String,
}

#[derive(Deserialize)]
struct Hook {
    resource: Resource,
    action: String,
    #[serde(default)]
    elapsed_seconds: f64,
}

#[derive(Deserialize)]
struct Diagnostic {
    severity: String,
    summary: String,
    #[serde(default)]
    detail: String,
    #[serde(default)]
    address: Option<String>,
    #[serde(default)]
    range: Option<Range>,
    #[serde(default)]
    snippet: Option<Snippet>,
}

/// The code that a diagnostic is about.
#[derive(Default, Deserialize)]
struct Snippet {
    /// What the expressions in it come to.
    #[serde(default)]
    values: Option<Vec<IgnoredAny>>,
    /// The function that refused its arguments.
    #[serde(default)]
    function_call: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Range {
    filename: String,
    start: Position,
}

#[derive(Deserialize)]
struct Position {
    line: u64,
}

/// Reads one line; `None` when it says nothing that is passed on.
pub(super) fn read_line(bytes: &[u8]) -> Option<Line> {
    let progress = |text: String| Some(Line::Progress(text));
    match serde_json::from_slice(bytes).ok()? {
        Message::PlannedChange { change } => progress(format!("{}: to {}", change.resource.name(), change.action)),
        Message::ResourceDrift { change } => {
            progress(format!("{}: was changed outside ({})", change.resource.name(), change.action))
        }
        Message::ChangeSummary { changes: Summary { add, change, remove, operation } } => {
            progress(format!("{operation}: {add} to add, {change} to change, {remove} to destroy"))
                .filter(|_| operation != "apply")
                .or_else(|| progress(format!("applied: {add} added, {change} changed, {remove} destroyed")))
        }
        Message::ApplyStart { hook } => progress(format!("{}: {} begins", hook.resource.name(), hook.action)),
        Message::ApplyProgress { hook } => progress(format!(
            "{}: {} still going on after {} s",
            hook.resource.name(),
            hook.action,
            hook.elapsed_seconds
        )),
        Message::ApplyComplete { hook } => {
            progress(format!("{}: {} done in {} s", hook.resource.name(), hook.action, hook.elapsed_seconds))
        }
        Message::ApplyErrored { hook } => progress(format!("{}: {} failed", hook.resource.name(), hook.action)),
        Message::Diagnostic { diagnostic } => Some(diagnostic.line()),
        Message::Other => None,
    }
}

/// Diagnostics about conditions that the configuration's author wrote, and whose detail they wrote with any value in it
/// that they like.
const AUTHORED: [&str; 6] = [
    "Check block assertion failed",
    "Invalid value for variable",
    "Module output value precondition failed",
    "Resource postcondition failed",
    "Resource precondition failed",
    "Test assertion failed",
];
/// Instead of a detail that may repeat what an expression came to.
const WITHHELD: &str = "the message may hold values and stays in production";

impl Diagnostic {
    fn line(self) -> Line {
        let address = self.address.as_deref().map(without_keys);
        let place = match (address, self.range) {
            (Some(address), Some(range)) => format!(" ({address}, {}:{})", range.filename, range.start.line),
            (Some(address), None) => format!(" ({address})"),
            (None, Some(range)) => format!(" ({}:{})", range.filename, range.start.line),
            (None, None) => String::new(),
        };
        if AUTHORED.contains(&self.summary.as_str()) {
            return Line::Condition { ends: self.severity == "error", summary: self.summary, place };
        }
        let snippet = self.snippet.unwrap_or_default();
        let evaluated = snippet.function_call.is_some() || snippet.values.is_some_and(|values| !values.is_empty());
        let detail = if evaluated { WITHHELD } else { self.detail.trim() };
        let detail = format!("{detail}{place}");
        if self.severity == "error" {
            Line::Error { summary: self.summary, detail: detail.trim().to_owned() }
        } else {
            Line::Progress(format!("warning: {}: {detail}", self.summary))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A red-team finding: state secrets as instance keys, or in a condition's error message.
    #[test]
    fn what_the_author_chose_to_say_stays_in_production() {
        for (address, expected) in [
            ("a.b", "a.b"),
            ("a.b[0]", "a.b[0]"),
            (r#"module.m["s3cret"].a.b["s3\"c]ret"].c"#, "module.m[…].a.b[…].c"),
            (r#"a.b["s3cret"#, "a.b[…]"),
        ] {
            assert_eq!(without_keys(address), expected, "{address}");
        }
        let told = |severity: &str, summary: &str, more: &str| {
            let line = format!(
                r#"{{"type":"diagnostic","diagnostic":{{"severity":"{severity}","summary":"{summary}","detail":"s3cret","address":"a.b[\"s3cret\"]","range":{{"filename":"main.tf","start":{{"line":3}}}}{more}}}}}"#
            );
            read_line(line.as_bytes()).unwrap()
        };
        for (severity, summary) in
            [("error", "Resource precondition failed"), ("warning", "Check block assertion failed")]
        {
            let place = " (a.b[…], main.tf:3)".to_owned();
            let condition = Line::Condition { ends: severity == "error", summary: summary.to_owned(), place };
            assert_eq!(told(severity, summary, ""), condition);
        }
        for snippet in [
            r#"{"values":[{"traversal":"var.p","statement":"is \"s3cret\""}]}"#,
            r#"{"values":[],"function_call":{"name":"parseint"}}"#,
        ] {
            let line = told("error", "Invalid function argument", &format!(r#","snippet":{snippet}"#));
            let Line::Error { summary, detail } = line else { panic!("{line:?}") };
            assert_eq!((summary.as_str(), detail.contains("s3cret")), ("Invalid function argument", false), "{detail}");
            assert!(detail.contains("a.b[…], main.tf:3"), "{detail}");
        }
        let line = told("error", "creating SQS Queue", r#","snippet":{"values":[]}"#);
        assert!(
            matches!(line, Line::Error { detail, .. } if detail.starts_with("s3cret")),
            "providers' own words pass"
        );
    }

    /// Lines as Terraform 1.11 prints them.
    #[test]
    fn lines_pass_on_what_is_not_secret() {
        let hook = r#"{"resource":{"addr":"terraform_data.x"},"action":"create","id_key":"id","id_value":"s3cret","elapsed_seconds":2}"#;
        let diagnostic = r#"{"severity":"error","summary":"Invalid value","detail":"Too long.","address":"a.b","range":{"filename":"main.tf","start":{"line":3,"column":1,"byte":0},"end":{"line":3,"column":9,"byte":8}}}"#;
        let progress = |text: &str| Some(Line::Progress(text.to_owned()));
        for (line, expected) in [
            (format!(r#"{{"type":"apply_start","hook":{hook}}}"#), progress("terraform_data.x: create begins")),
            (
                format!(r#"{{"type":"apply_complete","@message":"[id=s3cret]","hook":{hook}}}"#),
                progress("terraform_data.x: create done in 2 s"),
            ),
            (
                r#"{"type":"change_summary","changes":{"add":1,"change":0,"import":0,"remove":2,"operation":"plan"}}"#
                    .to_owned(),
                progress("plan: 1 to add, 0 to change, 2 to destroy"),
            ),
            (
                r#"{"type":"change_summary","changes":{"add":1,"change":0,"import":0,"remove":2,"operation":"apply"}}"#
                    .to_owned(),
                progress("applied: 1 added, 0 changed, 2 destroyed"),
            ),
            (r#"{"type":"outputs","outputs":{"password":{"sensitive":true,"value":"s3cret"}}}"#.to_owned(), None),
            (r#"{"type":"provision_progress","hook":{"output":"s3cret"}}"#.to_owned(), None),
            (r#"{"type":"something new"}"#.to_owned(), None),
            ("not json".to_owned(), None),
            (
                format!(r#"{{"type":"diagnostic","diagnostic":{diagnostic}}}"#),
                Some(Line::Error { summary: "Invalid value".into(), detail: "Too long. (a.b, main.tf:3)".into() }),
            ),
        ] {
            assert_eq!(read_line(line.as_bytes()), expected, "{line}");
        }
    }
}
