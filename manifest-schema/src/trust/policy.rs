//! The words of a trust policy, and the rules that its types alone can't state.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::json::{Document, schema_tag, unique_map};
use crate::keys::PublicKey;
use crate::names::{EnvironmentName, KeyName, PersonName, ProjectName};
use crate::plan::Finding;
use crate::time::Timestamp;
use crate::trust::TerraformRules;

schema_tag!(TrustPolicySchema, "airlock/trust-policy/v1");

/// Who may sign what for which environment, with which thresholds and rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct TrustPolicy {
    /// Always `airlock/trust-policy/v1`.
    pub schema: TrustPolicySchema,
    /// 1, then one more each time.
    pub version: u64,
    /// When it stops being valid, unless a newer version has taken over.
    pub expires_at: Timestamp,
    /// Public keys by name. A key may be listed once.
    #[serde(deserialize_with = "unique_map")]
    pub keys: BTreeMap<KeyName, PublicKey>,
    /// Which keys sign which statements. No key has two roles.
    pub roles: Roles,
    /// The people who may approve, by name, each with their own keys.
    #[serde(deserialize_with = "unique_map")]
    pub approvers: BTreeMap<PersonName, Person>,
    /// The places that may be deployed to.
    #[serde(deserialize_with = "unique_map")]
    pub environments: BTreeMap<EnvironmentName, EnvironmentPolicy>,
}

/// Which keys sign which statements.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Roles {
    /// Trust policies.
    pub root: Role,
    /// Build statements.
    pub builder: Role,
    /// Reviews, and approvals where the policy lets the bot approve alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change_bot: Option<Role>,
    /// Plan statements.
    pub planner: Role,
    /// Deployment statements.
    pub deployer: Role,
}

/// Keys that sign for a role, and how many of them must.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Role {
    /// How many distinct keys must sign.
    pub threshold: u32,
    /// Names of the keys.
    pub keys: Vec<KeyName>,
}

/// Somebody who may approve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Person {
    /// Their keys. Two keys of one person count once.
    pub keys: Vec<KeyName>,
    /// Their identities on the forges, such as `github:alice`, to keep authors from approving their own change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub identities: Vec<String>,
}

/// The rules of one environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct EnvironmentPolicy {
    /// The AWS account's id, or `local`.
    pub account: String,
    /// The AWS region, or `local`.
    pub region: String,
    /// What may be deployed here.
    #[serde(deserialize_with = "unique_map")]
    pub projects: BTreeMap<ProjectName, ProjectPolicy>,
    /// A build may be at most this old when it is applied, in seconds.
    pub maximum_build_age_seconds: u64,
    /// Who must say yes.
    pub approval: ApprovalRules,
    /// When nothing is applied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub freezes: Vec<Freeze>,
    /// What Terraform may do.
    pub terraform: TerraformRules,
    /// Findings that are known and accepted for a while.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suppressions: Vec<Suppression>,
    /// Whether the last log lines of a failed container may leave production.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub application_logs: bool,
}

/// What one project must bring.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ProjectPolicy {
    /// Repositories that every build must name, and the refs that it may be built from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<SourceRule>,
    /// Reports that every build must carry.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<EvidenceRule>,
    /// Whether a build from a working tree with uncommitted changes is taken.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_dirty: bool,
}

/// A repository that must be among a build's sources.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct SourceRule {
    /// Exactly as the manifest has it.
    pub uri: String,
    /// Full refs; a `*` at the end stands for any rest (`refs/heads/release/*`).
    pub refs: Vec<String>,
}

impl SourceRule {
    /// Whether `reference` is one of `refs`.
    pub fn allows(&self, reference: &str) -> bool {
        self.refs.iter().any(|rule| match rule.strip_suffix('*') {
            Some(start) => reference.starts_with(start),
            None => rule == reference,
        })
    }
}

/// A report that every build must carry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct EvidenceRule {
    /// The evidence's kind in the manifest.
    pub kind: String,
    /// Keys of which one must have signed the report, which then is a DSSE envelope around an in-toto statement about
    /// one of the build's artifacts or its manifest's commits. Empty: the builder's word is enough.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signers: Vec<KeyName>,
}

/// Who must say yes before an apply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ApprovalRules {
    /// Whether the change bot must have reviewed the change.
    pub review_required: bool,
    /// Whether the bot's own approval is enough when its review is clear and nothing demands a person.
    pub bot_alone: bool,
    /// How many people must say yes otherwise; at least 1.
    pub people: u32,
    /// How many people must say yes when the plan carries findings, on a first deploy, a rollback, a raised epoch, a
    /// service planned from its step, or an emergency; at least `people`.
    pub people_for_risk: u32,
    /// How long a yes, and a plan, hold, in seconds.
    pub validity_seconds: u64,
}

/// A time in which nothing is applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Freeze {
    /// From this moment, in UTC.
    pub from: Timestamp,
    /// Until, and without, this one.
    pub until: Timestamp,
    /// Why.
    pub reason: String,
}

