//! Conditions of statements.

use std::collections::BTreeMap;

use super::Context;
use super::wildcard::{arn_fits, expand, fits};

/// The keys that the double says something about, in lower case. One that ends in `/` goes on with a tag's name.
const KEYS: [&str; 38] = [
    "aws:principalaccount",
    "aws:principalarn",
    "aws:principalisawsservice",
    "aws:principaltag/",
    "aws:principaltype",
    "aws:requestedregion",
    "aws:requesttag/",
    "aws:resourceaccount",
    "aws:securetransport",
    "aws:sourceaccount",
    "aws:sourcearn",
    "aws:tagkeys",
    "aws:userid",
    "aws:username",
    "ecs:cluster",
    "ecs:createaction",
    "ecs:enable-execute-command",
    "ecs:task-definition",
    "iam:passedtoservice",
    "kms:messagetype",
    "kms:requestalias",
    "kms:resourcealiases",
    "kms:signingalgorithm",
    "kms:viaservice",
    "lambda:functionarn",
    "s3:delimiter",
    "s3:if-match",
    "s3:if-none-match",
    "s3:max-keys",
    "s3:object-lock-mode",
    "s3:prefix",
    "s3:resourceaccount",
    "s3:versionid",
    "s3:x-amz-copy-source",
    "s3:x-amz-server-side-encryption",
    "s3:x-amz-server-side-encryption-aws-kms-key-id",
    "sts:externalid",
    "sts:rolesessionname",
];

/// How two texts are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Equals,
    EqualsIgnoreCase,
    Like,
    Arn,
    Bool,
    Numeric(std::cmp::Ordering, bool),
}

/// How the values of a request that has several are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quantifier {
    One,
    ForAll,
    ForAny,
}

/// One operator over one key.
#[derive(Debug, Clone)]
pub(super) enum Condition {
    /// Whether the key must be absent.
    Null { key: String, absent: bool },
    /// A comparison with any of these values.
    Compares { comparison: Comparisons, key: String, values: Vec<String> },
}

/// An operator, taken apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Comparisons {
    comparison: Comparison,
    negated: bool,
    if_exists: bool,
    quantifier: Quantifier,
}

/// Reads the `Condition` of a statement.
pub(super) fn parse(block: &BTreeMap<String, BTreeMap<String, Vec<String>>>) -> Result<Vec<Condition>, String> {
    let mut conditions = Vec::new();
    for (operator, keys) in block {
        for (key, values) in keys {
            let key = key.to_lowercase();
            if !KEYS.iter().any(|known| *known == key || (known.ends_with('/') && key.starts_with(known))) {
                return Err(format!("the double knows nothing about the condition key {key}"));
            }
            conditions.push(match (operator.as_str(), &values[..]) {
                ("Null", [value]) => Condition::Null { key, absent: value == "true" },
                _ => Condition::Compares { comparison: operator_of(operator)?, key, values: values.clone() },
            });
        }
    }
    Ok(conditions)
}

fn operator_of(name: &str) -> Result<Comparisons, String> {
    use std::cmp::Ordering::{Equal, Greater, Less};
    let (quantifier, rest) = match name.split_once(':') {
        Some(("ForAllValues", rest)) => (Quantifier::ForAll, rest),
        Some(("ForAnyValue", rest)) => (Quantifier::ForAny, rest),
        _ => (Quantifier::One, name),
    };
    let (rest, if_exists) = rest.strip_suffix("IfExists").map_or((rest, false), |rest| (rest, true));
    let (comparison, negated) = match rest {
        "StringEquals" => (Comparison::Equals, false),
        "StringNotEquals" => (Comparison::Equals, true),
        "StringEqualsIgnoreCase" => (Comparison::EqualsIgnoreCase, false),
        "StringNotEqualsIgnoreCase" => (Comparison::EqualsIgnoreCase, true),
        "StringLike" => (Comparison::Like, false),
        "StringNotLike" => (Comparison::Like, true),
        "ArnEquals" | "ArnLike" => (Comparison::Arn, false),
        "ArnNotEquals" | "ArnNotLike" => (Comparison::Arn, true),
        "Bool" => (Comparison::Bool, false),
        "NumericEquals" => (Comparison::Numeric(Equal, true), false),
        "NumericNotEquals" => (Comparison::Numeric(Equal, true), true),
        "NumericLessThan" => (Comparison::Numeric(Less, false), false),
        "NumericLessThanEquals" => (Comparison::Numeric(Less, true), false),
        "NumericGreaterThan" => (Comparison::Numeric(Greater, false), false),
        "NumericGreaterThanEquals" => (Comparison::Numeric(Greater, true), false),
        _ => return Err(format!("the double doesn't know the condition operator {name}")),
    };
    Ok(Comparisons { comparison, negated, if_exists, quantifier })
}

impl Condition {
    pub(super) fn holds(&self, context: &Context) -> bool {
        match self {
            Self::Null { key, absent } => context.contains_key(key) != *absent,
            Self::Compares { comparison, key, values } => comparison.holds(context, key, values),
        }
    }
}

impl Comparisons {
    fn holds(self, context: &Context, key: &str, values: &[String]) -> bool {
        let wanted: Vec<String> = values.iter().filter_map(|value| expand(value, context)).collect();
        let fits = |have: &String| wanted.iter().any(|wanted| self.comparison.fits(wanted, have)) != self.negated;
        match (context.get(key), self.quantifier) {
            (None, _) if self.if_exists => true,
            (None, Quantifier::ForAll) => true,
            (None, Quantifier::ForAny) => false,
            (None, Quantifier::One) => self.negated,
            (Some(have), Quantifier::ForAll) => have.iter().all(fits),
            (Some(have), Quantifier::ForAny | Quantifier::One) => have.iter().any(fits),
        }
    }
}

impl Comparison {
    fn fits(self, wanted: &str, have: &str) -> bool {
        match self {
            Self::Equals => wanted == have,
            Self::EqualsIgnoreCase | Self::Bool => wanted.eq_ignore_ascii_case(have),
            Self::Like => fits(wanted, have),
            Self::Arn => arn_fits(wanted, have),
            Self::Numeric(ordering, or_equal) => match (wanted.parse::<f64>(), have.parse::<f64>()) {
                (Ok(wanted), Ok(have)) => {
                    let compared = have.partial_cmp(&wanted);
                    compared == Some(ordering) || (or_equal && compared == Some(std::cmp::Ordering::Equal))
                }
                (Ok(_) | Err(_), Ok(_) | Err(_)) => false,
            },
        }
    }
}
