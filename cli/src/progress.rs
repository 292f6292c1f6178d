//! How far a long piece of work is: a bar on a terminal, otherwise a line every few seconds.

use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::output::{Output, duration, size};

/// Between two lines at first. Work that takes less long leaves none: a log should hold what matters.
const FIRST_INTERVAL: Duration = Duration::from_secs(5);
/// Between two lines in the end: an hour leaves a screenful, and nobody takes a build for dead.
const LAST_INTERVAL: Duration = Duration::from_secs(60);

/// Everything that is drawn again and again on this process's one terminal.
static DRAWN: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// Lets a bar be drawn below whatever is written.
pub(crate) fn drawn(bar: ProgressBar) -> ProgressBar {
    DRAWN.add(bar)
}

/// Writes to standard error, above what is drawn there.
pub(crate) fn above<T>(write: impl FnOnce() -> T) -> T {
    DRAWN.suspend(write)
}

/// How people see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressChoice {
    /// A bar on a terminal that can redraw a line, otherwise a line every few seconds.
    Auto,
    /// A bar on any terminal.
    Bar,
    /// A line every few seconds, on a terminal too.
    Plain,
    /// Not at all.
    None,
}

/// Whether people want, and their terminal can show, a line that is drawn again and again.
pub(crate) fn redraws(out: &Output) -> bool {
    let terminal = std::io::stderr().is_terminal();
    match out.progress() {
        ProgressChoice::Auto => terminal && std::env::var_os("TERM").is_none_or(|term| term != "dumb"),
        ProgressChoice::Bar => terminal,
        ProgressChoice::Plain | ProgressChoice::None => false,
    }
}

/// Asked for when it is shown: to list a hundred thousand files for work that is done in a second helps nobody.
type Total = LazyLock<Option<u64>, Box<dyn FnOnce() -> Option<u64> + Send>>;

/// Bytes gone by, shown while it lives. May be advanced from several threads.
pub(crate) struct Progress {
    shown: Shown,
    label: &'static str,
    total: Total,
    begun: Instant,
    done: AtomicU64,
}

enum Shown {
    Bar(ProgressBar),
    Lines { out: Output, last: Mutex<Instant> },
    Nothing,
}

impl Progress {
    /// Begins to show `label` and bytes, of a total if it is known. `total` is asked once or never.
    pub(crate) fn bytes(
        out: &Output,
        label: &'static str,
        total: impl FnOnce() -> Option<u64> + Send + 'static,
    ) -> Self {
        let total: Total = LazyLock::new(Box::new(total));
        let begun = Instant::now();
        let lines = || Shown::Lines { out: *out, last: Mutex::new(begun) };
        let shown = match out.progress() {
            _ if redraws(out) => Shown::Bar(drawn(bar(label, *total))),
            ProgressChoice::Auto | ProgressChoice::Bar | ProgressChoice::Plain => lines(),
            ProgressChoice::None => Shown::Nothing,
        };
        Self { shown, label, total, begun, done: AtomicU64::new(0) }
    }

    /// So many bytes more.
    pub(crate) fn advance(&self, bytes: u64) {
        let done = self.done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        match &self.shown {
            Shown::Bar(bar) => bar.inc(bytes),
            Shown::Lines { out, last } => {
                // Whoever finds the lock taken leaves the line to whoever holds it.
                if let Ok(mut last) = last.try_lock() {
                    let elapsed = self.begun.elapsed();
                    if last.elapsed() >= (elapsed / 10).clamp(FIRST_INTERVAL, LAST_INTERVAL) {
                        *last = Instant::now();
                        out.say(line(self.label, done, *self.total, elapsed));
                    }
                }
            }
            Shown::Nothing => {}
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Shown::Bar(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }
}

fn bar(label: &'static str, total: Option<u64>) -> ProgressBar {
    let (bar, template) = match total {
        Some(total) => (
            ProgressBar::new(total),
            "{msg} [{wide_bar}] {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left",
        ),
        None => (ProgressBar::new_spinner(), "{msg} {spinner} {binary_bytes}, {binary_bytes_per_sec}"),
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_message(label);
    bar
}

fn line(label: &str, done: u64, total: Option<u64>, elapsed: Duration) -> String {
    let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
    let rate = done.saturating_mul(1000) / millis;
    // Files that grow, or are read twice, can pass what was expected.
    match total.filter(|total| *total > 0 && done <= *total) {
        Some(total) => {
            let percent = u128::from(done) * 100 / u128::from(total);
            let left = (total - done).checked_div(rate).map(|left| format!(", {} left", duration(left)));
            let left = left.unwrap_or_default();
            format!("{label}: {} of {} ({percent} %), {}/s{left}", size(done), size(total), size(rate))
        }
        None => format!("{label}: {}, {}/s", size(done), size(rate)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_tell_how_far_it_is_how_fast_and_how_long_it_still_takes() {
        let (mib, ten) = (1 << 20, Duration::from_secs(10));
        for (done, total, elapsed, expected) in [
            (mib, Some(4 * mib), ten, "hashing: 1.0 MiB of 4.0 MiB (25 %), 102.3 KiB/s, 30 s left"),
            (mib, None, ten, "hashing: 1.0 MiB, 102.3 KiB/s"),
            (0, Some(mib), ten, "hashing: 0 B of 1.0 MiB (0 %), 0 B/s"),
            (mib, Some(mib), Duration::ZERO, "hashing: 1.0 MiB of 1.0 MiB (100 %), 1000.0 MiB/s, 0 s left"),
            (2 * mib, Some(mib), ten, "hashing: 2.0 MiB, 204.7 KiB/s"),
            (0, Some(0), ten, "hashing: 0 B, 0 B/s"),
        ] {
            assert_eq!(line("hashing", done, total, elapsed), expected);
        }
    }
}
