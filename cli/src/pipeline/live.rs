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
        let cancelling = if status.cancelling { ", cancelling" } else { "" };
        let (in_phase, in_all) = (now.seconds_since(status.since), now.seconds_since(status.requested_at));
        let text = format!(
            "{} job: {}{cancelling} for {}, {} in all",
            status.request.action,
            status.phase,
            duration(in_phase),
            duration(in_all)
        );
        self.line.get_or_insert_with(spinner).set_message(plain(&text));
    }
}

fn spinner() -> ProgressBar {
    let line = progress::drawn(ProgressBar::new_spinner());
    if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
        line.set_style(style.tick_chars("-\\|/ "));
    }
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
