//! Where the programs are that the flows run.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The directory with `airlock`, `airlock-gateway`, `airlock-worker` and `airlock-leash`: that of the tests' own build.
pub fn directory() -> PathBuf {
    let test = env::current_exe().expect("a test knows its own program");
    // target/debug/deps/test-0123 → target/debug
    let built = test.ancestors().nth(2).expect("a test is built below target/").to_owned();
    for name in ["airlock", "airlock-gateway", "airlock-worker", "airlock-leash"] {
        let program = built.join(name);
        let path = program.display();
        assert!(program.is_file(), "{path} is missing: run `make test`, or `cargo build --bins` first");
    }
    built
}

/// The search path of everything that is run: our programs first.
pub(crate) fn search_path() -> OsString {
    let inherited = env::var_os("PATH").unwrap_or_default();
    let all = std::iter::once(directory()).chain(env::split_paths(&inherited));
    env::join_paths(all).expect("the directories of PATH can be joined again")
}

/// Terraform, or OpenTofu: what `AIRLOCK_TERRAFORM` names, as for the worker, or what is on PATH.
pub fn terraform() -> PathBuf {
    let named = env::var_os("AIRLOCK_TERRAFORM").filter(|named| !named.is_empty());
    let wanted = named.map_or_else(|| vec!["terraform".into(), "tofu".into()], |named| vec![named]);
    let path = env::var_os("PATH").unwrap_or_default();
    let places = |name: &OsString| {
        let inside = env::split_paths(&path).map(|directory| directory.join(name)).collect::<Vec<_>>();
        inside.into_iter().find(|place| place.is_file())
    };
    let found = wanted.iter().find_map(places);
    found.expect("neither terraform nor tofu is on PATH: install one of them, or set AIRLOCK_TERRAFORM to its path")
}

/// The example service that every scratch repository is made from.
pub(crate) fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/hello")
}
