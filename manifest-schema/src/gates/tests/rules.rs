//! The trust policy of [`World`](super::world::World).

use super::super::*;
use super::world::{noon, public, seed};
use crate::trust::{
    ApprovalRules, EvidenceRule, Person, ProjectPolicy, Role, Roles, SourceRule, TerraformRules, TrustPolicy,
    TrustPolicySchema,
};

/// One root, one of each role, three people, two environments that ask for a review and a person.
pub(crate) fn policy() -> TrustPolicy {
    let role = |names: &[&str]| Role { threshold: 1, keys: names.iter().map(|name| name.parse().unwrap()).collect() };
    let person = |keys: &[&str], identity: &str| Person {
        keys: keys.iter().map(|name| name.parse().unwrap()).collect(),
        identities: vec![identity.to_owned()],
    };
    let keys = [
        ("root", seed::ROOT),
        ("root-2", seed::ROOT_2),
        ("builder", seed::BUILDER),
        ("builder-2", seed::BUILDER_2),
        ("bot", seed::BOT),
        ("bot-2", seed::BOT_2),
        ("planner", seed::PLANNER),
        ("planner-2", seed::PLANNER_2),
        ("deployer", seed::DEPLOYER),
        ("alice", seed::ALICE),
        ("alice-2", seed::ALICE_2),
        ("bob", seed::BOB),
        ("carol", seed::CAROL),
        ("scanner", seed::SCANNER),
    ];
    let source = |uri: &str| SourceRule { uri: uri.to_owned(), refs: vec!["refs/heads/main".to_owned()] };
    let project = ProjectPolicy {
        sources: vec![source("https://git.example/hello"), source("https://git.example/pipeline")],
        evidence: vec![EvidenceRule { kind: "sast".to_owned(), signers: Vec::new() }],
        allow_dirty: false,
    };
    let environment = |account: &str, region: &str| EnvironmentPolicy {
        account: account.to_owned(),
        region: region.to_owned(),
        projects: ["hello", "other"].map(|name| (name.parse().unwrap(), project.clone())).into(),
        maximum_build_age_seconds: 86_400,
        approval: ApprovalRules {
            review_required: true,
            bot_alone: false,
            people: 1,
            people_for_risk: 2,
            validity_seconds: 14_400,
        },
        freezes: Vec::new(),
        terraform: TerraformRules::default(),
        suppressions: Vec::new(),
        application_logs: false,
    };
    TrustPolicy {
        schema: TrustPolicySchema,
        version: 1,
        expires_at: noon().plus_seconds(86_400),
        keys: keys.map(|(name, seed)| (name.parse().unwrap(), public(seed))).into(),
        roles: Roles {
            root: role(&["root", "root-2"]),
            builder: role(&["builder", "builder-2"]),
            change_bot: Some(role(&["bot", "bot-2"])),
            planner: role(&["planner", "planner-2"]),
            deployer: role(&["deployer"]),
        },
        approvers: [
            ("alice", person(&["alice", "alice-2"], "github:alice")),
            ("bob", person(&["bob"], "github:bob")),
            ("carol", person(&["carol"], "github:carol")),
        ]
        .map(|(name, person)| (name.parse().unwrap(), person))
        .into(),
        environments: [
            ("production", environment("111111111111", "eu-west-1")),
            ("staging", environment("222222222222", "us-east-1")),
        ]
        .map(|(name, rules)| (name.parse().unwrap(), rules))
        .into(),
    }
}
