//! Functions and aliases that Terraform would change, and a step, too: each would undo the other.

use manifest_schema::plan::FunctionChange;
use manifest_schema::{Code, Reason};
use policy::plan::OwnedFunction;

/// What both would change. What isn't there yet is Terraform's to make.
pub(crate) fn owned_twice(owned: &[OwnedFunction], functions: &[FunctionChange]) -> Vec<Reason> {
    let mut reasons = Vec::new();
    for change in functions {
        let there = change.version.is_some();
        for by in owned.iter().filter(|owned| (there || !owned.creates) && is(owned, change)) {
            let what = if by.is_alias { "make its alias name another version" } else { "give it other code" };
            let message = format!("function {}: {} would {what}, and so does its step", change.function, by.address);
            reasons.push(Reason::new(Code::FunctionOwnedTwice, message));
        }
    }
    reasons
}

fn is(owned: &OwnedFunction, change: &FunctionChange) -> bool {
    // A name, or an ARN that ends with it.
    let name = owned.function.as_deref().and_then(|function| function.rsplit(':').next());
    let alias = owned.alias.as_deref().is_none_or(|alias| alias == change.alias.as_str());
    name == Some(change.function.as_str()) && (!owned.is_alias || alias)
}

#[cfg(test)]
mod tests {
    use manifest_schema::Digest;
    use manifest_schema::plan::ImageChange;

    use super::*;

    #[test]
    fn a_function_is_terraforms_or_a_steps() {
        let owned = |function: Option<&str>, alias: Option<&str>, creates| OwnedFunction {
            address: "aws_x.a".to_owned(),
            function: function.map(str::to_owned),
            alias: alias.map(str::to_owned),
            is_alias: alias.is_some(),
            creates,
        };
        let arn = "arn:aws:lambda:eu-central-1:222222222222:function:resize";
        for (case, owned, there, refused) in [
            ("its code", owned(Some("resize"), None, false), true, true),
            ("its alias, by an ARN", owned(Some(arn), Some("live"), false), true, true),
            ("another alias", owned(Some("resize"), Some("test"), false), true, false),
            ("another function", owned(Some("other"), None, false), true, false),
            ("one without a name yet", owned(None, None, true), true, false),
            ("made for the first time", owned(Some("resize"), None, true), false, false),
            ("made once more", owned(Some("resize"), None, true), true, true),
        ] {
            let code = ImageChange { before: None, elsewhere: None, after: Digest::of(b"x") };
            let change = FunctionChange {
                function: "resize".parse().unwrap(),
                alias: "live".parse().unwrap(),
                version: there.then(|| "7".to_owned()),
                ours: true,
                code,
                settings: Vec::new(),
                alarms: Vec::new(),
                revision: None,
                watch_seconds: 0,
            };
            let found = owned_twice(&[owned], &[change]);
            let codes: Vec<_> = found.iter().map(|reason| reason.code.to_string()).collect();
            assert_eq!(codes, if refused { vec!["function.owned-twice"] } else { vec![] }, "{case}");
        }
    }
}
