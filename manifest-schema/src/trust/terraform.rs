//! What Terraform may do in an environment.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::json::unique_map;
use crate::manifest::ProviderAddress;
use crate::trust::ProviderHash;

/// What Terraform may do in an environment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct TerraformRules {
    /// Source addresses of providers that may be used, such as `registry.terraform.io/hashicorp/aws`. The built-in
    /// `terraform.io/builtin/terraform` always may.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub providers: Vec<String>,
    /// Of some of them, the only archives that may be: an address alone says who a provider claims to be. Every hash that
    /// a lock file has for such an address must be listed.
    #[serde(default, deserialize_with = "unique_map", skip_serializing_if = "BTreeMap::is_empty")]
    pub provider_hashes: BTreeMap<ProviderAddress, BTreeSet<ProviderHash>>,
    /// `type.attribute` paths whose values may be shown in plan summaries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shown: Vec<String>,
    /// Rules about configuration that don't hold here. What leads out of the bundle can't be allowed.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub relaxed: BTreeSet<RelaxedRule>,
    /// Versions that workers may run; any if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<AllowedVersion>,
}

impl TerraformRules {
    /// Whether the provider of this full source address may be used, as far as its address tells.
    pub fn allows_provider(&self, address: &str) -> bool {
        self.providers.iter().any(|allowed| allowed.eq_ignore_ascii_case(address))
    }

    /// The hashes that the provider of this full source address may have; `None` if any is taken.
    pub fn hashes_of(&self, address: &str) -> Option<&BTreeSet<ProviderHash>> {
        let pinned = self.provider_hashes.iter().find(|(pinned, _)| pinned.as_str().eq_ignore_ascii_case(address));
        pinned.map(|(_, hashes)| hashes)
    }

    /// Hashes only of providers that may be used, and no list that allows nothing.
    pub(super) fn check(&self) -> Result<(), String> {
        for (address, hashes) in &self.provider_hashes {
            if !self.allows_provider(address.as_str()) {
                return Err(format!("providerHashes names {address}, which is not among its providers"));
            }
            if hashes.is_empty() {
                return Err(format!("providerHashes has no hash of {address}: list those that it may have"));
            }
        }
        Ok(())
    }

    /// Whether workers may run this version of this program: `terraform` or `opentofu`, `1.11.4`.
    pub fn allows(&self, program: &str, version: &str) -> bool {
        self.versions.is_empty() || self.versions.iter().any(|allowed| allowed.covers(program, version))
    }
}

/// A rule of gate 13 that a team may do without. The others keep what runs inside the bundle, or keep it judgeable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum RelaxedRule {
    /// Names that start with a dot; never `.terraform`.
    #[serde(rename = "configuration.hidden-file")]
    HiddenFile,
    /// Files that silently replace parts of others.
    #[serde(rename = "configuration.override")]
    Override,
    /// Files that silently set variables.
    #[serde(rename = "configuration.variables-file")]
    VariablesFile,
    /// Provisioners and connections, which run commands in the worker.
    #[serde(rename = "configuration.provisioner")]
    Provisioner,
    /// Data sources that run programs or call out while planning.
    #[serde(rename = "configuration.data-source")]
    DataSource,
    /// Settings of providers that run programs, take another identity or call elsewhere.
    #[serde(rename = "configuration.provider-settings")]
    ProviderSettings,
    /// Ephemeral resources, which run in the apply without any plan showing it.
    #[serde(rename = "configuration.ephemeral")]
    Ephemeral,
    /// `nonsensitive()`, by which what is sensitive may leave production.
    #[serde(rename = "configuration.nonsensitive")]
    Nonsensitive,
}

/// A version that workers may run: `terraform 1.11.4`, or a beginning of one, `opentofu 1.9`, which means all that go on
/// from there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AllowedVersion {
    program: String,
    version: String,
}

crate::names::string_schema!(
    AllowedVersion,
    "AllowedVersion",
    r"^(terraform|opentofu) (0|[1-9][0-9]*)(\.(0|[1-9][0-9]*)){0,2}$",
    "A version that workers may run, or a beginning of one: `terraform 1.11.4`, `opentofu 1.9`."
);

/// Text that names no version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names no version that could be allowed: expected such as \"terraform 1.11.4\" or \"opentofu 1.9\"")]
pub struct AllowedVersionError(String);

impl AllowedVersion {
    fn covers(&self, program: &str, version: &str) -> bool {
        let rest = version.strip_prefix(&self.version).filter(|_| self.program == program);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
}

impl TryFrom<String> for AllowedVersion {
    type Error = AllowedVersionError;

    fn try_from(text: String) -> Result<Self, AllowedVersionError> {
        let number = |part: &str| {
            let digits = !part.is_empty() && part.len() <= 9 && part.bytes().all(|byte| byte.is_ascii_digit());
            digits && (part == "0" || !part.starts_with('0'))
        };
        match text.split_once(' ') {
            Some((program @ ("terraform" | "opentofu"), version))
                if version.split('.').count() <= 3 && version.split('.').all(number) =>
            {
                Ok(Self { program: program.to_owned(), version: version.to_owned() })
            }
            Some(_) | None => Err(AllowedVersionError(text)),
        }
    }
}

impl From<AllowedVersion> for String {
    fn from(allowed: AllowedVersion) -> Self {
        allowed.to_string()
    }
}

impl fmt::Display for AllowedVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.program, self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_allowed_whole_or_by_their_beginning() {
        let rules = |versions: &[&str]| TerraformRules {
            versions: versions.iter().map(|version| (*version).to_owned().try_into().unwrap()).collect(),
            ..TerraformRules::default()
        };
        assert!(rules(&[]).allows("terraform", "0.11.0"));
        for (allowed, program, version, expected) in [
            ("terraform 1.11.4", "terraform", "1.11.4", true),
            ("terraform 1.11.4", "terraform", "1.11.40", false),
            ("terraform 1.11", "terraform", "1.11.4", true),
            ("terraform 1.11", "terraform", "1.110.0", false),
            ("terraform 1", "terraform", "1.14.0", true),
            ("terraform 1.11.4", "opentofu", "1.11.4", false),
            ("opentofu 1.9", "opentofu", "1.9.1", true),
            // A prerelease is none of its version.
            ("terraform 1.12.0", "terraform", "1.12.0-rc1", false),
        ] {
            assert_eq!(rules(&[allowed]).allows(program, version), expected, "{allowed}: {program} {version}");
        }
    }

    #[test]
    fn what_is_no_version_is_refused() {
        for text in ["", "terraform", "terraform ", "tofu 1.9", "terraform 1.", "terraform v1.9", "terraform 1.2.3.4"] {
            assert!(AllowedVersion::try_from(text.to_owned()).is_err(), "{text:?} was taken");
        }
        for text in ["terraform 01", "terraform >= 1.9", " terraform 1", "terraform 1.11.4 "] {
            assert!(AllowedVersion::try_from(text.to_owned()).is_err(), "{text:?} was taken");
        }
        let allowed: AllowedVersion = serde_json::from_str("\"opentofu 1.9\"").unwrap();
        assert_eq!(serde_json::to_string(&allowed).unwrap(), "\"opentofu 1.9\"");
    }
}
