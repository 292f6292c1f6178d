//! The rotation table (Threat model, row 14), and what makes a policy no policy.

use super::*;
use crate::gates::tests::rules::policy;
use crate::gates::tests::world::{before, noon, public, seed};
use crate::keys::tests::key;
use crate::manifest::ProviderAddress;
use crate::names::KeyName;
use crate::statement::{Statement, Subject};
use crate::trust::{EvidenceRule, Freeze, Role};

/// Seeds of roots, apart from those of every role.
const A: u8 = 31;
const B: u8 = 32;
const C: u8 = 33;

/// One version, before it is signed: its roots with their threshold, and who signs.
#[derive(Clone)]
struct Version {
    policy: TrustPolicy,
    signers: Vec<u8>,
    /// The version that the envelopes speak of.
    vouched: u64,
}

/// Version `number` with these roots, signed by `signers`.
fn version(number: u64, threshold: u32, roots: &[u8], signers: &[u8]) -> Version {
    let mut policy = policy();
    policy.version = number;
    let name = |seed: u8| -> KeyName { format!("root-of-{seed}").parse().unwrap() };
    policy.keys.extend(roots.iter().map(|seed| (name(*seed), public(*seed))));
    policy.roles.root = Role { threshold, keys: roots.iter().map(|seed| name(*seed)).collect() };
    Version { policy, signers: signers.to_vec(), vouched: number }
}

fn signed(version: &Version) -> SignedPolicy {
    let policy = version.policy.to_bytes();
    let about = vec![Subject::new(subject::TRUST_POLICY, Digest::of(&policy))];
    let statement = Statement::new(about, statement::TrustPolicy { version: version.vouched });
    let envelopes = version.signers.iter().map(|seed| statement.sign(&key(*seed)).unwrap().envelope).collect();
    SignedPolicy { version: version.policy.version, policy, envelopes }
}

fn pinned(threshold: u32, seeds: &[u8]) -> PinnedRoots {
    PinnedRoots { threshold, keys: seeds.iter().map(|seed| public(*seed)).collect() }
}

/// The version in force, or the refusal.
fn establish(roots: &PinnedRoots, versions: &[SignedPolicy], last_seen: u64) -> Result<u64, String> {
    let trusted = TrustedPolicy::establish(roots, versions, last_seen, noon()).map_err(|error| error.to_string())?;
    assert_eq!(trusted.digest(), Digest::of(&versions.last().unwrap().policy));
    Ok(trusted.policy().version)
}

fn chain(versions: &[Version]) -> Vec<SignedPolicy> {
    versions.iter().map(signed).collect()
}

/// Which signatures let version 2 follow version 1.
#[test]
fn a_version_follows_only_with_the_roots_of_both() {
    let two = |threshold, roots: &[u8], signers: &[u8]| version(2, threshold, roots, signers);
    let one = version(1, 1, &[A], &[A]);
    let of_two = version(1, 2, &[A, B], &[A, B]);
    let old = "of the roots of the version before";
    let own = "of its own roots";
    let cases: Vec<(&str, &Version, Version, Result<(), &str>)> = vec![
        ("the same root", &one, two(1, &[A], &[A]), Ok(())),
        ("nobody", &one, two(1, &[A], &[]), Err(old)),
        ("a stranger", &one, two(1, &[A], &[seed::STRANGER]), Err(old)),
        ("another role's key", &one, two(1, &[A], &[seed::BUILDER]), Err(old)),
        ("root replaced, signed by both", &one, two(1, &[B], &[A, B]), Ok(())),
        ("root replaced, signed by the old only", &one, two(1, &[B], &[A]), Err(own)),
        ("root replaced, signed by the new only", &one, two(1, &[B], &[B]), Err(old)),
        ("root added, signed by the old", &one, two(1, &[A, B], &[A]), Ok(())),
        ("root added, signed by the added", &one, two(1, &[A, B], &[B]), Err(old)),
        ("threshold raised, signed by enough", &one, two(2, &[A, B], &[A, B]), Ok(())),
        ("threshold raised, signed by the old number", &one, two(2, &[A, B], &[A]), Err(own)),
        ("threshold raised, one key twice", &one, two(2, &[A, B], &[A, A]), Err(own)),
        ("threshold lowered, signed by enough of the old", &of_two, two(1, &[A], &[A, B]), Ok(())),
        ("threshold lowered, signed by enough of the new", &of_two, two(1, &[A], &[A]), Err(old)),
        ("old threshold by one key twice", &of_two, two(1, &[A], &[A, A]), Err(old)),
        ("one of two replaced, signed by three", &of_two, two(2, &[A, C], &[A, B, C]), Ok(())),
        ("one of two replaced, signed by the new two", &of_two, two(2, &[A, C], &[A, C]), Err(old)),
        ("one of two replaced, signed by the old two", &of_two, two(2, &[A, C], &[A, B]), Err(own)),
    ];
    for (case, first, second, expected) in cases {
        let roots = pinned(first.policy.roles.root.threshold, &first.signers);
        let established = establish(&roots, &chain(&[first.clone(), second]), 0);
        match expected {
            Ok(()) => assert_eq!(established, Ok(2), "{case}"),
            Err(who) => {
                let error = established.expect_err(case);
                assert!(error.contains("version 2") && error.contains(who), "{case}: {error}");
            }
        }
    }
}

