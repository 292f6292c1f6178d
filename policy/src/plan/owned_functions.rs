//! Lambda functions whose code, and aliases whose version, Terraform would change, though the build's own steps do.

use super::address::without_keys;
use super::format::{PlanError, Resource};
use super::owned::{creates, field, text};
use crate::json::Kind;

/// A function, or an alias of one, that Terraform would make reach other code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedFunction {
    /// Where Terraform has it, without the keys of its instances: they can be made of values.
    pub address: String,
    /// The function's name or ARN, unless that is known only after the apply.
    pub function: Option<String>,
    /// Which alias, if it is one and its name is known.
    pub alias: Option<String>,
    /// Whether it is an alias.
    pub is_alias: bool,
    /// Whether Terraform thinks that it isn't there.
    pub creates: bool,
}

/// What the AWS provider replaces a function's code for.
const CODE: [&str; 6] = ["filename", "image_uri", "s3_bucket", "s3_key", "s3_object_version", "source_code_hash"];

/// An `aws_lambda_function` that would get other code.
pub(super) fn of_function(resource: &Resource<'_>) -> Result<Option<OwnedFunction>, PlanError> {
    of(resource, &CODE, false)
}

/// An `aws_lambda_alias` that would name another version.
pub(super) fn of_alias(resource: &Resource<'_>) -> Result<Option<OwnedFunction>, PlanError> {
    of(resource, &["function_version"], true)
}

fn of(resource: &Resource<'_>, attributes: &[&str], is_alias: bool) -> Result<Option<OwnedFunction>, PlanError> {
    let creates = creates(resource)?;
    let (before, after) = (resource.node(resource.change.before)?, resource.node(resource.change.after)?);
    // What goes away reaches nothing.
    let Some(after) = after.filter(|after| after.kind != Kind::Null) else { return Ok(None) };
    let was = |name| before.as_ref().and_then(|before| field(before, name));
    // One that Terraform doesn't know yet is not in what comes after.
    let changes = attributes.iter().any(|name| was(name) != field(&after, name));
    let either = |name| field(&after, name).or_else(|| was(name));
    Ok(changes.then(|| OwnedFunction {
        address: without_keys(&resource.address),
        function: text(either("function_name")),
        alias: text(either("name").filter(|_| is_alias)),
        is_alias,
        creates,
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::owned::owned;
    use super::*;

    const FUNCTION: &str = "aws_lambda_function";
    const ALIAS: &str = "aws_lambda_alias";

    #[test]
    fn what_terraform_leaves_alone_is_not_its_own() {
        let function = |code: Value| {
            let mut function = json!({"function_name": "resize", "memory_size": 128});
            function.as_object_mut().unwrap().extend(code.as_object().unwrap().clone());
            function
        };
        let alias = |version: Option<&str>| {
            let mut alias = json!({"function_name": "arn:aws:lambda:r:1:function:resize", "name": "live"});
            if let Some(version) = version {
                alias["function_version"] = version.into();
            }
            alias
        };
        let image = |tag: &str| function(json!({"image_uri": format!("r/web:{tag}")}));
        let bigger = json!({"function_name": "resize", "memory_size": 256, "image_uri": "r/web:1"});
        let zip = |hash: Option<&str>| function(json!({"filename": "a.zip", "source_code_hash": hash}));
        for (case, kind, actions, before, after, expected) in [
            ("another image", FUNCTION, &["update"][..], image("1"), image("2"), Some(false)),
            ("other bytes", FUNCTION, &["update"], zip(Some("a")), zip(Some("b")), Some(false)),
            ("bytes that aren't known yet", FUNCTION, &["update"], zip(Some("a")), zip(None), Some(false)),
            ("only its memory", FUNCTION, &["update"], image("1"), bigger, None),
            ("made", FUNCTION, &["create"], Value::Null, image("1"), Some(true)),
            ("deleted", FUNCTION, &["delete"], image("1"), Value::Null, None),
            ("another version", ALIAS, &["update"], alias(Some("1")), alias(Some("2")), Some(false)),
            ("a version not known yet", ALIAS, &["update"], alias(Some("1")), alias(None), Some(false)),
            ("as it is", ALIAS, &["no-op"], alias(Some("1")), alias(Some("1")), None),
            ("something else", "aws_lambda_permission", &["update"], image("1"), image("2"), None),
        ] {
            let change = json!({"actions": actions, "before": before, "after": after, "after_unknown": {}});
            let resource = json!({"address": "aws_x.a[\"key\"]", "mode": "managed", "type": kind, "change": change});
            let plan = json!({"format_version": "1.2", "terraform_version": "1.11.4", "resource_changes": [resource]});
            let found = owned(plan.to_string().as_bytes()).unwrap().functions;
            let is_alias = kind == ALIAS;
            let name = if is_alias { "arn:aws:lambda:r:1:function:resize" } else { "resize" };
            let expected = expected.map(|creates| OwnedFunction {
                address: "aws_x.a[…]".to_owned(),
                function: Some(name.to_owned()),
                alias: is_alias.then(|| "live".to_owned()),
                is_alias,
                creates,
            });
            assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{case}");
        }
    }
}
