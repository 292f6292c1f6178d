//! One file per command: its arguments beside what it does.

mod completions;
mod explain;
mod key;
mod manifest;
mod publish;

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
    /// Copy a signed build into the artifacts store: only what isn't there yet.
    Publish(publish::Args),
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
            Self::Publish(arguments) => arguments.run(context),
            Self::Explain(arguments) => arguments.run(context),
            Self::Completions(arguments) => arguments.run(context),
        }
    }
}
