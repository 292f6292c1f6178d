//! Patience with a gateway that can't answer just now: throttled, out of order, out of reach, or asked with credentials
//! that have expired.

use std::time::Duration;

use records::Ambient;
use tokio::time::Instant;

use crate::context::Context;
use crate::exit::Failure;
use crate::output::{Output, duration};

/// First and longest pause; each is drawn at random from its upper half, so that many who wait don't come back together.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(20);
/// The same trouble is told again after this long.
const STILL: Duration = Duration::from_secs(60);

/// Waits longer each time, for so long in all.
pub(crate) struct Patience<'a> {
    out: &'a Output,
    ambient: &'a Ambient,
    limit: Duration,
    trouble: Option<Trouble>,
}

/// What is waited for to pass.
struct Trouble {
    since: Instant,
    pause: Duration,
    told: Option<(String, Instant)>,
}

impl<'a> Patience<'a> {
    /// With trouble that lasts no longer than `limit`.
    pub(crate) fn new(context: &'a Context, limit: Duration) -> Self {
        Self { out: &context.out, ambient: &context.ambient, limit, trouble: None }
    }

    /// It went well: whatever was wrong is over.
    pub(crate) fn relax(&mut self) {
        if self.trouble.take_if(|trouble| trouble.told.is_some()).is_some() {
            self.out.say("production answers again");
        }
        self.trouble = None;
    }

    /// Waits before the next try.
    ///
    /// # Errors
    /// With the failure, if it doesn't pass by itself, or lasts too long.
    pub(crate) async fn wait(&mut self, failure: Failure) -> Result<(), Failure> {
        if !failure.passes() {
            return Err(failure);
        }
        let now = Instant::now();
        let trouble = self.trouble.get_or_insert(Trouble { since: now, pause: FIRST_PAUSE, told: None });
        if trouble.since.elapsed() >= self.limit {
            let lasted = duration(trouble.since.elapsed().as_secs());
            return Err(failure.in_vain().context(format!("given up after {lasted}")));
        }
        let said = failure.messages().join(": ");
        let is_news = trouble.told.as_ref().is_none_or(|(told, at)| *told != said || at.elapsed() >= STILL);
        if is_news {
            let hint = failure.own_hint().map(|hint| format!(" ({hint})")).unwrap_or_default();
            self.out.warn(format!("{said}{hint}; trying again for up to {}", duration(self.limit.as_secs())));
            trouble.told = Some((said, now));
        }
        let [random] = self.ambient.random::<1>();
        tokio::time::sleep(trouble.pause / 2 + trouble.pause / 2 * u32::from(random) / 255).await;
        trouble.pause = (trouble.pause * 2).min(LONGEST_PAUSE);
        Ok(())
    }
}
