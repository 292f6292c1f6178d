//! What a change still needs, vote by vote.

use std::collections::BTreeMap;

use manifest_schema::Code;
use manifest_schema::gates::decide;
use manifest_schema::names::{ChangeId, ProjectName};
use manifest_schema::statement::{Decision, Review, ReviewVerdict, Statement, Subject, subject};
use proptest::prelude::*;

use super::*;
use crate::Ballot;
use crate::fixture::{ALICE, ALICE_2, BOB, BOT, BUILDER, STRANGER, VALIDITY, about, authors, case, key, now, policy};

/// Somebody's signed word.
#[derive(Debug, Clone)]
struct Word {
    signer: u8,
    ballot: Ballot,
    /// Seconds from now.
    at: i64,
    validity: u64,
}

fn word(signer: u8, decision: Decision) -> Word {
    let ballot = Ballot { about: about(), decision, rollback: false, emergency: false, comment: None };
    Word { signer, ballot, at: -60, validity: VALIDITY }
}

fn yes(signer: u8) -> Word {
    word(signer, Decision::Approve)
}

fn no(signer: u8) -> Word {
    word(signer, Decision::Reject)
}

impl Word {
    fn at(self, at: i64) -> Self {
        Self { at, ..self }
    }

    fn about(mut self, change: impl FnOnce(&mut About)) -> Self {
        change(&mut self.ballot.about);
        self
    }

    fn rollback(mut self) -> Self {
        self.ballot.rollback = true;
        self
    }

    fn sign(&self) -> manifest_schema::statement::Signed {
        let at = Timestamp::from_millis(now().as_millis() + self.at * 1000).unwrap();
        self.ballot.clone().sign(at, self.validity, &key(self.signer)).unwrap()
    }

    fn digest(&self) -> Digest {
        self.sign().statement
    }

    /// The same statement, taken back by `signer`.
    fn revoked_by(&self, signer: u8) -> Self {
        word(signer, Decision::Revoke { statement: self.digest() })
    }
}

fn envelopes(words: &[Word]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.sign().envelope).collect()
}

fn standing(words: &[Word], authors: &[&str]) -> Standing {
    let authors = authors.iter().map(|&identity| identity.to_owned()).collect();
    Standing::of(&policy(), &about(), &authors, &envelopes(words), now()).unwrap()
}

/// What the gates say of a launch that names `named`: who approved, or why not.
fn gates(words: &[Word], named: Vec<Digest>, identities: &[&str]) -> Result<BTreeSet<String>, BTreeSet<&'static str>> {
    let mut case = case(named, &envelopes(words));
    if !identities.is_empty() {
        let (list, bytes) = authors(identities);
        let About { project, environment, change, manifest, plan, summary } = about();
        let subjects = vec![Subject::new(subject::MANIFEST, manifest), Subject::new(subject::SUMMARY, summary)];
        let verdict = ReviewVerdict::Person;
        let said = Review { project, environment, change, plan, verdict, authors: list, reviewed_at: now() };
        case.reviews = vec![Statement::new(subjects, said).sign(&key(BOT)).unwrap().envelope];
        case.authors = BTreeMap::from([(list, bytes)]);
    }
    let names = |people: &[PersonName]| people.iter().map(ToString::to_string).collect();
    decide(&case)
        .map(|admission| names(admission.approved_by()))
        .map_err(|reasons| reasons.iter().map(|reason| reason.code.known().unwrap().as_str()).collect())
}

/// The gate's word for a yes in this state; `None` if it has nothing against it, or against another's signature.
fn code(state: &State) -> Option<Code> {
    match state {
        State::Counts | State::Superseded | State::Spoiled(_) | State::Idle => None,
        State::Revoked => Some(Code::ApprovalRevoked),
        State::Mismatch(_) => Some(Code::ApprovalMismatch),
        State::Expired | State::NotYet => Some(Code::ApprovalExpired),
        State::ByAuthor(_) => Some(Code::ApprovalByAuthor),
        State::Overreach => Some(Code::ApprovalOverreach),
    }
}

