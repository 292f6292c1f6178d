//! Who can commit chooses lock file and archive alike: where the trust policy names a provider's hashes, no other may run.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::collections::{BTreeMap, BTreeSet};

use manifest_schema::Digest;
use manifest_schema::manifest::{Platform, Provider, ProviderAddress, ProviderVersion};
use manifest_schema::trust::{ProviderHash, TerraformRules};
use policy::configuration::{ConfigFile, LOCK_FILE, Rule, check, check_brought, locked_providers};

const ADDRESS: &str = "registry.terraform.io/hashicorp/aws";
const H1: &str = "h1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
const OTHER_H1: &str = "h1:AAAAQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

fn zh(archive: &str) -> String {
    ProviderHash::of_archive(Digest::of(archive.as_bytes())).to_string()
}

/// AWS's provider is allowed, if it has one of these hashes.
fn pinned(hashes: &[&str]) -> TerraformRules {
    let hashes: BTreeSet<_> = hashes.iter().map(|hash| (*hash).to_owned().try_into().unwrap()).collect();
    TerraformRules {
        providers: vec!["registry.terraform.io/hashicorp/AWS".to_owned(), "example.com/test/fake".to_owned()],
        provider_hashes: BTreeMap::from([(ProviderAddress::new(ADDRESS).unwrap(), hashes)]),
        ..TerraformRules::default()
    }
}

fn lock(address: &str, hashes: &str) -> String {
    format!("provider \"{address}\" {{\n  version = \"5.100.0\"\n{hashes}}}\n")
}

fn list(hashes: &[&str]) -> String {
    let lines: String = hashes.iter().map(|hash| format!("    \"{hash}\",\n")).collect();
    format!("  hashes = [\n{lines}  ]\n")
}

/// What is wrong about the provider; a lock file without hashes is refused as such, too.
fn problems(lock: &str, rules: &TerraformRules) -> Vec<String> {
    let file = ConfigFile { path: LOCK_FILE, bytes: lock.as_bytes() };
    let problems = check(&[file], Some(rules)).into_iter().filter(|problem| problem.rule == Rule::Provider);
    problems.map(|problem| problem.to_string()).collect()
}

#[test]
fn every_locked_hash_of_a_pinned_provider_is_pinned() {
    let (linux, darwin) = (zh("linux"), zh("darwin"));
    let rules = pinned(&[H1, &linux, &darwin]);
    for fine in [list(&[H1]), list(&[H1, &linux]), list(&[&darwin, H1, &linux])] {
        assert_eq!(problems(&lock(ADDRESS, &fine), &rules), [] as [&str; 0], "{fine}");
    }
    let evil = zh("evil");
    let refused =
        |hash: &str| format!("provider {ADDRESS}: {hash} is not among the hashes that the trust policy allows it");
    let none =
        format!("provider {ADDRESS}: the trust policy says which hashes it may have, and the lock file has none");
    for (hashes, line, what) in [
        (list(&[&evil]), 4, refused(&evil)),
        (list(&[H1, &linux, &evil]), 6, refused(&evil)),
        (list(&[OTHER_H1, &linux]), 4, refused(OTHER_H1)),
        (list(&[H1, "h2:new"]), 5, refused("h2:new")),
        (format!("  hashes = [\n    \"{H1}\",\n    lower(\"x\")\n  ]\n"), 5, refused("what isn't a literal hash")),
        (list(&[]), 1, none.clone()),
        ("  hashes = var.hashes\n".to_owned(), 1, none.clone()),
        (String::new(), 1, none),
    ] {
        let expected = format!("{LOCK_FILE}:{line}: {what} [configuration.provider]");
        assert_eq!(problems(&lock(ADDRESS, &hashes), &rules), [expected], "{hashes}");
    }
}

#[test]
fn the_address_may_be_written_in_any_case() {
    let upper = lock(&ADDRESS.to_uppercase(), &list(&[OTHER_H1]));
    assert_eq!(problems(&upper, &pinned(&[H1])).len(), 1, "another case of the address is another provider");
}

#[test]
fn a_provider_without_hashes_in_the_trust_policy_may_have_any() {
    assert_eq!(problems(&lock("example.com/test/fake", &list(&[OTHER_H1])), &pinned(&[H1])), [] as [&str; 0]);
}

#[test]
fn what_a_build_brings_is_pinned_or_compared_by_terraform() {
    let brought = |address: &str, hashes: Option<&[&str]>, rules: &TerraformRules| {
        let provider = Provider {
            address: ProviderAddress::new(address).unwrap(),
            version: ProviderVersion::new("5.100.0").unwrap(),
            platform: Platform::new("linux_amd64").unwrap(),
        };
        let locked = hashes.map(|hashes| locked_providers(lock(address, &list(hashes)).as_bytes()).unwrap());
        let locked = locked.unwrap_or_default();
        check_brought("provider-aws", &provider, Digest::of(b"linux"), &locked, rules)
            .map(|problem| problem.to_string())
    };
    let linux = zh("linux");
    let other = zh("darwin");
    let rules = pinned(&[H1, &linux]);
    assert_eq!(brought(ADDRESS, Some(&[&linux]), &rules), None, "its own digest");
    assert_eq!(brought(ADDRESS, None, &rules), None, "its own digest, whatever is locked");
    assert_eq!(brought(ADDRESS, Some(&[H1]), &pinned(&[H1])), None, "packed anew: Terraform compares what is in it");
    assert_eq!(brought("example.com/test/fake", None, &rules), None, "not pinned");
    for locked in [None, Some(&[other.as_str()][..])] {
        let problem = brought(ADDRESS, locked, &pinned(&[H1, &other])).unwrap();
        let expected = format!(
            "artifact provider-aws: {linux} of {ADDRESS} 5.100.0 for linux_amd64 is not among the hashes that the trust \
             policy allows it, and no h1: is locked [configuration.provider]"
        );
        assert_eq!(problem, expected);
    }
    let problem = brought("example.com/test/other", None, &rules).unwrap();
    assert!(problem.contains("provider example.com/test/other isn't allowed by the trust policy"), "{problem}");
}
