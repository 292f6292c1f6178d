//! Terraform modules from elsewhere cross the gap with the build: production fetches nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed helper is a failed test")]

use std::fs;

use flows::Scratch;

/// The service, with a module from a git repository that calls another one there, and one beside its own Terraform.
fn with_modules() -> Scratch {
    let scratch = Scratch::new();
    let modules = scratch.outside("modules");
    let resource = |name: &str| {
        format!("resource \"terraform_data\" \"{name}\" {{\n  input = file(\"${{path.module}}/greeting.txt\")\n}}\n")
    };
    let call = |name: &str, source: &str| format!("module \"{name}\" {{\n  source = \"{source}\"\n}}\n");
    for (path, text) in [
        ("aws/net/main.tf", resource("net") + &call("inner", "../inner")),
        ("aws/net/greeting.txt", "from far\n".to_owned()),
        ("aws/inner/main.tf", resource("inner")),
        ("aws/inner/greeting.txt", "from farther\n".to_owned()),
        ("examples/all/main.tf", "terraform {\n  backend \"s3\" {}\n}\n".to_owned()),
    ] {
        let path = modules.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let directory = modules.display().to_string();
    let author = ["-C", &directory, "-c", "user.name=Ada", "-c", "user.email=ada@example.com"];
    scratch.git(&["init", "--quiet", &directory]);
    scratch.git(&[&author[..2], &["add", "--all"]].concat());
    scratch.git(&[&author[..], &["commit", "--quiet", "--message", "Modules"]].concat());
    scratch.git(&[&author[..2], &["tag", "v1"]].concat());

    scratch.write(".gitignore", "build/\n*.pem\n*.json\n.terraform/\n");
    let far = format!("git::file://{directory}//aws/net?ref=v1");
    scratch.write("infra/modules.tf", call("net", &far) + &call("beside", "../shared/beside"));
    scratch.write("shared/beside/main.tf", resource("beside"));
    scratch.write("shared/beside/greeting.txt", "from here\n");
    scratch.commit("Call modules");
    scratch
}

#[test]
fn modules_are_planned_and_applied_where_nothing_can_be_fetched() {
    let scratch = with_modules();
    let refused = scratch.airlock(&["manifest", "build"]).exits(1);
    refused.explains(&[
        "module net (git::file://",
        "was not fetched",
        "hint: run terraform init, or terraform get, there",
    ]);

    scratch.terraform(&["-chdir=infra", "init", "-input=false"]).exits(0);
    let manifest = scratch.publish();
    fs::remove_dir_all(scratch.path("infra/.terraform")).unwrap();
    fs::remove_dir_all(scratch.path("shared")).unwrap();
    fs::remove_dir_all(scratch.outside("modules")).unwrap();

    let shown = scratch.ok(&["manifest", "show", &manifest]).stdout;
    assert!(shown.contains("module: git::file://"), "{shown}");
    assert!(shown.contains("module: ../shared/beside, as airlock-modules/beside"), "{shown}");
    let planned = scratch.plan_of(&manifest);
    let approval = scratch.approve(&planned);
    scratch.apply(&planned, &[&approval]).run.exits(0);

    let state = scratch.state();
    let mut made: Vec<_> = state["resources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|resource| {
            let greeting = resource["instances"][0]["attributes"]["output"]["value"].as_str().unwrap_or_default();
            (resource["module"].as_str().unwrap_or_default().to_owned(), greeting.trim().to_owned())
        })
        .filter(|(module, _)| !module.is_empty())
        .collect();
    made.sort();
    let expected =
        [("module.beside", "from here"), ("module.net", "from far"), ("module.net.module.inner", "from farther")];
    assert_eq!(made, expected.map(|(module, greeting)| (module.to_owned(), greeting.to_owned())));
}
