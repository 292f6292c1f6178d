//! The worker is killed with `kill -9` wherever it may be; the next deploy finds out, and finishes.
//!
//! Each step has its own test, with two seeds: the first kills the very first deploy right there, further ones kill an
//! update a little later. `SOAK=n` tries n seeds each, one after the other in the same repository.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed helper is a failed test")]

use std::time::Duration;

use flows::Scratch;

/// How many seeds each step has.
fn seeds() -> u64 {
    std::env::var("SOAK").map_or(2, |soak| soak.parse().expect("SOAK is a number"))
}

/// A time below eight milliseconds, about what the rest of a step takes: none for the first seed.
fn delay(seed: u64, at: &str) -> Duration {
    let mixed =
        at.bytes().fold(seed, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17));
    Duration::from_micros(if seed == 0 { 0 } else { mixed % 8000 })
}

fn killed_after(at: &str) {
    let scratch = Scratch::new();
    for seed in 0..seeds() {
        if seed > 0 {
            scratch.change_page(&format!("update {seed}"));
        }
        let before = Before::of(&scratch);
        let deploy = scratch.start_deploy();
        let job = scratch.job("apply", before.applies + 1);
        let died = scratch.kill_worker_after(&job, at, delay(seed, at));
        let first = deploy.end();
        check(&scratch, &before, &job, &format!("seed {seed}: died after {died}\n{}", first.all()), first.code);
    }
}

/// How much there was before a deploy.
struct Before {
    plans: usize,
    applies: usize,
    records: usize,
}

impl Before {
    fn of(scratch: &Scratch) -> Self {
        let (plans, applies) = (scratch.jobs("plan").len(), scratch.jobs("apply").len());
        Self { plans, applies, records: scratch.records().len() }
    }
}

/// What holds once a worker was killed in `job`, and after the next deploy.
fn check(scratch: &Scratch, before: &Before, job: &str, context: &str, first: i32) {
    let story = scratch.story(job);
    let (outcome, codes, text) = scratch.end_of(job);
    let began = story.iter().any(|word| word.starts_with("intent"));
    let last = |kind: &str| story.iter().rposition(|word| word.starts_with(kind));
    let recorded = last("recorded").is_some();
    if recorded {
        assert_eq!((first, outcome.as_str()), (0, "succeeded"), "{context}");
    } else {
        assert_eq!((first, outcome.as_str(), codes), (5, "interrupted", vec!["worker.died".to_owned()]), "{context}");
        let advice = if began { "plan again" } else { "launch again" };
        assert!(text.contains(advice), "{text}");
    }

    // Between the record and the event that tells of it: the record is there, and the journal ends before.
    let silent = !recorded && scratch.records().len() > before.records;
    let next = scratch.deploy();
    assert_eq!(next.code, 0, "{context}\n{}\n{story:?}", next.all());
    let records = scratch.records();
    if began && !recorded && !silent {
        let record = &records[before.records];
        assert_eq!((&record["job"], &record["outcome"]), (&job.into(), &"interrupted".into()), "{context}");
        let unknown = record["steps"].as_array().unwrap().iter().filter(|step| step["outcome"] == "unknown").count();
        let open = usize::from(last("intent") > last("done"));
        assert_eq!(unknown, open, "an open step is unknown, others are not: {record:#}");
        let successor = scratch.jobs("apply").pop().unwrap();
        let told = scratch.progress(&successor);
        assert!(told.iter().any(|line| line.starts_with(&format!("job {job} died: recorded as"))), "{told:?}");
        assert_eq!(scratch.jobs("plan").len(), before.plans + 2, "what was begun is planned again");
    }
    scratch.expect_consistent(records.last().unwrap()["manifest"].as_str().unwrap());
}

macro_rules! killed {
    ($($test:ident: $at:literal,)*) => {$(
        #[test]
        fn $test() {
            killed_after($at);
        }
    )*};
}

killed! {
    a_worker_killed_when_it_was_started: "started",
    a_worker_killed_when_it_has_begun: "began",
    a_worker_killed_when_it_has_verified: "verified",
    a_worker_killed_when_it_has_fetched: "fetched",
    a_worker_killed_when_it_has_checked: "checked",
    a_worker_killed_when_it_has_claimed: "claimed",
    a_worker_killed_when_the_first_step_begins: "intent 1",
    a_worker_killed_when_the_first_step_is_done: "done 1",
    a_worker_killed_when_the_last_step_begins: "intent 2",
    a_worker_killed_when_the_last_step_is_done: "done 2",
    a_worker_killed_when_it_has_recorded: "recorded succeeded",
}

/// The statement is signed before the record is written: a worker may die in between.
#[test]
fn a_statement_about_a_record_that_never_was_is_in_nobodys_way() {
    let scratch = Scratch::new();
    let deploy = scratch.start_deploy();
    let job = scratch.job("apply", 1);
    scratch.kill_worker_after(&job, "done 2", Duration::ZERO);
    let killed = deploy.end();
    if scratch.records().is_empty() {
        let left = scratch.production(&format!("jobs/{job}/deployment/{}.dsse.json", "0".repeat(64)));
        std::fs::create_dir_all(left.parent().unwrap()).unwrap();
        std::fs::write(left, "{}").unwrap();
    }
    let before = Before { plans: 0, applies: 0, records: 0 };
    check(&scratch, &before, &job, &killed.all(), killed.code);
}

#[test]
fn a_plan_launched_by_hand_after_a_death_can_be_applied() {
    let scratch = Scratch::new();
    let deploy = scratch.start_deploy();
    let job = scratch.job("apply", 1);
    scratch.kill_worker_after(&job, "intent 1", Duration::ZERO);
    deploy.kill();
    // Nobody has looked since: the launch of the plan is the first to find the dead job.
    let manifest = scratch.build();
    let planned = scratch.plan_of(&manifest);
    assert_eq!(scratch.end_of(&job).0, "interrupted");
    let yes = scratch.approve(&planned);
    scratch.apply(&planned, &[&yes]).run.exits(0);
    assert_eq!(scratch.records().len(), 2);
    scratch.expect_consistent(&manifest);
}

/// Terraform itself is in the middle of it: what it made is in the state, and is not made again.
#[test]
fn a_worker_killed_in_the_middle_of_an_apply_loses_nothing() {
    let scratch = Scratch::new();
    scratch.slow_infrastructure();
    let deploy = scratch.start_deploy();
    let job = scratch.job("apply", 1);
    flows::wait_until("the first resource", || {
        scratch.progress(&job).iter().any(|line| line.contains("first: create done")).then_some(())
    });
    scratch.kill_worker(&job);
    deploy.end().exits(5).explains(&["worker.died", "in step 1 (terraform infra)", "plan again"]);

    // Terraform was told of the death of its worker, saves its state and ends: the next job waits for that.
    let next = scratch.deploy().exits(0);
    let made = |name: &str| next.stderr.contains(&format!("create   terraform_data.{name}\n"));
    assert!(!made("first") && made("last"), "{}", next.all());
    let records = scratch.records();
    assert_eq!((&records[0]["outcome"], &records[1]["outcome"]), (&"interrupted".into(), &"succeeded".into()));
    scratch.expect_consistent(records[1]["manifest"].as_str().unwrap());
    assert_eq!(scratch.resources().len(), 7);
}
