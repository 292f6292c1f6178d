//! Ballots: what somebody decides about a change, made into a signed approval statement.
//!
//! A ballot promises to name everything that gate 10 compares, and to fit what a KMS signs. It doesn't know whether its
//! signer may approve: the trust policy says so, and the gates ask it.

use manifest_schema::Timestamp;
use manifest_schema::dsse::TooLongToSign;
use manifest_schema::keys::SecretKey;
use manifest_schema::statement::{Approval, Decision, Signed, Statement, Subject, subject};

use crate::About;

/// Longest comment, in bytes.
pub const LONGEST_COMMENT: usize = 500;
/// Longest time for which an approval is valid, in seconds: a leap year.
pub const LONGEST_VALIDITY: u64 = 366 * 24 * 3600;

/// What somebody decides about a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ballot {
    /// What it is about.
    pub about: About,
    /// Yes, no, or an own earlier statement taken back.
    pub decision: Decision,
    /// Lets an older or aged build through; only with a yes, and never counted from the bot.
    pub rollback: bool,
    /// Holds in a freeze window; only with a yes, and never counted from the bot.
    pub emergency: bool,
    /// What others should know, on one line.
    pub comment: Option<String>,
}

/// A ballot that can't be signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BallotError {
    /// Longer than a statement may carry.
    #[error("the comment has {0} bytes; at most {LONGEST_COMMENT} are signed: put the rest into the change")]
    LongComment(usize),
    /// It would be shown in terminals and logs, where control characters forge lines.
    #[error("the comment holds a line break or another control character: write it on one line")]
    Control,
    /// Only a yes lifts a gate.
    #[error("a rollback or an emergency belongs to a yes; this is a no or a revocation")]
    LiftWithoutYes,
    /// A yes that is over before anybody can use it, or practically never.
    #[error("an approval can't be valid for {0} seconds; choose 1 to {LONGEST_VALIDITY} (a year)")]
    Validity(u64),
    /// Too long for a KMS.
    #[error(transparent)]
    TooLong(#[from] TooLongToSign),
}

impl Ballot {
    /// The statement, issued at `now` and valid for `validity` seconds. The policy's own validity caps a longer one.
    ///
    /// # Errors
    /// When the comment is too long or not one line, a no or a revocation claims a lift, or `validity` is none
    /// or longer than a year.
    pub fn statement(self, now: Timestamp, validity: u64) -> Result<Statement<Approval>, BallotError> {
        let Self { about, decision, rollback, emergency, comment } = self;
        let comment = comment.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        if let Some(text) = &comment {
            check_comment(text)?;
        }
        if (rollback || emergency) && decision != Decision::Approve {
            return Err(BallotError::LiftWithoutYes);
        }
        if !(1..=LONGEST_VALIDITY).contains(&validity) {
            return Err(BallotError::Validity(validity));
        }
        let About { project, environment, change, manifest, plan, summary } = about;
        let issued_at = now.whole_seconds();
        let expires_at = issued_at.plus_seconds(validity);
        let subjects = vec![Subject::new(subject::MANIFEST, manifest), Subject::new(subject::SUMMARY, summary)];
        let said = Approval {
            project,
            environment,
            change,
            plan,
            decision,
            rollback,
            emergency,
            issued_at,
            expires_at,
            comment,
        };
        Ok(Statement::new(subjects, said))
    }

    /// [`Self::statement`], signed with `key`.
    ///
    /// # Errors
    /// As [`Self::statement`], and when the statement is longer than a KMS signs.
    pub fn sign(self, now: Timestamp, validity: u64, key: &SecretKey) -> Result<Signed, BallotError> {
        Ok(self.statement(now, validity)?.sign(key)?)
    }
}

fn check_comment(text: &str) -> Result<(), BallotError> {
    if text.len() > LONGEST_COMMENT {
        Err(BallotError::LongComment(text.len()))
    } else if text.chars().any(char::is_control) {
        Err(BallotError::Control)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use manifest_schema::Digest;
    use manifest_schema::names::{ChangeId, EnvironmentName, ProjectName};
    use manifest_schema::statement::Verified;

    use super::*;
    use crate::fixture::{about, key, now};

    fn ballot(decision: Decision) -> Ballot {
        Ballot { about: about(), decision, rollback: false, emergency: false, comment: None }
    }

    #[test]
    fn a_signed_ballot_names_everything_that_gate_10_compares() {
        let said = Ballot { rollback: true, comment: Some(" looks right ".to_owned()), ..ballot(Decision::Approve) };
        let signed = said.sign(now().plus_seconds(1), 3600, &key(1)).unwrap();
        let opened = Verified::<Approval>::open(&signed.envelope, &[key(1).public()]).unwrap();
        let About { project, environment, change, manifest, plan, summary } = about();
        assert_eq!(opened.statement(), signed.statement);
        assert_eq!(opened.subject(subject::MANIFEST), Some(manifest));
        assert_eq!(opened.subject(subject::SUMMARY), Some(summary));
        let expected = Approval {
            project,
            environment,
            change,
            plan,
            decision: Decision::Approve,
            rollback: true,
            emergency: false,
            issued_at: now().plus_seconds(1),
            expires_at: now().plus_seconds(3601),
            comment: Some("looks right".to_owned()),
        };
        assert_eq!(*opened.predicate(), expected);
    }

    #[test]
    fn what_makes_no_sense_is_not_signed() {
        let yes = || ballot(Decision::Approve);
        let comment = |text: &str| Ballot { comment: Some(text.to_owned()), ..yes() };
        let revoke = ballot(Decision::Revoke { statement: Digest::of(b"s") });
        for (case, ballot, validity, expected) in [
            ("long comment", comment(&"é".repeat(251)), 60, BallotError::LongComment(502)),
            ("two lines", comment("fine\napproved by root"), 60, BallotError::Control),
            ("terminal escape", comment("\u{1b}[2Kfine"), 60, BallotError::Control),
            ("rollback no", Ballot { rollback: true, ..ballot(Decision::Reject) }, 60, BallotError::LiftWithoutYes),
            ("emergency revocation", Ballot { emergency: true, ..revoke }, 60, BallotError::LiftWithoutYes),
            ("no validity", yes(), 0, BallotError::Validity(0)),
            ("for ever", yes(), u64::MAX, BallotError::Validity(u64::MAX)),
        ] {
            assert_eq!(ballot.sign(now(), validity, &key(1)).err(), Some(expected), "{case}");
        }
        assert!(comment(&"x".repeat(500)).sign(now(), 60, &key(1)).is_ok());
    }

    #[test]
    fn the_longest_ballot_fits_a_kms() {
        let long = "x".repeat(63);
        let about = About {
            project: ProjectName::new(long.clone()).unwrap(),
            environment: EnvironmentName::new(long.clone()).unwrap(),
            change: ChangeId::new(long).unwrap(),
            ..about()
        };
        let longest = Ballot { about, emergency: true, comment: Some("\"".repeat(500)), ..ballot(Decision::Approve) };
        assert!(longest.sign(now(), LONGEST_VALIDITY, &key(1)).is_ok());
    }
}
