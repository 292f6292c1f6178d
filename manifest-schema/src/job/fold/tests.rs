//! Events of every order and kind, what they fold to, and which of them no worker could have written.

use proptest::prelude::*;

use super::*;
use crate::job::event::{JobEventSchema, Writer};
use crate::names::GroupName;
use crate::reason::Code;

fn id() -> JobId {
    JobId::new(at(0), [7; 10])
}

fn at(second: u32) -> Timestamp {
    Timestamp::from_millis(1_795_000_000_000 + i64::from(second) * 1000).unwrap()
}

fn gateway() -> Writer {
    Writer { kind: WriterKind::Gateway, id: "gateway".to_owned(), nonce: "n".to_owned() }
}

fn worker(id: &str) -> Writer {
    Writer { kind: WriterKind::Worker, id: id.to_owned(), nonce: "n".to_owned() }
}

fn task(arn: &str) -> TaskId {
    TaskId::Ecs { arn: arn.to_owned() }
}

/// Who writes it, when the test doesn't say.
fn writer_of(happening: &Happening) -> Writer {
    match happening {
        Happening::Requested | Happening::Started { .. } | Happening::CancelRequested => gateway(),
        Happening::Began { .. }
        | Happening::Verified { .. }
        | Happening::Fetched { .. }
        | Happening::Planned { .. }
        | Happening::Checked
        | Happening::Claimed { .. }
        | Happening::Intent { .. }
        | Happening::Done { .. }
        | Happening::StepFailed { .. }
        | Happening::StepRolledBack { .. }
        | Happening::Recorded { .. }
        | Happening::Progress { .. }
        | Happening::Ended { .. } => worker("w"),
    }
}

/// The event that would come next in `job`'s chain.
fn next(job: &Job, writer: Writer, event: Happening) -> Event {
    let number = job.number() + 1;
    Event { schema: JobEventSchema, job: id(), number, previous: job.last(), at: at(number), writer, event }
}

fn say(job: &mut Job, happening: Happening) -> Result<(), FoldError> {
    let event = next(job, writer_of(&happening), happening);
    job.take(&event)
}

/// A job of which these things happened, all legal.
fn job(action: Action, happenings: &[Happening]) -> Job {
    let mut job = Job::new(id(), action);
    for happening in happenings {
        say(&mut job, happening.clone()).unwrap();
    }
    job
}

fn reason() -> Reason {
    Reason::new(Code::ServiceFailed, "unhealthy")
}

const REQUESTED: Happening = Happening::Requested;
const CHECKED: Happening = Happening::Checked;
const CLAIMED: Happening = Happening::Claimed { claim: 1 };
const FETCHED: Happening = Happening::Fetched { blobs: 3, bytes: 9 };
const CANCEL: Happening = Happening::CancelRequested;

fn started() -> Happening {
    Happening::Started { task: task("launched") }
}

fn began() -> Happening {
    Happening::Began { task: task("running"), version: "1".to_owned() }
}

fn verified() -> Happening {
    Happening::Verified { policy: 1, warnings: vec![Reason::new(Code::FreezeActive, "sale")] }
}

fn planned() -> Happening {
    Happening::Planned { plan: Digest::of(b"plan"), changes: 1, findings: 0 }
}

fn intent(step: u32) -> Happening {
    Happening::Intent { step, name: format!("step {step}"), group: None }
}

fn together(step: u32, group: &str) -> Happening {
    Happening::Intent { step, name: format!("step {step}"), group: GroupName::new(group).ok() }
}

fn done(step: u32) -> Happening {
    Happening::Done { step }
}

fn failed(step: u32) -> Happening {
    Happening::StepFailed { step, reason: reason() }
}

fn recorded(outcome: Outcome) -> Happening {
    Happening::Recorded { sequence: 4, outcome }
}

fn progress() -> Happening {
    Happening::Progress { lines: vec!["on it".to_owned()] }
}

fn ended(outcome: JobOutcome) -> Happening {
    Happening::Ended { outcome, reasons: vec![reason()] }
}

/// Everything up to and including the claim.
fn claimed() -> Vec<Happening> {
    vec![REQUESTED, started(), began(), verified(), FETCHED, CHECKED, CLAIMED]
}

fn after(mut before: Vec<Happening>, then: &[Happening]) -> Vec<Happening> {
    before.extend_from_slice(then);
    before
}

