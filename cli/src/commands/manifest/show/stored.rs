//! What a store holds about a build, for people.

use manifest_schema::Timestamp;
use manifest_schema::report::{Presence, Said, Signature, Signer, StatementReport, Stored};

use super::Looked;
use crate::build::named::NamedBuild;
use crate::context::Context;
use crate::output::{Table, count, plain, size, wrap};

/// Most blobs that are named.
const MOST_NAMED: usize = 10;

/// The statements, with who signed them.
pub(super) fn statements(context: &Context, stored: &Stored) -> String {
    if stored.statements.is_empty() {
        return "\nnobody signed anything about this build\n".to_owned();
    }
    let mut table = Table::new(["statement", "signature", "signed by", "when", "says", "digest"]);
    for StatementReport { kind, statement, signature } in &stored.statements {
        let (state, by, when, says) = match signature {
            Signature::Valid { signers, said } => {
                let by = signers.iter().map(who).collect::<Vec<_>>().join(", ");
                ("valid", by, said.at.to_string(), says(said, context.ambient.now()))
            }
            Signature::Invalid { problem } => ("INVALID", String::new(), String::new(), problem.clone()),
            Signature::Unchecked { claimed } => {
                let by = if claimed.is_empty() { "nobody" } else { &claimed.join(", ") };
                ("not checked", format!("claims {by}"), String::new(), String::new())
            }
        };
        table.row([kind.as_str().to_owned(), state.to_owned(), by, when, says, statement.short()]);
    }
    format!("\n{}", table.render(context.out.width()))
}

fn who(signer: &Signer) -> String {
    let Signer { key, name, person } = signer;
    match (person, name) {
        (Some(person), Some(name)) => format!("{person} (key {name}, {key})"),
        (Some(person), None) => format!("{person} ({key})"),
        (None, Some(name)) => format!("{name} ({key})"),
        (None, None) => key.clone(),
    }
}

fn says(said: &Said, now: Timestamp) -> String {
    let mut says: Vec<String> = said.verdict.iter().cloned().collect();
    says.extend(said.environment.iter().map(|environment| format!("for {environment}")));
    says.extend(said.change.iter().map(|change| format!("change {change}")));
    says.extend(said.rollback.then(|| "rollback".to_owned()));
    says.extend(said.emergency.then(|| "emergency".to_owned()));
    says.extend(said.expires_at.map(|end| if end <= now { format!("expired {end}") } else { format!("until {end}") }));
    says.join(", ")
}

/// Where it is, whether it is published and whole, and which blobs are not there.
pub(super) fn place(context: &Context, build: &NamedBuild, looked: &Looked) -> String {
    let width = context.out.width();
    let mut text = String::new();
    let mut line = |words: &str| {
        text.push_str(&wrap(&plain(words), width, 0, 2));
        text.push('\n');
    };
    let stored = match &looked.stored {
        Ok(stored) => stored,
        Err(why) => {
            line(&format!("store: not looked at: {why}; so who signed the build and what is published is not shown"));
            return text;
        }
    };
    let published = match stored.published {
        Some(digest) if digest == build.digest => "published".to_owned(),
        Some(other) => format!("another manifest is published under this number: {other}"),
        None => "not published".to_owned(),
    };
    line(&format!("store: {}, {published}, {}", stored.store, whole(stored)));
    if let Some(version) = stored.policy {
        line(&format!("trust policy: version {version}"));
    }
    if let Some(why) = &looked.unchecked {
        line(&format!("signatures: not checked: {why}; --root names the roots that you trust"));
    }
    let all = stored.artifacts.iter().chain(&stored.evidence);
    let absent: Vec<String> = all
        .flat_map(|presence| {
            let missing = presence.missing.iter().map(|blob| format!("missing: {} ({})", blob.digest, size(blob.size)));
            let wrong = presence.wrong.iter().map(|wrong| format!("wrong: {}: {}", wrong.blob.digest, wrong.problem));
            missing.chain(wrong).map(|told| format!("{told}, of {}", presence.name))
        })
        .collect();
    absent.iter().take(MOST_NAMED).for_each(|told| line(told));
    if absent.len() > MOST_NAMED {
        line(&format!("and {} more; --format json has all", absent.len() - MOST_NAMED));
    }
    text
}

fn whole(stored: &Stored) -> String {
    let all = || stored.artifacts.iter().chain(&stored.evidence);
    let absent = all().filter(|presence| !presence.is_whole()).count();
    if absent == 0 { "every blob is there".to_owned() } else { format!("{} not whole", count(absent, "artifact")) }
}

/// What is there of one artifact, in a few words.
pub(super) fn presence(presence: &Presence) -> String {
    let blobs = presence.blobs;
    let told: Vec<_> = [("missing", presence.missing.len()), ("wrong", presence.wrong.len())]
        .into_iter()
        .filter(|(_, number)| *number > 0)
        .map(|(what, number)| if blobs == 1 { what.to_owned() } else { format!("{number} of {blobs} {what}") })
        .collect();
    if told.is_empty() { "all there".to_owned() } else { told.join(", ") }
}
