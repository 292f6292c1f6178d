//! Accounts, as tests fill them.

use serde_json::Value;

use crate::{Double, Function, KeyState, Keys, Role, USER};

/// An account, to put something into. Names and ARNs are the account's own; the region is always [`crate::REGION`].
#[derive(Debug, Clone, Copy)]
pub struct Account<'a> {
    double: &'a Double,
    id: &'a str,
}

impl<'a> Account<'a> {
    pub(crate) fn new(double: &'a Double, id: &'a str) -> Self {
        assert!(id.len() == 12 && id.bytes().all(|digit| digit.is_ascii_digit()), "{id} is no account");
        Self { double, id }
    }

    pub(crate) fn double(self) -> &'a Double {
        self.double
    }

    pub(crate) fn id(self) -> &'a str {
        self.id
    }

    /// A user who may do what these policies allow, or a known one who may do that from now on; what they sign with.
    ///
    /// # Panics
    /// When a policy is none, or uses what isn't doubled.
    pub fn user(self, name: &str, policies: &[Value]) -> Keys {
        self.double.state().people.add_user(self.id, name, policies)
    }

    /// A role, or another in its place; its ARN.
    ///
    /// # Panics
    /// When a policy is none, or uses what isn't doubled.
    pub fn role(self, role: Role) -> String {
        self.double.state().people.add_role(self.id, role)
    }

    /// A KMS key from a seed, in this state, with an alias; its ARN.
    pub fn key(self, alias: &str, seed: u8, state: KeyState) -> String {
        self.double.state().new_key(self.id, alias, seed, state)
    }

    /// A parameter of Parameter Store, or another value of a known one.
    pub fn parameter(self, name: &str, value: &str) {
        self.double.state().set_parameter(self.id, name, value);
    }

    /// A secret of Secrets Manager, or another value of a known one.
    pub fn secret(self, name: &str, value: &str) {
        self.double.state().set_secret(self.id, name, value);
    }

    /// A bucket of the S3 server behind the double, which must have it, with its policy.
    ///
    /// # Panics
    /// When the policy is none, or uses what isn't doubled.
    pub fn bucket(self, name: &str, policy: Option<&Value>) {
        self.double.state().s3.add_bucket(self.id, name, policy);
    }

    /// A function, or another in its place; its ARN.
    ///
    /// # Panics
    /// When its role isn't there or doesn't trust Lambda, or its configuration has a variable that Lambda reserves.
    pub fn function(self, function: Function) -> String {
        self.double.state().add_function(self.id, function)
    }

    /// An ECS cluster; its ARN.
    pub fn cluster(self, name: &str) -> String {
        self.double.state().ecs.add_cluster(self.id, name)
    }

    /// A task definition, as `RegisterTaskDefinition` takes it; its ARN, with the revision.
    ///
    /// # Panics
    /// When ECS refuses it.
    pub fn task_definition(self, definition: &Value) -> String {
        let added = self.double.state().ecs.add_definition(self.id, definition, USER);
        let added = added.unwrap_or_else(|refusal| panic!("the task definition is refused: {}", refusal.message));
        added["taskDefinition"]["taskDefinitionArn"].as_str().expect("it has been given one").to_owned()
    }

    /// A service of a cluster, as `CreateService` takes it, that has been there for long: its deployment is COMPLETED,
    /// its tasks run. One that ECS doesn't roll itself (of CodeDeploy, for example) has no tasks. Its ARN.
    ///
    /// # Panics
    /// When ECS refuses it, or its script doesn't let it get there.
    pub fn service(self, cluster: &str, service: &Value) -> String {
        let added = self.double.state().ecs.add_steady_service(self.id, cluster, service);
        added.unwrap_or_else(|refusal| panic!("the service is refused: {}", refusal.message))
    }
}
