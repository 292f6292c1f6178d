//! What every command is given: where it runs, how it talks, what time it is.

use std::future::Future;
use std::path::PathBuf;
use std::sync::OnceLock;

use anyhow::Context as _;
use clap::{Args, ValueEnum as _};
use records::Ambient;
use tokio::runtime::Runtime;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, fmt, registry};

use crate::config::{self, Environment, EnvironmentArgs, Project};
use crate::env;
use crate::exit::Failure;
use crate::output::{ColorChoice, Format, Output};
use crate::progress::ProgressChoice;

/// The flags of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct GlobalArgs {
    /// How answers are written to standard output.
    #[arg(long, global = true, value_enum, default_value = "text", value_name = "FORMAT")]
    #[arg(env = env::FORMAT, hide_env_values = true)]
    pub(crate) format: Format,
    /// Say nothing on standard error but warnings and errors.
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// When to use colours; NO_COLOR is honoured.
    #[arg(long, global = true, value_enum, default_value = "auto", value_name = "WHEN")]
    pub(crate) color: ColorChoice,
    /// How to show how far long work is.
    #[arg(long, global = true, value_enum, default_value = "auto", value_name = "HOW")]
    pub(crate) progress: ProgressChoice,
    /// The configuration file, instead of airlock.toml here or in a directory above.
    #[arg(long, global = true, value_name = "FILE", env = env::CONFIG, hide_env_values = true)]
    pub(crate) config: Option<PathBuf>,
    /// Run as if started in this directory.
    #[arg(short = 'C', global = true, value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
}

/// What is wrong with asking a command for a page when it makes none.
pub(crate) fn no_pages(format: Format, mut command: clap::Command) -> clap::Error {
    let name = format.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned());
    let message =
        format!("invalid value '{name}' for '--format <FORMAT>': only `manifest diff` has it; use text or json");
    command.error(clap::error::ErrorKind::InvalidValue, message)
}

/// What every command is given.
pub(crate) struct Context {
    /// Standard output and standard error.
    pub(crate) out: Output,
    /// The clock and the random source.
    pub(crate) ambient: Ambient,
    config: Option<PathBuf>,
    directory: Option<PathBuf>,
    runtime: OnceLock<Runtime>,
}

impl Context {
    /// Made once, in `main`.
    pub(crate) fn new(arguments: GlobalArgs, ambient: Ambient) -> Self {
        let GlobalArgs { format, quiet, color, progress, config, directory } = arguments;
        Self { out: Output::new(format, quiet, color, progress), ambient, config, directory, runtime: OnceLock::new() }
    }

    /// Goes to the directory that `-C` names and starts logging.
    pub(crate) fn enter(&self) -> anyhow::Result<()> {
        if let Some(directory) = &self.directory {
            std::env::set_current_dir(directory).with_context(|| format!("can't enter {}", directory.display()))?;
        }
        let filter = env::get(env::LOG)?.unwrap_or_else(|| "warn".to_owned());
        let filter = EnvFilter::builder().parse(filter).with_context(|| format!("{} can't be read", env::LOG))?;
        let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(self.out.paint_err().is_on());
        registry().with(lines.with_filter(filter_fn(aws::may_be_logged))).with(filter).init();
        Ok(())
    }

    /// Reads airlock.toml.
    ///
    /// # Errors
    /// When there is none, or it can't be used.
    pub(crate) fn project(&self) -> Result<Project, Failure> {
        config::load(self.config.as_deref())
    }

    /// Reads airlock.toml; `None` if there is none and none was asked for.
    ///
    /// # Errors
    /// When it can't be used.
    pub(crate) fn project_if_any(&self) -> Result<Option<Project>, Failure> {
        config::load_if_any(self.config.as_deref())
    }

    /// The environment that flags, variables and airlock.toml mean together.
    ///
    /// # Errors
    /// When there is none, or several and none was chosen.
    pub(crate) fn environment(&self, arguments: &EnvironmentArgs) -> Result<Environment, Failure> {
        Environment::resolve(self.project_if_any()?.as_ref(), arguments)
    }

    /// Like [`environment`](Self::environment); a store that was named needs no environment, where there are several.
    ///
    /// # Errors
    /// When there are several, and neither a store nor one of them was named.
    pub(crate) fn environment_if_any(&self, arguments: &EnvironmentArgs) -> Result<Environment, Failure> {
        let project = self.project_if_any()?;
        let several = project.as_ref().is_some_and(|project| project.config.environments.len() > 1);
        if several && arguments.store.is_some() && arguments.environment.is_none() {
            return Environment::resolve(None, arguments);
        }
        Environment::resolve(project.as_ref(), arguments)
    }

    /// Runs what needs a store. Commands that don't never start the machinery for it; those that do, start it once,
    /// because connections live in it.
    pub(crate) fn block_on<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let runtime = match self.runtime.get() {
            Some(runtime) => runtime,
            None => {
                let started = tokio::runtime::Builder::new_current_thread().enable_all().build();
                let started = started.context("can't start the asynchronous runtime")?;
                self.runtime.get_or_init(|| started)
            }
        };
        runtime.block_on(work)
    }
}
