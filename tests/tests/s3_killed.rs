//! `airlock publish` into a bucket, killed with `kill -9` wherever it may be: no pointer ever shows a build that isn't
//! whole, and publishing again makes it whole. `SOAK=n` tries n times as many seeds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed helper is a failed test")]

use std::time::{Duration, Instant};

use emulators::SeaweedFs;
use flows::Scratch;

const BUILDER: &str = ".airlock/keys/builder.pem";
const PUBLIC: &str = ".airlock/keys/builder.pub.pem";

/// Seeds tried at the same time: each run waits for the server now and then.
const LANES: u32 = 3;

fn seeds() -> u32 {
    20 * std::env::var("SOAK").map_or(1, |soak| soak.parse::<u32>().expect("SOAK is a number"))
}

/// A build with files small and large, the largest of them sent in parts, signed and not yet published.
fn prepared(server: &SeaweedFs) -> Scratch {
    let mut scratch = Scratch::new();
    for (name, value) in emulators::credentials() {
        scratch.set(name, value);
    }
    scratch.set("AWS_ENDPOINT_URL", server.endpoint());
    for number in 0..60_u32 {
        scratch.write(&format!("public/{number}.txt"), number.to_string().repeat(1000));
    }
    let period: Vec<u8> = (0..249).collect();
    scratch.write("public/large.bin", period.repeat((17 << 20) / period.len()));
    scratch.commit("Much to send");
    scratch.ok(&["manifest", "build", "--output", "build-manifest.json"]);
    scratch.ok(&["manifest", "sign", "build-manifest.json", "--key", BUILDER, "--output", "build.dsse.json"]);
    scratch
}

fn publish(store: &str) -> [&str; 6] {
    ["publish", "build-manifest.json", "--envelope", "build.dsse.json", "--store", store]
}

/// Tries every seed of one lane; says how many runs were killed before their end.
fn kill(scratch: &Scratch, bucket: &str, lane: u32) -> u32 {
    let begun = Instant::now();
    scratch.ok(&publish(&format!("s3://{bucket}/whole-{lane}")));
    let whole = begun.elapsed();
    let mut unfinished = 0;
    for seed in (lane..seeds()).step_by(LANES as usize) {
        let store = format!("s3://{bucket}/{seed}");
        let verify = ["manifest", "verify", "hello#1", "--deep", "--key", PUBLIC, "--store", &store];
        // A golden section spreads the moments over the whole run, however many there are.
        let share = (f64::from(seed) * 0.618_033_988_75).fract();
        let publishing = scratch.start(&publish(&store));
        std::thread::sleep(whole.mul_f64(share) + Duration::from_millis(1));
        publishing.kill();

        let seen = scratch.airlock(&verify);
        assert!(matches!(seen.code, 0 | 1), "seed {seed}: what is there is shown and not whole\n{}", seen.all());
        unfinished += u32::from(seen.code == 1);
        scratch.ok(&publish(&store));
        scratch.ok(&verify);
    }
    unfinished
}

#[test]
fn a_publish_that_is_killed_anywhere_leaves_nothing_half_and_is_finished_by_the_next() {
    let server = SeaweedFs::start();
    let (scratch, bucket) = (prepared(&server), server.bucket());
    let unfinished: u32 = std::thread::scope(|scope| {
        let lanes: Vec<_> = (0..LANES)
            .map(|lane| {
                let (scratch, bucket) = (&scratch, &bucket);
                scope.spawn(move || kill(scratch, bucket, lane))
            })
            .collect();
        lanes.into_iter().map(|lane| lane.join().unwrap()).sum()
    });
    assert!(unfinished >= seeds() / 4, "hardly any was killed before its end: {unfinished}");
}
