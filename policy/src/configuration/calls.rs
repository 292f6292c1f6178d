//! Functions that uncover what is sensitive, and functions that read files: whether what they read is certain to be in
//! the bundle.
//!
//! A path is certain when it is literal, perhaps after `path.module` or `path.root`, or made with a name that
//! `fileset` found in the bundle. Any other path would have to be evaluated, and `"../" × n` can be computed in many
//! ways, so it is refused.

use std::collections::BTreeMap;

use hcl_edit::Span;
use hcl_edit::expr::{Expression, ForExpr, FuncCall, TraversalOperator};
use hcl_edit::parser::parse_template;
use hcl_edit::structure::Block;
use hcl_edit::template::{Element, ForTemplateExpr, HeredocTemplate, StringTemplate};
use hcl_edit::visit::{self, Visit};

use super::files::{directory, inside};
use super::read::text;
use super::{ConfigFile, Problem, Rule};
use crate::json::line_of;

/// Functions whose first argument is the path of a file or directory that they read.
const READERS: &[&str] = &[
    "file",
    "filebase64",
    "filebase64sha256",
    "filebase64sha512",
    "fileexists",
    "filemd5",
    "fileset",
    "filesha1",
    "filesha256",
    "filesha512",
    "templatefile",
];

/// Names whose meaning the judgement rests on.
const RESERVED: &[&str] = &["count", "each", "path"];

/// Where something was found.
#[derive(Debug, Clone)]
pub(super) struct Place {
    file: String,
    line: Option<usize>,
}

impl Place {
    pub(super) fn problem(&self, rule: Rule, message: String) -> Problem {
        Problem { file: self.file.clone(), line: self.line, rule, message }
    }
}

/// The judged functions of one file.
pub(super) struct Calls<'a> {
    file: &'a str,
    /// What spans are offsets into.
    text: &'a str,
    /// The line of everything, where `text` is one string of a JSON file.
    line: Option<usize>,
    /// Inside a template `path` and `each` are whatever the caller passes.
    template: bool,
    /// Whether `each` goes over what `fileset` found.
    each: bool,
    /// Variables that go over what `fileset` found.
    found: Vec<String>,
    pub(super) problems: Vec<Problem>,
    /// Templates that would be rendered, by path in the bundle.
    pub(super) templates: BTreeMap<String, Place>,
}

impl<'a> Calls<'a> {
    pub(super) fn in_hcl(file: &'a str, text: &'a str) -> Self {
        let (problems, templates) = (Vec::new(), BTreeMap::new());
        Self { file, text, line: None, template: false, each: false, found: Vec::new(), problems, templates }
    }

    pub(super) fn in_json(file: &'a str) -> Self {
        Self { line: Some(1), ..Self::in_hcl(file, "") }
    }

    /// A string or key of a JSON file, which Terraform reads as a template wherever it reads an expression.
    pub(super) fn json_string(&mut self, string: &str, line: usize) {
        let mut inner = Calls { line: Some(line), ..Calls::in_hcl(self.file, string) };
        inner.template_text();
        self.problems.extend(inner.problems);
        self.templates.extend(inner.templates);
    }

    pub(super) fn of_template_file(file: &ConfigFile<'a>) -> Result<Self, Problem> {
        let mut calls = Self { template: true, ..Self::in_hcl(file.path, text(file)?) };
        calls.template_text();
        Ok(calls)
    }

    fn template_text(&mut self) {
        match parse_template(self.text) {
            Ok(template) => self.visit_template(&template),
            Err(error) => {
                let line = self.line.unwrap_or(error.location().line());
                let message = format!("a template can't be parsed: {}", error.message());
                let place = Place { file: self.file.to_owned(), line: Some(line) };
                self.problems.push(place.problem(Rule::Unreadable, message));
            }
        }
    }

    fn place(&self, at: &impl Span) -> Place {
        let line = self.line.or_else(|| at.span().map(|span| line_of(self.text, span.start)));
        Place { file: self.file.to_owned(), line }
    }

    fn refuse(&mut self, at: &impl Span, rule: Rule, message: String) {
        let problem = self.place(at).problem(rule, message);
        self.problems.push(problem);
    }

