//! What Terraform may do in AWS while it plans: look, whatever its role may do.
//!
//! A session policy narrows the planner's sessions to what AWS's own `ReadOnlyAccess` allows, without what that allows of
//! data: bodies of objects but the state's, secrets, parameters, items of tables, messages, logs. A plan leaves
//! production in part, and providers are others' code.

use aws::Limits;
use records::config::{RoleArn, StateBucket};
use serde_json::json;

use super::state::StatePlace;

/// What `ReadOnlyAccess` allows, or may come to allow, that reads data and not how things are set up: of the services that
/// teams keep data in. The policy has thousands of actions; what the role itself may is the other half of the wall.
const DATA: &[&str] = &[
    "appconfig:GetConfiguration",
    "appconfig:GetHosted*",
    "athena:GetQueryResults*",
    "cassandra:Select",
    "cloudtrail:GetQueryResults",
    "cloudtrail:LookupEvents",
    "codeartifact:Get*Asset",
    "codecommit:GetBlob",
    "codecommit:GetFile",
    "codecommit:GitPull",
    "dax:*",
    "dynamodb:*GetItem",
    "dynamodb:GetRecords",
    "dynamodb:PartiQLSelect",
    "dynamodb:Query",
    "dynamodb:Scan",
    "ebs:GetSnapshotBlock",
    "ec2:GetConsole*",
    "ec2:GetPasswordData",
    "ecr:GetDownloadUrlForLayer",
    "es:ESHttp*",
    "glacier:GetJobOutput",
    "kinesis:GetRecords",
    "logs:FilterLogEvents",
    "logs:GetLog*",
    "logs:GetQueryResults",
    "logs:Start*",
    "logs:Unmask",
    "mediastore:GetObject",
    "rds:Download*",
    "s3-object-lambda:*",
    "s3express:*",
    "sdb:Select*",
    "secretsmanager:*GetSecretValue",
    "sqs:ReceiveMessage",
    "ssm:GetCommand*",
    "states:*Execution*",
];

/// The limits of a planner's session of `role`, which reads the state in its `place`.
pub(super) fn limits(role: &RoleArn, place: &StatePlace, rules: &StateBucket) -> Limits {
    let partition = role.partition();
    // AWS's own parameters, such as the newest image's id, are no secrets.
    let public = format!("arn:{partition}:ssm:*::parameter/aws/*");
    let mut statements = vec![
        json!({ "Effect": "Deny", "Action": DATA, "Resource": "*" }),
        json!({ "Effect": "Deny", "Action": "ssm:GetParameter*", "NotResource": public }),
    ];
    let bodies = ["s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectTorrent"];
    match place {
        StatePlace::File(_) => statements.push(json!({ "Effect": "Deny", "Action": bodies, "Resource": "*" })),
        StatePlace::Object { bucket, key } => {
            let state = format!("arn:{partition}:s3:::{bucket}/{key}");
            statements.push(json!({ "Effect": "Deny", "Action": bodies, "NotResource": state }));
        }
    }
    if let Some(key) = &rules.kms_key {
        statements.push(json!({ "Effect": "Allow", "Action": "kms:Decrypt", "Resource": key }));
    }
    Limits {
        managed: vec![format!("arn:{partition}:iam::aws:policy/ReadOnlyAccess")],
        inline: json!({ "Version": "2012-10-17", "Statement": statements }).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// STS takes 2,048 characters (STS API reference, `AssumeRole`, `Policy`).
    #[test]
    fn the_longest_names_leave_room() {
        let role = RoleArn::try_from("arn:aws-us-gov:iam::222222222222:role/terraform".to_owned()).unwrap();
        let place =
            StatePlace::Object { bucket: "b".repeat(63), key: format!("{}/terraform.tfstate", "k".repeat(200)) };
        let key = "arn:aws-us-gov:kms:us-gov-west-1:222222222222:key/1234abcd-12ab-34cd-56ef-1234567890ab".to_owned();
        let limits = limits(&role, &place, &StateBucket { kms_key: Some(key), path_style: false });
        assert!(limits.inline.len() < 1950, "{}: {}", limits.inline.len(), limits.inline);
        assert_eq!(limits.managed, ["arn:aws-us-gov:iam::aws:policy/ReadOnlyAccess"]);
    }

    #[test]
    fn of_all_objects_only_the_state_has_a_body() {
        let role = RoleArn::try_from("arn:aws:iam::222222222222:role/terraform".to_owned()).unwrap();
        let denied = |place: &StatePlace| {
            let limits = limits(&role, place, &StateBucket::default());
            let policy: serde_json::Value = serde_json::from_str(&limits.inline).unwrap();
            let statements = policy["Statement"].as_array().unwrap().clone();
            assert!(statements.iter().all(|statement| statement["Effect"] == "Deny"), "{policy:#}");
            statements.into_iter().find(|statement| statement["Action"][0] == "s3:GetObject").unwrap()
        };
        let object = StatePlace::Object { bucket: "states".to_owned(), key: "production/hello".to_owned() };
        assert_eq!(denied(&object)["NotResource"], "arn:aws:s3:::states/production/hello");
        assert_eq!(denied(&StatePlace::File("/states".into()))["Resource"], "*");
    }
}
