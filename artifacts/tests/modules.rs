//! Which modules from elsewhere a Terraform bundle holds, and what calls them then.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests may")]

use std::fs;
use std::path::Path;

use artifacts::{Origin, PackError, Packed, bundle_contents, pack_terraform};
use manifest_schema::manifest::{Content, VendoredModule};
use manifest_schema::names::ArtifactName;
use manifest_schema::trust::TerraformRules;
use policy::configuration::{self, ConfigFile};
use tempfile::TempDir;

/// Writes files below the root module `infra/live` (or wherever `..` leads), with an index of what was fetched: address,
/// source, version, directory.
fn project(files: &[(&str, &str)], fetched: &[[&str; 4]]) -> TempDir {
    let dir = TempDir::new().unwrap();
    let root = dir.path().join("infra/live");
    fs::create_dir_all(&root).unwrap();
    for (path, text) in files {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    if !fetched.is_empty() {
        let record = |[key, source, version, dir]: &[&str; 4]| {
            let version = if version.is_empty() { String::new() } else { format!(r#","Version":"{version}""#) };
            format!(r#"{{"Key":"{key}","Source":"{source}"{version},"Dir":"{dir}"}}"#)
        };
        let records: Vec<_> = fetched.iter().map(record).collect();
        let index = format!(r#"{{"Modules":[{{"Key":"","Source":"","Dir":"."}},{}]}}"#, records.join(","));
        fs::create_dir_all(root.join(".terraform/modules")).unwrap();
        fs::write(root.join(".terraform/modules/modules.json"), index).unwrap();
    }
    dir
}

fn pack(dir: &TempDir) -> Result<Packed, PackError> {
    pack_terraform(ArtifactName::new("infra").unwrap(), &dir.path().join("infra/live"), &|_| ())
}

/// Files of the bundle with their text, and where modules came from.
fn bundle(packed: &Packed) -> (Vec<(String, String)>, &[VendoredModule]) {
    let Content::Terraform { files, modules } = &packed.artifact.content else { panic!("no bundle") };
    let Origin::Bytes(archive) = &packed.blobs[0].origin else { panic!("not in memory") };
    let texts =
        bundle_contents(archive, files).into_iter().map(|bytes| String::from_utf8(bytes.unwrap().to_vec()).unwrap());
    (files.iter().map(|file| file.path.to_string()).zip(texts).collect(), modules)
}

fn call(name: &str, source: &str) -> String {
    format!("module \"{name}\" {{\n  source = \"{source}\"\n}}\n")
}

fn refusal(files: &[(&str, &str)], fetched: &[[&str; 4]]) -> String {
    let error: Box<dyn std::error::Error> = Box::new(pack(&project(files, fetched)).unwrap_err());
    std::iter::successors(Some(error.as_ref()), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

const VPC: &str = "registry.terraform.io/ns/vpc/aws";

struct Case {
    what: &'static str,
    files: Vec<(&'static str, String)>,
    fetched: &'static [[&'static str; 4]],
    /// Every file of the bundle that calls a module, and the paths it then calls.
    calls: &'static [(&'static str, &'static [&'static str])],
    /// All other files.
    others: &'static [&'static str],
    modules: &'static [(&'static str, &'static str)],
}

fn cases() -> Vec<Case> {
    let leaf = || "output \"x\" {\n  value = 1\n}\n".to_owned();
    vec![
        Case {
            what: "a registry's module",
            files: vec![
                ("main.tf", "module \"vpc\" {\n  source  = \"ns/vpc/aws\"\n  version = \"~> 5.1\"\n}\n".to_owned()),
                (".terraform/modules/vpc/main.tf", call("sub", "./modules/sub")),
                (".terraform/modules/vpc/modules/sub/main.tf", leaf()),
                (".terraform/modules/vpc/modules/sub/terraform.tfvars", "x = 1\n".to_owned()),
                (".terraform/modules/vpc/modules/unused/main.tf", leaf()),
                (".terraform/modules/vpc/modules/unused/policy.json", "{}".to_owned()),
                (".terraform/modules/vpc/examples/all/main.tf", call("vpc", "../..")),
                (".terraform/modules/vpc/examples/all/README.md", "# Example".to_owned()),
                (".terraform/modules/vpc/.github/ci.yml", String::new()),
                (".terraform/modules/vpc/README.md", "# VPC".to_owned()),
            ],
            fetched: &[["vpc", VPC, "5.2.0", ".terraform/modules/vpc"], ["vpc.sub", "./modules/sub", "", "."]],
            calls: &[("airlock-modules/vpc/main.tf", &["./modules/sub"]), ("main.tf", &["./airlock-modules/vpc"])],
            others: &[
                "airlock-modules/vpc/README.md",
                "airlock-modules/vpc/modules/sub/main.tf",
                "airlock-modules/vpc/modules/unused/policy.json",
            ],
            modules: &[("airlock-modules/vpc", "registry.terraform.io/ns/vpc/aws 5.2.0")],
        },
        Case {
            what: "a module in a git repository's directory, with a commit",
            files: vec![
                ("main.tf", call("net", "git::https://u:secret@git.example/r.git//aws/net?ref=v1")),
                (".terraform/modules/net/.git/HEAD", "0123456789012345678901234567890123456789\n".to_owned()),
                (".terraform/modules/net/aws/net/main.tf", call("shared", "../shared")),
                (".terraform/modules/net/aws/shared/main.tf", leaf()),
            ],
            fetched: &[[
                "net",
                "git::https://u:secret@git.example/r.git//aws/net?ref=v1",
                "",
                ".terraform/modules/net/aws/net",
            ]],
            calls: &[
                ("airlock-modules/net/aws/net/main.tf", &["../shared"]),
                ("main.tf", &["./airlock-modules/net/aws/net"]),
            ],
            others: &["airlock-modules/net/aws/shared/main.tf"],
            modules: &[("airlock-modules/net", "git::https://git.example/r.git//aws/net?ref=v1 at 012345678901")],
        },
        Case {
            what: "a module that calls a registry's, in JSON",
            files: vec![
                ("main.tf.json", r#"{"module":{"a":{"source":"ns/a/aws","version":"1.0.0"}}}"#.to_owned()),
                (".terraform/modules/a/sub/x.tf", String::new()),
                (".terraform/modules/a/main.tf", call("b", "ns/b/aws//sub")),
                (".terraform/modules/a.b/sub/main.tf", leaf()),
            ],
            fetched: &[
                ["a", "registry.terraform.io/ns/a/aws", "1.0.0", ".terraform/modules/a"],
                ["a.b", "registry.terraform.io/ns/b/aws//sub", "2.0.0", ".terraform/modules/a.b/sub"],
            ],
            calls: &[("airlock-modules/a/main.tf", &["../a.b/sub"]), ("main.tf.json", &["./airlock-modules/a"])],
            others: &["airlock-modules/a.b/sub/main.tf"],
            modules: &[
                ("airlock-modules/a", "registry.terraform.io/ns/a/aws 1.0.0"),
                ("airlock-modules/a.b", "registry.terraform.io/ns/b/aws//sub 2.0.0"),
            ],
        },
        Case {
            what: "local modules above the root, called twice and calling back",
            files: vec![
                ("main.tf", call("a", "../../shared/a") + &call("again", "../../shared/a") + &call("in", "./in")),
                ("in/main.tf", leaf()),
                ("../../shared/a/main.tf", call("b", "../b") + &call("back", "../../infra/live/in")),
                ("../../shared/b/main.tf", leaf()),
                ("../../shared/b/.terraform/x.tf", leaf()),
            ],
            fetched: &[],
            calls: &[
                ("airlock-modules/a/main.tf", &["../a.b", "../../in"]),
                ("main.tf", &["./airlock-modules/a", "./airlock-modules/a", "./in"]),
            ],
            others: &["airlock-modules/a.b/main.tf", "in/main.tf"],
            modules: &[("airlock-modules/a", "../../shared/a"), ("airlock-modules/a.b", "../../shared/b")],
        },
        Case {
            what: "a local module called twice, with one call of its own",
            files: vec![
                ("main.tf", call("a", "./in") + &call("b", "./in")),
                ("in/main.tf", call("vpc", "ns/vpc/aws")),
                (".terraform/modules/a.vpc/main.tf", leaf()),
                (".terraform/modules/b.vpc/main.tf", leaf()),
            ],
            fetched: &[
                ["a.vpc", VPC, "5.2.0", ".terraform/modules/a.vpc"],
                ["b.vpc", VPC, "5.2.0", ".terraform/modules/b.vpc"],
            ],
            calls: &[("in/main.tf", &["../airlock-modules/a.vpc"]), ("main.tf", &["./in", "./in"])],
            others: &["airlock-modules/a.vpc/main.tf"],
            modules: &[("airlock-modules/a.vpc", "registry.terraform.io/ns/vpc/aws 5.2.0")],
        },
    ]
}

#[test]
fn modules_from_elsewhere_are_copied_and_called_where_they_are() {
    for case in cases() {
        let what = case.what;
        let files: Vec<_> = case.files.iter().map(|(path, text)| (*path, text.as_str())).collect();
        let dir = project(&files, case.fetched);
        let packed = pack(&dir).unwrap_or_else(|error| panic!("{what}: {error:?}"));
        let (bundle, modules) = bundle(&packed);
        let listed: Vec<_> = bundle.iter().map(|(path, text)| ConfigFile { path, bytes: text.as_bytes() }).collect();
        assert_eq!(configuration::check(&listed, Some(&TerraformRules::default())), [], "{what}: a worker takes it");
        let mut calls = Vec::new();
        let mut others = Vec::new();
        for file in &listed {
            let called = configuration::module_calls(file).unwrap();
            match called.is_empty() {
                true => others.push(file.path),
                false => calls.push((file.path, called)),
            }
        }
        let told: Vec<(&str, Vec<&str>)> = calls
            .iter()
            .map(|(path, calls)| (*path, calls.iter().map(|call| call.source.as_deref().unwrap()).collect()))
            .collect();
        assert_eq!(told, case.calls.iter().map(|(path, calls)| (*path, calls.to_vec())).collect::<Vec<_>>(), "{what}");
        assert_eq!(others, case.others, "{what}");
        let told: Vec<_> = modules.iter().map(|module| (module.path.to_string(), module.to_string())).collect();
        let expected: Vec<_> =
            case.modules.iter().map(|(path, source)| ((*path).to_owned(), (*source).to_owned())).collect();
        assert_eq!(told, expected, "{what}");
        assert_eq!(pack(&dir).unwrap().artifact, packed.artifact, "{what}: the same again");
    }
}

#[test]
fn what_was_not_fetched_as_it_is_asked_for_is_refused() {
    let asked = "module \"vpc\" {\n  source  = \"ns/vpc/aws\"\n  version = \"~> 5.1\"\n}\n";
    let vpc = (".terraform/modules/vpc/main.tf", "");
    let fetched = |source, version| [["vpc", source, version, ".terraform/modules/vpc"]];
    let twice = call("a", "./in") + &call("b", "./in");
    let inner = call("vpc", "ns/vpc/aws");
    for (what, refused, part) in [
        ("nothing fetched", refusal(&[("main.tf", asked)], &[]), "module vpc (ns/vpc/aws) was not fetched"),
        ("its files are gone", refusal(&[("main.tf", asked)], &fetched(VPC, "5.2.0")), "was not fetched"),
        (
            "another version",
            refusal(&[("main.tf", asked), vpc], &fetched(VPC, "6.0.0")),
            "module vpc asks for ns/vpc/aws ~> 5.1, but registry.terraform.io/ns/vpc/aws 6.0.0 was fetched",
        ),
        (
            "another source",
            refusal(&[("main.tf", asked), vpc], &fetched("registry.terraform.io/evil/vpc/aws", "5.2.0")),
            "but registry.terraform.io/evil/vpc/aws 5.2.0 was fetched",
        ),
        (
            "one call, two versions",
            refusal(
                &[
                    ("main.tf", &twice),
                    ("in/main.tf", &inner),
                    (".terraform/modules/a.vpc/main.tf", ""),
                    (".terraform/modules/b.vpc/main.tf", ""),
                ],
                &[
                    ["a.vpc", VPC, "5.2.0", ".terraform/modules/a.vpc"],
                    ["b.vpc", VPC, "5.3.0", ".terraform/modules/b.vpc"],
                ],
            ),
            "modules a.vpc and b.vpc are one call, but were fetched differently",
        ),
        (
            "out of what was fetched",
            refusal(
                &[("main.tf", asked), (".terraform/modules/vpc/main.tf", &call("up", "../.."))],
                &fetched(VPC, "5.2.0"),
            ),
            "module vpc.up: ../.. leaves what was fetched",
        ),
        (
            "no such directory",
            refusal(&[("main.tf", &call("x", "../gone"))], &[]),
            "module x: there is no directory ../gone",
        ),
        ("itself", refusal(&[("main.tf", &call("x", "./."))], &[]), "does it call itself?"),
        (
            "the place is taken",
            refusal(&[("main.tf", asked), vpc, ("airlock-modules/x", "")], &fetched(VPC, "5.2.0")),
            "it has a directory airlock-modules",
        ),
        (
            "an index that isn't Terraform's",
            refusal(&[("main.tf", asked), (".terraform/modules/modules.json", "[]")], &[]),
            "modules.json can't be read",
        ),
    ] {
        assert!(refused.contains(part), "{what}: {refused}");
    }
}

/// Two checkouts, whose own paths differ, make the same bundle.
#[test]
fn a_bundle_does_not_depend_on_where_it_was_packed() {
    let shared = call("shared", "../../shared");
    let files = [("main.tf", shared.as_str()), ("../../shared/main.tf", "")];
    let [one, two] = [project(&files, &[]), project(&files, &[])];
    assert_ne!(one.path(), Path::new(two.path()));
    assert_eq!(pack(&one).unwrap().artifact, pack(&two).unwrap().artifact);
}
