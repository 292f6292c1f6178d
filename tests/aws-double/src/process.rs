//! Programs that the double runs: their log, their end, and that none outlives the test.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{ChildStdin, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::sync::watch;

/// What a program has written, standard output and error by whole lines, and when.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<Line>>>);

/// When a line was written, and its bytes with their end.
type Line = (SystemTime, Vec<u8>);

impl Log {
    pub(crate) fn text(&self) -> String {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes: Vec<u8> = lines.iter().flat_map(|(_, line)| line).copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Each line without its end.
    pub(crate) fn lines(&self) -> Vec<(SystemTime, String)> {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = |line: &[u8]| String::from_utf8_lossy(line).trim_end_matches(['\r', '\n']).to_owned();
        lines.iter().map(|(at, line)| (*at, text(line))).collect()
    }

    /// Adds a line that no program wrote.
    pub(crate) fn write(&self, line: &str) {
        self.add(format!("{line}\n").into_bytes());
    }

    fn add(&self, line: Vec<u8>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((SystemTime::now(), line));
    }

    async fn keep(self, from: impl AsyncRead + Unpin) {
        let mut lines = BufReader::new(from);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).await.is_ok_and(|length| length > 0) {
            self.add(std::mem::take(&mut line));
        }
    }
}

/// Kills every program that still runs when it is dropped, or when this process ends, however that happens.
#[derive(Debug)]
pub(crate) struct Leash {
    watcher: std::process::Child,
    told: Mutex<Option<ChildStdin>>,
}

impl Leash {
    /// The shell that watches hears of each process group that begins and ends; what is left at the end, it kills.
    const WATCH: &str = "trap '' INT TERM HUP
        while read -r sign group; do
          case $sign in
            +) set -- \"$@\" \"$group\" ;;
            -) for one in \"$@\"; do shift; [ \"$one\" = \"$group\" ] || set -- \"$@\" \"$one\"; done ;;
          esac
        done
        for group in \"$@\"; do kill -s KILL -- \"-$group\"; done";

    pub(crate) fn new() -> Self {
        let mut command = std::process::Command::new("sh");
        command.args(["-c", Self::WATCH]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut watcher = command.spawn().expect("there is a shell");
        let told = Mutex::new(watcher.stdin.take());
        Self { watcher, told }
    }

    fn tell(&self, sign: char, group: Pid) {
        if let Some(pipe) = self.told.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            let _ = writeln!(pipe, "{sign} {}", group.as_raw_nonzero());
        }
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).take();
        let _ = self.watcher.wait();
    }
}

/// What to run.
pub(crate) struct Program<'a> {
    pub(crate) path: &'a Path,
    /// What it believes it is called.
    pub(crate) name: &'a str,
    pub(crate) arguments: &'a [String],
    /// All of its environment.
    pub(crate) environment: &'a BTreeMap<String, String>,
    pub(crate) directory: &'a Path,
}

/// A running program, in a process group of its own.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    id: Pid,
    ended: watch::Receiver<Option<ExitStatus>>,
}

impl Process {
    /// Starts it; it belongs to the runtime of the caller.
    pub(crate) fn start(program: &Program<'_>, leash: &Arc<Leash>, log: &Log) -> std::io::Result<Self> {
        let mut command = tokio::process::Command::new(program.path);
        command.arg0(program.name).args(program.arguments).env_clear().envs(program.environment);
        command.current_dir(program.directory).process_group(0).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let id = child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?));
        let id = id.ok_or_else(|| std::io::Error::other("it has no process id"))?;
        leash.tell('+', id);
        let output = child.stdout.take().map(|output| tokio::spawn(log.clone().keep(output)));
        let errors = child.stderr.take().map(|errors| tokio::spawn(log.clone().keep(errors)));
        let (end, ended) = watch::channel(None);
        let leash = Arc::clone(leash);
        tokio::spawn(async move {
            let status = child.wait().await.unwrap_or_else(|_| ExitStatus::from_raw(9));
            // In a container, everything ends with the first process.
            let _ = kill_process_group(id, Signal::KILL);
            leash.tell('-', id);
            for written in [output, errors].into_iter().flatten() {
                let _ = tokio::time::timeout(std::time::Duration::from_secs(1), written).await;
            }
            let _ = end.send(Some(status));
        });
        Ok(Self { id, ended })
    }

    /// Waits for its end.
    pub(crate) async fn ended(&self) -> ExitStatus {
        let mut ended = self.ended.clone();
        let status = ended.wait_for(Option::is_some).await.ok().and_then(|status| *status);
        status.unwrap_or_else(|| ExitStatus::from_raw(9))
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.borrow().is_some()
    }

    /// Sends a signal to the program itself, not to what it started.
    pub(crate) fn signal(&self, signal: Signal) {
        if !self.has_ended() {
            let _ = kill_process(self.id, signal);
        }
    }

    /// Kills it with everything that it started, as a container ends.
    pub(crate) fn kill(&self) {
        // What still runs could start something that nobody here knows of.
        for id in self.freeze() {
            let _ = kill_process(id, Signal::KILL);
        }
    }

    /// Freezes it with everything that it started; says what that is.
    pub(crate) fn freeze(&self) -> Vec<Pid> {
        let mut frozen = Vec::new();
        loop {
            let family = self.family();
            let running: Vec<Pid> = family.iter().copied().filter(|id| !frozen.contains(id)).collect();
            if running.is_empty() {
                return family;
            }
            for id in running {
                let _ = kill_process(id, Signal::STOP);
                frozen.push(id);
            }
        }
    }

    /// Thaws it with everything that it started.
    pub(crate) fn thaw(&self) {
        for id in self.family() {
            let _ = kill_process(id, Signal::CONT);
        }
    }

    /// Its process and its descendants', those of other process groups too.
    fn family(&self) -> Vec<Pid> {
        if self.has_ended() {
            return Vec::new();
        }
        let parents: Vec<(Pid, Pid)> = processes();
        let mut family = vec![self.id];
        let mut next = 0;
        while let Some(&parent) = family.get(next) {
            family.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(child, _)| *child));
            next += 1;
        }
        family
    }
}

/// Every process of this machine with its parent, as Linux tells in `/proc/PID/stat`.
fn processes() -> Vec<(Pid, Pid)> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let described = entries.flatten().filter_map(|entry| {
        let id: i32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        // The name, in parentheses, may hold anything.
        let parent: i32 = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
        Some((Pid::from_raw(id)?, Pid::from_raw(parent)?))
    });
    described.collect()
}
