//! Processes on this machine: who one is, and proof that one is dead.
//!
//! A process is named by its pid, its start time, the machine's boot id and the pid namespace, because pids are used
//! again, start times count from boot, and every container counts its own pids. Linux only: elsewhere there is no proof,
//! and nothing is taken over without proof.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;

use manifest_schema::job::TaskId;

/// Whether a task still runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Liveness {
    /// It does.
    Alive,
    /// It provably doesn't.
    Dead,
    /// Nothing here can tell.
    Unknown,
}

/// The process with this pid, as it is now.
///
/// # Errors
/// When the system doesn't tell.
pub fn process(pid: u32) -> io::Result<TaskId> {
    let (started, _) = stat(pid)?;
    Ok(TaskId::Process { pid, started, boot: boot_id()?, namespace: namespace()? })
}

/// This process.
///
/// # Errors
/// When the system doesn't tell.
pub fn this_process() -> io::Result<TaskId> {
    process(std::process::id())
}

/// Whether a process on this machine still runs.
pub fn liveness(task: &TaskId) -> Liveness {
    let TaskId::Process { pid, started, boot, namespace: counted_in } = task else { return Liveness::Unknown };
    match boot_id() {
        Ok(now) if now != *boot => return Liveness::Dead,
        Ok(_) => {}
        Err(_) => return Liveness::Unknown,
    }
    // Seen from elsewhere, that number is another process, or none.
    if namespace().ok() != Some(*counted_in) {
        return Liveness::Unknown;
    }
    match stat(*pid) {
        Ok((_, 'Z' | 'X')) => Liveness::Dead,
        Ok((now, _)) if now == *started => Liveness::Alive,
        Ok(_) => Liveness::Dead,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Liveness::Dead,
        Err(_) => Liveness::Unknown,
    }
}

/// The inode of this process's pid namespace; see pid_namespaces(7).
fn namespace() -> io::Result<u64> {
    Ok(fs::metadata("/proc/self/ns/pid")?.ino())
}

fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// Start time in clock ticks (field 22) and state (field 3) of `/proc/<pid>/stat`; see proc_pid_stat(5).
fn stat(pid: u32) -> io::Result<(u64, char)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).map_err(|error| {
        // A process that ends while it is read.
        if error.raw_os_error() == Some(3) { io::ErrorKind::NotFound.into() } else { error }
    })?;
    let malformed = || io::Error::new(io::ErrorKind::InvalidData, "unexpected form of /proc/<pid>/stat");
    // The command name, field 2, is in parentheses and may hold anything; what follows is regular.
    let (_, rest) = text.rsplit_once(')').ok_or_else(malformed)?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let state = fields.first().and_then(|field| field.chars().next()).ok_or_else(malformed)?;
    let started = fields.get(19).and_then(|field| field.parse().ok()).ok_or_else(malformed)?;
    Ok((started, state))
}

/// The exit codes of a worker that ends before it can write into its job's journal; after sysexits.h.
pub mod exit {
    /// Its command is not one job id.
    pub const USAGE: u8 = 64;
    /// The job can't be read: what is stored of it was altered, or written by another version of Airlock.
    pub const UNREADABLE: u8 = 65;
    /// A store can't be opened or read.
    pub const UNAVAILABLE: u8 = 69;
    /// Its configuration can't be used.
    pub const CONFIG: u8 = 78;

    /// What a worker's exit code says, for people.
    pub fn meaning(code: i32) -> Option<&'static str> {
        match u8::try_from(code) {
            Ok(USAGE) => Some("its command was not one job id"),
            Ok(UNREADABLE) => Some("it could not read the job: look at its log; it may be older than the gateway"),
            Ok(UNAVAILABLE) => Some("a store could not be opened: look at its log, its role and the network"),
            Ok(CONFIG) => Some("its configuration can't be used: look at its log and the task definition"),
            Ok(137) => Some("killed"),
            Ok(143) => Some("ended by SIGTERM"),
            Ok(_) | Err(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_living_process_is_alive_and_an_ended_one_is_dead() {
        assert_eq!(liveness(&this_process().unwrap()), Liveness::Alive);
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let task = process(child.id()).unwrap();
        assert_eq!(liveness(&task), Liveness::Alive);
        child.kill().unwrap();
        // Not waited for yet: a zombie is dead as well.
        while liveness(&task) == Liveness::Alive {
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert_eq!(liveness(&task), Liveness::Dead);
    }

    #[test]
    fn a_pid_used_again_or_another_boot_is_dead_and_another_namespace_unknown() {
        let this = this_process().unwrap();
        let TaskId::Process { pid, started, boot, namespace } = this.clone() else { panic!("not a process") };
        let earlier = TaskId::Process { pid, started: started - 1, boot: boot.clone(), namespace };
        assert_eq!(liveness(&earlier), Liveness::Dead);
        let elsewhere = TaskId::Process { pid, started: started - 1, boot, namespace: namespace + 1 };
        assert_eq!(liveness(&elsewhere), Liveness::Unknown);
        let before_boot = TaskId::Process { pid, started, boot: "another".to_owned(), namespace: namespace + 1 };
        assert_eq!(liveness(&before_boot), Liveness::Dead);
        assert_eq!(liveness(&TaskId::Ecs { arn: "arn".to_owned() }), Liveness::Unknown);
    }
}
