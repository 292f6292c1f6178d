//! Runs a program that is interrupted when the worker dies.
//!
//! `airlock-leash PARENT PROGRAM ARGUMENTS…` asks the kernel for SIGINT at the death of its parent, makes sure that the
//! parent is still PARENT, and becomes PROGRAM. So Terraform, when its worker is killed, saves its state and ends
//! instead of going on unwatched. The worker can't ask on its child's behalf without unsafe code, and the wish outlives
//! `execve` (prctl(2), PR_SET_PDEATHSIG). It is a program of its own so that nobody can make the worker run others.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let parent = arguments.next().and_then(|text| text.to_str()?.parse::<i32>().ok());
    let (Some(parent), Some(program)) = (parent, arguments.next()) else {
        return refuse("usage: airlock-leash PARENT PROGRAM [ARGUMENTS]");
    };
    if let Err(error) = hold() {
        return refuse(&format!("can't ask to be told of the worker's death: {error}"));
    }
    // The parent may have died before the kernel was asked.
    if rustix::process::getppid().map(rustix::process::Pid::as_raw_pid) != Some(parent) {
        return refuse("the worker is gone");
    }
    let error = Command::new(&program).args(arguments).exec();
    refuse(&format!("can't run {}: {error}", program.to_string_lossy()))
}

#[cfg(target_os = "linux")]
fn hold() -> rustix::io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::INT))
}

/// Other systems have no such thing: there, Terraform outlives a killed worker, and the lock on the work directory,
/// which it inherits, keeps the next job waiting until it has ended.
#[cfg(not(target_os = "linux"))]
fn hold() -> rustix::io::Result<()> {
    Ok(())
}

fn refuse(why: &str) -> ExitCode {
    // Nobody is left to tell if stderr is closed.
    let _ = writeln!(std::io::stderr(), "airlock-leash: {why}");
    ExitCode::from(127)
}
