//! `airlock manifest`

mod build;
mod diff;
mod schema;
mod show;
mod sign;
mod verify;

use clap::Subcommand;

use crate::context::Context;
use crate::exit::{Exit, Failure};

/// What to do with build manifests.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Write down what this build made, from which commits, and how to deploy it.
    Build(build::Args),
    /// Sign a statement that this build was made here.
    Sign(sign::Args),
    /// Check who signed a manifest: exit code 0, or 3 if anything is wrong.
    Verify(verify::Args),
    /// Show what is in a build.
    Show(show::Args),
    /// Show what differs between two builds.
    Diff(diff::Args),
    /// Print the JSON Schema of a document, or the names of all.
    Schema(schema::Args),
}

impl Command {
    pub(crate) fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self {
            Self::Build(arguments) => arguments.run(context),
            Self::Sign(arguments) => arguments.run(context),
            Self::Verify(arguments) => arguments.run(context),
            Self::Show(arguments) => arguments.run(context),
            Self::Diff(arguments) => arguments.run(context),
            Self::Schema(arguments) => arguments.run(context),
        }
    }
}
