//! What policies mean, as tables.

use serde_json::{Value, json};

use super::wildcard::{arn_fits, fits};
use super::{Context, Denied, Guard, Policy, Principal, Question, decide, within};

const USER: &str = "arn:aws:iam::111111111111:user/ci";
const ROLE: &str = "arn:aws:iam::111111111111:role/team/gateway";
const BUCKET: &str = "arn:aws:s3:::airlock";

fn user() -> Principal {
    Principal::User(USER.to_owned())
}

fn session() -> Principal {
    let session = "arn:aws:sts::111111111111:assumed-role/gateway/x".to_owned();
    Principal::Session { role: ROLE.to_owned(), session }
}

fn policy(statements: &Value) -> Policy {
    Policy::parse(&json!({ "Version": "2012-10-17", "Statement": statements })).unwrap()
}

fn context(pairs: &[(&str, &[&str])]) -> Context {
    let owned = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
    pairs.iter().map(|(key, values)| (key.to_lowercase(), owned(values))).collect()
}

#[test]
fn patterns_match_any_text_and_any_character() {
    for (pattern, text, expected) in [
        ("", "", true),
        ("*", "", true),
        ("a", "", false),
        ("a*c", "abbbc", true),
        ("a*c", "abbcd", false),
        ("a?c", "abc", true),
        ("a?c", "ac", false),
        ("*b*b*", "abab", true),
        ("*b*b*", "aba", false),
        ("arn:aws:s3:::a/*", "arn:aws:s3:::a/b/c", true),
        ("arn:aws:s3:::a/*", "arn:aws:s3:::ab/c", false),
        ("**", "x", true),
    ] {
        assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
    }
    for (pattern, arn, expected) in [
        ("arn:aws:iam::*:role/x", "arn:aws:iam::111111111111:role/x", true),
        ("arn:aws:iam::*", "arn:aws:iam::111111111111:role/x", false),
        ("arn:*:role/x", "arn:aws:iam::111111111111:role/x", false),
        ("*", "arn:aws:iam::111111111111:role/x", true),
    ] {
        assert_eq!(arn_fits(pattern, arn), expected, "{pattern} {arn}");
    }
}

#[test]
fn a_session_may_only_what_its_own_policies_allow_and_none_of_them_denies() {
    let statement = |effect: &str, action: &str| json!({ "Effect": effect, "Action": action, "Resource": "*" });
    let limits = [
        policy(&json!([statement("Allow", "kms:*"), statement("Allow", "s3:Get*")])),
        policy(&json!([statement("Deny", "s3:GetObject")])),
    ];
    for (action, expected) in [
        ("kms:Sign", Ok(())),
        ("s3:GetBucketPolicy", Ok(())),
        ("s3:GetObject", Err(Denied::BySession)),
        ("s3:PutObject", Err(Denied::NoSession)),
    ] {
        let (principal, context) = (session(), Context::new());
        let question =
            Question { principal: &principal, action, resource: BUCKET, account: "111111111111", context: &context };
        assert_eq!(within(&question, &limits), expected, "{action}");
    }
}

#[test]
fn identity_policies_decide_within_an_account() {
    let allow = |action: &str, resource: &str| json!({ "Effect": "Allow", "Action": action, "Resource": resource });
    let deny = |action: &str, resource: &str| json!({ "Effect": "Deny", "Action": action, "Resource": resource });
    let here = format!("{BUCKET}/key");
    for (statements, expected) in [
        (json!([]), Err(Denied::NoIdentity)),
        (allow("s3:PutObject", "*"), Ok(())),
        (allow("S3:putobject", "*"), Ok(())),
        (allow("s3:Put*", &here), Ok(())),
        (allow("s3:Get*", "*"), Err(Denied::NoIdentity)),
        (allow("*", BUCKET), Err(Denied::NoIdentity)),
        (allow("s3:PutObject", "arn:aws:s3:::airlock/k?y"), Ok(())),
        (json!([allow("*", "*"), deny("s3:*", "arn:aws:s3:::airlock/*")]), Err(Denied::ByIdentity)),
        (json!([allow("*", "*"), deny("s3:*", "arn:aws:s3:::other/*")]), Ok(())),
        (json!({ "Effect": "Allow", "NotAction": "s3:*", "Resource": "*" }), Err(Denied::NoIdentity)),
        (json!({ "Effect": "Allow", "NotAction": ["iam:*", "sts:*"], "Resource": "*" }), Ok(())),
        (json!({ "Effect": "Allow", "Action": "*", "NotResource": "arn:aws:s3:::airlock/*" }), Err(Denied::NoIdentity)),
        (json!({ "Effect": "Allow", "Action": ["ecs:*", "s3:PutObject"], "NotResource": "arn:aws:s3:::x/*" }), Ok(())),
    ] {
        let (principal, context) = (user(), Context::new());
        let question = Question {
            principal: &principal,
            action: "s3:PutObject",
            resource: &here,
            account: "111111111111",
            context: &context,
        };
        assert_eq!(decide(&question, &[policy(&statements)], Guard::None), expected, "{statements}");
    }
}

