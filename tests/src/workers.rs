//! The workers, which are no children of the test: found by what their jobs' journals say.

use std::fs::{self, File, OpenOptions};
use std::time::{Duration, Instant};

use manifest_schema::job::TaskId;
use records::task::{Liveness, liveness};
use rustix::process::{Pid, Signal, kill_process};

use crate::{PATIENCE, Scratch, wait_until};

impl Scratch {
    /// Sends a signal to a job's worker, if it still is the process that the journal names.
    pub fn signal_worker(&self, job: &str, signal: Signal) {
        let Some(task) = self.task(job) else { return };
        send(&task, signal);
    }

    /// Kills a job's worker with `kill -9` and waits until it is gone.
    pub fn kill_worker(&self, job: &str) {
        let task = wait_until("a worker", || self.task(job));
        send(&task, Signal::KILL);
        wait_until("the worker's death", || (liveness(&task) == Liveness::Dead).then_some(()));
    }

    /// Kills a job's worker with `kill -9` after `wanted` has happened and a little more time has passed; gives the last
    /// thing that happened.
    ///
    /// The worker runs in small slices, stopped in between, so that it doesn't get much further before it is noticed. A
    /// worker that is known was `started`, even if it was quicker than the note of that.
    pub fn kill_worker_after(&self, job: &str, wanted: &str, more: Duration) -> String {
        const SLICE: Duration = Duration::from_micros(400);
        let begun = Instant::now();
        let task = wait_until("a worker", || self.task(job));
        let mut seen = 0;
        loop {
            send(&task, Signal::STOP);
            let next = self.event_path(job, seen + 1).exists();
            if next {
                seen = self.events(job).len();
            }
            let reached = wanted == "started" || (next && self.story(job).iter().any(|word| word == wanted));
            if reached || liveness(&task) == Liveness::Dead {
                break;
            }
            assert!(begun.elapsed() < PATIENCE, "waited in vain: {wanted}");
            send(&task, Signal::CONT);
            std::thread::sleep(SLICE);
        }
        if !more.is_zero() {
            send(&task, Signal::CONT);
            std::thread::sleep(more);
        }
        self.kill_worker(job);
        self.story(job).pop().expect("a job has events")
    }

    /// Takes the work directory that all workers of the project share, as a running job would: workers wait for it once
    /// they have `verified`, until what this gives is dropped.
    pub fn hold_work_directory(&self) -> File {
        let folder = self.production("work");
        fs::create_dir_all(&folder).unwrap();
        let lock =
            OpenOptions::new().create(true).truncate(false).write(true).open(folder.join("production-hello.lock"));
        let lock = lock.unwrap();
        lock.try_lock().expect("no worker has it");
        lock
    }

    /// Kills the workers of all jobs that have not ended.
    pub(crate) fn end_workers(&self) {
        for job in ["plan", "apply"].into_iter().flat_map(|action| self.jobs(action)) {
            if let Some(task) = self.task(&job) {
                send(&task, Signal::KILL);
            }
        }
    }
}

/// A process id may be used again by now: only the very process is sent anything.
fn send(task: &TaskId, signal: Signal) {
    let TaskId::Process { pid, .. } = task else { return };
    let pid = i32::try_from(*pid).ok().and_then(Pid::from_raw);
    if let (Liveness::Alive, Some(pid)) = (liveness(task), pid) {
        // It may have ended since it was looked at.
        let _ = kill_process(pid, signal);
    }
}
