//! Both syntaxes of Terraform as one list of places: a path of names, and the text there if it is literal.
//!
//! A block's type and labels, an attribute and the keys of an object are all steps of a path, which is how Terraform's
//! JSON syntax sees them as well, so that one set of rules judges both.

use hcl_edit::expr::{Expression, ObjectKey};
use hcl_edit::parser::parse_body;
use hcl_edit::structure::{Block, BlockLabel, Body, Structure};
use hcl_edit::visit::Visit as _;
use hcl_edit::{Ident, Span};

use super::calls::Calls;
use super::{ConfigFile, Problem, Rule, files};
use crate::json::{Kind, Node, line_of};

/// One place in a file.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) path: Vec<String>,
    /// The text there; `None` for a block, and for anything that would have to be evaluated.
    pub(super) text: Option<String>,
    /// The same of `true` and `false`.
    pub(super) boolean: Option<bool>,
    pub(super) line: usize,
}

impl Entry {
    pub(super) fn steps(&self) -> Vec<&str> {
        self.path.iter().map(String::as_str).collect()
    }
}

/// What was read of one file.
pub(super) struct Read<'a> {
    pub(super) entries: Vec<Entry>,
    pub(super) calls: Calls<'a>,
}

/// Largest file that is parsed; hand-written configuration is far smaller.
const LARGEST: usize = 4 << 20;

/// The text of a file, if every parser agrees on where its lines and templates begin.
pub(super) fn text<'a>(file: &ConfigFile<'a>) -> Result<&'a str, Problem> {
    let refuse = |line, message: &str| Problem {
        file: file.path.to_owned(),
        line,
        rule: Rule::Unreadable,
        message: message.to_owned(),
    };
    if file.bytes.len() > LARGEST {
        return Err(refuse(None, "it is too large to be configuration"));
    }
    let text = std::str::from_utf8(file.bytes).map_err(|_| refuse(None, "it isn't UTF-8"))?;
    let odd = |c: char| (c.is_control() && !matches!(c, '\n' | '\r' | '\t')) || matches!(c, '\u{2028}' | '\u{2029}');
    let strange = text
        .find(odd)
        .or_else(|| text.match_indices('\r').map(|(at, _)| at).find(|at| text.as_bytes().get(at + 1) != Some(&b'\n')));
    if let Some(at) = strange {
        return Err(refuse(Some(line_of(text, at)), "it holds control characters"));
    }
    match ["$$${", "%%%{"].iter().find_map(|marker| text.find(marker)) {
        Some(at) => Err(refuse(Some(line_of(text, at)), "parsers disagree about `$$${`; write the text another way")),
        None => Ok(text),
    }
}

/// Reads a file of either syntax; `None` if it is of neither.
pub(super) fn any<'a>(file: &ConfigFile<'a>) -> Option<Result<Read<'a>, Problem>> {
    match files::Kind::of(file.path) {
        files::Kind::Hcl | files::Kind::Lock => Some(hcl(file)),
        files::Kind::Json => Some(json(file)),
        files::Kind::Other => None,
    }
}

pub(super) fn hcl<'a>(file: &ConfigFile<'a>) -> Result<Read<'a>, Problem> {
    let text = text(file)?;
    let body = parse(file, text)?;
    let mut entries = Entries { text, list: Vec::new() };
    entries.body(&[], &body);
    let mut calls = Calls::in_hcl(file.path, text);
    calls.visit_body(&body);
    Ok(Read { entries: entries.list, calls })
}

pub(super) fn parse(file: &ConfigFile<'_>, text: &str) -> Result<Body, Problem> {
    parse_body(text).map_err(|error| Problem {
        file: file.path.to_owned(),
        line: Some(error.location().line()),
        rule: Rule::Unreadable,
        message: format!("it can't be parsed: {}", error.message()),
    })
}

struct Entries<'a> {
    text: &'a str,
    list: Vec<Entry>,
}

impl Entries<'_> {
    fn push(&mut self, path: &[String], value: Option<&Expression>, at: &impl Span) {
        let line = at.span().map_or(1, |span| line_of(self.text, span.start));
        let text = value.and_then(Expression::as_str).map(str::to_owned);
        let boolean = value.and_then(Expression::as_bool);
        self.list.push(Entry { path: path.to_vec(), text, boolean, line });
    }

    fn body(&mut self, path: &[String], body: &Body) {
        for structure in body {
            match structure {
                Structure::Block(block) => self.block(path, block),
                Structure::Attribute(attribute) => {
                    let path = longer(path, attribute.key.as_str());
                    self.push(&path, Some(&attribute.value), attribute);
                    self.object(&path, &attribute.value);
                }
            }
        }
    }

    fn block(&mut self, path: &[String], block: &Block) {
        let mut path = longer(path, block.ident.as_str());
        path.extend(block.labels.iter().map(|label| match label {
            BlockLabel::Ident(ident) => ident.as_str().to_owned(),
            BlockLabel::String(text) => text.to_string(),
        }));
        self.push(&path, None, block);
        self.body(&path, &block.body);
    }

    fn object(&mut self, path: &[String], value: &Expression) {
        for (key, value) in value.as_object().into_iter().flatten() {
            let name = match key {
                ObjectKey::Ident(ident) => Ident::as_str(ident),
                ObjectKey::Expression(key) => key.as_str().unwrap_or("(computed)"),
            };
            let path = longer(path, name);
            self.push(&path, Some(value.expr()), value.expr());
            self.object(&path, value.expr());
        }
    }
}

fn longer(path: &[String], name: &str) -> Vec<String> {
    let mut path = path.to_vec();
    path.push(name.to_owned());
    path
}

pub(super) fn json<'a>(file: &ConfigFile<'a>) -> Result<Read<'a>, Problem> {
    let text = text(file)?;
    let node = json_node(file, text)?;
    let mut read = Read { entries: Vec::new(), calls: Calls::in_json(file.path) };
    json_entries(&[], &node, text, &mut read);
    Ok(read)
}

pub(super) fn json_node<'a>(file: &ConfigFile<'_>, text: &'a str) -> Result<Node<'a>, Problem> {
    Node::parse(text).map_err(|fault| Problem {
        file: file.path.to_owned(),
        line: Some(fault.line),
        rule: Rule::Unreadable,
        message: format!("it can't be parsed: {}", fault.what),
    })
}

/// An array is as many blocks as it has items; it adds no step. Strings and keys may be templates.
fn json_entries(path: &[String], node: &Node<'_>, whole: &str, read: &mut Read<'_>) {
    match &node.kind {
        Kind::Object(map) => {
            for (key, value) in map {
                let path = longer(path, key);
                let line = value.line(whole);
                read.calls.json_string(key, line);
                let text = if let Kind::String(text) = &value.kind { Some(text.clone()) } else { None };
                let boolean = if let Kind::Bool(boolean) = value.kind { Some(boolean) } else { None };
                read.entries.push(Entry { path: path.clone(), text, boolean, line });
                json_entries(&path, value, whole, read);
            }
        }
        Kind::Array(items) => items.iter().for_each(|item| json_entries(path, item, whole, read)),
        Kind::String(text) => read.calls.json_string(text, node.line(whole)),
        Kind::Null | Kind::Bool(_) | Kind::Number(_) => {}
    }
}
