//! Names that people and CI choose, checked once where they enter.
//!
//! Every name but those of parameters, clusters, variables, schedules, event buses, functions, aliases and alarms is safe as one component of a
//! storage key and of a file path: it starts and ends with a letter or a digit, so it is never empty, `.` or `..`, and holds
//! no separator.

mod paths;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use paths::{LinkTarget, RelativePath};

/// A name that breaks the rules of its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is not a {kind}: {rule}")]
pub struct NameError {
    /// What it was meant to name.
    pub kind: &'static str,
    /// The text that was refused.
    pub value: String,
    /// The rule it breaks.
    pub rule: &'static str,
}

const LOWER_RULE: &str = "use 1 to 63 of a-z 0-9 . _ -, starting and ending with a letter or digit";
const MIXED_RULE: &str = "use 1 to 63 of A-Z a-z 0-9 . _ - @, starting and ending with a letter or digit";

fn fits(value: &str, allowed: impl Fn(u8) -> bool) -> bool {
    let bytes = value.as_bytes();
    let edge = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_alphanumeric() && allowed(*b));
    bytes.len() <= 63
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|b| allowed(*b))
        && !value.contains("..")
}

fn is_lower(value: &str) -> bool {
    fits(value, |b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'))
}

fn is_mixed(value: &str) -> bool {
    fits(value, |b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'@'))
}

const PARAMETER_RULE: &str =
    "use 1 to 256 of A-Z a-z 0-9 . _ - in 1 to 8 parts with / between them, none of them empty, . or ..";

/// Parameter Store takes names of 15 levels, of which a prefix has up to 6, and Secrets Manager names of 512 characters
/// (Systems Manager API reference, `PutParameter`; Secrets Manager API reference, `CreateSecret`).
fn is_parameter(value: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    value.len() <= 256
        && value.split('/').count() <= 8
        && value.split('/').all(|part| !matches!(part, "" | "." | "..") && part.bytes().all(allowed))
}

const CLUSTER_RULE: &str = "use 1 to 255 of A-Z a-z 0-9 _ -; not its ARN";

/// ECS API reference, `CreateCluster`, "clusterName".
fn is_cluster(value: &str) -> bool {
    (1..=255).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

const TASK_RULE: &str = "use 1 to 63 of a-z 0-9 _ -, starting and ending with a letter or digit";

/// It is a part of the name of a task definition's family, which takes no dots.
fn is_task(value: &str) -> bool {
    is_lower(value) && !value.contains('.')
}

const BUCKET_RULE: &str = "use 3 to 63 of a-z 0-9 . -, starting and ending with a letter or digit; not its ARN";

/// S3 user guide, "General purpose bucket naming rules".
fn is_bucket(value: &str) -> bool {
    value.len() >= 3 && is_lower(value) && !value.contains('_')
}

const SCHEDULE_RULE: &str = "use 1 to 64 of A-Z a-z 0-9 . _ -, and neither . nor ..";

/// EventBridge API reference, `PutRule`, "Name", and `Target`, "Id"; EventBridge Scheduler API reference, `CreateSchedule`,
/// "Name" and "GroupName".
fn is_schedule(value: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=64).contains(&value.len()) && value.bytes().all(allowed) && !matches!(value, "." | "..")
}

const BUS_RULE: &str = "use 1 to 256 of A-Z a-z 0-9 / . _ -; not its ARN";

/// EventBridge API reference, `CreateEventBus`, "Name".
fn is_bus(value: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'.' | b'_' | b'-');
    (1..=256).contains(&value.len()) && value.bytes().all(allowed)
}

const FUNCTION_RULE: &str = "use 1 to 64 of A-Z a-z 0-9 _ -; not its ARN";

/// Lambda API reference, `CreateFunction`, "FunctionName": of its forms, the name alone.
fn is_function(value: &str) -> bool {
    (1..=64).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

const ALIAS_RULE: &str = "use 1 to 128 of A-Z a-z 0-9 _ -, not only digits";

/// Lambda API reference, `CreateAlias`, "Name".
fn is_alias(value: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    (1..=128).contains(&value.len()) && value.bytes().all(allowed) && !value.bytes().all(|b| b.is_ascii_digit())
}

const ALARM_RULE: &str = "use 1 to 255 characters, none of them a control character; not its ARN";

/// CloudWatch API reference, `PutMetricAlarm`, "AlarmName".
fn is_alarm(value: &str) -> bool {
    (1..=255).contains(&value.chars().count()) && !value.chars().any(char::is_control) && !value.starts_with("arn:")
}

const VARIABLE_RULE: &str = "use 1 to 255 of A-Z a-z 0-9 _ . -, starting with a letter or _";

fn is_variable(value: &str) -> bool {
    let first = value.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    first && value.len() <= 255 && value.bytes().all(allowed)
}

/// Implements `JsonSchema` for a type that is a string with a pattern.
macro_rules! string_schema {
    ($type:ty, $name:expr, $pattern:expr, $description:expr) => {
        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "pattern": $pattern, "description": $description })
            }
        }
    };
}
pub(crate) use string_schema;