#[test]
fn the_phases_of_a_job_follow_its_events() {
    type Story = (Action, Vec<(Happening, Phase)>);
    let plan = |action| -> Story {
        let story = vec![
            (REQUESTED, Phase::Requested),
            (started(), Phase::Requested),
            (began(), Phase::Verifying),
            (progress(), Phase::Verifying),
            (verified(), Phase::Fetching),
            (FETCHED, Phase::Planning),
            (planned(), Phase::Planned),
            (ended(JobOutcome::Succeeded), Phase::Ended),
        ];
        (action, story)
    };
    let apply = vec![
        (REQUESTED, Phase::Requested),
        (began(), Phase::Verifying),
        (started(), Phase::Verifying),
        (verified(), Phase::Fetching),
        (FETCHED, Phase::Planning),
        (CHECKED, Phase::Claiming),
        (CLAIMED, Phase::Applying),
        (intent(1), Phase::Applying),
        (CANCEL, Phase::Applying),
        (progress(), Phase::Applying),
        (done(1), Phase::Applying),
        (intent(3), Phase::Applying),
        (done(3), Phase::Applying),
        (recorded(Outcome::Succeeded), Phase::Recorded),
        (ended(JobOutcome::Succeeded), Phase::Ended),
    ];
    for (action, story) in [plan(Action::Plan), plan(Action::Drift), (Action::Apply, apply)] {
        let mut job = Job::new(id(), action);
        assert_eq!((job.phase(), job.since(), job.number(), job.last()), (Phase::Requested, None, 0, None));
        let (mut phase, mut since) = (Phase::Requested, at(1));
        for (number, (happening, expected)) in (1..).zip(story) {
            say(&mut job, happening.clone()).unwrap();
            if expected != phase {
                (phase, since) = (expected, at(number));
            }
            assert_eq!(
                (job.phase(), job.since(), job.number()),
                (phase, Some(since), number),
                "{action}: {happening:?}"
            );
        }
        assert_eq!(job.ended().map(|(outcome, _)| outcome), Some(JobOutcome::Succeeded));
        assert_eq!(job.warnings().len(), 1);
        assert_eq!(job.plan().is_some(), action != Action::Apply);
    }
}

#[test]
fn a_worker_says_more_exactly_what_runs_it_than_the_gateway() {
    assert_eq!(job(Action::Plan, &[REQUESTED]).task(), None);
    assert_eq!(job(Action::Plan, &[REQUESTED, started()]).task(), Some(&task("launched")));
    assert_eq!(job(Action::Plan, &[REQUESTED, started(), began()]).task(), Some(&task("running")));
    assert_eq!(job(Action::Plan, &[REQUESTED, began(), started()]).task(), Some(&task("running")));
    assert_eq!(job(Action::Plan, &[REQUESTED, began()]).worker(), Some("w"));
}

#[test]
fn a_failed_apply_tells_what_became_of_each_step() {
    let story = after(
        claimed(),
        &[intent(1), done(1), intent(2), failed(2), recorded(Outcome::RolledBack), ended(JobOutcome::RolledBack)],
    );
    let job = job(Action::Apply, &story);
    assert_eq!(job.steps(), [(1, StepState::Done), (2, StepState::Failed(reason()))]);
    assert_eq!(job.recorded(), Some((4, Outcome::RolledBack)));
    assert_eq!(job.ended(), Some((JobOutcome::RolledBack, &[reason()][..])));
    assert!(!job.is_cancelling());
}

#[test]
fn steps_of_a_group_are_open_at_the_same_time() {
    let (two, three) = (together(2, "web"), together(3, "web"));
    let all_open = after(claimed(), &[intent(1), done(1), two, three]);
    let both = job(Action::Apply, &all_open);
    assert_eq!(both.steps()[1..], [(2, StepState::Open), (3, StepState::Open)]);
    let over = job(Action::Apply, &after(all_open.clone(), &[done(3), done(2), intent(4), done(4)]));
    assert!(over.steps().iter().all(|(_, state)| *state == StepState::Done));
    let back = |step| Happening::StepRolledBack { step, reason: reason() };
    let gone_back = job(Action::Apply, &after(all_open, &[back(2), failed(3)]));
    assert_eq!(gone_back.steps()[1..], [(2, StepState::RolledBack(reason())), (3, StepState::Failed(reason()))]);
}

