//! Whether the root module keeps a variable secret whose value only production knows.
//!
//! Terraform withholds what comes from a variable only if it is declared sensitive. Declarations of one variable can be in
//! several files, of which an override wins, so every word about it counts.

use std::collections::BTreeSet;

use super::files::{self, directory};
use super::read::{self, Entry};
use super::{ConfigFile, Problem, Rule};

/// Where it is reported that nothing declares a variable.
const ROOT: &str = "main.tf";

/// What is wrong with how the root module declares the variables that are given by reference.
///
/// A file that can't be parsed declares nothing; [`super::check`] refuses it.
pub fn check_references<'a>(files: &[ConfigFile<'_>], references: impl IntoIterator<Item = &'a str>) -> Vec<Problem> {
    let references: BTreeSet<&str> = references.into_iter().collect();
    if references.is_empty() {
        return Vec::new();
    }
    let root = files.iter().filter(|file| directory(file.path).is_empty());
    let declarations: Vec<_> = root.flat_map(|file| declarations(file).into_iter().map(|it| (file.path, it))).collect();
    let mut problems: Vec<_> = references.into_iter().flat_map(|name| of_one(name, &declarations)).collect();
    problems.sort();
    problems
}

/// All that a file says about variables.
fn declarations(file: &ConfigFile<'_>) -> Vec<Entry> {
    let read = match files::Kind::of(file.path) {
        files::Kind::Hcl => read::hcl(file),
        files::Kind::Json => read::json(file),
        files::Kind::Lock | files::Kind::Other => return Vec::new(),
    };
    let entries = read.map(|read| read.entries).unwrap_or_default();
    entries.into_iter().filter(|entry| entry.path.first().is_some_and(|first| first == "variable")).collect()
}

fn of_one(name: &str, declarations: &[(&str, Entry)]) -> Vec<Problem> {
    let problem = |file: &str, line, what: &str| Problem {
        file: file.to_owned(),
        line,
        rule: Rule::Reference,
        message: format!("variable {name} is given by reference: {what}"),
    };
    let about = |setting: Option<&'static str>| {
        let wanted: Vec<&str> = ["variable", name].into_iter().chain(setting).collect();
        declarations.iter().filter(move |(_, entry)| entry.steps() == wanted)
    };
    let Some((file, block)) = about(None).next() else {
        return vec![problem(ROOT, None, "declare it in the root module, with `sensitive = true`")];
    };
    let mut problems = Vec::new();
    if about(Some("sensitive")).next().is_none() {
        problems.push(problem(file, Some(block.line), "declare it with `sensitive = true`"));
    }
    for (file, entry) in about(Some("sensitive")).filter(|(_, entry)| entry.boolean != Some(true)) {
        problems.push(problem(file, Some(entry.line), "write `sensitive = true`"));
    }
    for (file, entry) in about(Some("ephemeral")).filter(|(_, entry)| entry.boolean != Some(false)) {
        let what = "it can't be ephemeral, for its value reaches an apply in the saved plan";
        problems.push(problem(file, Some(entry.line), what));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(files: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<_> = files.iter().map(|(path, text)| ConfigFile { path, bytes: text.as_bytes() }).collect();
        check_references(&files, ["password"]).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_variable_that_is_sensitive_may_be_given_by_reference() {
        let declared = "variable \"password\" {\n  type      = string\n  sensitive = true\n}\n";
        let json = r#"{"variable": {"password": {"sensitive": true, "ephemeral": false}}}"#;
        for (path, text) in [("main.tf", declared), ("variables.tofu", declared), ("main.tf.json", json)] {
            assert_eq!(told(&[("other.tf", "locals {}"), (path, text)]), [] as [&str; 0], "{path}");
        }
        let again = "variable \"password\" {\n  default = \"\"\n}\n";
        assert_eq!(told(&[("main.tf", declared), ("main_override.tf", again)]), [] as [&str; 0]);
        assert_eq!(check_references(&[], []), [], "nothing is given by reference");
    }

    #[test]
    fn any_other_is_refused_with_its_line() {
        let declared = ("main.tf", "variable \"password\" {\n  sensitive = true\n}\n");
        let open = "variable \"password\" {\n  sensitive = false\n}\n";
        let undeclared = "main.tf: variable password is given by reference: declare it in the root module";
        let closed = "variable password is given by reference: declare it with `sensitive = true`";
        let write = "variable password is given by reference: write `sensitive = true`";
        for (what, files, expected) in [
            ("undeclared", &[("main.tf", "variable \"other\" {\n  sensitive = true\n}")][..], undeclared),
            ("declared elsewhere", &[("modules/db/main.tf", declared.1)], undeclared),
            ("in a file that isn't configuration", &[("main.txt", declared.1)], undeclared),
            ("no block of a variable", &[("main.tf", "locals {\n  password = { sensitive = true }\n}")], undeclared),
            ("not sensitive", &[("a.tf", "\nvariable \"password\" {}")], &format!("a.tf:2: {closed}")),
            ("in JSON", &[("a.tf.json", r#"{"variable": {"password": {}}}"#)], &format!("a.tf.json:1: {closed}")),
            (
                "in a block below",
                &[("a.tf", "variable \"password\" {\n  x {\n    sensitive = true\n  }\n}")],
                &format!("a.tf:1: {closed}"),
            ),
            ("open", &[("a.tf", open)], &format!("a.tf:2: {write}")),
            ("computed", &[("a.tf", "variable \"password\" {\n  sensitive = !false\n}")], &format!("a.tf:2: {write}")),
            ("a text", &[("a.tf", "variable \"password\" {\n  sensitive = \"true\"\n}")], &format!("a.tf:2: {write}")),
            ("opened by an override", &[declared, ("x_override.tf", open)], &format!("x_override.tf:2: {write}")),
            (
                "ephemeral",
                &[("a.tf", "variable \"password\" {\n  sensitive = true\n  ephemeral = true\n}")],
                "a.tf:3: variable password is given by reference: it can't be ephemeral",
            ),
        ] {
            let told = told(files);
            assert!(told.len() == 1 && told[0].starts_with(expected), "{what}: {told:?}");
            assert!(told[0].ends_with("[configuration.reference]"), "{what}: {told:?}");
        }
    }
}
