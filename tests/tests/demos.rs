//! The stories that people are shown, from their first line to their last.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed helper is a failed test")]

use std::path::Path;
use std::process::Command;

/// Runs a demo with the programs that the tests use; it ends by itself if anything in it isn't as it says.
fn tells(name: &str, last: &str) {
    let scratch = tempfile::TempDir::new().unwrap();
    let weed = emulators::tool("weed");
    let tools = weed.ancestors().nth(2).expect("TOOLS/bin/weed");
    let mut demo = Command::new("sh");
    demo.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name));
    demo.env("AIRLOCK_BIN", flows::programs()).env("AIRLOCK_TOOLS", tools).env("AIRLOCK_TERRAFORM", flows::terraform());
    demo.env("TMPDIR", scratch.path()).env("TF_CLI_CONFIG_FILE", "/dev/null");
    let told = demo.output().expect("there is a shell");
    let text = format!("{}{}", String::from_utf8_lossy(&told.stdout), String::from_utf8_lossy(&told.stderr));
    assert!(told.status.success(), "{text}");
    assert!(text.contains(last), "{text}");
}

#[test]
fn the_story_on_one_machine() {
    tells("demo.sh", "refused: plan.edited");
}

#[test]
fn the_story_across_two_accounts() {
    tells("demo-aws.sh", "refused: manifest.rollback");
}