/// Version 1 is signed by the pinned roots, and by its own.
#[test]
fn the_chain_begins_at_the_pinned_roots() {
    let cases: Vec<(&str, PinnedRoots, Version, Option<&str>)> = vec![
        ("pinned and its own", pinned(1, &[A]), version(1, 1, &[A], &[A]), None),
        ("pinned two of two", pinned(2, &[A, B]), version(1, 1, &[A], &[A, B]), None),
        ("pinned, and others its own", pinned(1, &[A]), version(1, 1, &[B], &[A, B]), None),
        ("not pinned", pinned(1, &[B]), version(1, 1, &[A], &[A]), Some("of the pinned roots")),
        ("one pinned of two", pinned(2, &[A, B]), version(1, 1, &[A], &[A]), Some("of the pinned roots")),
        ("a pinned key listed twice", pinned(2, &[A, A]), version(1, 1, &[A], &[A, A]), Some("of the pinned roots")),
        ("pinned, not its own", pinned(1, &[A]), version(1, 1, &[B], &[A]), Some("of its own roots")),
        ("no roots pinned", pinned(1, &[]), version(1, 1, &[A], &[A]), Some("of the pinned roots")),
        ("pinned threshold 0", pinned(0, &[A]), version(1, 1, &[A], &[A]), Some("threshold 0")),
    ];
    for (case, roots, first, refusal) in cases {
        let established = establish(&roots, &chain(&[first]), 0);
        match refusal {
            None => assert_eq!(established, Ok(1), "{case}"),
            Some(expected) => {
                let error = established.expect_err(case);
                assert!(error.contains("version 1") && error.contains(expected), "{case}: {error}");
            }
        }
    }
    assert_eq!(TrustedPolicy::establish(&pinned(1, &[A]), &[], 0, noon()).unwrap_err(), ChainError::Missing);
}

/// Three versions of one root; `edit` breaks one of them.
fn three(edit: impl Fn(&mut Vec<Version>)) -> Vec<SignedPolicy> {
    let mut versions = [1, 2, 3].map(|number| version(number, 1, &[A], &[A])).to_vec();
    edit(&mut versions);
    chain(&versions)
}

#[test]
fn gaps_swaps_and_alterations_break_the_chain() {
    let roots = pinned(1, &[A]);
    assert_eq!(establish(&roots, &three(|_| {}), 3), Ok(3));
    let mut altered = three(|_| {});
    altered[1].policy.push(b' ');
    let mut relabelled = three(|_| {});
    relabelled[2].version = 4;
    let mut swapped = three(|_| {});
    swapped.swap(1, 2);
    let mut others_bytes = three(|_| {});
    others_bytes[2].policy = others_bytes[1].policy.clone();
    let mut others_envelopes = three(|_| {});
    others_envelopes[2].envelopes = others_envelopes[1].envelopes.clone();
    let mut unreadable = three(|_| {});
    unreadable[2].policy = b"{}".to_vec();
    let cases: Vec<(&str, Vec<SignedPolicy>, u64, &str)> = vec![
        ("the first is missing", three(|_| {})[1..].to_vec(), 1, "is missing; version 2 comes next"),
        ("one between is missing", [&three(|_| {})[..1], &three(|_| {})[2..]].concat(), 2, "is missing; version 3"),
        ("two are swapped", swapped, 2, "is missing"),
        ("one twice", [three(|_| {}), three(|_| {})[2..].to_vec()].concat(), 4, "is missing; version 3 comes next"),
        ("bytes altered", altered, 2, "0 of the roots of the version before"),
        ("stored as another version", relabelled, 3, "is missing"),
        ("another version's bytes", others_bytes, 3, "0 of the roots"),
        ("another version's envelopes", others_envelopes, 3, "0 of the roots"),
        ("bytes replaced", unreadable, 3, "0 of the roots"),
        ("envelopes for another version", three(|v| v[2].vouched = 2), 3, "0 of the roots"),
        ("no envelopes", three(|v| v[1].signers.clear()), 2, "0 of the roots"),
    ];
    for (case, versions, at, expected) in cases {
        let error = establish(&roots, &versions, 0).expect_err(case);
        assert!(error.contains(&format!("version {at}")) && error.contains(expected), "{case}: {error}");
    }
}

