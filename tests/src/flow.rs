//! The steps of a deploy, for tests that are about one of them.

use crate::scratch::APPROVER;
use crate::{Background, Run, Scratch};

/// A published build with a plan and an open change.
#[derive(Debug, Clone)]
pub struct Planned {
    /// The build manifest's digest.
    pub manifest: String,
    /// The plan job.
    pub job: String,
    /// The plan statement.
    pub plan: String,
    /// The change.
    pub change: String,
}

/// An apply that was launched and followed to its end.
#[derive(Debug, Clone)]
pub struct Applied {
    /// How the command ended.
    pub run: Run,
    /// The job, if there is one.
    pub job: Option<String>,
}

impl Scratch {
    /// Builds, signs and publishes what is committed; gives the manifest's digest.
    #[track_caller]
    pub fn publish(&self) -> String {
        self.ok(&["manifest", "build", "--output", "build-manifest.json"]);
        self.sign_and_publish()
    }

    /// Signs and publishes what was built; gives the manifest's digest.
    #[track_caller]
    pub(crate) fn sign_and_publish(&self) -> String {
        self.sign();
        self.ok(&["publish", "build-manifest.json", "--envelope", "build.dsse.json"]).line()
    }

    /// Builds and signs what is committed; gives the manifest's digest.
    #[track_caller]
    pub fn build(&self) -> String {
        let manifest = self.ok(&["manifest", "build", "--output", "build-manifest.json"]).line();
        self.sign();
        manifest
    }

    #[track_caller]
    fn sign(&self) {
        let key = ["--key", ".airlock/keys/builder.pem", "--output", "build.dsse.json"];
        self.ok(&[&["manifest", "sign", "build-manifest.json"], &key[..]].concat());
    }

    /// Publishes what is committed, plans it, and opens a change for the plan.
    #[track_caller]
    pub fn planned(&self) -> Planned {
        let manifest = self.publish();
        self.plan_of(&manifest)
    }

    /// Plans a published build, and follows that to its end.
    pub fn plans(&self, manifest: &str) -> Run {
        self.airlock(&["launch-deploy-job", manifest, "--action", "plan", "--follow"])
    }

    /// Plans a published build, and opens a change for the plan.
    #[track_caller]
    pub fn plan_of(&self, manifest: &str) -> Planned {
        let job = self.ok(&["launch-deploy-job", manifest, "--action", "plan", "--follow"]).line();
        let status = self.json(&["get-deploy-job-status", &job]).exits(0).json();
        let plan = status["plan"]["statement"].as_str().expect("a plan job makes a plan").to_owned();
        let change = self.ok(&["change", "open", manifest, "--plan", &plan]).line();
        Planned { manifest: manifest.to_owned(), job, plan, change }
    }

    /// Says yes with the approver's key; gives the statement.
    #[track_caller]
    pub fn approve(&self, planned: &Planned) -> String {
        self.approve_with(planned, APPROVER, &[])
    }

    /// Says yes with a key; gives the statement.
    #[track_caller]
    pub fn approve_with(&self, planned: &Planned, key: &str, more: &[&str]) -> String {
        self.ok(&[&["change", "approve", &planned.change, "--key", key], more].concat()).line()
    }

    /// The arguments that launch an apply.
    pub fn apply_arguments<'a>(&self, planned: &'a Planned, approvals: &[&'a str]) -> Vec<&'a str> {
        let Planned { manifest, plan, change, .. } = planned;
        let mut all = vec!["launch-deploy-job", manifest, "--action", "apply", "--plan", plan, "--change", change];
        all.extend(approvals.iter().flat_map(|approval| ["--approval", *approval]));
        all.extend(["--follow", "--format", "json"]);
        all
    }

    /// Launches an apply with these approvals and follows it. The answer is for programs: [`Run::because`] reads it.
    #[track_caller]
    pub fn apply(&self, planned: &Planned, approvals: &[&str]) -> Applied {
        let before = self.jobs("apply");
        let mut run = self.airlock(&self.apply_arguments(planned, approvals));
        let job = self.jobs("apply").into_iter().find(|job| !before.contains(job));
        // A launch that is followed answers twice: with the job, then with why it failed. The last word counts.
        run.stdout = last_answer(&run.stdout);
        Applied { run, job }
    }

    /// Publishes, plans, approves and applies what is committed.
    #[track_caller]
    pub fn deploy(&self) -> Run {
        self.airlock(&["deploy", "--approve-with", APPROVER])
    }

    /// [`Scratch::deploy`] in the background.
    pub fn start_deploy(&self) -> Background {
        self.start(&["deploy", "--approve-with", APPROVER])
    }

    /// Expects that all deployments are sound.
    #[track_caller]
    pub fn audit(&self) {
        let audit = self.json(&["audit", "verify"]).exits(0);
        assert_eq!(audit.json()["sound"], true, "{}", audit.all());
    }
}

fn last_answer(stdout: &str) -> String {
    let start = stdout.rfind("\n{").map_or(0, |at| at + 1);
    stdout[start..].to_owned()
}
