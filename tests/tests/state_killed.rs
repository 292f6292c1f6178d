//! An apply whose Terraform keeps its state in S3 is killed as ECS kills a task, wherever it may be: Terraform dies with
//! its worker, saves nothing and unlocks nothing. Whatever comes next, no step is done twice, nothing is applied that was
//! not approved, state and records agree in the end, and of the locks only that of the dead is gone.
//!
//! `SOAK=n` tries n times as many seeds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed helper is a failed test")]

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use flows::states::STATE;
use flows::{States, wait_until};
use serde_json::{Value, json};

/// Seeds of each lane; a lane is a production of its own.
fn seeds() -> u32 {
    5 * std::env::var("SOAK").map_or(1, |soak| soak.parse::<u32>().expect("SOAK is a number"))
}

/// Tried at the same time: most of it is waiting until a death is found out.
const LANES: u32 = 4;

/// After so many kills in a row a deploy may finish: the dead pile up.
const IN_A_ROW: u32 = 2;

/// For each of three states: ECS takes seconds to stop a task. S3 tells times in whole seconds, and makes a lock when it
/// comes to it, which on a busy machine is after the death of who asked; one that could have been made after its job's
/// end would be left to people.
const TO_STOP: Duration = Duration::from_secs(1);
const PACE: Duration = Duration::from_millis(10);

/// A change of several resources, one after the other, each of which takes a while.
fn change(states: &States, seed: u32) {
    let mut text = String::new();
    let mut before = format!("\"seed {seed}\"");
    for name in ["first", "second", "third", "last"] {
        writeln!(text, "resource \"terraform_data\" \"{name}\" {{\n  input = bcrypt({before}, 9)\n}}").unwrap();
        before = format!("substr(terraform_data.{name}.output, 0, 20)");
    }
    states.write("infra/chain.tf", text);
    states.change_page(&format!("seed {seed}"));
}

/// A deploy whose apply is killed after a share of the time that one takes; gives the job.
fn killed(states: &States, share: f64, whole: Duration) -> String {
    let before = states.jobs("apply").len();
    let deploy = states.start_deploy();
    let job = states.job("apply", before + 1);
    let task = states.task_of(&job);
    std::thread::sleep(whole.mul_f64(share));
    states.double.pace(TO_STOP);
    states.double.kill(&task);
    deploy.kill();
    // Whoever looks at a job whose task has stopped closes it.
    let ended = wait_until("the end of a killed job", || {
        states.airlock(&["get-deploy-job-status", &job]);
        states.story(&job).pop().filter(|word| word.starts_with("ended"))
    });
    states.double.pace(PACE);
    // Or it was quicker.
    assert!(matches!(ended.as_str(), "ended interrupted" | "ended succeeded"), "{job}: {ended}");
    job
}

/// From the moment that its task is known to its end.
fn clean(states: &States) -> Duration {
    let before = states.jobs("apply").len();
    let deploy = states.start_deploy();
    let job = states.job("apply", before + 1);
    states.task_of(&job);
    let begun = Instant::now();
    wait_until("the end", || states.story(&job).last().is_some_and(|word| word.starts_with("ended")).then_some(()));
    let took = begun.elapsed();
    deploy.end().exits(0);
    took
}

/// Whose lock is on the state.
fn locked_as(states: &States) -> Option<Value> {
    states.lock().map(|lock| lock["ID"].clone())
}

/// Tries every seed of one lane; says how many left a lock of their own.
fn lane(lane: u32) -> u32 {
    let states = States::new();
    let other = "states/production/other/terraform.tfstate.tflock";
    let foreign = json!({ "ID": "1", "Who": "ada@laptop" });
    states.bucket.put(&states.cloud, other, &foreign.to_string(), &[]);
    change(&states, 0);
    let whole = clean(&states);
    let mut locks = 0;
    for seed in 1..=seeds() {
        let before = locked_as(&states);
        change(&states, seed);
        // A golden section spreads the moments over the whole run, however many there are.
        let share = (f64::from(seed * LANES + lane) * 0.618_033_988_75).fract();
        let job = killed(&states, share, whole);
        let (story, after) = (states.story(&job), locked_as(&states));
        let context = format!("lane {lane}, seed {seed}, job {job}: {story:?}");
        if after.is_some() && after != before {
            let at_it = story.contains(&"intent 1".to_owned()) && !story.contains(&"done 1".to_owned());
            assert!(at_it, "a lock, and nothing that Terraform had begun: {context}");
            locks += 1;
        } else if story.contains(&"intent 1".to_owned()) {
            assert_eq!(after, None, "a step was begun under the lock of the dead: {context}");
        }
        if seed % IN_A_ROW == 0 {
            // Also if that one was too quick.
            states.change_page(&format!("the end of seed {seed}"));
            clean(&states);
            assert_eq!(states.lock(), None, "{context}");
            let records = states.records();
            let manifest = records.last().unwrap()["manifest"].as_str().unwrap();
            states.expect_consistent_with(manifest, &states.object(STATE).unwrap());
        }
    }
    assert_eq!(states.object(other), Some(foreign), "somebody else's lock");
    locks
}

#[test]
fn an_apply_killed_anywhere_loses_nothing_of_its_state() {
    let locks: u32 = std::thread::scope(|scope| {
        let lanes: Vec<_> = (0..LANES).map(|number| scope.spawn(move || lane(number))).collect();
        // What went wrong was told when it did.
        lanes.into_iter().map(|lane| lane.join().unwrap_or_else(|told| std::panic::resume_unwind(told))).sum()
    });
    assert!(locks >= LANES * seeds() / 10, "hardly any was killed while Terraform applied: {locks}");
}