/// Who is let in by what the resource says, by what the caller's policies say, and by both.
#[test]
fn resources_let_in_whom_they_name_and_across_accounts_both_sides_must_agree() {
    let named = |principal: Value| {
        policy(&json!({ "Effect": "Allow", "Principal": principal, "Action": "*", "Resource": "*" }))
    };
    let refuses = policy(&json!([
        { "Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*" },
        { "Effect": "Deny", "Principal": { "AWS": ROLE }, "Action": "*", "Resource": "*" },
    ]));
    let root = named(json!({ "AWS": "arn:aws:iam::111111111111:root" }));
    let account = named(json!({ "AWS": "111111111111" }));
    let role = named(json!({ "AWS": [ROLE] }));
    let other = named(json!({ "AWS": USER }));
    let anybody = named(json!("*"));
    let service = named(json!({ "Service": "ecs-tasks.amazonaws.com" }));
    let may = [policy(&json!({ "Effect": "Allow", "Action": "*", "Resource": "*" }))];
    let may_not = [];
    let (home, away) = ("111111111111", "222222222222");
    for (number, (owner, identity, guard, expected)) in [
        (home, &may[..], Guard::None, Ok(())),
        (home, &may_not, Guard::Adds(&role), Ok(())),
        (home, &may_not, Guard::Adds(&anybody), Ok(())),
        (home, &may_not, Guard::Adds(&root), Err(Denied::NoIdentity)),
        (home, &may_not, Guard::Adds(&other), Err(Denied::NoIdentity)),
        (home, &may, Guard::Adds(&other), Ok(())),
        (home, &may, Guard::Adds(&refuses), Err(Denied::ByResource)),
        (home, &may, Guard::Needed(&other), Err(Denied::NoResource)),
        (home, &may, Guard::Needed(&service), Err(Denied::NoResource)),
        (home, &may, Guard::Needed(&root), Ok(())),
        (home, &may_not, Guard::Needed(&root), Err(Denied::NoIdentity)),
        (home, &may_not, Guard::Needed(&role), Ok(())),
        (away, &may, Guard::None, Err(Denied::NoResource)),
        (away, &may, Guard::Adds(&role), Ok(())),
        (away, &may, Guard::Adds(&root), Ok(())),
        (away, &may, Guard::Adds(&account), Ok(())),
        (away, &may, Guard::Adds(&other), Err(Denied::NoResource)),
        (away, &may_not, Guard::Adds(&role), Err(Denied::NoIdentity)),
        (away, &may_not, Guard::Adds(&anybody), Err(Denied::NoIdentity)),
        (away, &may, Guard::Adds(&refuses), Err(Denied::ByResource)),
        (away, &may, Guard::Needed(&root), Ok(())),
    ]
    .into_iter()
    .enumerate()
    {
        let (principal, context) = (session(), Context::new());
        let question = Question {
            principal: &principal,
            action: "s3:GetObject",
            resource: BUCKET,
            account: owner,
            context: &context,
        };
        assert_eq!(decide(&question, identity, guard), expected, "case {number}");
    }
    let (principal, context) = (Principal::Service("ecs-tasks.amazonaws.com".to_owned()), Context::new());
    let question =
        Question { principal: &principal, action: "sts:AssumeRole", resource: ROLE, account: home, context: &context };
    assert_eq!(decide(&question, &[], Guard::Needed(&service)), Ok(()));
    assert_eq!(decide(&question, &[], Guard::Needed(&root)), Err(Denied::NoResource));
}

