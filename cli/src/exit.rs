//! How the program ends: the exit codes that scripts rely on, and what is said when something went wrong.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io;
use std::process::ExitCode;

use aws::{AwsError, ErrorKind};
use manifest_schema::{Code, Reason, ReasonCode};
use records::RecordError;
use serde_json::json;
use signing::SigningError;
use store::StoreError;

use crate::env;
use crate::output::{Output, Paint, plain, wrap};

/// The exit codes, fixed by the design.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Done.
    Done = 0,
    /// Failed.
    Failed = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// A verification refused.
    Refused = 3,
    /// Not approved: a person is needed.
    NotApproved = 4,
    /// The job failed, was cancelled, or was rolled back.
    JobFailed = 5,
    /// Waited long enough; the job goes on.
    TimedOut = 6,
    /// Temporarily unavailable: the same call may succeed later.
    Unavailable = 7,
}

impl Exit {
    /// The stable name in JSON.
    fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::Refused => "refused",
            Self::NotApproved => "not-approved",
            Self::JobFailed => "job-failed",
            Self::TimedOut => "timed-out",
            Self::Unavailable => "unavailable",
        }
    }

    /// The exit code of a refusal: whether a person, time, or neither can help.
    pub(crate) fn of_refusal(reasons: &[Reason]) -> Self {
        let needs_person = |reason: &Reason| matches!(reason.code.family(), "approval" | "review");
        if reasons.is_empty() {
            Self::Refused
        } else if reasons.iter().all(needs_person) {
            Self::NotApproved
        } else if reasons.iter().all(|reason| reason.code == Code::LeaseHeld) {
            Self::Unavailable
        } else {
            Self::Refused
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command could not do what it was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    error: anyhow::Error,
    reasons: Vec<Reason>,
    hint: Option<String>,
    details: Option<serde_json::Value>,
}

impl Failure {
    /// A failure with an exit code of its own.
    pub(crate) fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Self {
        Self { exit, error: error.into(), reasons: Vec::new(), hint: None, details: None }
    }

    /// The command line asks for something that makes no sense.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, anyhow::Error::msg(message.into()))
    }

    /// A refusal for these reasons; its exit code follows from them.
    pub(crate) fn refused(message: impl Into<String>, reasons: Vec<Reason>) -> Self {
        let exit = Exit::of_refusal(&reasons);
        Self { reasons, ..Self::new(exit, anyhow::Error::msg(message.into())) }
    }

    /// A job that failed, was cancelled or was rolled back, for these reasons.
    pub(crate) fn job_failed(message: impl Into<String>, reasons: Vec<Reason>) -> Self {
        Self { reasons, ..Self::new(Exit::JobFailed, anyhow::Error::msg(message.into())) }
    }

    /// What a person can do about it.
    #[must_use]
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// What a person can do about it, if nothing more to the point is known.
    #[must_use]
    pub(crate) fn hint_if_none(self, hint: impl Into<String>) -> Self {
        Self { hint: self.hint.or_else(|| Some(hint.into())), ..self }
    }

    /// What could not be done because of this.
    #[must_use]
    pub(crate) fn context(self, what: impl Into<String>) -> Self {
        Self { error: self.error.context(what.into()), ..self }
    }

    /// All of what people are told the beginning of, for programs.
    #[must_use]
    pub(crate) fn details(self, details: serde_json::Value) -> Self {
        Self { details: Some(details), ..self }
    }

    /// The exit code.
    #[cfg(test)]
    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// Whether the same call may succeed later without anybody doing anything. A refusal never does, even one that another
    /// launch may not meet.
    pub(crate) fn passes_by_itself(&self) -> bool {
        self.reasons.is_empty() && self.exit == Exit::Unavailable
    }

    /// Whether it may succeed later, by itself or because somebody logs in again meanwhile.
    pub(crate) fn passes(&self) -> bool {
        let expired = || aws_error(&self.error).is_some_and(|error| error.kind() == ErrorKind::Expired);
        self.passes_by_itself() || (self.reasons.is_empty() && expired())
    }

    /// The same, as something that was waited for in vain.
    #[must_use]
    pub(crate) fn in_vain(self) -> Self {
        Self { exit: Exit::Unavailable, ..self }
    }

    /// Whether a verification refused.
    pub(crate) fn is_refusal(&self) -> bool {
        self.exit == Exit::Refused
    }

    /// The message without its causes.
    pub(crate) fn message(&self) -> String {
        self.error.to_string()
    }

    /// The message, its causes and reasons, for who tells several failures at once.
    pub(crate) fn messages(&self) -> Vec<String> {
        causes(&self.error).into_iter().chain(self.reasons.iter().map(Reason::to_string)).collect()
    }

    /// The hint that the command gave, if it gave one.
    pub(crate) fn own_hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Tells people, and with `--format json` also programs.
    pub(crate) fn report(&self, out: &Output) -> Exit {
        out.raw_error(&self.text(out.paint_err(), out.width()));
        if out.is_json() {
            // Nothing is left to tell if standard output fails, too.
            let _ = out.json(&self.json());
        }
        self.exit
    }

    fn text(&self, paint: Paint, width: Option<usize>) -> String {
        let mut text = String::new();
        let mut line = |label: &str, message: &str| {
            let indent = if text.is_empty() { 0 } else { 2 };
            let body = wrap(&format!("{label}: {}", plain(message)), width, indent, indent + 2);
            let painted = paint.label(label);
            let _ = writeln!(text, "{}", body.replacen(label, &painted, 1));
        };
        let causes = causes(&self.error);
        for (label, message) in ["error"].into_iter().chain(std::iter::repeat("cause")).zip(&causes) {
            line(label, message);
        }
        for reason in &self.reasons {
            line("reason", &reason.to_string());
        }
        if let Some(hint) = self.hint.clone().or_else(|| self.advice()) {
            line("hint", &hint);
        }
        text
    }

    /// The advice that comes with the first reason code, when the command has none of its own.
    fn advice(&self) -> Option<String> {
        let code = &self.reasons.first()?.code;
        Some(match code {
            ReasonCode::Known(known) => format!("{} More: airlock explain {code}", known.advice()),
            ReasonCode::Foreign(_) => format!("{UNKNOWN_CODE}: ask it with airlock explain {code}"),
        })
    }

    fn json(&self) -> serde_json::Value {
        let causes = causes(&self.error);
        let reasons: Vec<_> =
            self.reasons.iter().map(|r| json!({ "code": r.code.as_str(), "message": r.message })).collect();
        let mut error = json!({ "error": {
            "code": self.exit.name(),
            "exit": self.exit as u8,
            "message": causes.first(),
            "causes": causes.get(1..).unwrap_or_default(),
            "reasons": reasons,
            "hint": self.hint.clone().or_else(|| self.advice()),
        }});
        if let Some(details) = self.details.as_ref().filter(|details| **details != json!({})) {
            error["error"]["details"] = details.clone();
        }
        error
    }
}