    fn judge(&mut self, call: &FuncCall, name: &str) {
        let Some(path) = call.args.get(0).and_then(|argument| self.path(argument)) else {
            let message = format!(
                "{name}() takes a path that isn't certain to be in the bundle; write it literally after path.module"
            );
            return self.refuse(call, Rule::FilePath, message);
        };
        if name == "fileset" && !call.args.get(1).and_then(Expression::as_str).is_some_and(stays_below) {
            let message = "fileset() takes a pattern that isn't literal or leaves its directory".to_owned();
            self.refuse(call, Rule::FilePath, message);
        }
        if name == "templatefile" {
            if path.found {
                let message = "templatefile() takes a computed path; name the template literally".to_owned();
                return self.refuse(call, Rule::FilePath, message);
            }
            let place = self.place(call);
            self.templates.insert(path.text, place);
        }
    }

    fn path(&self, argument: &Expression) -> Option<Path> {
        if let Expression::Parenthesis(inner) = argument {
            self.path(inner.inner())
        } else if let Some(literal) = argument.as_str() {
            Some(Path { text: inside("", literal)?, found: false })
        } else if let Some(template) = argument.as_string_template() {
            self.template_path(template)
        } else {
            match self.reference(argument)? {
                Reference::Directory(directory) => Some(Path { text: inside("", directory)?, found: false }),
                Reference::Found => Some(Path { text: String::new(), found: true }),
            }
        }
    }

    fn template_path(&self, template: &StringTemplate) -> Option<Path> {
        let (mut base, mut text, mut found) = (None, String::new(), false);
        for (index, element) in template.iter().enumerate() {
            match element {
                Element::Literal(literal) => text.push_str(literal),
                Element::Directive(_) => return None,
                Element::Interpolation(inner) => match self.reference(&inner.expr)? {
                    Reference::Directory(directory) if index == 0 => base = Some(directory),
                    Reference::Directory(_) => return None,
                    Reference::Found => {
                        found = true;
                        text.push_str("found");
                    }
                },
            }
        }
        // `${path.module}./x` would be `../x` where path.module is `.`.
        let below = match base {
            Some(_) if text.is_empty() => "",
            Some(_) => text.strip_prefix('/')?.trim_start_matches('/'),
            None => &text,
        };
        Some(Path { text: inside(base.unwrap_or_default(), below)?, found })
    }

    fn reference(&self, expression: &Expression) -> Option<Reference<'a>> {
        if let Some(name) = expression.as_variable() {
            return self.found.iter().any(|found| found == name.as_str()).then_some(Reference::Found);
        }
        let traversal = expression.as_traversal().filter(|_| !self.template)?;
        let root = traversal.expr.as_variable()?.as_str();
        let [operator] = traversal.operators.as_slice() else { return None };
        let TraversalOperator::GetAttr(attribute) = operator.value() else { return None };
        match (root, attribute.as_str()) {
            ("path", "module") => Some(Reference::Directory(directory(self.file))),
            ("path", "root" | "cwd") => Some(Reference::Directory("")),
            ("each", "key" | "value") if self.each => Some(Reference::Found),
            ("count", "index") => Some(Reference::Found),
            _ => None,
        }
    }

    /// Visits `inside` where `names` go over `collection`.
    fn with_variables(&mut self, names: &[&str], collection: &Expression, inside: impl FnOnce(&mut Self)) {
        if names.iter().any(|name| RESERVED.contains(name)) {
            let message = format!("a variable must not be called {}", RESERVED.join(", "));
            self.refuse(collection, Rule::FilePath, message);
        }
        let outer = self.found.clone();
        self.found.retain(|found| !names.contains(&found.as_str()));
        if is_fileset(collection) {
            self.found.extend(names.iter().map(|name| (*name).to_owned()));
        }
        inside(self);
        self.found = outer;
    }
}

struct Path {
    /// From the bundle's root.
    text: String,
    /// Whether a part of it is a name that `fileset` found.
    found: bool,
}

enum Reference<'a> {
    Directory(&'a str),
    Found,
}

fn stays_below(pattern: &str) -> bool {
    !pattern.contains("..") && !pattern.contains('\\') && !pattern.starts_with(['/', '~'])
}

