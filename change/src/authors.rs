//! Who wrote a change, as the bot's reviews say: gate 10 takes no approval from any of them.

use std::collections::{BTreeMap, BTreeSet};

use manifest_schema::gates::Authors;
use manifest_schema::statement::{Review, Verified, subject};
use manifest_schema::trust::TrustPolicy;
use manifest_schema::{Digest, Document, DocumentError};

use crate::About;

/// A review's list of authors that can't be believed; gate 10 refuses the plan for it (`review.untrusted`).
#[derive(Debug, thiserror::Error)]
pub enum AuthorsError {
    /// Not among the lists.
    #[error("the list of authors {0} that a review names is missing")]
    Missing(Digest),
    /// Other bytes than the review names.
    #[error("the list of authors {0} was altered")]
    Altered(Digest),
    /// Not such a list.
    #[error("the list of authors {list} can't be used")]
    Unreadable {
        /// Its digest.
        list: Digest,
        /// What is wrong with it.
        source: DocumentError,
    },
}

/// The forge identities of everybody whom a review of exactly this names as an author. Reviews of something else, and
/// those that the bot's keys didn't sign, are ignored, as the gates do.
///
/// # Errors
/// When a list that such a review names is missing, altered or unreadable: an author must not slip through.
pub fn of(
    policy: &TrustPolicy,
    about: &About,
    reviews: &[Vec<u8>],
    lists: &BTreeMap<Digest, Vec<u8>>,
) -> Result<BTreeSet<String>, AuthorsError> {
    let keys = policy.bot_keys();
    let opened = reviews.iter().filter_map(|envelope| Verified::<Review>::open(envelope, &keys).ok());
    let mut identities = BTreeSet::new();
    for review in opened.filter(|review| is_about(review, about)) {
        let list = review.predicate().authors;
        let bytes = lists.get(&list).ok_or(AuthorsError::Missing(list))?;
        if Digest::of(bytes) != list {
            return Err(AuthorsError::Altered(list));
        }
        let read = Authors::from_bytes(bytes).map_err(|source| AuthorsError::Unreadable { list, source })?;
        identities.extend(read.identities);
    }
    Ok(identities)
}

fn is_about(review: &Verified<Review>, about: &About) -> bool {
    let said = review.predicate();
    review.subject(subject::MANIFEST) == Some(about.manifest)
        && review.subject(subject::SUMMARY) == Some(about.summary)
        && said.project == about.project
        && said.environment == about.environment
        && said.plan == about.plan
        && said.change == about.change
}

#[cfg(test)]
mod tests {
    use manifest_schema::statement::ReviewVerdict::Approve;
    use manifest_schema::statement::{Statement, Subject};

    use super::*;
    use crate::fixture::{BOT, BUILDER, about, authors, key, now, policy};

    fn review(about: &About, list: Digest, signer: u8) -> Vec<u8> {
        let About { project, environment, change, manifest, plan, summary } = about.clone();
        let subjects = vec![Subject::new(subject::MANIFEST, manifest), Subject::new(subject::SUMMARY, summary)];
        let said = Review { project, environment, change, plan, verdict: Approve, authors: list, reviewed_at: now() };
        Statement::new(subjects, said).sign(&key(signer)).unwrap().envelope
    }

    #[test]
    fn only_the_bots_reviews_of_exactly_this_name_authors() {
        let (list, bytes) = authors(&["github:alice"]);
        let lists = BTreeMap::from([(list, bytes)]);
        let found =
            |about: &About, signer| of(&policy(), &crate::fixture::about(), &[review(about, list, signer)], &lists);
        assert_eq!(found(&about(), BOT).unwrap(), BTreeSet::from(["github:alice".to_owned()]));
        assert_eq!(found(&about(), BUILDER).unwrap(), BTreeSet::new(), "not the bot");
        let other = About { plan: Digest::of(b"other"), ..about() };
        assert_eq!(found(&other, BOT).unwrap(), BTreeSet::new(), "another plan");
    }

    #[test]
    fn a_list_that_cant_be_believed_is_an_error() {
        let (list, bytes) = authors(&["github:alice"]);
        let junk = b"{}".to_vec();
        let found = |named, lists| of(&policy(), &about(), &[review(&about(), named, BOT)], &lists);
        let missing = found(list, BTreeMap::new());
        assert!(matches!(missing, Err(AuthorsError::Missing(_))), "{missing:?}");
        let altered = found(list, BTreeMap::from([(list, [bytes, vec![b' ']].concat())]));
        assert!(matches!(altered, Err(AuthorsError::Altered(_))), "{altered:?}");
        let unreadable = found(Digest::of(&junk), BTreeMap::from([(Digest::of(&junk), junk)]));
        assert!(matches!(unreadable, Err(AuthorsError::Unreadable { .. })), "{unreadable:?}");
    }
}
