//! Which rules a trust policy may relax.

use manifest_schema::trust::RelaxedRule;

use super::{Problem, Rule};

impl Rule {
    /// What a trust policy calls this rule if it may relax it. What leads out of the bundle, what chooses where state goes,
    /// and what can't be judged never is.
    pub fn relaxation(self) -> Option<RelaxedRule> {
        match self {
            Self::HiddenFile => Some(RelaxedRule::HiddenFile),
            Self::Override => Some(RelaxedRule::Override),
            Self::VariablesFile => Some(RelaxedRule::VariablesFile),
            Self::Provisioner => Some(RelaxedRule::Provisioner),
            Self::DataSource => Some(RelaxedRule::DataSource),
            Self::ProviderSettings => Some(RelaxedRule::ProviderSettings),
            Self::Ephemeral => Some(RelaxedRule::Ephemeral),
            Self::Nonsensitive => Some(RelaxedRule::Nonsensitive),
            Self::Unreadable
            | Self::StateFile
            | Self::CliSettings
            | Self::UnknownBlock
            | Self::Backend
            | Self::ModuleSource
            | Self::FilePath
            | Self::Reference
            | Self::Provider
            | Self::Unlocked => None,
        }
    }
}

impl Problem {
    /// Whether it counts where these rules are relaxed.
    pub fn counts(&self, relaxed: impl Fn(RelaxedRule) -> bool) -> bool {
        !self.rule.relaxation().is_some_and(relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relaxed_rule_has_the_rules_own_name() {
        let all = [
            Rule::HiddenFile,
            Rule::Override,
            Rule::VariablesFile,
            Rule::Provisioner,
            Rule::DataSource,
            Rule::ProviderSettings,
            Rule::Ephemeral,
            Rule::Nonsensitive,
        ];
        for rule in all {
            let relaxed = rule.relaxation().unwrap();
            assert_eq!(serde_json::to_value(relaxed).unwrap(), rule.code());
            let problem = Problem { file: "a.tf".to_owned(), line: None, rule, message: String::new() };
            assert!(!problem.counts(|asked| asked == relaxed));
            assert!(problem.counts(|_| false));
        }
        let escape = Problem { file: "a.tf".to_owned(), line: None, rule: Rule::FilePath, message: String::new() };
        assert!(escape.counts(|_| true), "what leads out of the bundle was allowed");
    }
}