macro_rules! name_type {
    ($(#[$doc:meta])* $type:ident, $kind:literal, $check:ident, $rule:ident, $pattern:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            /// Checks `value` against the rules of its kind.
            ///
            /// # Errors
            /// When a rule is broken; the message names it.
            pub fn new(value: impl Into<String>) -> Result<Self, NameError> {
                let value = value.into();
                if $check(&value) {
                    Ok(Self(value))
                } else {
                    Err(NameError { kind: $kind, value, rule: $rule })
                }
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl std::str::FromStr for $type {
            type Err = NameError;

            fn from_str(value: &str) -> Result<Self, NameError> {
                Self::new(value)
            }
        }

        impl TryFrom<String> for $type {
            type Error = NameError;

            fn try_from(value: String) -> Result<Self, NameError> {
                Self::new(value)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.0
            }
        }

        string_schema!($type, stringify!($type), $pattern, $rule);
    };
}

name_type!(
    /// One deployable thing.
    ProjectName, "project name", is_lower, LOWER_RULE, r"^(?!.*\.\.)[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$"
);
name_type!(
    /// A named place in production.
    EnvironmentName, "environment name", is_lower, LOWER_RULE, r"^(?!.*\.\.)[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$"
);
name_type!(
    /// Something a build made, named in its manifest.
    ArtifactName, "artifact name", is_lower, LOWER_RULE, r"^(?!.*\.\.)[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$"
);
name_type!(
    /// An ECS service, or a container in its task definition.
    ServiceName, "service name", is_mixed, MIXED_RULE, r"^(?!.*\.\.)[A-Za-z0-9]([A-Za-z0-9._@-]{0,61}[A-Za-z0-9])?$"
);
name_type!(
    /// Services that roll out together.
    GroupName, "group's name", is_lower, LOWER_RULE, r"^(?!.*\.\.)[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$"
);
name_type!(
    /// An ECS cluster.
    ClusterName, "cluster's name", is_cluster, CLUSTER_RULE, r"^[A-Za-z0-9_-]{1,255}$"
);
name_type!(
    /// Something that a deploy runs once, such as a migration.
    TaskName, "task's name", is_task, TASK_RULE, r"^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$"
);
name_type!(
    /// An S3 bucket.
    BucketName, "bucket's name", is_bucket, BUCKET_RULE, r"^(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$"
);
name_type!(
    /// A schedule or a rule of EventBridge, a group of schedules, or a rule's target.
    ScheduleName, "name of a schedule or rule", is_schedule, SCHEDULE_RULE, r"^(?!\.{1,2}$)[A-Za-z0-9._-]{1,64}$"
);
name_type!(
    /// An event bus.
    EventBusName, "event bus's name", is_bus, BUS_RULE, r"^[A-Za-z0-9/._-]{1,256}$"
);
name_type!(
    /// An AWS Lambda function.
    FunctionName, "function's name", is_function, FUNCTION_RULE, r"^[A-Za-z0-9_-]{1,64}$"
);
name_type!(
    /// An alias of a Lambda function: what its callers name, and which of its versions they reach.
    AliasName, "alias", is_alias, ALIAS_RULE, r"^(?![0-9]+$)[A-Za-z0-9_-]{1,128}$"
);
name_type!(
    /// An alarm of CloudWatch.
    AlarmName, "alarm's name", is_alarm, ALARM_RULE, r"^(?!arn:)[^\u0000-\u001f\u007f-\u009f]{1,255}$"
);
name_type!(
    /// An environment variable of a container.
    VariableName, "variable's name", is_variable, VARIABLE_RULE, r"^[A-Za-z_][A-Za-z0-9_.-]{0,254}$"
);
name_type!(
    /// A change: a Jira issue key, or a local record's id.
    ChangeId, "change id", is_mixed, MIXED_RULE, r"^(?!.*\.\.)[A-Za-z0-9]([A-Za-z0-9._@-]{0,61}[A-Za-z0-9])?$"
);
name_type!(
    /// A public key's name in the trust policy.
    KeyName, "key name", is_mixed, MIXED_RULE, r"^(?!.*\.\.)[A-Za-z0-9]([A-Za-z0-9._@-]{0,61}[A-Za-z0-9])?$"
);
name_type!(
    /// A person who may approve.
    PersonName, "person's name", is_mixed, MIXED_RULE, r"^(?!.*\.\.)[A-Za-z0-9]([A-Za-z0-9._@-]{0,61}[A-Za-z0-9])?$"
);

name_type!(
    /// A parameter of SSM or a secret of Secrets Manager below its project's own prefix: unlike other names, several
    /// components.
    ParameterName, "parameter's name", is_parameter, PARAMETER_RULE,
    r"^(?=.{1,256}$)(?!(.*/)?\.{1,2}(/|$))[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+){0,7}$"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_as_one_path_component() {
        for good in ["a", "hello", "a-b_c.d", "0", &"x".repeat(63)] {
            assert!(ProjectName::new(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a..b", "-a", "a-", "A", "a/b", "a b", "a\n", "é", "a\0", &"x".repeat(64)] {
            assert!(ProjectName::new(bad).is_err(), "{bad:?} was taken");
        }
        assert!(ChangeId::new("PRODCM-12").is_ok());
        assert!(PersonName::new("alice@example.com").is_ok());
        assert!(PersonName::new("../alice").is_err());
    }

    #[test]
    fn parameters_stay_below_their_prefix() {
        for good in ["a", "db-password", "Db/Main.pass_word", "a/..b", ".a", "a/b/c/d/e/f/g/h", &"x".repeat(256)] {
            assert!(ParameterName::new(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "/a",
            "a/",
            "a//b",
            ".",
            "..",
            "../other/a",
            "a/../b",
            "a/./b",
            "a:1",
            "a b",
            "a@b",
            "a+b",
            "a\n",
            "é",
            "a\0",
            "arn:aws:ssm:eu-central-1:1:parameter/x",
            "a/b/c/d/e/f/g/h/i",
            &"x".repeat(257),
        ] {
            assert!(ParameterName::new(bad).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn buckets_are_named_as_s3_takes_them() {
        for (good, bad) in [("www.example.com", "ab"), ("a-1", "A-1"), ("0.0", "a_b"), ("abc", "a..b"), ("abc", "abc-")]
        {
            assert!(BucketName::new(good).is_ok(), "{good}");
            assert!(BucketName::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn clusters_and_variables_are_named_as_ecs_takes_them() {
        for (good, bad) in [("main_2-A", ""), ("-", "a.b"), (&*"x".repeat(255), &*"x".repeat(256)), ("a", "arn:aws:x")]
        {
            assert!(ClusterName::new(good).is_ok(), "{good}");
            assert!(ClusterName::new(bad).is_err(), "{bad}");
        }
        for (good, bad) in [("LOG_LEVEL", "A=B"), ("_x", "1X"), ("spring.url-2", "a b"), (&*"x".repeat(255), "é")] {
            assert!(VariableName::new(good).is_ok(), "{good}");
            assert!(VariableName::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn functions_aliases_and_alarms_are_named_as_aws_takes_them() {
        for (good, bad) in [("resize_2-A", ""), ("-", "a.b"), (&*"x".repeat(64), &*"x".repeat(65)), ("0", "a:live")] {
            assert!(FunctionName::new(good).is_ok(), "{good}");
            assert!(FunctionName::new(bad).is_err(), "{bad}");
        }
        for (good, bad) in [("live", ""), ("2-a", "$LATEST"), (&*"x".repeat(128), &*"x".repeat(129)), ("_", "17")] {
            assert!(AliasName::new(good).is_ok(), "{good}");
            assert!(AliasName::new(bad).is_err(), "{bad}");
        }
        for (good, bad) in [("too many errors (é)", ""), ("é", "a\nb"), (&*"é".repeat(255), &*"x".repeat(256))] {
            assert!(AlarmName::new(good).is_ok(), "{good}");
            assert!(AlarmName::new(bad).is_err(), "{bad:?}");
        }
        assert!(AlarmName::new("arn:aws:cloudwatch:eu-central-1:1:alarm:x").is_err());
    }
}
