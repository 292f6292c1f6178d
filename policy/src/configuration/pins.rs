//! Whether a provider is one of those that the trust policy names by their hashes.
//!
//! Lock file and archive come out of one repository, so that they agree with each other says nothing about who made the
//! provider; only the trust policy can.

use hcl_edit::Span as _;
use hcl_edit::expr::Expression;
use hcl_edit::structure::Block;
use manifest_schema::Digest;
use manifest_schema::manifest::Provider;
use manifest_schema::plan::LockedProvider;
use manifest_schema::trust::{ProviderHash, TerraformRules};

use super::files::LOCK;
use super::{ConfigFile, Problem, Rule, read};
use crate::json::line_of;

/// What a lock file takes for one of these providers and the trust policy doesn't. Terraform takes any archive that has
/// one of the locked hashes, so all of them must be known, and there must be one.
pub(super) fn in_lock(file: &ConfigFile<'_>, rules: &TerraformRules) -> Vec<Problem> {
    // What can't be parsed is refused as such.
    let Ok((text, body)) = read::text(file).and_then(|text| Ok((text, read::parse(file, text)?))) else {
        return Vec::new();
    };
    let mut problems = Vec::new();
    for block in body.get_blocks("provider") {
        let address = block.labels.first().map_or("", |label| label.as_str());
        let Some(pinned) = rules.hashes_of(address) else { continue };
        let mut refuse = |at: Option<usize>, what: &str| {
            let line = Some(at.map_or(1, |at| line_of(text, at)));
            let message = format!("provider {address}: {what}");
            problems.push(Problem { file: LOCK.to_owned(), line, rule: Rule::Provider, message });
        };
        let hashes: Vec<&Expression> = hashes(block).collect();
        if hashes.is_empty() {
            let start = block.span().map(|span| span.start);
            refuse(start, "the trust policy says which hashes it may have, and the lock file has none");
        }
        for hash in hashes {
            let known = hash.as_str().is_some_and(|hash| pinned.iter().any(|pinned| pinned.as_str() == hash));
            if !known {
                let named = hash.as_str().unwrap_or("what isn't a literal hash");
                let what = format!("{named} is not among the hashes that the trust policy allows it");
                refuse(hash.span().map(|span| span.start), &what);
            }
        }
    }
    problems
}

fn hashes(block: &Block) -> impl Iterator<Item = &Expression> {
    let value = block.body.get_attribute("hashes").map(|hashes| &hashes.value);
    value.and_then(|value| value.as_array()).into_iter().flatten()
}

/// Why a provider that the build brings as the artifact `name` may not be used; `locked` is what the bundle locks.
///
/// An archive that was packed anew has another digest than its registry's, and the same `h1:`. That is Terraform's to
/// compare, when it installs and again when it plans: here it is enough that the lock file has one, because every hash in
/// there must be among those of the trust policy, too ([`super::check`]).
pub fn check_brought(
    name: &str,
    provider: &Provider,
    digest: Digest,
    locked: &[LockedProvider],
    rules: &TerraformRules,
) -> Option<Problem> {
    let address = provider.address.as_str();
    let message = if !rules.allows_provider(address) {
        format!("provider {address} isn't allowed by the trust policy")
    } else if rules.hashes_of(address).is_none_or(|pinned| pinned.contains(&ProviderHash::of_archive(digest)))
        || compares(locked, provider)
    {
        return None;
    } else {
        let digest = ProviderHash::of_archive(digest);
        format!("{digest} of {provider} is not among the hashes that the trust policy allows it, and no h1: is locked")
    };
    Some(Problem { file: format!("artifact {name}"), line: None, rule: Rule::Provider, message })
}

/// Whether Terraform compares what is in this provider's archive with the lock file.
fn compares(locked: &[LockedProvider], provider: &Provider) -> bool {
    let is_meant = |locked: &LockedProvider| {
        locked.address.eq_ignore_ascii_case(provider.address.as_str()) && locked.version == provider.version.as_str()
    };
    locked.iter().any(|locked| is_meant(locked) && locked.hashes.iter().any(|hash| hash.starts_with("h1:")))
}
