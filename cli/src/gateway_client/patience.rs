//! Patience with a gateway that can't answer just now: throttled, out of order, out of reach, or asked with credentials
//! that have expired.

use std::time::Duration;

use records::Ambient;
use tokio::time::Instant;

use crate::context::Context;
use crate::exit::Failure;
use crate::output::{Output, duration};

/// How long a question waits that somebody sits before.
const SHORT: Duration = Duration::from_secs(60);
/// First and longest pause; each is drawn at random from its upper half, so that many who wait don't come back together.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(20);
/// The same trouble is told again after this long.
const STILL: Duration = Duration::from_secs(60);

/// Asks again, after a longer pause each time, for so long in all.
#[derive(Clone)]
pub(super) struct Patience {
    out: Output,
    ambient: Ambient,
    limit: Duration,
    /// Whether it is waited for somebody to log in again, too.
    for_people: bool,
}

/// What is waited for to pass.
struct Trouble {
    since: Instant,
    pause: Duration,
    told: Option<(String, Instant)>,
}

impl Patience {
    /// For a minute, and only with what passes by itself: who has to log in again is told at once.
    pub(super) fn short(context: &Context) -> Self {
        Self { out: context.out, ambient: context.ambient.clone(), limit: SHORT, for_people: false }
    }

    /// For so long, with expired credentials too: there is something to lose, and somebody may log in again meanwhile.
    pub(super) fn long(&self, limit: Duration) -> Self {
        Self { limit, for_people: true, ..self.clone() }
    }

    /// Asks until there is an answer.
    ///
    /// # Errors
    /// With what went wrong, if that doesn't pass, or lasts too long.
    pub(super) async fn ask<T>(&self, ask: impl AsyncFn() -> Result<T, Failure>) -> Result<T, Failure> {
        let mut trouble = None;
        loop {
            match ask().await {
                Ok(answer) => {
                    if trouble.is_some_and(|trouble: Trouble| trouble.told.is_some()) {
                        self.out.say("production answers again");
                    }
                    return Ok(answer);
                }
                Err(failure) => self.wait(&mut trouble, failure).await?,
            }
        }
    }

    /// Waits before the next try.
    async fn wait(&self, trouble: &mut Option<Trouble>, failure: Failure) -> Result<(), Failure> {
        if !(failure.passes_by_itself() || self.for_people && failure.passes()) {
            return Err(failure);
        }
        let now = Instant::now();
        let trouble = trouble.get_or_insert(Trouble { since: now, pause: FIRST_PAUSE, told: None });
        let lasted = trouble.since.elapsed();
        let left = self.limit.saturating_sub(lasted);
        if left.is_zero() {
            return Err(failure.in_vain().context(format!("given up after {}", duration(lasted.as_secs()))));
        }
        let said = failure.messages().join(": ");
        let is_news = trouble.told.as_ref().is_none_or(|(told, at)| *told != said || at.elapsed() >= STILL);
        if is_news {
            let hint = failure.own_hint().map(|hint| format!(" ({hint})")).unwrap_or_default();
            self.out.warn(format!("{said}{hint}; trying again for up to {}", duration(self.limit.as_secs())));
            trouble.told = Some((said, now));
        }
        let [random] = self.ambient.random::<1>();
        let pause = trouble.pause / 2 + trouble.pause / 2 * u32::from(random) / 255;
        tokio::time::sleep(pause.min(left)).await;
        trouble.pause = (trouble.pause * 2).min(LONGEST_PAUSE);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::exit::Exit;

    /// What comes of asking, how often it was asked, and how long that took; it fails `failures` times.
    async fn asked(limit: u64, exit: Exit, failures: u32) -> (Result<u32, Failure>, u32, u64) {
        let patience = Patience {
            out: Output::for_programs(),
            ambient: Ambient::system(),
            limit: Duration::from_secs(limit),
            for_people: false,
        };
        let (tries, begun) = (Cell::new(0), Instant::now());
        let ask = async || {
            tries.set(tries.get() + 1);
            if tries.get() > failures { Ok(7) } else { Err(Failure::new(exit, anyhow::anyhow!("no answer"))) }
        };
        let result = patience.ask(ask).await;
        (result, tries.get(), begun.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn what_passes_is_waited_for_and_nothing_else() {
        let (result, tries, took) = asked(60, Exit::Unavailable, 3).await;
        assert_eq!((result.ok(), tries), (Some(7), 4));
        assert!((3..=7).contains(&took), "{took}");
        let (result, tries, took) = asked(60, Exit::Failed, 3).await;
        assert_eq!((result.unwrap_err().exit(), tries, took), (Exit::Failed, 1, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_given_up_when_the_time_is_up_and_not_later() {
        for limit in [0, 3, 60, 900] {
            let (result, tries, took) = asked(limit, Exit::Unavailable, u32::MAX).await;
            let failure = result.unwrap_err();
            assert_eq!((failure.exit(), took), (Exit::Unavailable, limit));
            assert!(failure.message().starts_with("given up after"), "{}", failure.message());
            assert!(u64::from(tries) <= 9 + limit / 10, "{tries} tries in {limit} s");
        }
    }
}
