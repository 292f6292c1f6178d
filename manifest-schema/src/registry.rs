//! Where images are: a registry, a repository in it, maybe a tag (distribution-spec v1.1, "Pulling manifests").

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::names::NameError;

/// A registry: a host, maybe with a port. It is reached over TLS, unless it is on this machine's loopback.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address {
    authority: String,
    loopback: bool,
}

impl Address {
    /// What every request's address starts with.
    pub fn origin(&self) -> String {
        format!("{}://{}", if self.loopback { "http" } else { "https" }, self.authority)
    }

    /// Whether it is on this machine.
    pub fn is_loopback(&self) -> bool {
        self.loopback
    }

    /// The account and the region of a private registry of ECR (ECR user guide, "Amazon ECR private registry").
    pub fn ecr(&self) -> Option<(&str, &str)> {
        let parts: Vec<&str> = self.authority.split('.').collect();
        let (account, region) = match parts.as_slice() {
            [account, "dkr", "ecr" | "ecr-fips", region, "amazonaws", "com"]
            | [account, "dkr", "ecr", region, "amazonaws", "com", "cn"]
            | [account, "dkr-ecr" | "dkr-ecr-fips", region, "on", "aws"] => (account, region),
            _ => return None,
        };
        (account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit())).then_some((account, region))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.authority)
    }
}

impl TryFrom<String> for Address {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.authority
    }
}

impl FromStr for Address {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let rule = "expected a host, maybe with a port, such as registry.example.com:5000, without https:// and paths";
        let refuse = || NameError { kind: "registry", value: text.to_owned(), rule };
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            Some(_) | None => (text, None),
        };
        if port.is_some_and(|port| !port.bytes().all(|b| b.is_ascii_digit()) || port.parse::<u16>().is_err()) {
            return Err(refuse());
        }
        let host = host.to_ascii_lowercase();
        let literal = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let ip = literal.unwrap_or(&host).parse::<IpAddr>().ok().filter(|ip| ip.is_ipv6() == literal.is_some());
        let part = |part: &str| {
            let edges = !part.starts_with('-') && !part.ends_with('-');
            !part.is_empty() && edges && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        if ip.is_none() && !host.split('.').all(part) {
            return Err(refuse());
        }
        let loopback = host == "localhost" || ip.is_some_and(|ip| ip.is_loopback());
        let authority = port.map_or_else(|| host.clone(), |port| format!("{host}:{port}"));
        Ok(Self { authority, loopback })
    }
}

/// A repository's name in its registry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Repository(String);

impl FromStr for Repository {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let rule = "use a-z and 0-9 in parts with / between them; . _ __ and - only between two of those; at most 255";
        let fits = text.len() <= 255 && text.split('/').all(is_component);
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError { kind: "repository", value: text.to_owned(), rule })
        }
    }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_component(text: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let mut between = text.split(alphanumeric).filter(|run| !run.is_empty());
    text.starts_with(alphanumeric)
        && text.ends_with(alphanumeric)
        && between.all(|run| matches!(run, "." | "_" | "__") || run.bytes().all(|b| b == b'-'))
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A tag: a name for people. What is deployed is named by its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag(String);

impl FromStr for Tag {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let rule = "use 1 to 128 of A-Z a-z 0-9 _ . -, the first of them a letter, a digit or _";
        let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let first = text.bytes().next().is_some_and(word);
        let fits = first && text.len() <= 128 && text.bytes().all(|b| word(b) || matches!(b, b'.' | b'-'));
        if fits { Ok(Self(text.to_owned())) } else { Err(NameError { kind: "tag", value: text.to_owned(), rule }) }
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_only_for_this_machine() {
        for (text, origin) in [
            ("127.0.0.1:5000", "http://127.0.0.1:5000"),
            ("localhost", "http://localhost"),
            ("[::1]:5000", "http://[::1]:5000"),
            ("registry.example.com:5000", "https://registry.example.com:5000"),
            ("Registry.Example.com", "https://registry.example.com"),
            ("127.0.0.1.example.com", "https://127.0.0.1.example.com"),
            ("localhost.example.com", "https://localhost.example.com"),
            ("10.0.0.1:80", "https://10.0.0.1:80"),
            ("[fe80::1]", "https://[fe80::1]"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().origin(), origin);
        }
        let refused = [
            "",
            ":5000",
            "a:",
            "a:+1",
            "a:70000",
            "http://a",
            "a/b",
            "user@a",
            "a b",
            "a..b",
            "-a",
            "::1",
            "[127.0.0.1]",
            "a#b",
        ];
        for text in refused {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_address_of_ecr_says_account_and_region() {
        let ecr = |text: &str| text.parse::<Address>().unwrap().ecr().map(|(a, r)| (a.to_owned(), r.to_owned()));
        let told = Some(("123456789012".to_owned(), "eu-central-1".to_owned()));
        let cases = [
            ("123456789012.dkr.ecr.eu-central-1.amazonaws.com", true),
            ("123456789012.dkr.ecr-fips.eu-central-1.amazonaws.com", true),
            ("123456789012.dkr.ecr.eu-central-1.amazonaws.com.cn", true),
            ("123456789012.dkr-ecr.eu-central-1.on.aws", true),
            ("123456789012.dkr.ecr.eu-central-1.amazonaws.com.example.com", false),
            ("12345678901x.dkr.ecr.eu-central-1.amazonaws.com", false),
            ("123456789012.dkr.ecr.eu-central-1.amazonaws.com:444", false),
            ("123456789012.dkr.ecr.eu-central-1.amazonaws.example", false),
        ];
        for (text, is_one) in cases {
            assert_eq!(ecr(text), told.clone().filter(|_| is_one), "{text}");
        }
    }

    #[test]
    fn names_are_those_of_the_distribution_specification() {
        for text in ["app", "team/app", "a.b_c__d-e---f/0", "a/b/c"] {
            assert_eq!(text.parse::<Repository>().unwrap().to_string(), text);
        }
        for text in ["", "App", "a//b", "/a", "a/", "a___b", "a..b", "a._b", "-a", "a-", "a:b", "a/../b", "a?b", "ä"] {
            assert!(text.parse::<Repository>().is_err(), "{text}");
        }
        for (text, fits) in [("1.0-rc_1", true), ("_", true), ("", false), (".a", false), ("-a", false), ("a/b", false)]
        {
            assert_eq!(text.parse::<Tag>().is_ok(), fits, "{text}");
        }
        assert!("a".repeat(129).parse::<Tag>().is_err());
    }
}
