//! Programs that `make test-tools` installs.

use std::path::{Path, PathBuf};

/// A program of `TARGET/tools/bin`, where `TARGET` is what this test was built into.
///
/// # Panics
/// When it isn't there.
pub fn tool(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("this program has a path");
    let found = test.ancestors().map(|directory| directory.join("tools/bin").join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{name} is missing: run `make test-tools`, which installs it for the tests"))
}

/// A program of the system's.
///
/// # Panics
/// When `PATH` doesn't have it.
pub fn installed(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|directory| directory.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{name} is missing: install the package {name}, as `make test-tools` says"))
}

/// Whether a file holds this text; a log that isn't there yet holds nothing.
pub(crate) fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