/// Ends that are no success: by whom, and how far the job had come.
#[test]
fn a_job_can_end_badly_from_anywhere() {
    let open = after(claimed(), &[intent(1)]);
    for (case, story, writer, outcome) in [
        ("refused by a gate", vec![REQUESTED, began()], worker("w"), JobOutcome::Refused),
        ("refused at the lease", after(claimed(), &[])[..6].to_vec(), worker("w"), JobOutcome::Refused),
        ("cancelled before a worker took it", vec![REQUESTED, CANCEL], gateway(), JobOutcome::Cancelled),
        ("failed while fetching", vec![REQUESTED, began(), verified()], worker("w"), JobOutcome::Failed),
        ("died before it began", vec![REQUESTED, started()], gateway(), JobOutcome::Interrupted),
        ("died in a step", open.clone(), gateway(), JobOutcome::Interrupted),
        ("died after it had recorded", after(open, &[recorded(Outcome::Failed)]), gateway(), JobOutcome::Failed),
    ] {
        let mut job = job(Action::Apply, &story);
        let event = next(&job, writer, ended(outcome));
        job.take(&event).unwrap_or_else(|error| panic!("{case}: {error}"));
        assert_eq!((job.phase(), job.ended().unwrap().0), (Phase::Ended, outcome), "{case}");
    }
}

/// What can't happen, each after a legal start.
#[test]
fn illegal_transitions_are_refused_and_change_nothing() {
    use Action::{Apply, Drift, Plan};
    let began_only = vec![REQUESTED, began()];
    let checked = claimed()[..6].to_vec();
    let open = after(claimed(), &[intent(2)]);
    let one_failed = after(claimed(), &[intent(1), failed(1)]);
    let plan_made = vec![REQUESTED, began(), verified(), FETCHED, planned()];
    let cases: Vec<(&str, Action, Vec<Happening>, Happening)> = vec![
        ("begins without a request", Plan, vec![], began()),
        ("starts without a request", Plan, vec![], started()),
        ("is cancelled without a request", Plan, vec![], CANCEL),
        ("ends without a request", Plan, vec![], ended(JobOutcome::Failed)),
        ("is requested twice", Plan, vec![REQUESTED], REQUESTED),
        ("begins twice", Plan, began_only.clone(), began()),
        ("progresses without a worker", Plan, vec![REQUESTED], progress()),
        ("ends by a worker that didn't take it", Plan, vec![REQUESTED], ended(JobOutcome::Failed)),
        ("is verified before it begins", Plan, vec![REQUESTED], verified()),
        ("is verified twice", Plan, vec![REQUESTED, began(), verified()], verified()),
        ("fetches before it is verified", Plan, began_only.clone(), FETCHED),
        ("plans before it has fetched", Plan, vec![REQUESTED, began(), verified()], planned()),
        ("checks before it has fetched", Apply, vec![REQUESTED, began(), verified()], CHECKED),
        ("an apply that plans", Apply, checked[..5].to_vec(), planned()),
        ("a plan that checks", Plan, plan_made[..4].to_vec(), CHECKED),
        ("a drift that checks", Drift, plan_made[..4].to_vec(), CHECKED),
        ("a plan that claims", Plan, plan_made.clone(), CLAIMED),
        ("a plan that does a step", Plan, plan_made.clone(), intent(1)),
        ("claims what it has not checked", Apply, checked[..5].to_vec(), CLAIMED),
        ("claims twice", Apply, claimed(), CLAIMED),
        ("does a step before it has claimed", Apply, checked.clone(), intent(1)),
        ("does a step while another is open", Apply, open.clone(), intent(3)),
        ("does a step beside one of no group", Apply, open.clone(), together(3, "web")),
        ("does a step beside those of a group", Apply, after(claimed(), &[together(2, "web")]), intent(3)),
        ("does a step of a group beside another", Apply, after(claimed(), &[together(2, "web")]), together(3, "api")),
        ("does a step of a group twice", Apply, after(claimed(), &[together(2, "web")]), together(2, "web")),
        (
            "goes on with a group of which one has failed",
            Apply,
            after(claimed(), &[together(1, "web"), together(2, "web"), failed(1)]),
            together(3, "web"),
        ),
        (
            "records a success while one of a group is open",
            Apply,
            after(claimed(), &[together(1, "web"), together(2, "web"), done(2)]),
            recorded(Outcome::Succeeded),
        ),
        ("does a step twice", Apply, after(open.clone(), &[done(2)]), intent(2)),
        ("goes back a step", Apply, after(open.clone(), &[done(2)]), intent(1)),
        ("goes on after a failed step", Apply, one_failed.clone(), intent(2)),
        ("ends a step that isn't open", Apply, claimed(), done(1)),
        ("ends another step than is open", Apply, open.clone(), done(1)),
        ("ends a step twice", Apply, after(open.clone(), &[done(2)]), done(2)),
        ("fails a step that is done", Apply, after(open.clone(), &[done(2)]), failed(2)),
        ("records before it has claimed", Apply, checked.clone(), recorded(Outcome::Failed)),
        ("records twice", Apply, after(claimed(), &[recorded(Outcome::Failed)]), recorded(Outcome::Failed)),
        ("records a success with an open step", Apply, open.clone(), recorded(Outcome::Succeeded)),
        ("records a success with a failed step", Apply, one_failed.clone(), recorded(Outcome::Succeeded)),
        ("does a step after it has recorded", Apply, after(claimed(), &[recorded(Outcome::Failed)]), intent(1)),
        ("succeeds at once", Plan, vec![REQUESTED, began()], ended(JobOutcome::Succeeded)),
        ("succeeds without a plan", Plan, plan_made[..4].to_vec(), ended(JobOutcome::Succeeded)),
        ("succeeds without a record", Apply, after(open.clone(), &[done(2)]), ended(JobOutcome::Succeeded)),
        (
            "succeeds after a record of failure",
            Apply,
            after(one_failed.clone(), &[recorded(Outcome::Failed)]),
            ended(JobOutcome::Succeeded),
        ),
        ("is refused after a step", Apply, open.clone(), ended(JobOutcome::Refused)),
        ("is rolled back without saying so", Apply, one_failed, ended(JobOutcome::RolledBack)),
        ("says of itself that it died", Apply, open, ended(JobOutcome::Interrupted)),
        ("progresses after the end", Plan, vec![REQUESTED, began(), ended(JobOutcome::Failed)], progress()),
        ("is cancelled after the end", Plan, vec![REQUESTED, began(), ended(JobOutcome::Failed)], CANCEL),
        ("ends twice", Plan, vec![REQUESTED, began(), ended(JobOutcome::Failed)], ended(JobOutcome::Failed)),
    ];
    for (case, action, story, then) in cases {
        let mut job = job(action, &story);
        let before = job.clone();
        let error = say(&mut job, then).expect_err(case);
        assert_eq!((error.job, error.number), (id(), before.number() + 1), "{case}");
        assert_eq!(job, before, "{case}: changed the job");
    }
}