/// About a reason code that another version gave.
const UNKNOWN_CODE: &str = "this version of airlock doesn't know the code, a newer one does";

/// The messages of an error and of what caused it, without those that the one before already quotes.
fn causes(error: &anyhow::Error) -> Vec<String> {
    let mut messages: Vec<String> = Vec::new();
    for cause in error.chain() {
        let message = cause.to_string();
        if !messages.last().is_some_and(|last| last.contains(&message)) {
            messages.push(message);
        }
    }
    messages
}

/// Any error is exit code 1, except those of a store or of AWS that may work again by themselves, and what was tampered
/// with.
impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        let error = error.into();
        let records = || error.chain().filter_map(|cause| cause.downcast_ref::<RecordError>());
        let stores = || error.chain().filter_map(|cause| cause.downcast_ref::<StoreError>());
        let mut systems = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
        if records().any(RecordError::is_of_another_version) {
            let hint = "another version of airlock wrote it: use the newest that anybody uses with this store";
            return Self::new(Exit::Failed, error).hint(hint);
        }
        if records().any(RecordError::is_about_content) {
            let hint = "what is stored there never changes: find out who changed it, and put it back";
            return Self::new(Exit::Refused, error).hint(hint);
        }
        if records().any(RecordError::is_temporary) || stores().any(StoreError::is_temporary) {
            return Self::new(Exit::Unavailable, error);
        }
        let signing = error.chain().find_map(|cause| cause.downcast_ref::<SigningError>());
        if let Some(SigningError::WrongSignature { .. }) = signing {
            let hint = "nothing was made of it: find out who answers in the name of KMS (the endpoint, a proxy)";
            return Self::new(Exit::Refused, error).hint(hint);
        }
        if let Some(aws) = aws_error(&error) {
            let (exit, hint) = (if aws.is_temporary() { Exit::Unavailable } else { Exit::Failed }, aws.advice());
            return Self::new(exit, error).hint(hint);
        }
        let denied = systems.any(|cause| cause.kind() == io::ErrorKind::PermissionDenied);
        let hint = denied.then(|| "check who owns what it names, and its permissions, then run again".to_owned());
        Self { hint, ..Self::new(Exit::Failed, error) }
    }
}

