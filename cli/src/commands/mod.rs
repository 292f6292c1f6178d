//! One file per command: its arguments beside what it does.

mod audit;
mod cancel;
mod change;
mod completions;
mod deploy;
mod deployed;
mod doctor;
mod drift;
mod explain;
mod gc;
mod image;
mod init;
mod key;
mod launch;
mod manifest;
mod publish;
mod status;
mod trust;
mod whoami;

use clap::Subcommand;

use crate::context::Context;
use crate::exit::{Exit, Failure};

/// Everything `airlock` can do.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Set this repository up: keys, both stores and a trust policy, all on this machine.
    Init(init::Args),
    /// Look at everything that a deploy from here needs, and say what to do about problems.
    Doctor(doctor::Args),
    /// Build, sign, publish, plan, ask for approval, apply: the whole way as one command.
    Deploy(deploy::Args),
    /// Say what runs in an environment, since when, and who approved it.
    Deployed(deployed::Args),
    /// Say whether reality still matches what was deployed.
    ///
    /// Plans the build that runs, with the right to read and nothing else, and shows what differs. Nothing is changed, and
    /// nobody can apply what is found.
    Drift(drift::Args),
    /// Ask for deploys; approve or reject them.
    #[command(subcommand)]
    Change(change::Command),
    /// Ask production for a deploy job.
    LaunchDeployJob(launch::Args),
    /// Say how a job is, or follow it to its end.
    GetDeployJobStatus(status::Args),
    /// Ask a job to stop as soon as it safely can.
    CancelDeployJob(cancel::Args),
    /// Make, sign, check and publish the policy of who may sign what.
    #[command(subcommand)]
    Trust(trust::Command),
    /// Look back: what was deployed, and whether every signature holds.
    #[command(subcommand)]
    Audit(audit::Command),
    /// Make keys and look at them.
    #[command(subcommand)]
    Key(key::Command),
    /// Describe builds, sign them, check who signed, compare.
    #[command(subcommand)]
    Manifest(manifest::Command),
    /// Look into images.
    #[command(subcommand)]
    Image(image::Command),
    /// Copy a signed build into the artifacts store: only what isn't there yet.
    Publish(publish::Args),
    /// Remove blobs that no build which is kept needs; without --delete, say what that would be.
    Gc(gc::Args),
    /// Say who calls AWS from here, and which environments that fits.
    Whoami(whoami::Args),
    /// Say what a reason code means and what to do about it.
    Explain(explain::Args),
    /// Print a completion script for a shell.
    Completions(completions::Args),
}

impl Command {
    /// Whether it has formats for pages, and not only those that every command has.
    pub(crate) fn makes_pages(&self) -> bool {
        matches!(self, Self::Manifest(manifest::Command::Diff(_)))
    }

    /// Does it.
    pub(crate) fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self {
            Self::Init(arguments) => arguments.run(context),
            Self::Doctor(arguments) => arguments.run(context),
            Self::Deploy(arguments) => arguments.run(context),
            Self::Deployed(arguments) => arguments.run(context),
            Self::Drift(arguments) => arguments.run(context),
            Self::Change(command) => command.run(context),
            Self::LaunchDeployJob(arguments) => arguments.run(context),
            Self::GetDeployJobStatus(arguments) => arguments.run(context),
            Self::CancelDeployJob(arguments) => arguments.run(context),
            Self::Trust(command) => command.run(context),
            Self::Audit(command) => command.run(context),
            Self::Key(command) => command.run(context),
            Self::Manifest(command) => command.run(context),
            Self::Image(command) => command.run(context),
            Self::Publish(arguments) => arguments.run(context),
            Self::Gc(arguments) => arguments.run(context),
            Self::Whoami(arguments) => arguments.run(context),
            Self::Explain(arguments) => arguments.run(context),
            Self::Completions(arguments) => arguments.run(context),
        }
    }
}