/// What the standing says of each yes, and of all together, is what the gates decide.
fn assert_gates_agree(words: &[Word], identities: &[&str]) {
    let standing = standing(words, identities);
    let rejected = standing.rejections().next().is_some();
    let votes: BTreeSet<_> = standing.voices.iter().filter(|v| v.is_yes()).map(|v| v.statement).collect();
    for statement in votes {
        let of_it: Vec<_> = standing.voices.iter().filter(|voice| voice.statement == statement).collect();
        let codes = gates(words, vec![statement], identities).err().unwrap_or_default();
        assert_eq!(codes.contains(Code::ApprovalRejected.as_str()), rejected, "{codes:?}: {standing:#?}");
        let sound = of_it.iter().all(|voice| matches!(voice.state, State::Counts | State::Superseded));
        // Too few people, and another's no, are nothing against this yes.
        let aside = [Code::ApprovalRejected, Code::ApprovalMissing].map(Code::as_str);
        let against: BTreeSet<_> = codes.into_iter().filter(|code| !aside.contains(code)).collect();
        assert_eq!(against.is_empty(), sound, "{against:?}: {of_it:#?}");
        for code in of_it.iter().filter_map(|voice| code(&voice.state)) {
            assert!(against.contains(code.as_str()), "{against:?}: {of_it:#?}");
        }
    }
    let people: BTreeSet<_> = standing.people().into_iter().map(ToString::to_string).collect();
    let admitted = gates(words, standing.to_name(Lifts::default()), identities);
    assert_eq!(admitted.is_ok(), !people.is_empty() && !rejected, "{admitted:?}: {standing:#?}");
    assert!(admitted.is_err() || admitted == Ok(people), "{standing:#?}");
}

fn states(standing: &Standing) -> Vec<(String, State)> {
    standing.voices.iter().map(|voice| (voice.voter.to_string(), voice.state.clone())).collect()
}