/// A finding that is known and accepted until a date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Suppression {
    /// The finding's rule.
    pub rule: String,
    /// The finding's address, exactly.
    pub address: String,
    /// Why it is accepted.
    pub reason: String,
    /// When it counts again.
    pub expires_at: Timestamp,
}

impl Suppression {
    /// Whether it covers `finding` at `now`.
    pub fn covers(&self, finding: &Finding, now: Timestamp) -> bool {
        self.rule == finding.rule && self.address == finding.address && now < self.expires_at
    }
}

impl Document for TrustPolicy {
    const SCHEMA: &'static str = TrustPolicySchema::NAME;
    const NAME: &'static str = "trust policy";
    const LIMIT: usize = 1 << 20;

    fn check(&self) -> Result<(), String> {
        if self.version == 0 {
            return Err("versions start at 1".to_owned());
        }
        self.check_keys()?;
        self.environments.iter().try_for_each(|(name, environment)| self.check_environment(name, environment))
    }
}

impl TrustPolicy {
    /// The public keys of a role. Names were checked when the document was read.
    pub fn keys_of(&self, role: &Role) -> Vec<PublicKey> {
        role.keys.iter().filter_map(|name| self.keys.get(name)).copied().collect()
    }

    /// The person whose key this is.
    pub fn person_of(&self, key: &PublicKey) -> Option<&PersonName> {
        let owns = |person: &Person| person.keys.iter().any(|name| self.keys.get(name) == Some(key));
        self.approvers.iter().find(|(_, person)| owns(person)).map(|(name, _)| name)
    }

    /// All keys of all people who may approve.
    pub fn approver_keys(&self) -> Vec<PublicKey> {
        let names = self.approvers.values().flat_map(|person| &person.keys);
        names.filter_map(|name| self.keys.get(name)).copied().collect()
    }

    /// The change bot's keys; none when there is no bot.
    pub fn bot_keys(&self) -> Vec<PublicKey> {
        self.roles.change_bot.iter().flat_map(|role| self.keys_of(role)).collect()
    }

    /// What a key is for, for people: `builder`, or the person's name.
    pub fn describe(&self, key: &PublicKey) -> Option<String> {
        let name = self.keys.iter().find(|(_, listed)| *listed == key).map(|(name, _)| name)?;
        let role = self.named_roles().into_iter().find(|(_, role)| role.keys.contains(name)).map(|(role, _)| role);
        Some(match (self.person_of(key), role) {
            (Some(person), _) => format!("{person} (approver, key {name})"),
            (None, Some(role)) => format!("{role} (key {name})"),
            (None, None) => format!("key {name}"),
        })
    }

    fn named_roles(&self) -> Vec<(&'static str, &Role)> {
        let Roles { root, builder, change_bot, planner, deployer } = &self.roles;
        let fixed = [("root", root), ("builder", builder), ("planner", planner), ("deployer", deployer)];
        fixed.into_iter().chain(change_bot.iter().map(|role| ("change-bot", role))).collect()
    }

    /// Disjoint roles, thresholds that can be met, no key under two names.
    fn check_keys(&self) -> Result<(), String> {
        let mut bytes = BTreeSet::new();
        for (name, key) in &self.keys {
            if !bytes.insert(key.as_bytes()) {
                return Err(format!("key {name} is listed under two names"));
            }
        }
        let mut used = BTreeSet::new();
        let mut take = |owner: &str, names: &[KeyName]| -> Result<(), String> {
            for name in names {
                if !self.keys.contains_key(name) {
                    return Err(format!("{owner} names key {name}, which is not listed"));
                }
                if !used.insert(name.clone()) {
                    return Err(format!(
                        "{owner} names key {name}, which another role, person or the same one names too"
                    ));
                }
            }
            Ok(())
        };
        for (role_name, role) in self.named_roles() {
            take(role_name, &role.keys)?;
            if role.threshold == 0 || role.threshold as usize > role.keys.len() {
                return Err(format!("role {role_name}: threshold {} with {} keys", role.threshold, role.keys.len()));
            }
        }
        self.approvers.iter().try_for_each(|(person, entry)| take(person.as_str(), &entry.keys))
    }

    fn check_environment(&self, name: &EnvironmentName, environment: &EnvironmentPolicy) -> Result<(), String> {
        let rules = &environment.approval;
        if rules.people == 0 || rules.people_for_risk < rules.people {
            return Err(format!("environment {name}: needs 1 ≤ people ≤ peopleForRisk"));
        }
        if (rules.review_required || rules.bot_alone) && self.roles.change_bot.is_none() {
            return Err(format!("environment {name}: wants the change bot, but no key has that role"));
        }
        if let Some(freeze) = environment.freezes.iter().find(|freeze| freeze.from >= freeze.until) {
            return Err(format!("environment {name}: a freeze ends before it begins ({})", freeze.from));
        }
        environment.terraform.check().map_err(|problem| format!("environment {name}: {problem}"))?;
        let signers =
            environment.projects.values().flat_map(|project| &project.evidence).flat_map(|rule| &rule.signers);
        match signers.into_iter().find(|signer| !self.keys.contains_key(*signer)) {
            Some(signer) => Err(format!("environment {name}: evidence signer {signer} is not a listed key")),
            None => Ok(()),
        }
    }
}
