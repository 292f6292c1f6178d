//! A job that is followed, on a terminal: its events scroll by, and the last line says where it is and for how long.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use manifest_schema::Timestamp;
use manifest_schema::gateway::JobStatus;

use crate::output::{Output, duration, plain};
use crate::progress;

/// How often the line is drawn: often enough to show that nothing hangs.
const TICK: Duration = Duration::from_millis(200);

/// The line, where there is a terminal that can redraw one.
pub(crate) struct Live {
    is_wanted: bool,
    line: Option<ProgressBar>,
}

impl Live {
    /// Nothing is shown before the job is known.
    pub(crate) fn new(out: &Output) -> Self {
        Self { is_wanted: progress::redraws(out), line: None }
    }

    /// Whether there is such a line.
    pub(crate) fn is_shown(&self) -> bool {
        self.line.is_some()
    }

    /// Says where the job is, and since when.
    pub(crate) fn show(&mut self, status: &JobStatus, now: Timestamp) {
        if !self.is_wanted {
            return;
        }
        let text = plain(&told(status, now));
        match &self.line {
            Some(line) => line.set_message(text),
            None => self.line = Some(spinner(text)),
        }
    }
}

/// Where a job is, since when, and for how long it is under way.
fn told(status: &JobStatus, now: Timestamp) -> String {
    let (action, phase) = (status.request.action, status.phase);
    let cancelling = if status.cancelling { ", cancelling" } else { "" };
    let (in_phase, in_all) = (now.seconds_since(status.since), now.seconds_since(status.requested_at));
    // In its first phase it is only that long under way.
    let in_all = if in_all > in_phase { format!(", {} in all", duration(in_all)) } else { String::new() };
    format!("{action}: {phase}{cancelling} for {}{in_all}", duration(in_phase))
}

fn spinner(text: String) -> ProgressBar {
    let line = ProgressBar::new_spinner().with_message(text);
    if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
        line.set_style(style.tick_chars("-\\|/ "));
    }
    let line = progress::drawn(line);
    line.enable_steady_tick(TICK);
    line
}

impl Drop for Live {
    fn drop(&mut self) {
        if let Some(line) = self.line.take() {
            line.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use manifest_schema::job::Phase;

    use super::*;
    use crate::pipeline::story::tests::status;

    #[test]
    fn the_line_says_where_a_job_is_and_since_when() {
        let at = |second: i64| Timestamp::from_millis(second * 1000).unwrap();
        for (phase, since, cancelling, expected) in [
            (Phase::Requested, 0, false, "apply: requested for 1 min 40 s"),
            (Phase::Applying, 58, false, "apply: applying for 42 s, 1 min 40 s in all"),
            (Phase::Applying, 95, true, "apply: applying, cancelling for 5 s, 1 min 40 s in all"),
        ] {
            let status = JobStatus { phase, since: at(since), cancelling, ..status(None) };
            assert_eq!(told(&status, at(100)), expected);
        }
    }
}
