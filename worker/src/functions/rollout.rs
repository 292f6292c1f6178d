//! Moving a function's alias to a version, watching alarms, and moving it back. What somebody else moved is left alone.

use std::time::Duration;

use aws::ErrorKind;
use manifest_schema::manifest::FunctionStep;
use manifest_schema::{Code, Reason};
use tokio::time::Instant;

use super::alarms::{self, Trouble};
use super::api::Alias;
use super::publish::POLL;
use super::{Functions, failed, of_aws};
use crate::patience::insistently;
use crate::stop::Stop;

/// How often the alias is moved back, if somebody changes it at the same time.
const TRIES: u32 = 3;

/// An alias that was moved.
pub(super) struct Moved<'a> {
    step: &'a FunctionStep,
    from: String,
    to: String,
    revision: Option<String>,
}

/// Whom the calls of an alias reach that was moved.
#[derive(Debug, PartialEq, Eq)]
enum Standing {
    /// The version that it was moved to.
    There,
    /// The one that it was moved from.
    Back,
    /// Somebody else's; with which that is.
    Elsewhere(String),
}

impl Functions<'_> {
    /// Moves the alias, if it is still as it was seen.
    pub(super) async fn move_alias<'s>(
        &self,
        step: &'s FunctionStep,
        seen: &Alias,
        to: String,
    ) -> Result<Moved<'s>, Stop> {
        let api = &self.aws().await.api;
        let from = seen.version.clone();
        let moved = insistently(|| api.move_alias(step, &to, seen.revision.as_deref())).await;
        let moved = match moved {
            Ok(revision) => Moved { step, from, to, revision },
            // Whether it was carried out is seen now.
            Err(error) if error.kind() == ErrorKind::ConditionFailed || error.is_temporary() => {
                let (standing, revision) = self.standing(step, &from, &to).await?;
                match standing {
                    // Only the answer was lost.
                    Standing::There => Moved { step, from, to, revision },
                    Standing::Back if error.is_temporary() => return Err(of_aws(step, &error)),
                    Standing::Back | Standing::Elsewhere(_) => {
                        let what = format!(
                            "somebody else changes its alias {} at the same time; it is left as it is",
                            step.alias
                        );
                        return Err(failed(step, &what));
                    }
                }
            }
            Err(error) => return Err(of_aws(step, &error)),
        };
        let what = format!("alias {} names version {} now, and no more {}", step.alias, moved.to, moved.from);
        self.tell_if_possible(step, &what).await?;
        Ok(moved)
    }

    /// Watches the alarms for as long as the step says.
    ///
    /// # Errors
    /// [`Stop::RolledBack`] when the alias was moved back.
    pub(super) async fn watch(&self, moved: &Moved<'_>) -> Result<(), Stop> {
        let (step, mut stop) = (moved.step, self.session.stop_signal());
        if !step.alarms.is_empty() {
            let fell = tokio::select! {
                // That the job is another's comes before anything that this one would do.
                biased;
                asked = stop.wait() => {
                    let (code, why) = asked.before("its alarms were watched to the end")?;
                    Some(Reason::new(code, format!("function {}: {why}", step.function)))
                }
                fell = self.alarm(step) => fell,
            };
            if let Some(why) = fell {
                return Err(self.move_back(moved, why).await?);
            }
        }
        match self.standing(step, &moved.from, &moved.to).await?.0 {
            Standing::There => Ok(()),
            Standing::Back => Err(failed(step, &elsewhere(step, &moved.from))),
            Standing::Elsewhere(version) => Err(failed(step, &elsewhere(step, &version))),
        }
    }

    /// Why the alias is to go back, if there is a reason before the time is over.
    async fn alarm(&self, step: &FunctionStep) -> Option<Reason> {
        let connection = &self.aws().await.connection;
        let until = Instant::now() + Duration::from_secs(step.watch_seconds().into());
        loop {
            let is_last = Instant::now() >= until;
            match insistently(|| alarms::states(connection, &step.alarms)).await {
                Ok(states) => match alarms::troubles(&step.alarms, &states).first() {
                    Some(trouble) => return Some(because(step, trouble)),
                    None if is_last => return None,
                    None => {}
                },
                Err(error) => {
                    let what = format!("nobody can say whether an alarm goes off: {error}: {}", error.advice());
                    return Some(reason(step, &what));
                }
            }
            tokio::time::sleep_until(until.min(Instant::now() + POLL)).await;
        }
    }

    /// Moves the alias back, whatever is wished by now; what to end with.
    ///
    /// # Errors
    /// When the job is another's.
    async fn move_back(&self, moved: &Moved<'_>, why: Reason) -> Result<Stop, Stop> {
        let Moved { step, from, to, revision } = moved;
        let api = &self.aws().await.api;
        self.tell_if_possible(step, &format!("alias {} goes back to version {from}: {}", step.alias, why.message))
            .await?;
        let and_then = |what: &str| Reason { message: format!("{}; {what}", why.message), ..why.clone() };
        let mut revision = revision.clone();
        for _ in 0..TRIES {
            match insistently(|| api.move_alias(step, from, revision.as_deref())).await {
                Ok(_) => break,
                Err(error) if error.kind() == ErrorKind::ConditionFailed => {}
                Err(error) => {
                    let what = format!("its alias can't go back: {error}: {}", error.advice());
                    return Ok(Stop::Failed(and_then(&what)));
                }
            }
            match self.standing(step, from, to).await? {
                // Only the answer was lost.
                (Standing::Back, _) => break,
                (Standing::There, now) => revision = now,
                (Standing::Elsewhere(version), _) => return Ok(Stop::Failed(and_then(&elsewhere(step, &version)))),
            }
        }
        match self.standing(step, from, to).await?.0 {
            Standing::Back => {
                Ok(Stop::RolledBack(and_then(&format!("its alias {} names version {from} again", step.alias))))
            }
            Standing::There => {
                Ok(Stop::Failed(and_then("its alias can't go back: somebody else changes it all the time")))
            }
            Standing::Elsewhere(version) => Ok(Stop::Failed(and_then(&elsewhere(step, &version)))),
        }
    }

    /// Tells people; an alias that was moved, or has to go back, doesn't wait for that to succeed.
    ///
    /// # Errors
    /// When the job is another's.
    async fn tell_if_possible(&self, step: &FunctionStep, what: &str) -> Result<(), Stop> {
        match self.tell(step, what).await {
            Err(lost @ Stop::Lost(_)) => Err(lost),
            Err(untold) => {
                tracing::warn!(%untold, what, "an event could not be written");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    async fn standing(&self, step: &FunctionStep, from: &str, to: &str) -> Result<(Standing, Option<String>), Stop> {
        let api = &self.aws().await.api;
        let seen = insistently(|| api.alias(step)).await.map_err(|error| of_aws(step, &error))?;
        let seen =
            seen.ok_or_else(|| failed(step, &format!("its alias {} is gone: somebody deleted it", step.alias)))?;
        Ok((standing(&seen.version, from, to), seen.revision))
    }
}

fn standing(names: &str, from: &str, to: &str) -> Standing {
    match names {
        names if names == to => Standing::There,
        names if names == from => Standing::Back,
        names => Standing::Elsewhere(names.to_owned()),
    }
}

fn elsewhere(step: &FunctionStep, version: &str) -> String {
    format!("somebody else moved its alias {} to version {version}; it is left as it is", step.alias)
}

fn because(step: &FunctionStep, trouble: &Trouble) -> Reason {
    match trouble {
        Trouble::GoesOff(alarm, why) => {
            let why = why.trim_end_matches('.');
            reason(
                step,
                &if why.is_empty() {
                    format!("alarm {alarm} went off")
                } else {
                    format!("alarm {alarm} went off: {why}")
                },
            )
        }
        Trouble::Missing(alarm) => {
            reason(step, &format!("alarm {alarm} is gone, and nobody can say whether it would go off"))
        }
    }
}

fn reason(step: &FunctionStep, what: &str) -> Reason {
    Reason::new(Code::FunctionFailed, format!("function {}: {what}", step.function))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_is_where_it_was_moved_or_back_or_somebody_elses() {
        for (names, expected) in [
            ("8", Standing::There),
            ("7", Standing::Back),
            ("9", Standing::Elsewhere("9".to_owned())),
            ("$LATEST", Standing::Elsewhere("$LATEST".to_owned())),
        ] {
            assert_eq!(standing(names, "7", "8"), expected);
        }
        // What is published again without a change is the same version.
        assert_eq!(standing("7", "7", "7"), Standing::There);
    }

    #[test]
    fn why_it_goes_back_names_the_alarm() {
        let step = serde_json::from_value(serde_json::json!({
            "function": "resize", "code": {"zip": "bundle"}, "alias": "live", "alarms": ["errors"],
        }));
        let (step, alarm): (FunctionStep, _) = (step.unwrap(), || "errors".parse().unwrap());
        for (trouble, expected) in [
            (
                Trouble::GoesOff(alarm(), "Threshold Crossed: 1 > 0.".to_owned()),
                "alarm errors went off: Threshold Crossed: 1 > 0",
            ),
            (Trouble::GoesOff(alarm(), String::new()), "alarm errors went off"),
            (Trouble::Missing(alarm()), "alarm errors is gone, and nobody can say whether it would go off"),
        ] {
            let reason = because(&step, &trouble);
            assert_eq!(
                (reason.code, reason.message),
                (Code::FunctionFailed.into(), format!("function resize: {expected}"))
            );
        }
    }
}
