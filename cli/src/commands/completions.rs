//! `airlock completions`

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::Cli;
use crate::context::Context;
use crate::exit::{Exit, Failure};

/// Which shell.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The shell that will read the script.
    shell: Shell,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result<Exit, Failure> {
        // In memory first: the generator panics when the reader goes away.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "airlock", &mut script);
        context.out.data(script)?;
        Ok(Exit::Done)
    }
}
