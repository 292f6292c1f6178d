//! Which attributes of a resource change, and which of their values may be seen.
//!
//! Before and after are walked side by side. The walk never goes below anything sensitive: beneath it even keys and
//! lengths could tell.

use std::collections::BTreeSet;

use manifest_schema::plan::ValueChange;

use super::written::Written;
use crate::json::{Kind, Node, quoted};

/// What Terraform says about one place in a resource.
#[derive(Clone, Copy)]
pub(super) struct Sides<'n> {
    pub(super) before: Option<&'n Node<'n>>,
    pub(super) after: Option<&'n Node<'n>>,
    pub(super) unknown: Option<&'n Node<'n>>,
    pub(super) before_sensitive: Option<&'n Node<'n>>,
    pub(super) after_sensitive: Option<&'n Node<'n>>,
}

/// One attribute that changes.
pub(super) struct Leaf<'n> {
    pub(super) path: String,
    /// Keys on the path but its first, which the provider's schema names. The others may be computed.
    pub(super) keys: Vec<&'n str>,
    sides: Sides<'n>,
    show: bool,
}

impl Leaf<'_> {
    /// Its values, if they may be shown.
    pub(super) fn values(&self) -> Option<ValueChange> {
        let compact = |side: Option<&Node<'_>>| side.filter(|node| node.kind != Kind::Null).map(Node::compact);
        self.show.then(|| ValueChange {
            before: compact(self.sides.before),
            after: if marked(self.sides.unknown) {
                Some("(known after apply)".to_owned())
            } else {
                compact(self.sides.after)
            },
        })
    }
}

/// Every attribute that differs, in no particular order. `shown` has attribute paths of this resource's type. A path that
/// comes to a key which nobody wrote ends there, unless all that is below may be shown.
pub(super) fn changed<'n>(sides: Sides<'n>, shown: &BTreeSet<&str>, written: &Written) -> Vec<Leaf<'n>> {
    let mut walk = Walk { shown, written, leaves: Vec::new() };
    // Names of top-level attributes come from the provider's schema, so they are listed even if all is sensitive.
    walk.children(&At::default(), false, sides);
    walk.leaves
}

struct Walk<'s, 'n> {
    shown: &'s BTreeSet<&'s str>,
    written: &'s Written,
    leaves: Vec<Leaf<'n>>,
}

/// Where the walk is.
#[derive(Clone, Default)]
struct At<'n> {
    path: String,
    keys: Vec<&'n str>,
}

impl<'n> At<'n> {
    fn key(&self, key: &'n str) -> Self {
        let below = (!self.path.is_empty()).then_some(key);
        Self { path: join(&self.path, key), keys: self.keys.iter().copied().chain(below).collect() }
    }

    fn index(&self, index: usize) -> Self {
        Self { path: format!("{}[{index}]", self.path), keys: self.keys.clone() }
    }

    fn leaf(self, sides: Sides<'n>, show: bool) -> Leaf<'n> {
        Leaf { path: self.path, keys: self.keys, sides, show }
    }
}

impl<'n> Walk<'_, 'n> {
    fn visit(&mut self, at: At<'n>, show: bool, sides: Sides<'n>) {
        if covered(sides.before_sensitive) || covered(sides.after_sensitive) {
            if sides.differ() || marked(sides.unknown) {
                self.leaves.push(at.leaf(sides, false));
            }
            return;
        }
        let clean = !marked(sides.before_sensitive) && !marked(sides.after_sensitive);
        let show = show || (clean && self.shown.contains(at.path.as_str()));
        let found = self.leaves.len();
        if !covered(sides.unknown) {
            self.children(&at, show, sides);
        }
        if self.leaves.len() == found && (covered(sides.unknown) || sides.differ()) {
            self.leaves.push(at.leaf(sides, show));
        }
    }

