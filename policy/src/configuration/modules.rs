//! Which modules a file calls, and the same file calling them from somewhere else.
//!
//! A bundle holds copies of modules that Terraform fetched. In the files that call them, and only there, `source` is
//! replaced, and `version`, which Terraform takes with registries only, goes; every other byte stays, and every line
//! keeps its number.

use std::collections::BTreeMap;
use std::ops::Range;

use hcl_edit::Span as _;
use hcl_edit::structure::{Attribute, Block};

use super::files::Kind as FileKind;
use super::{ConfigFile, Problem, Rule, read};
use crate::json::{Kind, Node, line_of, quoted};

/// One `module` block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleCall {
    /// Its label.
    pub name: String,
    /// What it calls; `None` where that isn't literal.
    pub source: Option<String>,
    /// The version constraint, if there is a literal one.
    pub version: Option<String>,
    /// The line of the block, from 1.
    pub line: usize,
}

/// The modules that a `.tf` or `.tf.json` file calls; none in any other file.
///
/// # Errors
/// When the file can't be parsed, as [`super::check`] says it.
pub fn module_calls(file: &ConfigFile<'_>) -> Result<Vec<ModuleCall>, Problem> {
    let written = written(file)?;
    Ok(written.into_iter().map(|written| written.call).collect())
}

/// The text of a file in which the modules named call these sources.
///
/// # Errors
/// When the file can't be parsed, or what has to be replaced isn't written in the usual way.
pub fn with_module_sources(file: &ConfigFile<'_>, sources: &BTreeMap<String, String>) -> Result<String, Problem> {
    let text = read::text(file)?;
    let mut edits = Vec::new();
    for written in written(file)? {
        let Some(source) = sources.get(&written.call.name) else { continue };
        let odd = || Problem {
            file: file.path.to_owned(),
            line: Some(written.call.line),
            rule: Rule::Unreadable,
            message: format!("module {}: write its `source` and `version` on lines of their own", written.call.name),
        };
        let place = written.source.clone().ok_or_else(odd)?;
        edits.push((place, quoted(source)));
        if let Some(range) = &written.version {
            edits.push(without(text, range, FileKind::of(file.path)).ok_or_else(odd)?);
        }
    }
    edits.sort_by_key(|(range, _)| std::cmp::Reverse(range.start));
    let mut text = text.to_owned();
    edits.into_iter().for_each(|(range, new)| text.replace_range(range, &new));
    Ok(text)
}

/// A call, and where in the text it is written.
struct Written {
    call: ModuleCall,
    /// The value of `source`.
    source: Option<Range<usize>>,
    /// In HCL all of `version`, in JSON its value.
    version: Option<Range<usize>>,
}

fn written(file: &ConfigFile<'_>) -> Result<Vec<Written>, Problem> {
    match FileKind::of(file.path) {
        FileKind::Hcl => {
            let text = read::text(file)?;
            let body = read::parse(file, text)?;
            let blocks = body.get_blocks("module").filter(|block| block.labels.len() == 1);
            Ok(blocks.map(|block| in_hcl(text, block)).collect())
        }
        FileKind::Json => {
            let text = read::text(file)?;
            let root = read::json_node(file, text)?;
            let modules = objects(&root).filter_map(|map| map.get("module")).flat_map(objects);
            let named = modules.flat_map(|modules| modules.iter());
            Ok(named.flat_map(|(name, node)| objects(node).map(move |map| in_json(text, name, node, map))).collect())
        }
        FileKind::Lock | FileKind::Other => Ok(Vec::new()),
    }
}

fn in_hcl(text: &str, block: &Block) -> Written {
    let literal = |name: &str| block.body.get_attribute(name)?.value.as_str().map(str::to_owned);
    let name = block.labels.first().map(|label| label.as_str().to_owned()).unwrap_or_default();
    let line = block.span().map_or(1, |span| line_of(text, span.start));
    Written {
        call: ModuleCall { name, source: literal("source"), version: literal("version"), line },
        source: block.body.get_attribute("source").and_then(|attribute| attribute.value.span()),
        version: block.body.get_attribute("version").and_then(Attribute::span),
    }
}

fn in_json(text: &str, name: &str, block: &Node<'_>, map: &BTreeMap<String, Node<'_>>) -> Written {
    let literal = |name: &str| match &map.get(name)?.kind {
        Kind::String(text) => Some(text.clone()),
        Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::Array(_) | Kind::Object(_) => None,
    };
    Written {
        call: ModuleCall {
            name: name.to_owned(),
            source: literal("source"),
            version: literal("version"),
            line: block.line(text),
        },
        source: map.get("source").map(|node| node.range(text)),
        version: map.get("version").map(|node| node.range(text)),
    }
}

/// The objects that stand for blocks: one, or an array of them.
fn objects<'n, 'a>(node: &'n Node<'a>) -> impl Iterator<Item = &'n BTreeMap<String, Node<'a>>> {
    let items = match &node.kind {
        Kind::Array(items) => items.as_slice(),
        Kind::Object(_) | Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::String(_) => std::slice::from_ref(node),
    };
    items.iter().filter_map(|item| match &item.kind {
        Kind::Object(map) => Some(map),
        Kind::Array(_) | Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::String(_) => None,
    })
}

