//! JSON as it was written: numbers keep their digits, a repeated key is an error, and every value knows its place.
//!
//! `serde_json::Value` keeps the last of two equal keys and rounds large numbers, so two different plans could look
//! alike to it, and a block of configuration could hide behind a later one.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Deepest nesting that is read; nothing that Terraform writes comes near it.
const DEEPEST: usize = 64;

/// A value and the text it was read from.
#[derive(Debug)]
pub(crate) struct Node<'a> {
    pub(crate) kind: Kind<'a>,
    text: &'a str,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Kind<'a> {
    Null,
    Bool(bool),
    Number(&'a str),
    String(String),
    Array(Vec<Node<'a>>),
    Object(BTreeMap<String, Node<'a>>),
}

impl PartialEq for Node<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
    }
}

/// Text that can't be read. Says where and what, and never quotes it: it may hold secrets.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) line: usize,
    pub(crate) what: &'static str,
}

impl<'a> Node<'a> {
    /// Reads one value, which must be all of `text`.
    pub(crate) fn parse(text: &'a str) -> Result<Self, Fault> {
        let raw: &RawValue =
            serde_json::from_str(text).map_err(|error| Fault { line: error.line(), what: "it isn't JSON" })?;
        Self::read(raw.get(), text, 0)
    }

    fn read(text: &'a str, whole: &'a str, depth: usize) -> Result<Self, Fault> {
        let fault = |what| Fault { line: line_of(whole, offset(text, whole)), what };
        if depth > DEEPEST {
            return Err(fault("it is nested too deeply"));
        }
        let broken = |_: serde_json::Error| fault("it isn't JSON");
        let kind = match text.as_bytes().first() {
            Some(b'n') => Kind::Null,
            Some(b't') => Kind::Bool(true),
            Some(b'f') => Kind::Bool(false),
            Some(b'"') => Kind::String(serde_json::from_str(text).map_err(broken)?),
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_str(text).map_err(broken)?;
                let read = items.into_iter().map(|item| Self::read(item.get(), whole, depth + 1));
                Kind::Array(read.collect::<Result<_, _>>()?)
            }
            Some(b'{') => {
                let Entries(entries) = serde_json::from_str(text).map_err(broken)?;
                let mut map = BTreeMap::new();
                for (key, value) in entries {
                    let read = Self::read(value.get(), whole, depth + 1)?;
                    let line = read.line(whole);
                    if map.insert(key, read).is_some() {
                        return Err(Fault { line, what: "a key is repeated" });
                    }
                }
                Kind::Object(map)
            }
            Some(_) | None => Kind::Number(text),
        };
        Ok(Self { kind, text })
    }

    /// The line it starts at in the text that was parsed, from 1.
    pub(crate) fn line(&self, whole: &str) -> usize {
        line_of(whole, offset(self.text, whole))
    }

    /// Where it is in the text that was parsed, in bytes.
    pub(crate) fn range(&self, whole: &str) -> Range<usize> {
        let start = offset(self.text, whole);
        start..start + self.text.len()
    }

    /// The value as compact JSON with sorted keys.
    pub(crate) fn compact(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Node<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Null => f.write_str("null"),
            Kind::Bool(value) => write!(f, "{value}"),
            Kind::Number(digits) => f.write_str(digits),
            Kind::String(text) => f.write_str(&quoted(text)),
            Kind::Array(items) => {
                f.write_str("[")?;
                for (index, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if index == 0 { "" } else { "," })?;
                }
                f.write_str("]")
            }
            Kind::Object(map) => {
                f.write_str("{")?;
                for (index, (key, value)) in map.iter().enumerate() {
                    write!(f, "{}{}:{value}", if index == 0 { "" } else { "," }, quoted(key))?;
                }
                f.write_str("}")
            }
        }
    }
}

/// The text as a JSON string.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The line of a byte offset, from 1.
pub(crate) fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

fn offset(part: &str, whole: &str) -> usize {
    (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize)
}

/// An object's members in the order written, repeated keys included.
pub(crate) struct Entries<'a>(pub(crate) Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }

        deserializer.deserialize_map(Members).map(Entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_digits_and_places() {
        let text = "{\"b\": [1.0,\n 18446744073709551617],\n\"a\": {\"x\": \"\\u003c\"}}";
        let node = Node::parse(text).unwrap();
        assert_eq!(node.compact(), r#"{"a":{"x":"<"},"b":[1.0,18446744073709551617]}"#);
        let Kind::Object(map) = &node.kind else { panic!("no object") };
        assert_eq!(map["a"].line(text), 3);
        assert_ne!(Node::parse("18446744073709551616").unwrap(), Node::parse("18446744073709551617").unwrap());
    }

    #[test]
    fn what_parsers_read_differently_is_refused() {
        for bad in ["", "{", "{\"a\":1,\"a\":2}", "{} x", "[01]", "\"\\ud800\"", &"[".repeat(100_000), "\u{feff}{}"] {
            assert!(Node::parse(bad).is_err(), "{bad:.20} was taken");
        }
        let deep = format!("{}{}", "[".repeat(65), "]".repeat(65));
        assert!(Node::parse(&format!("[{deep}]")).is_err());
    }
}
