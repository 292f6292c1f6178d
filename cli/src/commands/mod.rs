//! One file per command: its arguments beside what it does.
//!
//! (trust, init and doctor are being written by the second engineer.)

mod completions;
mod explain;
mod key;
mod manifest;

use clap::Subcommand;

use crate::context::Context;
use crate::exit::{Exit, Failure};

/// Everything `airlock` can do.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make keys and look at them.
    #[command(subcommand)]
    Key(key::Command),
    /// Describe builds, sign them, check who signed, compare.
    #[command(subcommand)]
    Manifest(manifest::Command),
    /// Say what a reason code means and what to do about it.
    Explain(explain::Args),
    /// Print a completion script for a shell.
    Completions(completions::Args),
}

impl Command {
    /// Does it.
    pub(crate) fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self {
            Self::Key(command) => command.run(context),
            Self::Manifest(command) => command.run(context),
            Self::Explain(arguments) => arguments.run(context),
            Self::Completions(arguments) => arguments.run(context),
        }
    }
}