/// Each event is for the gateway or for the worker to write; an end is for both.
#[test]
fn nobody_writes_the_others_events() {
    for (case, action, story, writer, then) in [
        ("a worker requests", Action::Plan, vec![], worker("w"), REQUESTED),
        ("a worker cancels", Action::Plan, vec![REQUESTED], worker("w"), CANCEL),
        ("a worker starts", Action::Plan, vec![REQUESTED], worker("w"), started()),
        ("the gateway begins", Action::Plan, vec![REQUESTED], gateway(), began()),
        ("the gateway verifies", Action::Plan, vec![REQUESTED, began()], gateway(), verified()),
        ("the gateway plans", Action::Plan, vec![REQUESTED, began(), verified(), FETCHED], gateway(), planned()),
        ("the gateway does a step", Action::Apply, claimed(), gateway(), intent(1)),
        ("the gateway records", Action::Apply, claimed(), gateway(), recorded(Outcome::Failed)),
        ("another worker goes on", Action::Plan, vec![REQUESTED, began()], worker("x"), verified()),
        ("another worker does a step", Action::Apply, claimed(), worker("x"), intent(1)),
        ("another worker ends it", Action::Plan, vec![REQUESTED, began()], worker("x"), ended(JobOutcome::Failed)),
    ] {
        let mut job = job(action, &story);
        let event = next(&job, writer, then);
        let before = job.clone();
        assert!(job.take(&event).is_err(), "{case}");
        assert_eq!(job, before, "{case}: changed the job");
    }
}