    /// Goes into both sides at once, if they are containers of one kind or one of them is missing.
    fn children(&mut self, at: &At<'n>, show: bool, sides: Sides<'n>) {
        let present = [sides.before, sides.after, sides.unknown.filter(|mark| mark.kind != Kind::Bool(false))]
            .into_iter()
            .flatten();
        let present: Vec<_> = present.map(|node| &node.kind).filter(|kind| !empty_kind(kind)).collect();
        let mut keys = BTreeSet::new();
        let mut length = 0;
        for kind in &present {
            match kind {
                Kind::Object(map) => keys.extend(map.keys().map(String::as_str)),
                Kind::Array(items) => length = length.max(items.len()),
                Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::String(_) => return,
            }
        }
        if !keys.is_empty() && length > 0 {
            return;
        }
        for key in keys {
            let within = sides.map(|node| member(node, key));
            let top = at.path.is_empty();
            if top || show || self.written.has(key) || self.shown.contains(join(&at.path, key).as_str()) {
                self.visit(at.key(key), show, within);
            } else if within.differ() || marked(within.unknown) {
                let path = format!("{}[…]", at.path);
                self.leaves.push(Leaf { path, keys: at.key(key).keys, sides: within, show: false });
            }
        }
        for index in 0..length {
            self.visit(at.index(index), show, sides.map(|node| item(node, index)));
        }
    }
}

impl<'n> Sides<'n> {
    fn map(self, step: impl Fn(&'n Node<'n>) -> Option<&'n Node<'n>>) -> Self {
        Self {
            before: self.before.and_then(&step),
            after: self.after.and_then(&step),
            unknown: self.unknown.and_then(&step),
            before_sensitive: self.before_sensitive.and_then(&step),
            after_sensitive: self.after_sensitive.and_then(&step),
        }
    }

    fn differ(self) -> bool {
        match (self.before, self.after) {
            (Some(before), Some(after)) => before != after,
            (Some(only), None) | (None, Some(only)) => !empty_kind(&only.kind),
            (None, None) => false,
        }
    }
}

/// Says nothing: `null`, an empty container; `false` where it is a mark is handled by [`marked`].
fn empty_kind(kind: &Kind<'_>) -> bool {
    match kind {
        Kind::Null => true,
        Kind::Object(map) => map.is_empty(),
        Kind::Array(items) => items.is_empty(),
        Kind::Bool(_) | Kind::Number(_) | Kind::String(_) => false,
    }
}

/// Whether a mark covers the place itself. A mark of a shape that we don't know covers it.
pub(super) fn covered(mark: Option<&Node<'_>>) -> bool {
    mark.is_some_and(|node| match node.kind {
        Kind::Bool(value) => value,
        Kind::Null | Kind::Object(_) | Kind::Array(_) => false,
        Kind::Number(_) | Kind::String(_) => true,
    })
}

/// Whether a mark covers the place or anything within it.
fn marked(mark: Option<&Node<'_>>) -> bool {
    mark.is_some_and(|node| match &node.kind {
        Kind::Object(map) => map.values().any(|within| marked(Some(within))),
        Kind::Array(items) => items.iter().any(|within| marked(Some(within))),
        Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::String(_) => covered(mark),
    })
}

pub(super) fn member<'n>(node: &'n Node<'n>, key: &str) -> Option<&'n Node<'n>> {
    match &node.kind {
        Kind::Object(map) => map.get(key),
        Kind::Bool(true) => Some(node), // a mark on the whole is a mark on each part
        Kind::Null | Kind::Bool(false) | Kind::Number(_) | Kind::String(_) | Kind::Array(_) => None,
    }
}

pub(super) fn item<'n>(node: &'n Node<'n>, index: usize) -> Option<&'n Node<'n>> {
    match &node.kind {
        Kind::Array(items) => items.get(index),
        Kind::Bool(true) => Some(node),
        Kind::Null | Kind::Bool(false) | Kind::Number(_) | Kind::String(_) | Kind::Object(_) => None,
    }
}

fn join(path: &str, key: &str) -> String {
    let plain = key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    match (path.is_empty(), plain) {
        (true, true) => key.to_owned(),
        (false, true) => format!("{path}.{key}"),
        (_, false) => format!("{path}[{}]", quoted(key)),
    }
}
