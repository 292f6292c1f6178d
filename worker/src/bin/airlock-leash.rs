//! Runs a program that can't look into the worker, and is interrupted when the worker dies.
//!
//! `airlock-leash PARENT MEMORY PROGRAM ARGUMENTS…` gives up every capability, limits the memory of each process to MEMORY
//! MiB (or `unlimited`), asks the kernel for SIGINT at the death of its parent, makes sure that the parent is still PARENT,
//! and becomes PROGRAM. So Terraform, when its worker is killed, saves its state and ends
//! instead of going on unwatched. The worker can't ask on its child's behalf without unsafe code, and the wish outlives
//! `execve` (prctl(2), PR_SET_PDEATHSIG). It is a program of its own so that nobody can make the worker run others.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let parent = arguments.next().and_then(|text| text.to_str()?.parse::<i32>().ok());
    let memory = arguments.next().and_then(|text| memory(text.to_str()?));
    let (Some(parent), Some(memory), Some(program)) = (parent, memory, arguments.next()) else {
        return refuse("usage: airlock-leash PARENT MEMORY PROGRAM [ARGUMENTS]");
    };
    if let Err(error) = disarm() {
        return refuse(&format!("can't give up its capabilities: {error}"));
    }
    if let Err(error) = limit(memory) {
        return refuse(&format!("can't limit its memory: {error}"));
    }
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

/// Bytes, of a number of MiB; `None` within for no limit.
fn memory(text: &str) -> Option<Option<u64>> {
    match text {
        "unlimited" => Some(None),
        number => number.parse::<u64>().ok()?.checked_mul(1 << 20).map(Some),
    }
}

/// Limits what each process may have of memory that it can write and shares with none (setrlimit(2), RLIMIT_DATA). Go's
/// programs reserve far more addresses than they use, so these are not limited.
fn limit(memory: Option<u64>) -> rustix::io::Result<()> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    match memory {
        Some(bytes) => setrlimit(Resource::Data, Rlimit { current: Some(bytes), maximum: Some(bytes) }),
        None => Ok(()),
    }
}

/// Gives up all capabilities for good. The worker isn't dumpable, so its memory and its environment, where its credentials
/// are, can be read only with CAP_SYS_PTRACE (ptrace(2), "Ptrace access mode checking"): as root in a container,
/// Terraform and its providers would have that.
#[cfg(target_os = "linux")]
fn disarm() -> rustix::io::Result<()> {
    use rustix::thread::{self, CapabilitySet, CapabilitySets};
    // From here on no program gains any when it is run: neither one with set-user-ID, nor root's (prctl(2),
    // PR_SET_NO_NEW_PRIVS). It suffices; the bounding set is emptied where that is allowed, and first, as that takes one.
    thread::set_no_new_privs(true)?;
    let each = (0..u64::BITS).map(|number| CapabilitySet::from_bits_retain(1 << number));
    for capability in each.take_while(|one| thread::capability_is_in_bounding_set(*one).is_ok()) {
        if thread::remove_capability_from_bounding_set(capability).is_err() {
            break;
        }
    }
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    // Ambient ones go with the permitted.
    if thread::capabilities(None)? == none { Ok(()) } else { thread::set_capabilities(None, none) }
}

/// Other systems have no capabilities.
#[cfg(not(target_os = "linux"))]
fn disarm() -> rustix::io::Result<()> {
    Ok(())
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
