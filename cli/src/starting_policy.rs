//! The trust policy that a new set-up starts from: one environment, one project, roles with the keys given.

use std::collections::BTreeMap;

use manifest_schema::gates::Place;
use manifest_schema::keys::PublicKey;
use manifest_schema::names::{EnvironmentName, KeyName, PersonName, ProjectName};
use manifest_schema::trust::{
    ApprovalRules, EnvironmentPolicy, Person, ProjectPolicy, Role, Roles, TerraformRules, TrustPolicy,
};
use manifest_schema::{Document as _, Timestamp};

use crate::exit::Failure;

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

/// The keys of a starting policy.
pub(crate) struct Keys {
    /// Sign trust policies; one of them suffices.
    pub(crate) roots: Vec<PublicKey>,
    /// Sign builds.
    pub(crate) builders: Vec<PublicKey>,
    /// Sign plans.
    pub(crate) planners: Vec<PublicKey>,
    /// Sign deployments.
    pub(crate) deployers: Vec<PublicKey>,
    /// Say yes or no.
    pub(crate) approvers: Vec<(PersonName, PublicKey)>,
}

/// What a starting policy is for.
pub(crate) struct Subject {
    /// The environment.
    pub(crate) environment: EnvironmentName,
    /// Where it is.
    pub(crate) place: Place,
    /// The project that may be deployed there.
    pub(crate) project: ProjectName,
}

/// Version 1: no review required, one person, builds of at most 30 days, approvals for a day, valid for a year.
///
/// # Errors
/// When the keys contradict each other: the same key in two roles.
pub(crate) fn make(subject: Subject, keys: &Keys, now: Timestamp) -> Result<TrustPolicy, Failure> {
    let mut named = BTreeMap::new();
    let mut role = |name: &str, keys: &[PublicKey]| -> Result<Role, Failure> {
        let names = (1..).zip(keys).map(|(number, key)| {
            let suffix = if number == 1 { String::new() } else { format!("-{number}") };
            let name = KeyName::new(format!("{name}{suffix}"))?;
            named.insert(name.clone(), *key);
            Ok(name)
        });
        Ok(Role { threshold: 1, keys: names.collect::<Result<_, Failure>>()? })
    };
    let roles = Roles {
        root: role("root", &keys.roots)?,
        builder: role("builder", &keys.builders)?,
        change_bot: None,
        planner: role("planner", &keys.planners)?,
        deployer: role("deployer", &keys.deployers)?,
    };
    let mut approvers: BTreeMap<PersonName, Person> = BTreeMap::new();
    for (person, key) in &keys.approvers {
        let entry =
            approvers.entry(person.clone()).or_insert_with(|| Person { keys: Vec::new(), identities: Vec::new() });
        let name = KeyName::new(format!("approver-{}-{}", person.as_str(), entry.keys.len() + 1))
            .or_else(|_| KeyName::new(format!("approver-{}", named.len())))?;
        named.insert(name.clone(), *key);
        entry.keys.push(name);
    }
    let policy = TrustPolicy {
        schema: Default::default(),
        version: 1,
        expires_at: now.whole_seconds().plus_seconds(365 * DAY),
        keys: named,
        roles,
        approvers,
        environments: BTreeMap::from([(subject.environment, environment(subject.place, subject.project))]),
    };
    policy
        .check()
        .map_err(|problem| Failure::usage(format!("no trust policy can be made of these keys: {problem}")))?;
    Ok(policy)
}

fn environment(place: Place, project: ProjectName) -> EnvironmentPolicy {
    let rules = ProjectPolicy { sources: Vec::new(), evidence: Vec::new(), allow_dirty: false };
    EnvironmentPolicy {
        account: place.account,
        region: place.region,
        projects: BTreeMap::from([(project, rules)]),
        maximum_build_age_seconds: 30 * DAY,
        approval: ApprovalRules {
            review_required: false,
            bot_alone: false,
            people: 1,
            people_for_risk: 1,
            validity_seconds: DAY,
        },
        freezes: Vec::new(),
        terraform: TerraformRules { shown: vec!["terraform_data.input".to_owned()], ..TerraformRules::default() },
        suppressions: Vec::new(),
        application_logs: false,
    }
}
