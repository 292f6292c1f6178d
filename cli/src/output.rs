//! What is written where: answers to standard output, everything else to standard error.
//!
//! Nothing that came from a document reaches a terminal with its control characters.

mod table;
mod text;

use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal as _, Write};

use anyhow::Context as _;
use clap::ValueEnum;
use manifest_schema::json::to_bytes;
use serde::Serialize;

use crate::progress::{self, ProgressChoice};

pub(crate) use table::Table;
pub(crate) use text::{count, duration, plain, size, wrap};

/// How answers are written to standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
    /// For a comment in a forge or a tracker.
    #[value(hide = true)]
    Markdown,
    /// For a browser: one file that needs nothing else.
    #[value(hide = true)]
    Html,
}

impl Format {
    /// Whether every command has it, and not only those that make pages of their own.
    pub(crate) fn is_general(self) -> bool {
        match self {
            Self::Text | Self::Json => true,
            Self::Markdown | Self::Html => false,
        }
    }
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Standard output and standard error, as the global flags want them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    format: Format,
    quiet: bool,
    color: ColorChoice,
    progress: ProgressChoice,
}

impl Output {
    /// As the global flags want it.
    pub(crate) fn new(format: Format, quiet: bool, color: ColorChoice, progress: ProgressChoice) -> Self {
        Self { format, quiet, color, progress }
    }

    /// JSON without anything for people.
    pub(crate) fn for_programs() -> Self {
        Self::new(Format::Json, true, ColorChoice::Never, ProgressChoice::None)
    }

    /// Whether answers are JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Whether people want to hear of warnings and errors only.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// How people want to see how far long work is; not at all with `--quiet`.
    pub(crate) fn progress(&self) -> ProgressChoice {
        if self.quiet { ProgressChoice::None } else { self.progress }
    }

    /// How many columns lines may have; `None` when nobody said and there is no terminal.
    pub(crate) fn width(&self) -> Option<usize> {
        let stated = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
        let width = stated.or_else(|| terminal_size::terminal_size().map(|(width, _)| usize::from(width.0)));
        // Narrower than this nothing can be laid out; the terminal wraps.
        width.map(|width| width.max(20))
    }

    /// Writes an answer, byte for byte.
    ///
    /// A reader that has gone away (`| head`) is no error: the command goes on, and its exit code tells how it ended.
    ///
    /// # Errors
    /// When standard output can't be written for another reason.
    pub(crate) fn data(&self, bytes: impl AsRef<[u8]>) -> anyhow::Result<()> {
        let mut stdout = io::stdout().lock();
        match stdout.write_all(bytes.as_ref()).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).context("can't write to standard output"),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Writes an answer as JSON.
    ///
    /// # Errors
    /// When standard output can't be written.
    pub(crate) fn json(&self, value: &impl Serialize) -> anyhow::Result<()> {
        self.data(to_bytes(value))
    }

    /// Tells people how it goes; not with `--quiet`.
    pub(crate) fn say(&self, message: impl Display) {
        if !self.quiet {
            self.raw_error(&format!("{}\n", wrap(&plain(&message.to_string()), self.width(), 0, 2)));
        }
    }

    /// Warns people, even with `--quiet`.
    pub(crate) fn warn(&self, message: impl Display) {
        let text = wrap(&format!("warning: {}", plain(&message.to_string())), self.width(), 0, 2);
        self.raw_error(&format!("{}\n", text.replacen("warning", &self.paint_err().label("warning"), 1)));
    }

    /// Writes text that is already clean and wrapped to standard error.
    pub(crate) fn raw_error(&self, text: &str) {
        // There is nobody left to tell.
        let _ = progress::above(|| io::stderr().lock().write_all(text.as_bytes()));
    }

    /// Colours for standard output.
    pub(crate) fn paint_out(&self) -> Paint {
        Paint { on: self.colors(io::stdout().is_terminal()) }
    }

    /// Colours for standard error.
    pub(crate) fn paint_err(&self) -> Paint {
        Paint { on: self.colors(io::stderr().is_terminal()) }
    }

    fn colors(&self, terminal: bool) -> bool {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        match self.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => terminal && set("NO_COLOR").is_none() && set("TERM").is_none_or(|term| term != "dumb"),
        }
    }
}

/// Colours, or none. They only repeat what the words say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint {
    on: bool,
}

impl Paint {
    /// None.
    #[cfg(test)]
    pub(crate) fn off() -> Self {
        Self { on: false }
    }

    /// Whether there are colours.
    pub(crate) fn is_on(self) -> bool {
        self.on
    }

    /// Bold.
    pub(crate) fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    /// For what went well, or was added.
    pub(crate) fn green(self, text: &str) -> String {
        self.with("32", text)
    }

    /// For what went wrong, or was removed.
    pub(crate) fn red(self, text: &str) -> String {
        self.with("31", text)
    }

    /// For what to look at, or what changed.
    pub(crate) fn yellow(self, text: &str) -> String {
        self.with("33", text)
    }

    /// The word before the colon of a message.
    pub(crate) fn label(self, word: &str) -> String {
        match word {
            "error" | "problem" => self.with("1;31", word),
            "warning" => self.with("1;33", word),
            "ok" | "hint" => self.with("1;32", word),
            _ => self.bold(word),
        }
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