#[test]
fn conditions_hold_as_their_operators_say() {
    let known = context(&[
        ("aws:PrincipalArn", &[ROLE]),
        ("aws:PrincipalTag/Project", &["hello"]),
        ("aws:SecureTransport", &["true"]),
        ("aws:TagKeys", &["a", "b"]),
        ("s3:if-none-match", &["*"]),
        ("s3:max-keys", &["10"]),
        ("s3:prefix", &["hello/jobs/"]),
    ]);
    for (condition, expected) in [
        (json!({}), true),
        (json!({ "StringEquals": { "s3:prefix": ["a", "hello/jobs/"] } }), true),
        (json!({ "StringEquals": { "S3:Prefix": "hello/jobs" } }), false),
        (json!({ "StringNotEquals": { "s3:prefix": ["a", "hello/jobs/"] } }), false),
        (json!({ "StringEqualsIgnoreCase": { "s3:prefix": "HELLO/jobs/" } }), true),
        (json!({ "StringLike": { "s3:prefix": "hello/*" } }), true),
        (json!({ "StringNotLike": { "s3:prefix": "hello/*" } }), false),
        (json!({ "StringLike": { "s3:prefix": "${aws:PrincipalTag/Project}/*" } }), true),
        (json!({ "StringLike": { "s3:prefix": "${aws:username}/*" } }), false),
        (json!({ "StringEquals": { "s3:delimiter": "/" } }), false),
        (json!({ "StringNotEquals": { "s3:delimiter": "/" } }), true),
        (json!({ "StringEqualsIfExists": { "s3:delimiter": "/" } }), true),
        (json!({ "StringEqualsIfExists": { "s3:prefix": "/" } }), false),
        (json!({ "ArnLike": { "aws:PrincipalArn": "arn:aws:iam::*:role/team/*" } }), true),
        (json!({ "ArnEquals": { "aws:PrincipalArn": "arn:aws:iam::*:role/team/gate*" } }), true),
        (json!({ "ArnNotEquals": { "aws:PrincipalArn": ROLE } }), false),
        (json!({ "Bool": { "aws:SecureTransport": true } }), true),
        (json!({ "Bool": { "aws:SecureTransport": "false" } }), false),
        (json!({ "Null": { "s3:if-none-match": "false" } }), true),
        (json!({ "Null": { "s3:if-none-match": true } }), false),
        (json!({ "Null": { "s3:if-match": "true" } }), true),
        (json!({ "NumericLessThanEquals": { "s3:max-keys": 10 } }), true),
        (json!({ "NumericLessThan": { "s3:max-keys": "10" } }), false),
        (json!({ "NumericGreaterThan": { "s3:max-keys": "9" } }), true),
        (json!({ "NumericNotEquals": { "s3:max-keys": "10" } }), false),
        (json!({ "ForAllValues:StringEquals": { "aws:TagKeys": ["a", "b", "c"] } }), true),
        (json!({ "ForAllValues:StringEquals": { "aws:TagKeys": ["a"] } }), false),
        (json!({ "ForAllValues:StringEquals": { "aws:RequestTag/x": ["a"] } }), true),
        (json!({ "ForAnyValue:StringEquals": { "aws:TagKeys": ["b", "z"] } }), true),
        (json!({ "ForAnyValue:StringEquals": { "aws:RequestTag/x": ["a"] } }), false),
        (json!({ "StringLike": { "s3:prefix": "*" }, "Bool": { "aws:SecureTransport": "false" } }), false),
    ] {
        let policy = policy(&json!({ "Effect": "Allow", "Action": "*", "Resource": "*", "Condition": condition }));
        let principal = session();
        let question = Question {
            principal: &principal,
            action: "s3:ListBucket",
            resource: BUCKET,
            account: "111111111111",
            context: &known,
        };
        assert_eq!(decide(&question, &[policy], Guard::None).is_ok(), expected, "{condition}");
    }
}

#[test]
fn a_policy_that_uses_what_is_not_doubled_is_refused_loudly() {
    let base = || json!({ "Effect": "Allow", "Action": "*", "Resource": "*" });
    let with = |name: &str, value: Value| {
        let mut statement = base();
        statement[name] = value;
        statement
    };
    for (statement, said) in [
        (with("Condition", json!({ "IpAddress": { "s3:prefix": "10.0.0.0/8" } })), "operator IpAddress"),
        (with("Condition", json!({ "StringEqual": { "s3:prefix": "a" } })), "operator StringEqual"),
        (with("Condition", json!({ "StringEquals": { "aws:SourceIp": "a" } })), "key aws:sourceip"),
        (with("NotPrincipal", json!({ "AWS": USER })), "NotPrincipal"),
        (with("NotAction", json!("s3:*")), "Action and NotAction"),
        (with("Effect", json!("allow")), "allow"),
        (with("Resources", json!("*")), "Resources"),
        (json!({ "Effect": "Allow", "Action": "*" }), "neither Resource nor Principal"),
        (json!({ "Effect": "Allow", "Resource": "*" }), "no Action"),
    ] {
        let error = Policy::parse(&json!({ "Version": "2012-10-17", "Statement": [statement] })).unwrap_err();
        assert!(error.contains(said), "{statement}: {error}");
    }
    let old = Policy::parse(&json!({ "Version": "2008-10-17", "Statement": base() })).unwrap_err();
    assert!(old.contains("2008-10-17"), "{old}");
}
