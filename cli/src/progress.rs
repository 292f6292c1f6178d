//! How far a long piece of work is: a bar on a terminal, otherwise a line every few seconds.

use std::io::IsTerminal as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::output::{Output, size};

/// Between two lines where there is no terminal.
const INTERVAL: Duration = Duration::from_secs(5);

/// Bytes gone by, shown while it lives. May be advanced from several threads.
pub(crate) struct Progress {
    shown: Shown,
    label: &'static str,
    total: Option<u64>,
    done: AtomicU64,
}

enum Shown {
    Bar(ProgressBar),
    Lines { out: Output, last: Mutex<Instant> },
    Nothing,
}

impl Progress {
    /// Begins to show `label` and bytes, of a total if it is known.
    pub(crate) fn bytes(out: &Output, label: &'static str, total: Option<u64>) -> Self {
        let shown = if out.is_quiet() {
            Shown::Nothing
        } else if std::io::stderr().is_terminal() {
            Shown::Bar(bar(label, total))
        } else {
            Shown::Lines { out: *out, last: Mutex::new(Instant::now()) }
        };
        Self { shown, label, total, done: AtomicU64::new(0) }
    }

    /// So many bytes more.
    pub(crate) fn advance(&self, bytes: u64) {
        let done = self.done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        match &self.shown {
            Shown::Bar(bar) => bar.inc(bytes),
            Shown::Lines { out, last } => {
                // Whoever finds the lock taken leaves the line to whoever holds it.
                if let Ok(mut last) = last.try_lock()
                    && last.elapsed() >= INTERVAL
                {
                    *last = Instant::now();
                    out.say(line(self.label, done, self.total));
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
        Some(total) => (ProgressBar::new(total), "{msg} [{bar:24}] {binary_bytes} of {binary_total_bytes} {eta}"),
        None => (ProgressBar::new_spinner(), "{msg} {spinner} {binary_bytes}"),
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_message(label);
    bar
}

fn line(label: &str, done: u64, total: Option<u64>) -> String {
    match total {
        Some(total) => format!("{label}: {} of {}", size(done), size(total)),
        None => format!("{label}: {}", size(done)),
    }
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn lines_tell_how_far_it_is() {
        assert_eq!(line("publishing", 1024, Some(4096)), "publishing: 1.0 KiB of 4.0 KiB");
        assert_eq!(line("hashing", 1024, None), "hashing: 1.0 KiB");
    }
}
