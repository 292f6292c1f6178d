//! What each finding in a plan means, and what to do: `airlock explain` prints what is written here.

/// A rule by which something is found in a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FindingRule {
    /// Its stable name, as in [`Finding`](manifest_schema::plan::Finding).
    pub name: &'static str,
    /// What it means, in a sentence.
    pub meaning: &'static str,
    /// What to do about it.
    pub advice: &'static str,
}

/// Every rule by which something is found.
pub const FINDING_RULES: &[FindingRule] = &[
    FindingRule {
        name: "resource.deleted",
        meaning: "The plan would delete a resource.",
        advice: "Approve only if it is meant to go, and what it holds isn't needed or is saved elsewhere.",
    },
    FindingRule {
        name: "resource.replaced",
        meaning: "The plan would destroy a resource and make it anew.",
        advice: "Look which attribute forces it; approve only if what the resource holds may be lost.",
    },
    FindingRule {
        name: "resource.forgotten",
        meaning: "The plan would drop a resource from the state and leave it running.",
        advice: "Approve only if something else manages it from now on.",
    },
    FindingRule {
        name: "resource.imported",
        meaning: "The plan would take something that exists into the state; later builds could change or destroy it.",
        advice: "Approve only if it belongs to this project.",
    },
    FindingRule {
        name: "resource.moved",
        meaning: "The plan would take over, at a new address, what the state has at another.",
        advice: "Compare both addresses: it must be the same thing under a new name.",
    },
    FindingRule {
        name: "data.deferred",
        meaning: "A data source would be read only while the plan is applied, so nobody has seen what it says.",
        advice: "Look what it asks and what depends on it; give it only what is known while planning, if you can.",
    },
    FindingRule {
        name: "policy.changed",
        meaning: "The plan would change a document that says who may do what.",
        advice: "Read the change in the configuration: who may do more than before?",
    },
    FindingRule {
        name: "iam.changed",
        meaning: "The plan would change identities or permissions in IAM.",
        advice: "Read the change in the configuration: who may do more than before?",
    },
    FindingRule {
        name: "security-group.changed",
        meaning: "The plan would change who reaches what over the network.",
        advice: "Read the change in the configuration: what can be reached from where that couldn't before?",
    },
    FindingRule {
        name: "drift.found",
        meaning: "Something was changed or deleted outside of Terraform since the last apply.",
        advice: "Find out who did it; an apply may undo it.",
    },
    FindingRule {
        name: "key.withheld",
        meaning: "An instance has a key that was computed from something else than the text of the build.",
        advice: "Look in the configuration what `for_each` makes keys of, and whether it is clear which instance is meant; \
                 use keys that are written there, if you can.",
    },
    FindingRule {
        name: "service.created",
        meaning: "A service doesn't exist yet: this deploy is the first to run it.",
        advice: "Approve if it is meant to be there.",
    },
    FindingRule {
        name: "service.other-images",
        meaning: "A service runs an image that is from no repository of this build: it may be another project's.",
        advice: "Approve only if the service belongs to this project, and what it runs now may go.",
    },
    FindingRule {
        name: "task.new",
        meaning: "A one-off task would run that the last complete deployment didn't run with the same step, or one of a \
                  service that isn't there yet.",
        advice: "Read its command: it runs once, with the service's roles and secrets, and nothing takes back what it does.",
    },
    FindingRule {
        name: "task.other-images",
        meaning: "A one-off task would run like a service whose image is from no repository of this build: it would have \
                  the roles and secrets of what may be another project's.",
        advice: "Approve only if the service belongs to this project.",
    },
    FindingRule {
        name: "files.created",
        meaning: "Files would be put into a bucket that isn't there yet.",
        advice: "Make sure that this build's Terraform makes the bucket, and lets read it who should and nobody else.",
    },
    FindingRule {
        name: "files.deleted",
        meaning: "Objects would be deleted from a bucket, because the build's directory hasn't them and its step says `delete`.",
        advice: "Read in the plan which. Where every build drops files, such as assets with a hash in their name, suppress the finding for that place in the trust policy.",
    },
    FindingRule {
        name: "files.foreign",
        meaning: "Objects would be changed or deleted that no deploy of this project put there.",
        advice: "Find out whose they are. Approve only if the place belongs to this project, and what is there may go.",
    },
    FindingRule {
        name: "schedule.created",
        meaning: "A schedule or a rule doesn't start a task yet: this deploy is the first to say which.",
        advice: "Approve if it is meant to be there.",
    },
    FindingRule {
        name: "schedule.other-images",
        meaning: "A schedule or a rule starts an image that is from no repository of this build: it may be another \
                  project's.",
        advice: "Approve only if what it starts belongs to this project, and what it starts now may go.",
    },
    FindingRule {
        name: "function.created",
        meaning: "A Lambda function, or the alias that its callers use, doesn't exist yet; Terraform may make it in the same deploy.",
        advice: "Approve only if it is to be made; it must be there when its step begins.",
    },
    FindingRule {
        name: "function.not-ours",
        meaning: "The version of a Lambda function that its alias names was not published by a deploy of this project: it may \
                  be another's, or somebody published it by hand. Or there is no such alias, and the function has code already.",
        advice: "Approve only if the function belongs to this project, and what its callers reach now may go.",
    },
];

#[cfg(test)]
mod tests {
    use super::super::findings::RESOURCE_RULES;
    use super::*;

    #[test]
    fn every_rule_is_explained() {
        let rules = RESOURCE_RULES.iter().map(|rule| rule.name).chain([
            "drift.found",
            "key.withheld",
            "service.created",
            "service.other-images",
            "task.new",
            "task.other-images",
            "files.created",
            "files.deleted",
            "files.foreign",
            "schedule.created",
            "schedule.other-images",
            "function.created",
            "function.not-ours",
        ]);
        let explained: Vec<&str> = FINDING_RULES.iter().map(|rule| rule.name).collect();
        assert_eq!(explained, rules.collect::<Vec<_>>());
    }
}
