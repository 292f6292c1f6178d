//! `airlock manifest diff`

use manifest_schema::Document as _;

use crate::build::named::{BuildName, NamedBuild};
use crate::config::EnvironmentArgs;
use crate::context::Context;
use crate::diff::{self, Limits};
use crate::env;
use crate::exit::{Exit, Failure};
use crate::output::Format;

/// Which builds.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The build that is compared with: a manifest file, sha256:…, project#number, epoch.number, or
    /// deployed:environment.
    #[arg(value_name = "OLD")]
    old: BuildName,
    /// The build that is compared.
    #[arg(value_name = "NEW")]
    new: BuildName,
    /// Exit with 1 if they differ in more than their number.
    #[arg(long)]
    exit_code: bool,
    /// How the answer is written: text, json, markdown for a comment in a forge or a tracker, html for a browser: one
    /// file that needs nothing else.
    // In place of the global flag, which hides what no other command has.
    #[arg(long, value_enum, default_value = "text", hide_possible_values = true, help_heading = "Global options")]
    #[arg(env = env::FORMAT, hide_env_values = true)]
    format: Format,
    #[command(flatten)]
    place: EnvironmentArgs,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result<Exit, Failure> {
        let (old, new) = self.find(context)?;
        let diff = diff::collect(context, &self.place, &old, &new, Limits::of(self.format));
        match self.format {
            Format::Text => context.out.data(diff::text(&diff, &context.out))?,
            Format::Json => context.out.data(diff.to_bytes())?,
            Format::Markdown => context.out.data(diff::markdown(&diff))?,
            Format::Html => context.out.data(diff::html(&diff))?,
        }
        Ok(if self.exit_code && !diff.is_empty() { Exit::Failed } else { Exit::Done })
    }

    /// Both builds, read at the same time: a manifest may list a hundred thousand files.
    fn find(&self, context: &Context) -> Result<(NamedBuild, NamedBuild), Failure> {
        let find = |name| NamedBuild::find(context, &self.place, name);
        std::thread::scope(|scope| {
            let old = scope.spawn(|| find(&self.old));
            let new = find(&self.new);
            let old = old.join().map_err(|_| anyhow::anyhow!("a thread panicked"))?;
            Ok((old?, new?))
        })
    }
}