/// Properly signed, but it says that it is another version than it is stored and signed as.
#[test]
fn a_policy_that_says_another_version_is_refused() {
    let mut versions = [version(1, 1, &[A], &[A]), version(3, 1, &[A], &[A])];
    versions[1].vouched = 2;
    let mut versions = chain(&versions);
    versions[1].version = 2;
    let error = establish(&pinned(1, &[A]), &versions, 0).unwrap_err();
    assert!(error.contains("version 2: says that it is version 3"), "{error}");
}

/// Signed by enough, and still no policy: it is read only then, and read strictly.
#[test]
fn a_signed_document_that_is_no_policy_is_refused() {
    for (case, from, to, expected) in [
        ("unknown field", r#""version": 2"#, r#""version": 2, "note": "x""#, "unknown field `note`"),
        ("another schema", "trust-policy/v1", "trust-policy/v9", "upgrade the older side"),
        ("duplicate key name", r#""bob": "ssh"#, r#""alice": "ssh"#, "duplicate key \"alice\""),
        ("not JSON", "{", "[", "can't be read"),
    ] {
        let second = version(2, 1, &[A], &[A]);
        let text = String::from_utf8(second.policy.to_bytes()).unwrap();
        assert!(text.contains(from), "{case}: nothing to replace");
        let policy = text.replacen(from, to, 1).into_bytes();
        let about = vec![Subject::new(subject::TRUST_POLICY, Digest::of(&policy))];
        let statement = Statement::new(about, statement::TrustPolicy { version: 2 });
        let envelopes = vec![statement.sign(&key(A)).unwrap().envelope];
        let versions = [signed(&version(1, 1, &[A], &[A])), SignedPolicy { version: 2, policy, envelopes }];
        let error = establish(&pinned(1, &[A]), &versions, 0).expect_err(case);
        assert!(error.contains(expected), "{case}: {error}");
    }
}

#[test]
fn only_the_newest_must_be_unexpired() {
    let roots = pinned(1, &[A]);
    let expire = |which: usize| three(|versions| versions[which].policy.expires_at = noon());
    assert_eq!(establish(&roots, &expire(0), 0), Ok(3));
    assert_eq!(establish(&roots, &expire(1), 0), Ok(3));
    let expected = ChainError::Expired { version: 3, expires_at: noon() };
    assert_eq!(TrustedPolicy::establish(&roots, &expire(2), 0, noon()).unwrap_err(), expected);
    assert!(TrustedPolicy::establish(&roots, &expire(2), 0, before(1)).is_ok(), "valid up to its last second");
    // To sign a successor of an expired policy one must be able to look at it.
    assert_eq!(TrustedPolicy::follow(&roots, &expire(2)).unwrap().policy().version, 3);
}

#[test]
fn a_version_older_than_one_seen_is_refused() {
    let roots = pinned(1, &[A]);
    let versions = three(|_| {});
    for (kept, last_seen, expected) in [(3, 3, Ok(3)), (3, 0, Ok(3)), (2, 2, Ok(2)), (2, 3, Err(())), (1, 3, Err(()))] {
        let established = TrustedPolicy::establish(&roots, &versions[..kept], last_seen, noon());
        match expected {
            Ok(version) => assert_eq!(established.unwrap().policy().version, version),
            Err(()) => {
                let newest = u64::try_from(kept).unwrap();
                assert_eq!(established.unwrap_err(), ChainError::RolledBack { newest, seen: last_seen });
            }
        }
    }
}

/// What a policy must not say, however well it is signed.
#[test]
fn policies_that_contradict_themselves_are_refused() {
    type Break = fn(&mut TrustPolicy);
    fn name<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
        text.parse().unwrap()
    }
    fn rules(policy: &mut TrustPolicy) -> &mut crate::trust::EnvironmentPolicy {
        policy.environments.values_mut().next().unwrap()
    }
    fn pin(policy: &mut TrustPolicy, providers: &[&str], hashes: &[&str]) {
        let terraform = &mut rules(policy).terraform;
        terraform.providers = providers.iter().map(|address| (*address).to_owned()).collect();
        let hashes = hashes.iter().map(|hash| (*hash).to_owned().try_into().unwrap()).collect();
        let address = ProviderAddress::new("registry.terraform.io/hashicorp/aws").unwrap();
        terraform.provider_hashes.insert(address, hashes);
    }
    let cases: &[(&str, Break, &str)] = &[
        ("version 0", |p| p.version = 0, "versions start at 1"),
        (
            "a key under two names",
            |p| {
                p.keys.insert(name("twin"), public(seed::ROOT));
            },
            "under two names",
        ),
        ("a key in two roles", |p| p.roles.builder.keys.push(name("root")), "which another role, person"),
        ("a key twice in a role", |p| p.roles.builder.keys.push(name("builder")), "or the same one names too"),
        (
            "a person with the bot's key",
            |p| {
                p.approvers.get_mut(&name("alice")).unwrap().keys.push(name("bot"));
            },
            "alice names key bot",
        ),
        (
            "a person with the builder's key",
            |p| {
                p.approvers.get_mut(&name("bob")).unwrap().keys = vec![name("builder")];
            },
            "bob names key builder",
        ),
        (
            "two people with one key",
            |p| {
                p.approvers.get_mut(&name("bob")).unwrap().keys = vec![name("alice")];
            },
            "bob names key alice",
        ),
        ("a role's unknown key", |p| p.roles.planner.keys.push(name("gone")), "gone, which is not listed"),
        (
            "a person's unknown key",
            |p| {
                p.approvers.get_mut(&name("bob")).unwrap().keys = vec![name("gone")];
            },
            "gone, which is not listed",
        ),
        ("threshold 0", |p| p.roles.builder.threshold = 0, "builder: threshold 0 with 2 keys"),
        ("root threshold 0", |p| p.roles.root.threshold = 0, "root: threshold 0"),
        ("bot threshold 0", |p| p.roles.change_bot.as_mut().unwrap().threshold = 0, "change-bot: threshold 0"),
        ("threshold out of reach", |p| p.roles.deployer.threshold = 2, "deployer: threshold 2 with 1 keys"),
        ("a role without keys", |p| p.roles.planner.keys.clear(), "planner: threshold 1 with 0 keys"),
        ("no people", |p| rules(p).approval.people = 0, "1 ≤ people ≤ peopleForRisk"),
        ("fewer people for risk", |p| rules(p).approval.people = 3, "1 ≤ people ≤ peopleForRisk"),
        ("a review by no bot", |p| p.roles.change_bot = None, "no key has that role"),
        (
            "a bot alone that is none",
            |p| {
                p.environments.values_mut().for_each(|rules| rules.approval.review_required = false);
                rules(p).approval.bot_alone = true;
                p.roles.change_bot = None;
            },
            "no key has that role",
        ),
        (
            "a freeze that ends first",
            |p| {
                rules(p).freezes.push(Freeze { from: noon(), until: noon(), reason: "sale".to_owned() });
            },
            "ends before it begins",
        ),
        (
            "an unknown signer of evidence",
            |p| {
                let rule = EvidenceRule { kind: "sast".to_owned(), signers: vec![name("gone")] };
                rules(p).projects.values_mut().next().unwrap().evidence = vec![rule];
            },
            "evidence signer gone",
        ),
        (
            "hashes of a provider that isn't allowed",
            |p| pin(p, &[], &["h1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="]),
            "providerHashes names registry.terraform.io/hashicorp/aws, which is not among its providers",
        ),
        (
            "a provider that may have no hash at all",
            |p| pin(p, &["registry.terraform.io/hashicorp/AWS"], &[]),
            "providerHashes has no hash of registry.terraform.io/hashicorp/aws",
        ),
    ];
    assert_eq!(policy().check(), Ok(()));
    for (case, breaks, expected) in cases {
        let mut policy = policy();
        breaks(&mut policy);
        let problem = TrustPolicy::from_bytes(&policy.to_bytes()).expect_err(case).to_string();
        assert!(problem.contains(expected), "{case}: {problem}");
    }
}

#[test]
fn a_key_is_described_by_what_it_is_for() {
    let policy = policy();
    for (seed, expected) in [
        (seed::BUILDER_2, Some("builder (key builder-2)")),
        (seed::BOT, Some("change-bot (key bot)")),
        (seed::ALICE_2, Some("alice (approver, key alice-2)")),
        (seed::SCANNER, Some("key scanner")),
        (seed::STRANGER, None),
    ] {
        assert_eq!(policy.describe(&public(seed)).as_deref(), expected);
    }
}

#[test]
fn a_version_comes_back_from_its_record() {
    let version = signed(&version(2, 1, &[A], &[A, B]));
    let record = TrustRecord::from_bytes(&TrustRecord::from(&version).to_bytes()).unwrap();
    let back = SignedPolicy::from(record);
    assert_eq!((back.version, back.policy, back.envelopes), (version.version, version.policy, version.envelopes));
}
