//! What holds after whatever has happened.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::Value;

use crate::Scratch;

impl Scratch {
    /// Expects that the deployments are sound and without a gap, that no step was done twice under one claim, that every
    /// apply that did anything has exactly one record, and that `manifest` is what runs: by the records, by the
    /// Terraform state and by the services.
    #[track_caller]
    pub fn expect_consistent(&self, manifest: &str) {
        self.expect_consistent_with(manifest, &self.state());
    }

    /// The same where the Terraform state is somewhere else.
    #[track_caller]
    pub fn expect_consistent_with(&self, manifest: &str, state: &Value) {
        self.audit();
        let records = self.records();
        let folder = self.production("environments/production/hello/deployed");
        assert_eq!(fs::read_dir(folder).unwrap().count(), records.len(), "numbered without a gap");

        let recorded: Vec<&str> = records.iter().map(|record| record["job"].as_str().unwrap()).collect();
        let mut began = Vec::new();
        for job in self.jobs("apply") {
            let story = self.story(&job);
            assert!(story.last().unwrap().starts_with("ended"), "{job}: {story:?}");
            let intents: Vec<_> = story.iter().filter(|word| word.starts_with("intent")).collect();
            let distinct: BTreeSet<_> = intents.iter().collect();
            assert_eq!(distinct.len(), intents.len(), "a step was begun twice: {story:?}");
            if !intents.is_empty() {
                began.push(job);
            }
        }
        assert_eq!(recorded, began, "one record for each apply that did anything");
        self.expect_one_beginner_per_plan(&began);

        let latest = records.last().expect("something was deployed");
        assert_eq!(latest["complete"]["manifest"], manifest, "{latest:#}");
        let blob = self.artifacts("blobs/sha256").join(manifest.trim_start_matches("sha256:"));
        let build = self.read(&blob);
        let image = build["artifacts"].as_array().unwrap().iter().find(|artifact| artifact["name"] == "web");
        let image = image.expect("the build has an image")["digest"].clone();
        let release = state["resources"].as_array().unwrap().iter().find(|resource| resource["name"] == "release");
        assert_eq!(release.unwrap()["instances"][0]["attributes"]["input"]["value"]["image"], image);
        assert_eq!(self.read(&self.production("cluster/production/hello.json"))["containers"]["web"], image);
    }

    /// Of all jobs that claimed a plan, at most one began a step.
    #[track_caller]
    fn expect_one_beginner_per_plan(&self, began: &[String]) {
        let mut beginners: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for plan in fs::read_dir(self.production("plans")).unwrap() {
            let Ok(claims) = fs::read_dir(plan.as_ref().unwrap().path().join("claims")) else { continue };
            for claim in claims {
                let job = self.read(&claim.unwrap().path())["job"].as_str().unwrap().to_owned();
                if began.contains(&job) {
                    let plan = plan.as_ref().unwrap().file_name().into_string().unwrap();
                    beginners.entry(plan).or_default().push(job);
                }
            }
        }
        assert!(beginners.values().all(|jobs| jobs.len() == 1), "a plan was begun twice: {beginners:?}");
        assert_eq!(beginners.len(), began.len(), "a job began without a claim of its own: {beginners:?}");
    }
}
