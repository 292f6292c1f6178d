//! One file per command: its arguments beside what it does.

mod completions;
mod explain;
mod key;

use clap::Subcommand;

use crate::context::Context;
use crate::exit::{Exit, Failure};

/// Everything `airlock` can do.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make keys and look at them.
    #[command(subcommand)]
    Key(key::Command),
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
            Self::Explain(arguments) => arguments.run(context),
            Self::Completions(arguments) => arguments.run(context),
        }
    }
}
