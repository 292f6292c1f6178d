//! What runs on the leash has nothing that lets it look into the worker.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed helper is a failed test")]

use std::process::Command;

/// `airlock-leash` with a shell that prints what it is told to.
fn on_leash(memory: &str, script: &str) -> String {
    let own = std::process::id().to_string();
    let mut leash = Command::new(env!("CARGO_BIN_EXE_airlock-leash"));
    let ran = leash.args([&own, memory, "/bin/sh", "-c", script]).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

/// Threat model, row 36. A shell's child was run twice more than the leash: nothing comes back by that.
#[test]
fn threat_36_no_capability_is_left_nor_can_be_gained() {
    let status = on_leash("unlimited", "sh -c 'cat /proc/self/status'");
    let field = |name: &str| {
        let line =
            status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{name}: {status}"));
        line.trim().to_owned()
    };
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
        assert_eq!(u64::from_str_radix(&field(set), 16), Ok(0), "{set}");
    }
    assert_eq!(field("NoNewPrivs:"), "1");
    if rustix::process::geteuid().is_root() {
        assert_eq!(u64::from_str_radix(&field("CapBnd:"), 16), Ok(0), "root can empty it");
    }
}

#[test]
fn memory_is_limited_for_all_that_it_runs() {
    let limit = |memory: &str| on_leash(memory, "sh -c 'ulimit -d'").trim().to_owned();
    assert_eq!(limit("64"), (64 * 1024).to_string());
    assert_eq!(limit("unlimited"), "unlimited");
    for wrong in ["", "-1", "64M", "17592186044416"] {
        let own = std::process::id().to_string();
        let ran = Command::new(env!("CARGO_BIN_EXE_airlock-leash")).args([&own, wrong, "/bin/true"]).output().unwrap();
        assert!(String::from_utf8_lossy(&ran.stderr).contains("usage"), "{wrong:?}");
    }
}

#[test]
fn it_runs_nothing_for_another_parent() {
    let mut leash = Command::new(env!("CARGO_BIN_EXE_airlock-leash"));
    let ran = leash.args(["1", "unlimited", "/bin/sh", "-c", "echo ran"]).output().unwrap();
    assert_eq!((ran.status.code(), ran.stdout.as_slice()), (Some(127), &b""[..]));
    assert!(String::from_utf8_lossy(&ran.stderr).contains("the worker is gone"));
}
