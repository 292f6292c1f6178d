//! `airlock`: build, sign, publish, plan, approve, apply, look.
//!
//! People read stderr, programs read stdout, and both may rely on the exit code (see [`exit::Exit`]). Commands live in
//! [`commands`], one file each.

mod audit;
mod build;
mod cloud;
mod collect;
mod commands;
mod config;
mod context;
mod diff;
mod env;
mod exit;
mod files;
mod gateway_client;
mod git;
mod inspect;
mod keys;
mod output;
mod parallel;
mod pipeline;
mod production;
mod progress;
mod purpose;
mod starting_policy;
mod statements;
mod stores;
mod trusted;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser};
use records::Ambient;

use crate::commands::Command;
use crate::context::{Context, GlobalArgs};
use crate::exit::Failure;

/// Carries signed builds into production accounts that nobody can log into.
#[derive(Parser)]
#[command(name = "airlock", version, max_term_width = 100, after_long_help = env::help(), propagate_version = false)]
struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => return exit::usage(&error, &arguments).into(),
    };
    if !cli.global.format.is_general() && !cli.command.makes_pages() {
        return exit::usage(&context::no_pages(cli.global.format, Cli::command()), &arguments).into();
    }
    let context = Context::new(cli.global, Ambient::system());
    match context.enter().map_err(Failure::from).and_then(|()| cli.command.run(&context)) {
        Ok(exit) => exit.into(),
        Err(failure) => failure.report(&context.out).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
