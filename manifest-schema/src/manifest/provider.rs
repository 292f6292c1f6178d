//! Terraform providers, named so that every part is safe in a path.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::names::{NameError, string_schema};

/// Which provider an archive holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Provider {
    /// Its full source address.
    pub address: ProviderAddress,
    /// Its version.
    pub version: ProviderVersion,
    /// What it runs on.
    pub platform: Platform,
}

impl Provider {
    /// Where Terraform looks for the archive in a filesystem mirror, in the packed layout.
    pub fn packed_path(&self) -> String {
        let Self { address, version, platform } = self;
        format!("{address}/terraform-provider-{}_{version}_{platform}.zip", address.kind())
    }

    /// Where Terraform looks for the files in a filesystem mirror, in the unpacked layout.
    pub fn unpacked_path(&self) -> String {
        let Self { address, version, platform } = self;
        format!("{address}/{version}/{platform}")
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} for {}", self.address, self.version, self.platform)
    }
}

macro_rules! provider_type {
    ($(#[$doc:meta])* $type:ident, $kind:literal, $check:ident, $rule:literal, $pattern:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            /// Checks `value`.
            ///
            /// # Errors
            /// When it isn't one; the message says what it should be.
            pub fn new(value: impl Into<String>) -> Result<Self, NameError> {
                let value = value.into();
                let sound = value.len() <= 200 && $check(&value);
                if sound { Ok(Self(value)) } else { Err(NameError { kind: $kind, value, rule: $rule }) }
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl TryFrom<String> for $type {
            type Error = NameError;

            fn try_from(value: String) -> Result<Self, NameError> {
                Self::new(value)
            }
        }

        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.0
            }
        }

        string_schema!($type, stringify!($type), $pattern, $rule);
    };
}

provider_type!(
    /// A provider's source address, in full and in lower case: host, namespace and type.
    ProviderAddress, "provider's address", is_address,
    "expected host/namespace/type in lower case, such as registry.terraform.io/hashicorp/aws",
    r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(/[a-z0-9]([a-z0-9_-]*[a-z0-9])?){2}$"
);
provider_type!(
    /// A provider's version, as Semantic Versioning writes it.
    ProviderVersion, "provider's version", is_version,
    "expected three numbers such as 5.100.0, perhaps with -suffix",
    r"^[0-9]+\.[0-9]+\.[0-9]+([-+][0-9A-Za-z.+-]*[0-9A-Za-z])?$"
);
provider_type!(
    /// An operating system and an architecture, as Terraform names them.
    Platform, "platform", is_platform, "expected system_architecture, such as linux_amd64", r"^[a-z0-9]+_[a-z0-9]+$"
);

impl ProviderAddress {
    /// The last part: `aws`.
    pub fn kind(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }
}

/// Lower-case letters, digits and `between`, the latter not at either end.
fn is_word(text: &str, between: &[u8]) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let edge = |byte: Option<u8>| byte.is_some_and(plain);
    let all = text.bytes().all(|byte| plain(byte) || between.contains(&byte));
    all && edge(text.bytes().next()) && edge(text.bytes().last())
}

fn is_address(text: &str) -> bool {
    match text.split('/').collect::<Vec<_>>().as_slice() {
        [host, namespace, kind] => is_word(host, b".-") && is_word(namespace, b"_-") && is_word(kind, b"_-"),
        _ => false,
    }
}

fn is_version(text: &str) -> bool {
    let (numbers, suffix) = text.split_at(text.find(['-', '+']).unwrap_or(text.len()));
    let number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let plain = suffix.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".+-".contains(&byte));
    let ended = suffix.is_empty() || suffix.len() > 1 && suffix.ends_with(|c: char| c.is_ascii_alphanumeric());
    numbers.split('.').count() == 3 && numbers.split('.').all(number) && plain && ended
}

fn is_platform(text: &str) -> bool {
    text.split_once('_').is_some_and(|(system, machine)| is_word(system, b"") && is_word(machine, b""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_safe_in_a_path() {
        for good in ["registry.terraform.io/hashicorp/aws", "a/b-c/d_e"] {
            assert!(ProviderAddress::new(good).is_ok(), "{good}");
        }
        for bad in
            ["", "aws", "hashicorp/aws", "a/b/c/d", "../b/c", "a/../c", "A/b/c", "a/b/", "a//c", "a/b/-c", "a/b/é"]
        {
            assert!(ProviderAddress::new(bad).is_err(), "{bad:?} was taken");
        }
        for good in ["5.100.0", "0.0.1-beta.2", "1.2.3+build", "1.0.0-rc1+x"] {
            assert!(ProviderVersion::new(good).is_ok(), "{good}");
        }
        for bad in ["", "5", "5.1", "1.2.3.4", "1.2.3-", "1.2.3/..", "v1.2.3", "1.2.3-a/b", "1..3"] {
            assert!(ProviderVersion::new(bad).is_err(), "{bad:?} was taken");
        }
        for bad in ["", "linux", "_", "linux_", "linux_amd64_x", "Linux_amd64", "linux_amd64/.."] {
            assert!(Platform::new(bad).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn a_mirror_has_two_layouts() {
        let provider = Provider {
            address: ProviderAddress::new("registry.terraform.io/hashicorp/aws").unwrap(),
            version: ProviderVersion::new("5.100.0").unwrap(),
            platform: Platform::new("linux_amd64").unwrap(),
        };
        let packed = "registry.terraform.io/hashicorp/aws/terraform-provider-aws_5.100.0_linux_amd64.zip";
        assert_eq!(provider.packed_path(), packed);
        assert_eq!(provider.unpacked_path(), "registry.terraform.io/hashicorp/aws/5.100.0/linux_amd64");
    }
}
