//! `airlock image`

mod inspect;

use clap::Subcommand;

use crate::context::Context;
use crate::exit::{Exit, Failure};

/// What to do with images.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Show what an image is made of: configuration, layers, and what another build has of it.
    Inspect(inspect::Args),
}

impl Command {
    pub(crate) fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self {
            Self::Inspect(arguments) => arguments.run(context),
        }
    }
}