/// What AWS said, wherever in a chain of causes it is.
fn aws_error(error: &anyhow::Error) -> Option<&AwsError> {
    error.chain().find_map(|cause| match cause.downcast_ref::<SigningError>() {
        Some(SigningError::Aws(error)) => Some(error),
        Some(_) | None => cause.downcast_ref(),
    })
}

/// Adds a hint, or another exit code, to whatever went wrong.
pub(crate) trait OrFail<T> {
    /// What a person can do about it.
    fn or_hint(self, hint: impl Into<String>) -> Result<T, Failure>;
}

impl<T, E: Into<Failure>> OrFail<T> for Result<T, E> {
    fn or_hint(self, hint: impl Into<String>) -> Result<T, Failure> {
        self.map_err(|error| error.into().hint(hint))
    }
}

/// Prints what clap has to say: help and version, or what is wrong with the command line.
pub(crate) fn usage(error: &clap::Error, arguments: &[OsString]) -> Exit {
    // A closed standard output is no reason to fail.
    let _ = error.print();
    if !error.use_stderr() {
        return Exit::Done;
    }
    if wants_json(arguments) {
        let rendered = error.render().to_string();
        let message = rendered.lines().next().unwrap_or_default().trim_start_matches("error: ");
        let failure = Failure::usage(message);
        let _ = Output::for_programs().json(&failure.json());
    }
    Exit::Usage
}

/// Whether the answer should be JSON, judged without a command line that can be parsed.
fn wants_json(arguments: &[OsString]) -> bool {
    let mut arguments = arguments.iter().map(|argument| argument.to_string_lossy()).peekable();
    while let Some(argument) = arguments.next() {
        if argument == "--format" {
            return arguments.peek().is_some_and(|value| value == "json");
        } else if let Some(value) = argument.strip_prefix("--format=") {
            return value == "json";
        }
    }
    env::get(env::FORMAT).ok().flatten().is_some_and(|value| value == "json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reasons(codes: &[&str]) -> Vec<Reason> {
        codes.iter().map(|code| Reason { code: code.parse().unwrap(), message: "why".to_owned() }).collect()
    }

    #[test]
    fn a_refusal_exits_with_what_can_help() {
        for (codes, exit) in [
            (&["approval.missing", "review.missing"][..], Exit::NotApproved),
            (&["lease.held"], Exit::Unavailable),
            (&["lease.held", "approval.missing"], Exit::Refused),
            (&["blob.mismatch"], Exit::Refused),
            (&[], Exit::Refused),
            // Of a newer version.
            (&["approval.outvoted"], Exit::NotApproved),
            (&["review.missing", "approval.outvoted"], Exit::NotApproved),
            (&["approvals.missing"], Exit::Refused),
            (&["lease.broken"], Exit::Refused),
        ] {
            assert_eq!(Exit::of_refusal(&reasons(codes)), exit, "{codes:?}");
        }
    }

    #[test]
    fn a_code_of_a_newer_version_is_told_with_where_to_ask() {
        let failure = Failure::refused("no", reasons(&["moon.full"]));
        let text = failure.text(Paint::off(), None);
        assert!(text.contains("reason: moon.full: why") && text.contains("airlock explain moon.full"), "{text}");
        assert_eq!(failure.json()["error"]["reasons"][0]["code"], "moon.full");
    }

    #[test]
    fn a_store_that_may_work_again_is_told_apart() {
        let io = |code: rustix::io::Errno| StoreError::Io {
            store: "s".to_owned(),
            action: "read",
            key: "k".to_owned(),
            source: code.into(),
        };
        let exit = |error: anyhow::Error| Failure::from(error).exit;
        assert_eq!(exit(anyhow::Error::new(io(rustix::io::Errno::MFILE)).context("publishing")), Exit::Unavailable);
        assert_eq!(exit(anyhow::Error::new(io(rustix::io::Errno::IO))), Exit::Failed);
        assert_eq!(exit(RecordError::from(io(rustix::io::Errno::MFILE)).into()), Exit::Unavailable);
    }

    #[test]
    fn causes_are_told_once_each_and_control_characters_do_nothing() {
        let error = anyhow::anyhow!("no such\x1b[2J file").context("can't read a.json").context("can't publish");
        let failure = Failure::from(error).hint("look");
        let text = failure.text(Paint::off(), None);
        assert_eq!(
            text,
            "error: can't publish\n  cause: can't read a.json\n  cause: no such\\u{1b}[2J file\n  hint: look\n"
        );
        let quoted = anyhow::anyhow!("inner").context("outer: inner");
        assert_eq!(causes(&quoted), ["outer: inner"]);
    }
}
