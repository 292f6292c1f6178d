//! Addresses of modules, as people write them and as Terraform records them.

/// Whether it is a path from the calling module.
pub(super) fn is_local(source: &str) -> bool {
    source.starts_with("./") || source.starts_with("../")
}

/// Whether Terraform would fetch the same for both. It expands abbreviations (`github.com/…`, a registry's host); what
/// those leave out is left out of the comparison.
pub(super) fn is_same(asked: &str, fetched: &str) -> bool {
    let (asked, fetched) = (essence(asked), essence(fetched));
    asked == fetched || registries().any(|host| fetched.strip_prefix(host) == Some(&asked))
}

fn registries() -> impl Iterator<Item = &'static str> {
    ["registry.terraform.io/", "registry.opentofu.org/"].into_iter()
}

/// Without the getter, the scheme, the user `git` and the ending `.git`.
fn essence(source: &str) -> String {
    let forced = source.split_once("::").filter(|(getter, _)| getter.bytes().all(|b| b.is_ascii_alphanumeric()));
    let address = forced.map_or(source, |(_, address)| address);
    let (scheme, address) = address.split_once("://").map_or((None, address), |(scheme, rest)| (Some(scheme), rest));
    let user = address.strip_prefix("git@");
    let address = user.unwrap_or(address);
    // `git@host:path` is `ssh://git@host/path`.
    let address = if user.is_some() && scheme.is_none() { address.replacen(':', "/", 1) } else { address.to_owned() };
    let end = address.find("//").or_else(|| address.find('?')).unwrap_or(address.len());
    let (repository, rest) = address.split_at(end);
    format!("{}{rest}", repository.strip_suffix(".git").unwrap_or(repository))
}

/// What may be told of a source's query: which state of it, never who fetched it.
const TOLD: &[&str] = &["archive", "checksum", "depth", "ref", "rev"];

/// The source without a user's name and password, and without settings that may be secret.
pub(super) fn without_credentials(source: &str) -> String {
    let (address, query) = source.split_once('?').map_or((source, None), |(address, query)| (address, Some(query)));
    let mut told = address.to_owned();
    if let Some((scheme, rest)) = address.split_once("://") {
        let host_end = rest.find('/').unwrap_or(rest.len());
        if let Some(at) = rest[..host_end].rfind('@').filter(|at| rest[..*at] != *"git") {
            told = format!("{scheme}://{}", &rest[at + 1..]);
        }
    }
    let is_told = |setting: &&str| TOLD.contains(&setting.split('=').next().unwrap_or_default());
    let settings: Vec<&str> = query.into_iter().flat_map(|query| query.split('&')).filter(is_told).collect();
    if settings.is_empty() { told } else { format!("{told}?{}", settings.join("&")) }
}

/// Whether a version is one that a constraint such as `~> 5.1, != 5.3.0` takes. Of what it can't judge (pre-releases,
/// other spellings) it says yes: Terraform has chosen that version.
pub(super) fn is_allowed(constraint: &str, version: &str) -> bool {
    let Some(version) = numbers(version) else { return true };
    constraint.split(',').all(|term| {
        let term = term.trim();
        let split = term.find(|c: char| c.is_ascii_digit()).unwrap_or(term.len());
        let (operator, wanted) = term.split_at(split);
        let Some(written) = numbers(wanted) else { return true };
        let mut wanted = written.clone();
        wanted.resize(wanted.len().max(3), 0);
        let order = version.cmp(&wanted);
        match operator.trim() {
            "" | "=" => order.is_eq(),
            "!=" => order.is_ne(),
            ">" => order.is_gt(),
            ">=" => order.is_ge(),
            "<" => order.is_lt(),
            "<=" => order.is_le(),
            // All but the last number written stay.
            "~>" => order.is_ge() && version.starts_with(&written[..written.len() - 1]),
            _ => true,
        }
    })
}

fn numbers(version: &str) -> Option<Vec<u64>> {
    version.trim().split('.').map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn abbreviations_mean_what_terraform_records() {
        for (asked, fetched, same) in [
            ("ns/vpc/aws", "registry.terraform.io/ns/vpc/aws", true),
            ("ns/vpc/aws//modules/x", "registry.opentofu.org/ns/vpc/aws//modules/x", true),
            ("ns/vpc/aws", "registry.terraform.io/other/vpc/aws", false),
            ("ns/vpc/aws", "registry.terraform.io/ns/vpc/aws//sub", false),
            ("github.com/a/b", "git::https://github.com/a/b.git", true),
            ("github.com/a/b//c?ref=v1", "git::https://github.com/a/b.git//c?ref=v1", true),
            ("git@github.com:a/b.git?ref=v1", "git::ssh://git@github.com/a/b.git?ref=v1", true),
            ("git::https://h/a.git?ref=v1", "git::https://h/a.git?ref=v2", false),
            ("git::file:///tmp/r//x", "git::file:///tmp/r//x", true),
            ("git::file:///tmp/r//x", "git::file:///tmp/r//y", false),
        ] {
            assert_eq!(is_same(asked, fetched), same, "{asked} {fetched}");
        }
    }

    #[test]
    fn credentials_stay_behind() {
        for (source, told) in [
            ("git::https://me:token@git.example/a.git//m?ref=v1", "git::https://git.example/a.git//m?ref=v1"),
            ("git::ssh://git@git.example/a.git", "git::ssh://git@git.example/a.git"),
            ("git::ssh://git.example/a.git?sshkey=AAAA&ref=v1", "git::ssh://git.example/a.git?ref=v1"),
            ("s3::https://s3.example/b/m.zip?aws_access_key_secret=s", "s3::https://s3.example/b/m.zip"),
            ("registry.terraform.io/ns/vpc/aws", "registry.terraform.io/ns/vpc/aws"),
        ] {
            assert_eq!(without_credentials(source), told);
        }
    }

    #[test]
    fn constraints_are_terraforms() {
        for (constraint, version, allowed) in [
            ("5.1.0", "5.1.0", true),
            ("= 5.1.0", "5.1.1", false),
            ("~> 5.1", "5.9.0", true),
            ("~> 5.1", "6.0.0", false),
            ("~> 5.1.2", "5.2.0", false),
            ("~> 5", "6.0.0", true),
            (">= 5.0, < 6.0, != 5.3.0", "5.3.0", false),
            (">= 5.0, < 6.0, != 5.3.0", "5.4.0", true),
            ("5.1.0-beta", "5.1.0-beta", true),
        ] {
            assert_eq!(is_allowed(constraint, version), allowed, "{constraint} {version}");
        }
    }
}
