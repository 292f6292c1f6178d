//! What Terraform says, without the values of variables that only production knows.
//!
//! Terraform withholds what is sensitive by itself, what the configuration's author wrote is not passed on at all, and plan
//! summaries leave out by themselves what a sensitive variable holds. This is for what remains: a message of Terraform or of
//! a provider that repeats what it was given.

use std::borrow::Cow;
use std::collections::BTreeMap;

use manifest_schema::manifest::Variable;
use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::stop::Stop;

/// Shorter texts say nothing, and are everywhere.
const SHORTEST: usize = 4;
/// What stands for a value.
const HIDDEN: &str = "(sensitive)";

/// Texts that must not be told. Deliberately without `Debug`.
#[derive(Clone, Default)]
pub(crate) struct Redaction {
    /// The longest first: one may be within another.
    texts: Vec<Zeroizing<String>>,
}

/// What `terraform show -json` says of variables.
#[derive(Deserialize)]
struct Shown {
    #[serde(default)]
    variables: BTreeMap<String, ShownVariable>,
}

#[derive(Deserialize)]
struct ShownVariable {
    #[serde(default)]
    value: Value,
}

impl Redaction {
    /// Hides these values: as they are, as JSON writes them, each of their lines, and, if they are JSON, each text in them.
    pub(crate) fn of<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        let mut texts = Vec::new();
        for value in values {
            texts.extend(forms(value));
            texts.extend(value.lines().map(str::trim).flat_map(forms));
            if let Ok(document) = serde_json::from_str(value) {
                texts_in(&document, &mut |text| texts.extend(forms(text)));
            }
        }
        texts.retain(|text| text.chars().count() >= SHORTEST);
        texts.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.as_str().cmp(b.as_str())));
        texts.dedup();
        Self { texts }
    }

    /// Hides what a plan holds of the variables that were given by reference: who applies it knows their values from there.
    pub(crate) fn of_plan(plan: &[u8], variables: &BTreeMap<String, Variable>) -> Result<Self, Stop> {
        let secret = |name: &String| variables.get(name).is_some_and(Variable::is_reference);
        if !variables.keys().any(secret) {
            return Ok(Self::default());
        }
        let shown: Shown =
            serde_json::from_slice(plan).map_err(|error| Stop::failed(format!("terraform's plan: {error}")))?;
        let values = shown.variables.into_iter().filter(|(name, _)| secret(name)).map(|(_, variable)| {
            // Terraform has made of the text what the variable's type is.
            let value = &variable.value;
            Zeroizing::new(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        });
        let values: Vec<_> = values.collect();
        Ok(Self::of(values.iter().map(|value| value.as_str())))
    }

    /// The text without them.
    pub(crate) fn clean<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut cleaned = Cow::Borrowed(text);
        for hidden in self.texts.iter().filter(|hidden| text.contains(hidden.as_str())) {
            cleaned = Cow::Owned(cleaned.replace(hidden.as_str(), HIDDEN));
        }
        cleaned
    }
}

/// A text as it is, and as a string of JSON or of Terraform's language holds it.
fn forms(text: &str) -> [Zeroizing<String>; 2] {
    let quoted = Zeroizing::new(Value::from(text).to_string());
    let inner = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(&quoted);
    [Zeroizing::new(text.to_owned()), Zeroizing::new(inner.to_owned())]
}

fn texts_in(document: &Value, found: &mut impl FnMut(&str)) {
    match document {
        Value::String(text) => found(text),
        Value::Array(items) => items.iter().for_each(|item| texts_in(item, found)),
        Value::Object(fields) => fields.values().for_each(|value| texts_in(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_hidden_in_every_form_in_which_they_are_told() {
        let json = r#"{"user": "admin", "password": "pa\"ss", "port": 5432, "all": ["nested"]}"#;
        let pem = "-----BEGIN-----\n  MIIBVg==\n-----END-----\n";
        for (value, said, expected) in [
            ("hunter2", "cannot parse \"hunter2\" as a number", "cannot parse \"(sensitive)\" as a number"),
            ("hunter2", "hunter2hunter2", "(sensitive)(sensitive)"),
            ("hunter2", "hunter", "hunter"),
            ("a\"b\\c", r#"in "a\"b\\c", a"b\c"#, r#"in "(sensitive)", (sensitive)"#),
            ("pässwörd", "got pässwörd!", "got (sensitive)!"),
            (json, "login pa\"ss of admin at nested failed", "login (sensitive) of (sensitive) at (sensitive) failed"),
            (json, r#"{"p":"pa\"ss"}"#, r#"{"p":"(sensitive)"}"#),
            (json, "port 5432", "port 5432"),
            (pem, "not a key: MIIBVg== (line 2)", "not a key: (sensitive) (line 2)"),
            (pem, pem, "(sensitive)"),
            ("abc", "abc", "abc"),
            ("", "nothing", "nothing"),
        ] {
            assert_eq!(Redaction::of([value]).clean(said), expected, "{value}");
        }
        assert_eq!(Redaction::of(["secret", "secret-key"]).clean("secret-key, secret"), "(sensitive), (sensitive)");
        assert_eq!(Redaction::default().clean("all"), "all");
    }

    #[test]
    fn a_plan_says_what_is_to_be_hidden_while_it_is_applied() {
        let plan = br#"{"format_version": "1.2", "variables": {
            "password": {"value": "hunter2"}, "port": {"value": 54321}, "greeting": {"value": "hello"}}}"#;
        let secret = |name: &str| (name.to_owned(), Variable::Secret(name.parse().unwrap()));
        let variables = BTreeMap::from([
            ("greeting".to_owned(), Variable::Value("hello".to_owned())),
            secret("password"),
            secret("port"),
        ]);
        let redaction = Redaction::of_plan(plan, &variables).unwrap();
        assert_eq!(redaction.clean("hello hunter2:54321"), "hello (sensitive):(sensitive)");
        assert_eq!(Redaction::of_plan(b"not read", &BTreeMap::new()).unwrap().clean("hunter2"), "hunter2");
        assert!(Redaction::of_plan(b"{", &variables).is_err());
    }
}
