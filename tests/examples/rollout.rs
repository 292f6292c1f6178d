//! How soon a rollout's end is noticed (`make bench-rollout`): from when the tests' ECS ends it to the event in the job that
//! says so, of RUNS (default 5) deploys that succeed and as many whose service goes back. Prints; asserts nothing.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "it is for people, and what fails ends it")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_double::{Fate, Script, ServiceView};
use flows::Services;
use manifest_schema::job::Happening;
use manifest_schema::time::Timestamp;

fn main() {
    let runs: u32 = std::env::var("RUNS").map_or(5, |runs| runs.parse().unwrap());
    println!("rollout, {runs} runs of each");
    let world = Services::new();
    let mut succeeded = Vec::new();
    for run in 0..runs {
        world.change_page(&format!("build {run}"));
        let digest = world.image_digest();
        // One deployment is left, and it is the new one.
        succeeded.push(noticed(&world, move |world, service| {
            let definition = world.double.definition(&service.deployments[0].definition);
            definition.to_string().contains(&digest)
        }));
    }
    told("succeeds", succeeded);
    let mut failed = Vec::new();
    for run in 0..runs {
        let before = world.newest().definition;
        world.change_page(&format!("a build that crashes, {run}"));
        world.next_image(Script::new(Fate::Crash(3)));
        let mut begun = false;
        failed.push(noticed(&world, move |_, service| {
            begun |= service.deployments.len() > 1;
            begun && service.deployments[0].definition == before
        }));
    }
    told("goes back", failed);
}

/// How long after its end a rollout's end is told.
fn noticed(world: &Services, mut is: impl FnMut(&Services, &ServiceView) -> bool) -> Duration {
    let number = world.jobs("apply").len() + 1;
    let deploy = world.start_deploy();
    let ended = loop {
        let service = world.now();
        let fits = is(world, &service);
        if fits && service.deployments.len() == 1 && service.deployments[0].rollout == "COMPLETED" {
            break SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    drop(deploy.end());
    let step =
        |event: &Happening| matches!(event, Happening::Done { step: 2 } | Happening::StepRolledBack { step: 2, .. });
    let events = world.events(&world.job("apply", number));
    let told = events.iter().find(|event| step(&event.event)).unwrap().at;
    since_epoch(told).saturating_sub(ended)
}

fn since_epoch(at: Timestamp) -> Duration {
    Duration::from_millis(at.as_millis().try_into().unwrap())
}

fn told(how: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let [least, median, most] =
        [times[0], times[times.len() / 2], times[times.len() - 1]].map(|time| time.as_secs_f64());
    println!("{how:10}  noticed after {median:.2} s   ({least:.2} to {most:.2})   goal: at most 3 s");
}
