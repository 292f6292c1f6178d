//! Cuts what people read down to what an event can hold, so that no writer can make one that is too large to be read
//! again: a job that can't say why it was refused could never end.

use manifest_schema::Reason;
use manifest_schema::job::Happening;

/// Most reasons in an event.
const MOST_REASONS: usize = 50;
/// Most lines of progress in an event.
const MOST_LINES: usize = 100;
/// Most bytes of a message, a line, or a name.
const MOST_BYTES: usize = 1000;

/// The same happening, within bounds.
pub(super) fn clipped(happening: Happening) -> Happening {
    match happening {
        Happening::Verified { policy, warnings } => Happening::Verified { policy, warnings: reasons(warnings) },
        Happening::StepRolledBack { step, reason } => Happening::StepRolledBack { step, reason: one(reason) },
        Happening::StepFailed { step, reason } => Happening::StepFailed { step, reason: one(reason) },
        Happening::Ended { outcome, reasons: why } => Happening::Ended { outcome, reasons: reasons(why) },
        Happening::Intent { step, name, group } => Happening::Intent { step, name: text(name), group },
        Happening::Progress { mut lines } => {
            let more = lines.len().saturating_sub(MOST_LINES);
            lines.truncate(MOST_LINES);
            let mut lines: Vec<_> = lines.into_iter().map(text).collect();
            lines.extend((more > 0).then(|| format!("and {more} more lines")));
            Happening::Progress { lines }
        }
        other @ (Happening::Requested
        | Happening::Started { .. }
        | Happening::Began { .. }
        | Happening::Fetched { .. }
        | Happening::Planned { .. }
        | Happening::Checked
        | Happening::Claimed { .. }
        | Happening::Done { .. }
        | Happening::Recorded { .. }
        | Happening::CancelRequested) => other,
    }
}

fn reasons(mut reasons: Vec<Reason>) -> Vec<Reason> {
    let left_out = reasons.split_off(reasons.len().min(MOST_REASONS));
    let mut kept: Vec<_> = reasons.into_iter().map(one).collect();
    let more = format!("and {} more", left_out.len());
    kept.extend(left_out.into_iter().next().map(|next| Reason { code: next.code, message: more }));
    kept
}

fn one(reason: Reason) -> Reason {
    Reason { code: reason.code, message: text(reason.message) }
}

/// Control characters go as well: each would be six bytes of JSON, and terminals obey them.
fn text(text: String) -> String {
    let mut text = text.replace(|c: char| c.is_control() && !matches!(c, '\n' | '\t'), " ");
    if text.len() > MOST_BYTES {
        text.truncate(text.floor_char_boundary(MOST_BYTES));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use manifest_schema::Code;
    use manifest_schema::job::JobOutcome;

    use super::*;

    #[test]
    fn what_is_short_stays_as_it_is() {
        let ended = Happening::Ended { outcome: JobOutcome::Refused, reasons: vec![Reason::new(Code::LeaseHeld, "x")] };
        assert_eq!(clipped(ended.clone()), ended);
    }

    #[test]
    fn what_is_long_is_cut_between_characters_and_says_so() {
        let many = vec![Reason::new(Code::LeaseHeld, "ü".repeat(3000)); 70];
        let Happening::Ended { reasons, .. } =
            clipped(Happening::Ended { outcome: JobOutcome::Refused, reasons: many })
        else {
            panic!("it ends")
        };
        assert_eq!((reasons.len(), reasons[0].message.chars().count()), (51, 501));
        assert_eq!(reasons[50].message, "and 20 more");
    }
}
