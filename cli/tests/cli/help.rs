//! `--help` of every command there is.

use crate::world::{World, assert_seen};

/// Names of the commands that a help text lists.
fn listed(help: &str) -> Vec<String> {
    let section = help.split("Commands:\n").nth(1).unwrap_or_default();
    let lines = section.lines().take_while(|line| !line.is_empty());
    // A name stands at two blanks; what wrapped from the line before stands further right.
    let names = lines.filter_map(|line| line.strip_prefix("  ").filter(|rest| !rest.starts_with(' ')));
    names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").map(str::to_owned).collect()
}

fn walk(world: &World, path: &[String], visit: &mut dyn FnMut(&[String], &str)) {
    let mut arguments: Vec<&str> = path.iter().map(String::as_str).collect();
    arguments.push("--help");
    let help = world.ok(&arguments).stdout;
    visit(path, &help);
    for name in listed(&help) {
        walk(world, &[path, &[name]].concat(), visit);
    }
}

#[test]
fn every_command_has_help() {
    let world = World::empty();
    walk(&world, &[], &mut |path, help| {
        let name = if path.is_empty() { "help".to_owned() } else { format!("help_{}", path.join("_")) };
        assert_seen!(name, help);
    });
}

#[test]
fn the_commands_that_scripts_rely_on_are_there() {
    let world = World::empty();
    let mut found = Vec::new();
    walk(&world, &[], &mut |path, _| found.push(path.join(" ")));
    for command in ["key generate", "manifest build", "manifest sign", "manifest verify", "manifest diff", "publish"] {
        assert!(found.iter().any(|name| name == command), "{command} is missing from {found:?}");
    }
}

#[test]
fn no_command_at_all_is_a_usage_error() {
    assert_seen!(World::empty().transcript(&["publsh"]));
}

#[test]
fn the_version_is_told() {
    let ran = World::empty().ok(&["--version"]);
    assert_eq!(ran.stdout, format!("airlock {}\n", env!("CARGO_PKG_VERSION")));
}