/// Each row: what was said, and what it comes to. Voices come in the order of their times.
#[test]
fn what_is_said_and_what_it_comes_to() {
    use State::{Counts, Expired, Idle, NotYet, Overreach, Revoked, Superseded};
    let mismatch = |part| State::Mismatch(vec![part]);
    let other = || Digest::of(b"other");
    let (validity, day) = (i64::try_from(VALIDITY).unwrap(), 86_400);
    let long = |word: Word| Word { validity: 10 * VALIDITY, ..word };
    let brief = |word: Word| Word { validity: 60, ..word };
    let mine = yes(ALICE).at(-90);
    let my_no = no(ALICE).at(-90);
    let table: Vec<(&str, Vec<Word>, Vec<State>)> = vec![
        ("nothing", vec![], vec![]),
        ("a yes", vec![yes(ALICE)], vec![Counts]),
        ("expired by its own word", vec![brief(yes(ALICE)).at(-60)], vec![Expired]),
        ("a second before its own end", vec![brief(yes(ALICE)).at(-59)], vec![Counts]),
        ("expired by the policy", vec![long(yes(ALICE)).at(-validity)], vec![Expired]),
        ("a second before the policy's end", vec![long(yes(ALICE)).at(1 - validity)], vec![Counts]),
        ("a clock ahead a little", vec![yes(ALICE).at(300)], vec![Counts]),
        ("a clock ahead too far", vec![yes(ALICE).at(301)], vec![NotYet]),
        ("for another manifest", vec![yes(ALICE).about(|a| a.manifest = other())], vec![mismatch(Part::Manifest)]),
        ("for another summary", vec![yes(ALICE).about(|a| a.summary = other())], vec![mismatch(Part::PlanSummary)]),
        ("for another plan", vec![yes(ALICE).about(|a| a.plan = other())], vec![mismatch(Part::Plan)]),
        (
            "for another project",
            vec![yes(ALICE).about(|a| a.project = ProjectName::new("x").unwrap())],
            vec![mismatch(Part::Project)],
        ),
        (
            "for another environment",
            vec![yes(ALICE).about(|a| a.environment = EnvironmentName::new("x").unwrap())],
            vec![mismatch(Part::Environment)],
        ),
        (
            "for another change",
            vec![yes(ALICE).about(|a| a.change = ChangeId::new("CHG-2").unwrap())],
            vec![mismatch(Part::Change)],
        ),
        ("revoked", vec![mine.clone(), mine.revoked_by(ALICE)], vec![Revoked, Counts]),
        ("revoked with the other key", vec![mine.clone(), mine.revoked_by(ALICE_2)], vec![Revoked, Counts]),
        ("revoked by somebody else", vec![mine.clone(), mine.revoked_by(BOB)], vec![Counts, Idle]),
        (
            "a revocation revoked",
            vec![mine.clone(), mine.revoked_by(ALICE).at(-80), mine.revoked_by(ALICE).at(-80).revoked_by(ALICE)],
            vec![Revoked, Counts, Idle],
        ),
        (
            "revoked, then said again",
            vec![mine.clone(), mine.revoked_by(ALICE), yes(ALICE).at(-30)],
            vec![Revoked, Counts, Counts],
        ),
        ("a no", vec![no(ALICE)], vec![Counts]),
        ("an old no", vec![brief(no(ALICE)).at(-day)], vec![Counts]),
        ("a no to another plan", vec![no(ALICE).about(|a| a.plan = other())], vec![Counts]),
        ("a no to another build", vec![no(ALICE).about(|a| a.manifest = other())], vec![mismatch(Part::Manifest)]),
        ("a no and another's yes", vec![my_no.clone(), yes(BOB)], vec![Counts, Counts]),
        ("a no taken back", vec![my_no.clone(), my_no.revoked_by(ALICE)], vec![Revoked, Counts]),
        ("a no taken back by another", vec![my_no.clone(), my_no.revoked_by(BOB)], vec![Counts, Idle]),
        ("two keys of one person", vec![yes(ALICE).at(-90), yes(ALICE_2)], vec![Superseded, Counts]),
        ("two people", vec![yes(ALICE).at(-90), yes(BOB)], vec![Counts, Counts]),
        ("the bot", vec![yes(BOT)], vec![Counts]),
        ("the bot's no", vec![no(BOT).at(-90), yes(ALICE)], vec![Counts, Counts]),
        ("the bot's rollback", vec![yes(BOT).rollback()], vec![Overreach]),
        ("a person's rollback", vec![yes(ALICE).rollback()], vec![Counts]),
    ];
    for (case, words, expected) in table {
        let found: Vec<_> = standing(&words, &[]).voices.into_iter().map(|voice| voice.state).collect();
        assert_eq!(found, expected, "{case}");
        assert_gates_agree(&words, &[]);
    }
}

#[test]
fn an_author_does_not_approve_their_own_change() {
    let words = [yes(ALICE).at(-90), yes(BOB)];
    let standing = standing(&words, &["github:alice"]);
    let by_author = State::ByAuthor("github:alice".to_owned());
    assert_eq!(states(&standing), [("alice".to_owned(), by_author), ("bob".to_owned(), State::Counts)]);
    assert_eq!(standing.to_name(Lifts::default()), [words[1].digest()]);
    assert_gates_agree(&words, &["github:alice"]);
}

/// Both sign the same bytes. Naming them is refused once one of the signatures doesn't count.
#[test]
fn a_statement_of_two_is_as_good_as_the_worse() {
    let both = [yes(ALICE), yes(BOB)];
    assert_eq!(both[0].digest(), both[1].digest());
    assert_eq!(standing(&both, &[]).people().len(), 2);
    assert_gates_agree(&both, &[]);
    let spoiled = [yes(ALICE), yes(BOB), yes(BOB).revoked_by(BOB).at(-30)];
    let alice = Voter::Person(PersonName::new("alice").unwrap());
    let found = standing(&spoiled, &[]);
    let of_alice = found.voices.iter().find(|voice| voice.voter == alice).unwrap();
    assert!(matches!(&of_alice.state, State::Spoiled(voter) if voter.to_string() == "bob"), "{found:#?}");
    assert_eq!(found.to_name(Lifts::default()), []);
    assert_gates_agree(&spoiled, &[]);
}

