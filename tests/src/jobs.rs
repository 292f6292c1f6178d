//! Jobs, as their journals tell them.
#![allow(clippy::wildcard_enum_match_arm, reason = "of many things that happen, few are asked for at a time")]

use std::fs;
use std::path::PathBuf;

use manifest_schema::Document as _;
use manifest_schema::job::{Event, Happening, JobRequest, TaskId};
use serde_json::Value;

use crate::{Scratch, wait_until};

impl Scratch {
    /// The ids of all jobs of one action, oldest first.
    pub fn jobs(&self, action: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.production("jobs")) else { return Vec::new() };
        let mut jobs: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        jobs.sort();
        // A job's folder is there a moment before its request.
        let is_of = |job: &String| {
            let bytes = fs::read(self.production(&format!("jobs/{job}/request.json")));
            bytes.is_ok_and(|bytes| JobRequest::from_bytes(&bytes).unwrap().request.action.to_string() == action)
        };
        jobs.retain(is_of);
        jobs
    }

    /// The newest job of an action, once there are `count` of them.
    #[track_caller]
    pub fn job(&self, action: &str, count: usize) -> String {
        wait_until(&format!("{action} job {count}"), || {
            let mut jobs = self.jobs(action);
            if jobs.len() >= count { jobs.pop() } else { None }
        })
    }

    /// Where an event is, or will be.
    pub fn event_path(&self, job: &str, number: usize) -> PathBuf {
        self.production(&format!("jobs/{job}/events/{number:06}.json"))
    }

    /// All events of a job so far.
    pub fn events(&self, job: &str) -> Vec<Event> {
        let read = |number| fs::read(self.event_path(job, number)).ok();
        (1..).map_while(read).map(|bytes| Event::from_bytes(&bytes).unwrap()).collect()
    }

    /// What happened to a job so far, in words: `began`, `intent 1`, `ended succeeded`. Progress is left out.
    pub fn story(&self, job: &str) -> Vec<String> {
        self.events(job).iter().map(|event| &event.event).filter_map(word).collect()
    }

    /// Waits until something has happened to a job; gives the whole story.
    #[track_caller]
    pub fn wait_for(&self, job: &str, wanted: &str) -> Vec<String> {
        wait_until(&format!("{wanted} in {:?}", self.story(job)), || {
            let story = self.story(job);
            story.iter().any(|word| word.starts_with(wanted)).then_some(story)
        })
    }

    /// The task that runs a job's worker, as far as its journal names one.
    pub fn task(&self, job: &str) -> Option<TaskId> {
        self.events(job).into_iter().rev().find_map(|event| match event.event {
            Happening::Began { task, .. } | Happening::Started { task } => Some(task),
            _ => None,
        })
    }

    /// All progress lines of a job.
    pub fn progress(&self, job: &str) -> Vec<String> {
        let lines = self.events(job).into_iter().filter_map(|event| match event.event {
            Happening::Progress { lines } => Some(lines),
            _ => None,
        });
        lines.flatten().collect()
    }

    /// How and why a job ended: its outcome, the codes and the messages of its reasons.
    #[track_caller]
    pub fn end_of(&self, job: &str) -> (String, Vec<String>, String) {
        let last = self.events(job).pop().expect("a job has events");
        let Happening::Ended { outcome, reasons } = last.event else { panic!("{job} has not ended: {last:?}") };
        let codes = reasons.iter().map(|reason| reason.code.to_string()).collect();
        let text = reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        (outcome.to_string(), codes, text)
    }

    /// The deployment records, by number from 1, until one is missing.
    pub fn records(&self) -> Vec<Value> {
        let at = |number: u32| self.production(&format!("environments/production/hello/deployed/{number:06}.json"));
        (1..).map(at).take_while(|path| path.exists()).map(|path| self.read(&path)).collect()
    }

    /// The Terraform state.
    pub fn state(&self) -> Value {
        self.read(&self.production("state/production/hello/terraform.tfstate"))
    }

    /// Who holds the lease.
    pub fn lease_holder(&self) -> Option<String> {
        let path = self.production("environments/production/hello/lease.json");
        if !path.exists() {
            return None;
        }
        self.read(&path)["holder"]["job"].as_str().map(str::to_owned)
    }
}

fn word(happening: &Happening) -> Option<String> {
    Some(match happening {
        Happening::Progress { .. } => return None,
        Happening::Intent { step, .. } => format!("intent {step}"),
        Happening::Done { step } => format!("done {step}"),
        Happening::StepFailed { step, .. } => format!("failed {step}"),
        Happening::StepRolledBack { step, .. } => format!("rolled back {step}"),
        Happening::Recorded { outcome, .. } => format!("recorded {outcome:?}").to_lowercase(),
        Happening::Ended { outcome, .. } => format!("ended {outcome}"),
        other => serde_json::to_value(other).unwrap()["type"].as_str().unwrap().to_owned(),
    })
}
