//! A program that runs while the test goes on.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::{Run, wait_until};

/// A running program. Ended when it goes out of scope.
#[derive(Debug)]
pub struct Background {
    command: String,
    child: Child,
    /// Files, not pipes: nobody has to read them for the program to go on.
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Background {
    pub(crate) fn start(shown: String, mut command: Command, out: PathBuf) -> Self {
        let (stdout, stderr) = (out.with_extension("out"), out.with_extension("err"));
        command.stdout(File::create(&stdout).unwrap()).stderr(File::create(&stderr).unwrap()).stdin(Stdio::null());
        let child = command.spawn().unwrap_or_else(|error| panic!("can't start {shown}: {error}"));
        Self { command: shown, child, stdout, stderr }
    }

    /// What it has told people so far.
    pub fn said(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap()
    }

    /// Waits until it has told people something.
    #[track_caller]
    pub fn wait_for(&self, text: &str) {
        wait_until(text, || self.said().contains(text).then_some(()));
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for its end.
    #[track_caller]
    pub fn end(mut self) -> Run {
        let status = wait_until(&self.command, || self.child.try_wait().unwrap());
        let (stdout, stderr) = (fs::read(&self.stdout).unwrap(), fs::read(&self.stderr).unwrap());
        Run::new(self.command.clone(), Output { status, stdout, stderr })
    }

    /// Kills it with `kill -9`, if it still runs.
    pub fn kill(mut self) -> Run {
        self.child.kill().unwrap();
        self.end()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(pid, signal).unwrap();
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // Both fail only when it has ended and was waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