/// The edit that takes a version constraint out. What it leaves has as many lines.
fn without(text: &str, version: &Range<usize>, kind: FileKind) -> Option<(Range<usize>, String)> {
    match kind {
        FileKind::Hcl => {
            let old = text.get(version.clone())?;
            (!old.contains('\n')).then(|| (version.clone(), format!("# {old}")))
        }
        FileKind::Json => {
            let member = member(text, version)?;
            let lines = text.get(member.clone())?.matches('\n').count();
            Some((member, "\n".repeat(lines)))
        }
        FileKind::Lock | FileKind::Other => None,
    }
}

/// The member `"version": value` with one of the commas around it: `source` is there as well.
fn member(text: &str, value: &Range<usize>) -> Option<Range<usize>> {
    let before = text.get(..value.start)?.trim_end().strip_suffix(':')?.trim_end().strip_suffix("\"version\"")?;
    if let Some(before) = before.trim_end().strip_suffix(',') {
        return Some(before.len()..value.end);
    }
    let after = text.get(value.end..)?;
    let comma = after.find(|c: char| !c.is_ascii_whitespace()).filter(|at| after[*at..].starts_with(','))?;
    Some(before.len()..value.end + comma + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "./airlock-modules/net";

    fn rewritten(path: &str, text: &str) -> Result<String, String> {
        let file = ConfigFile { path, bytes: text.as_bytes() };
        let sources = BTreeMap::from([("net".to_owned(), SOURCE.to_owned())]);
        let new = with_module_sources(&file, &sources).map_err(|problem| problem.to_string())?;
        let calls = module_calls(&ConfigFile { path, bytes: new.as_bytes() }).unwrap();
        let call = calls.iter().find(|call| call.name == "net").unwrap();
        assert_eq!((call.source.as_deref(), call.version.as_deref()), (Some(SOURCE), None), "{new}");
        assert_eq!(new.lines().count(), text.lines().count(), "{new}");
        Ok(new)
    }

    #[test]
    fn only_source_and_version_of_the_calls_named_are_replaced() {
        for (path, old, new) in [
            (
                "main.tf",
                "# kept\nmodule \"net\" {\n  source  = \"ns/net/aws\" # why\n  version = \"~> 5.0\"\n  cidr=[1,2]\n}\n\
                 module \"other\" {\n  source = \"ns/other/aws\"\n  version = \"1.0.0\"\n}\n",
                "# kept\nmodule \"net\" {\n  source  = \"./airlock-modules/net\" # why\n  # version = \"~> 5.0\"\n  \
                 cidr=[1,2]\n}\nmodule \"other\" {\n  source = \"ns/other/aws\"\n  version = \"1.0.0\"\n}\n",
            ),
            ("a.tf", "module net { source = \"x/y/z\" }\n", "module net { source = \"./airlock-modules/net\" }\n"),
            (
                "a.tf",
                "module \"net\" {\r\n  version = \"1\" // pinned\r\n  source = \"x/y/z\"\r\n}\r\n",
                "module \"net\" {\r\n  # version = \"1\" // pinned\r\n  source = \"./airlock-modules/net\"\r\n}\r\n",
            ),
            (
                "a.tf.json",
                "{\"module\": {\"net\": {\"source\": \"x/y/z\",\n \"version\": \"1\", \"n\": 1.00}}}",
                "{\"module\": {\"net\": {\"source\": \"./airlock-modules/net\"\n, \"n\": 1.00}}}",
            ),
            (
                "a.tf.json",
                "[{\"module\": [{\"net\": [{\"version\": \"1\" , \"source\": \"x/y/z\"}]}]}]",
                "[{\"module\": [{\"net\": [{ \"source\": \"./airlock-modules/net\"}]}]}]",
            ),
        ] {
            assert_eq!(rewritten(path, old).unwrap(), new);
        }
    }

    #[test]
    fn what_is_written_in_an_odd_way_is_left_to_people() {
        for (path, text) in [
            ("a.tf", "module \"net\" {\n  version = (\n\"1\")\n  source = \"x/y/z\"\n}\n"),
            ("a.tf", "module \"net\" {\n}\n"),
            ("a.tf.json", "{\"module\": {\"net\": {\"source\": \"x/y/z\", \"v\\u0065rsion\": \"1\"}}}"),
        ] {
            let problem = rewritten(path, text).unwrap_err();
            assert!(problem.contains("module net: write its"), "{problem}");
        }
        assert!(rewritten("a.tf", "module \"net\" {").unwrap_err().contains("can't be parsed"));
    }

    #[test]
    fn calls_are_read_from_both_syntaxes_and_nothing_else() {
        let hcl = "module \"a\" {\n  source = \"./a\"\n}\n\nmodule \"b\" {\n  source = var.x\n}\n";
        let json = r#"{"module": {"a": {"source": "./a"},
            "b": {"source": 1}}, "locals": {"module": {"c": {"source": "no"}}}}"#;
        for (path, text, lines) in [("main.tf", hcl, [1, 5]), ("main.tf.json", json, [1, 2])] {
            let calls = module_calls(&ConfigFile { path, bytes: text.as_bytes() }).unwrap();
            let told: Vec<_> = calls.iter().map(|c| (c.name.as_str(), c.source.as_deref(), c.line)).collect();
            assert_eq!(told, [("a", Some("./a"), lines[0]), ("b", None, lines[1])]);
        }
        for path in ["main.txt", ".terraform.lock.hcl"] {
            assert_eq!(module_calls(&ConfigFile { path, bytes: hcl.as_bytes() }).unwrap(), []);
        }
    }
}
