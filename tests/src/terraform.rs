//! Terraform at the pace of a test. The program is always the real one.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::{Run, Scratch, programs, wait_until};

impl Scratch {
    /// Runs the real Terraform, as a developer or a CI does.
    #[track_caller]
    pub fn terraform(&self, arguments: &[&str]) -> Run {
        self.run(&programs::terraform().display().to_string(), arguments)
    }

    /// From now on workers run Terraform through a door that `apply` passes only once it is open. Whoever waits there
    /// ends when interrupted, as Terraform does.
    pub fn close_door(&mut self) {
        self.make_door("exit 130");
    }

    /// The same with somebody who notes interrupts, and waits on.
    pub fn close_door_before_the_stubborn(&mut self) {
        let noted = self.outside("interrupts");
        self.make_door(&format!("echo interrupted >>\"{}\"", noted.display()));
    }

    /// How many interrupts were noted before the door.
    pub fn interrupts(&self) -> usize {
        fs::read_to_string(self.outside("interrupts")).map_or(0, |noted| noted.lines().count())
    }

    fn make_door(&mut self, interrupted: &str) {
        let (began, open) = (self.outside("door-reached"), self.outside("door-open"));
        self.wrap_terraform(&format!(
            "trap '{interrupted}' INT\nif [ \"$1\" = apply ]; then\n  : >'{}'\n  while [ ! -e '{}' ]; do sleep 0.02; done\nfi",
            began.display(),
            open.display(),
        ));
    }

    /// From now on each Terraform of a worker leaves a process behind that never ends by itself and holds all that it
    /// inherited, as a provider can.
    pub fn leave_strays(&mut self) {
        let noted = self.outside("strays");
        self.wrap_terraform(&format!("sleep 100000 &\necho $! >>'{}'", noted.display()));
    }

    /// The processes that were left behind and are still there.
    pub fn strays(&self) -> Vec<String> {
        let noted = fs::read_to_string(self.outside("strays")).unwrap_or_default();
        let alive = |pid: &&str| {
            let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            state.contains("(sleep) ") && !state.contains("(sleep) Z")
        };
        noted.lines().filter(alive).map(str::to_owned).collect()
    }

    /// From now on workers run these lines of a script before they run Terraform.
    fn wrap_terraform(&mut self, before: &str) {
        let wrapper = self.outside("terraform-wrapped");
        let script = format!("#!/bin/sh\n{before}\nexec '{}' \"$@\"\n", programs::terraform().display());
        fs::write(&wrapper, script).unwrap();
        fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).unwrap();
        self.set("AIRLOCK_TERRAFORM", wrapper);
    }

    /// Waits until an apply stands before the door.
    #[track_caller]
    pub fn wait_at_door(&self) {
        wait_until("an apply at the door", || self.outside("door-reached").exists().then_some(()));
    }

    /// Lets applies pass.
    pub fn open_door(&self) {
        fs::write(self.outside("door-open"), "").unwrap();
    }

    /// Makes the next apply take a while in Terraform itself, without a provider: one resource after the other, from
    /// `first` to `last`, each with an argument that takes most of a second to compute and is known only at apply.
    pub fn slow_infrastructure(&self) {
        let mut text = String::new();
        let mut before = "\"seed\"".to_owned();
        for name in ["first", "second", "third", "fourth", "fifth", "last"] {
            // Salted: each plan would change it again, if changes were not ignored.
            text.push_str(&format!(
                "resource \"terraform_data\" \"{name}\" {{\n  input = bcrypt({before}, 12)\n  lifecycle {{\n    \
                 ignore_changes = [input]\n  }}\n}}\n"
            ));
            before = format!("substr(terraform_data.{name}.output, 0, 20)");
        }
        self.write("infra/slow.tf", text);
        self.commit("Take it slowly");
    }

    /// What runs as Terraform, as a trust policy names it: `terraform 1.11.4`.
    #[track_caller]
    pub fn terraform_version(&self) -> String {
        let printed = self.run(&programs::terraform().display().to_string(), &["version"]).exits(0).stdout;
        let (program, version) = printed.lines().next().and_then(|line| line.split_once(" v")).expect("a version");
        format!("{} {version}", program.to_lowercase())
    }

    /// The addresses of the resources in the state.
    pub fn resources(&self) -> Vec<String> {
        let state = self.state();
        let resources = state["resources"].as_array().expect("a state lists resources");
        resources.iter().map(|r| format!("{}.{}", r["type"].as_str().unwrap(), r["name"].as_str().unwrap())).collect()
    }
}