/// Threat model, rows 17 and 41: no event can be changed, dropped, doubled or slipped in.
#[test]
fn a_broken_chain_is_refused() {
    type Break = fn(&mut Event);
    let breaks: [(&str, Break, &str); 8] = [
        ("another hash", |e| e.previous = Some(Digest::of(b"other")), "hash of the event before"),
        ("no hash", |e| e.previous = None, "hash of the event before"),
        ("a gap", |e| e.number += 1, "comes after event 2"),
        ("the same number again", |e| e.number -= 1, "comes after event 2"),
        ("number 0", |e| e.number = 0, "comes after event 2"),
        ("the highest number", |e| e.number = u32::MAX, "comes after event 2"),
        ("another job", |e| e.job = JobId::new(at(0), [8; 10]), "is of job"),
        ("another worker", |e| e.writer.id = "x".to_owned(), "of another worker"),
    ];
    for (case, broken, expected) in breaks {
        let mut job = job(Action::Plan, &[REQUESTED, began()]);
        let mut event = next(&job, worker("w"), verified());
        broken(&mut event);
        let error = job.take(&event).expect_err(case).to_string();
        assert!(error.contains(expected), "{case}: {error}");
    }
    // A change in an event that was taken shows in the next.
    let mut job = job(Action::Plan, &[REQUESTED]);
    let mut altered = Job::new(id(), Action::Plan);
    let mut first = next(&altered, gateway(), REQUESTED);
    first.writer.nonce = "other".to_owned();
    altered.take(&first).unwrap();
    let second = next(&altered, worker("w"), began());
    assert!(job.take(&second).is_err());
}

fn happenings() -> impl Strategy<Value = Happening> {
    let outcome = prop::sample::select(vec![
        Outcome::Succeeded,
        Outcome::Failed,
        Outcome::RolledBack,
        Outcome::Cancelled,
        Outcome::Interrupted,
    ]);
    let job_outcome = prop::sample::select(vec![
        JobOutcome::Succeeded,
        JobOutcome::Refused,
        JobOutcome::Failed,
        JobOutcome::RolledBack,
        JobOutcome::Cancelled,
        JobOutcome::Interrupted,
    ]);
    let fixed = [REQUESTED, CHECKED, CLAIMED, FETCHED, CANCEL, started(), began(), verified(), planned(), progress()];
    prop_oneof![
        5 => prop::sample::select(fixed.to_vec()),
        3 => (1..4u32).prop_map(intent),
        3 => (1..4u32).prop_map(done),
        1 => (1..4u32).prop_map(failed),
        1 => outcome.prop_map(recorded),
        1 => job_outcome.prop_map(ended),
    ]
}

fn actions() -> impl Strategy<Value = Action> {
    prop::sample::select(vec![Action::Plan, Action::Apply, Action::Drift])
}

proptest! {
    /// Whatever is offered, what was taken folds to the same state again, event by event, from its stored bytes.
    #[test]
    fn what_was_taken_folds_again(
        action in actions(),
        start in 0..8usize,
        offered in prop::collection::vec((happenings(), prop::sample::select(vec!["w", "x"])), 0..40),
    ) {
        // A random walk rarely gets far: begin somewhere along a legal one.
        let along = claimed()[..start.min(if action == Action::Apply { 7 } else { 5 })].to_vec();
        let mut job = Job::new(id(), action);
        let mut taken = Vec::new();
        let along = along.into_iter().map(|happening| (happening, "w"));
        for (happening, id) in along.chain(offered) {
            let writer = match writer_of(&happening).kind {
                WriterKind::Gateway => gateway(),
                WriterKind::Worker => worker(id),
            };
            let event = next(&job, writer, happening);
            let before = job.clone();
            match job.take(&event) {
                Ok(()) => taken.push(event.to_bytes()),
                Err(_) => prop_assert_eq!(&job, &before),
            }
        }
        let mut again = Job::new(id(), action);
        for bytes in &taken {
            again.take(&Event::from_bytes(bytes).unwrap()).unwrap();
        }
        prop_assert_eq!(&again, &job);
        prop_assert!(job.steps().windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 == StepState::Done));
        let succeeded = job.ended().is_some_and(|(outcome, _)| outcome == JobOutcome::Succeeded);
        if succeeded && action == Action::Apply {
            prop_assert!(job.steps().iter().all(|(_, state)| *state == StepState::Done));
        }
    }
}