#[test]
fn a_lift_leaves_out_whoever_does_not_carry_it() {
    let words = [yes(ALICE).rollback(), yes(BOB), yes(BOT)];
    let standing = standing(&words, &[]);
    let named = |rollback, emergency| standing.to_name(Lifts { rollback, emergency });
    assert_eq!(named(false, false).len(), 2, "bob and the bot sign the same statement");
    assert_eq!(BTreeSet::from_iter(named(true, false)), BTreeSet::from([words[0].digest(), words[2].digest()]));
    assert_eq!(named(false, true), [words[2].digest()]);
}

#[test]
fn keys_of_nobody_are_not_heard() {
    let build = Statement::new(vec![], manifest_schema::statement::Build { built_at: now() });
    let mut envelopes = envelopes(&[yes(STRANGER), yes(BUILDER), no(STRANGER)]);
    envelopes.push(build.sign(&key(ALICE)).unwrap().envelope);
    envelopes.push(b"junk".to_vec());
    let standing = Standing::of(&policy(), &about(), &BTreeSet::new(), &envelopes, now()).unwrap();
    assert_eq!(standing.voices, []);
    let claimed: Vec<_> = standing.unheard.iter().map(|unheard| unheard.claimed_keys.clone()).collect();
    let id = |seed| vec![key(seed).public().id().to_string()];
    assert_eq!(claimed, [id(STRANGER), id(BUILDER), id(STRANGER), id(ALICE), vec![]]);
    let named: Vec<_> = standing.unheard.iter().filter_map(|unheard| unheard.statement).take(2).collect();
    assert_eq!(named, [yes(STRANGER).digest(), yes(BUILDER).digest()]);
    assert_eq!(standing.unheard[4].statement, None);
}

#[test]
fn the_same_envelope_twice_is_one_voice() {
    let standing = standing(&[yes(ALICE), yes(ALICE)], &[]);
    assert_eq!(states(&standing), [("alice".to_owned(), State::Counts)]);
    assert_eq!(standing.voices[0].until, Some(now().plus_seconds(VALIDITY - 60)));
}

#[test]
fn an_environment_that_the_policy_does_not_know_is_an_error() {
    let elsewhere = About { environment: EnvironmentName::new("staging").unwrap(), ..about() };
    let error = Standing::of(&policy(), &elsewhere, &BTreeSet::new(), &[], now()).unwrap_err();
    assert_eq!(error.to_string(), "the trust policy knows production, not staging");
}

/// Any few words by anybody, each about this or something else, some taking back or signing too
/// what was said before.
fn words() -> impl Strategy<Value = Vec<Word>> {
    let signer = prop::sample::select(vec![ALICE, ALICE_2, BOB, BOT, BUILDER, STRANGER]);
    let kind = (0..6u8, any::<prop::sample::Index>(), 0..12u8);
    let time = (prop::sample::select(vec![-3700i64, -3600, -90, -60, 0, 300, 301]), any::<bool>());
    prop::collection::vec((signer, kind, time), 0..7).prop_map(|drawn| {
        let mut words: Vec<Word> = Vec::new();
        for (signer, (kind, index, part), (at, rollback)) in drawn {
            let word = match kind {
                // The very same statement, signed by another.
                3 if !words.is_empty() => {
                    words.push(Word { signer, ..index.get(&words).clone() });
                    continue;
                }
                0 | 1 if !words.is_empty() => index.get(&words).revoked_by(signer),
                2 => no(signer),
                _ => Word { ballot: Ballot { rollback, ..yes(signer).ballot }, ..yes(signer) },
            };
            let other = Digest::of(b"other");
            words.push(word.at(at).about(|about| match part {
                0 => about.manifest = other,
                1 => about.summary = other,
                2 => about.plan = other,
                3 => about.change = ChangeId::new("CHG-2").unwrap(),
                4 => about.project = ProjectName::new("x").unwrap(),
                5 => about.environment = EnvironmentName::new("x").unwrap(),
                _ => {}
            }));
        }
        words
    })
}

proptest! {
    #[test]
    fn the_gates_agree_about_anything(words in words(), authored: bool) {
        assert_gates_agree(&words, if authored { &["github:bob"] } else { &[] });
    }
}