/// `None` for a provider's own function, which runs in the provider.
fn core_name(call: &FuncCall) -> Option<&str> {
    let spaces: Vec<&str> = call.name.namespace.iter().map(|space| space.as_str()).collect();
    matches!(spaces.as_slice(), [] | ["core"]).then(|| call.name.name.as_str())
}

/// `fileset(…)`, also within `toset(…)`.
fn is_fileset(expression: &Expression) -> bool {
    let Expression::FuncCall(call) = expression else { return false };
    match core_name(call) {
        Some("fileset") => true,
        Some("toset") => call.args.len() == 1 && call.args.get(0).is_some_and(is_fileset),
        Some(_) | None => false,
    }
}

impl Visit for Calls<'_> {
    fn visit_block(&mut self, block: &Block) {
        let attribute = |name: &str| block.body.get_attribute(name).map(|attribute| &attribute.value);
        let kind = block.ident.as_str();
        let outer = self.each;
        if matches!(kind, "resource" | "data" | "module" | "ephemeral") {
            self.each = attribute("for_each").is_some_and(is_fileset);
        }
        let label = block.labels.first().map(hcl_edit::structure::BlockLabel::as_str);
        let iterator = attribute("iterator").and_then(Expression::as_variable).map(|name| name.as_str());
        if kind == "dynamic" && [label, iterator].into_iter().flatten().any(|name| RESERVED.contains(&name)) {
            let message = format!("an iterator must not be called {}", RESERVED.join(", "));
            self.refuse(block, Rule::FilePath, message);
        }
        visit::visit_block(self, block);
        self.each = outer;
    }

    fn visit_func_call(&mut self, call: &FuncCall) {
        match core_name(call) {
            Some(name @ ("pathexpand" | "templatestring")) => {
                let message = format!("{name}() is refused: what it makes can't be judged without running it");
                self.refuse(call, Rule::FilePath, message);
            }
            Some("nonsensitive") => {
                let message = "nonsensitive() is refused: what it uncovers could leave in keys and messages".to_owned();
                self.refuse(call, Rule::Nonsensitive, message);
            }
            Some(name) if READERS.contains(&name) => self.judge(call, name),
            Some(_) | None => {}
        }
        visit::visit_func_call(self, call);
    }

    fn visit_for_expr(&mut self, node: &ForExpr) {
        let intro = &node.intro;
        self.visit_expr(&intro.collection_expr);
        let key = intro.key_var.as_ref().map(|name| name.as_str());
        let names: Vec<&str> = key.into_iter().chain([intro.value_var.as_str()]).collect();
        self.with_variables(&names, &intro.collection_expr, |calls| {
            node.key_expr.iter().for_each(|key| calls.visit_expr(key));
            calls.visit_expr(&node.value_expr);
            node.cond.iter().for_each(|condition| calls.visit_expr(&condition.expr));
        });
    }

    // The crate's own walk leaves out the collection.
    fn visit_for_template_expr(&mut self, node: &ForTemplateExpr) {
        self.visit_expr(&node.collection_expr);
        let key = node.key_var.as_ref().map(|name| name.as_str());
        let names: Vec<&str> = key.into_iter().chain([node.value_var.as_str()]).collect();
        self.with_variables(&names, &node.collection_expr, |calls| calls.visit_template(&node.template));
    }

    // Terraform ends a heredoc at a line that is nothing but the delimiter; hcl-edit also at one that goes on after
    // it. Text could be code to one and not to the other, so lines of the second kind are refused.
    fn visit_heredoc_template(&mut self, heredoc: &HeredocTemplate) {
        let delimiter = heredoc.delimiter.as_str();
        let ambiguous = self.text.lines().find(|line| {
            line.trim().starts_with(delimiter)
                && line.trim_matches([' ', '\t']) != delimiter
                && !line.trim()[delimiter.len()..].starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        });
        if ambiguous.is_some() {
            let message = format!("a line starts with {delimiter} and goes on; choose another heredoc delimiter");
            self.refuse(heredoc, Rule::Unreadable, message);
        }
        visit::visit_heredoc_template(self, heredoc);
    }
}
