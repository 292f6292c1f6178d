//! `airlock manifest diff`

use std::fmt::Display;

use manifest_schema::Document as _;
use manifest_schema::diff::{
    ArtifactDiff, ArtifactState, BlobsDiff, Change, EvidenceState, FileDiff, ManifestDiff, Side, SourceState, StepDiff,
};
use manifest_schema::manifest::{BlobRef, Step, Variable};

use crate::build::named::{BuildName, NamedBuild};
use crate::config::EnvironmentArgs;
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::output::{Output, plain, size, wrap};

/// Which builds.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The build that is compared with: a manifest file, sha256:…, project#number, or epoch.number.
    #[arg(value_name = "OLD")]
    old: BuildName,
    /// The build that is compared.
    #[arg(value_name = "NEW")]
    new: BuildName,
    /// Exit with 1 if they differ in more than their number.
    #[arg(long)]
    exit_code: bool,
    #[command(flatten)]
    place: EnvironmentArgs,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result<Exit, Failure> {
        let old = NamedBuild::find(context, &self.place, &self.old)?;
        let new = NamedBuild::find(context, &self.place, &self.new)?;
        let diff = ManifestDiff::between(side(&old), side(&new));
        if context.out.is_json() {
            context.out.data(diff.to_bytes())?;
        } else {
            context.out.data(Report::of(&context.out, &diff))?;
        }
        Ok(if self.exit_code && !diff.is_empty() { Exit::Failed } else { Exit::Done })
    }
}

fn side(build: &NamedBuild) -> Side<'_> {
    Side { digest: build.digest, manifest: &build.manifest }
}

/// Most files that are listed of one artifact.
const MOST_FILES: usize = 50;

/// The lines of a report: `+` for added, `-` for removed, `~` for changed.
struct Report<'a> {
    out: &'a Output,
    text: String,
}

impl<'a> Report<'a> {
    fn of(out: &'a Output, diff: &ManifestDiff) -> String {
        let mut report = Self { out, text: String::new() };
        let (old, new) = (&diff.old, &diff.new);
        report.line(0, &format!("{} {} → {} {}", old.project, old.build, new.project, new.build));
        if old.manifest == new.manifest {
            report.line(0, "this is one and the same build");
        } else if diff.is_empty() {
            report.line(0, "nothing differs but number, place and time");
        }
        for source in &diff.sources {
            report.change(0, &format!("source {}", source.uri), &source.change, source_told);
        }
        diff.artifacts.iter().for_each(|artifact| report.artifact(artifact));
        diff.steps.iter().for_each(|step| report.step(step));
        if diff.steps_reordered {
            report.line(0, "~ the steps come in another order");
        }
        for evidence in &diff.evidence {
            report.change(0, &format!("evidence {}", evidence.name), &evidence.change, evidence_told);
        }
        report.text
    }

    fn artifact(&mut self, artifact: &ArtifactDiff) {
        self.change(0, &format!("artifact {}", artifact.name), &artifact.change, artifact_told);
        artifact.files.iter().take(MOST_FILES).for_each(|file| self.file(file));
        if let Some(more) = artifact.files.len().checked_sub(MOST_FILES).filter(|more| *more > 0) {
            self.line(1, &format!("… and {more} more files; --format json has all"));
        }
        if let Some(BlobsDiff { added, removed, kept }) = &artifact.blobs {
            let sum = |blobs: &[BlobRef]| size(blobs.iter().map(|blob| blob.size).sum());
            let blobs = |blobs: &[BlobRef]| format!("{} ({})", blobs.len(), sum(blobs));
            self.line(1, &format!("blobs: {} new, {} gone, {} kept", blobs(added), blobs(removed), blobs(kept)));
        }
    }

    fn file(&mut self, file: &FileDiff) {
        self.change(1, file.path.as_str(), &file.change, |state| {
            let mode = if state.mode.bits() & 0o100 == 0 { "" } else { ", executable" };
            format!("{}, {}{mode}", state.digest.short(), size(state.size))
        });
    }

    fn step(&mut self, step: &StepDiff) {
        // Of a changed step the variables say more than the whole.
        self.change(0, &step.step, &step.change, step_told);
        for variable in &step.variables {
            self.change(1, &format!("variable {}", variable.name), &variable.change, |value| match value {
                Variable::Value(text) => format!("{text:?}"),
                Variable::DigestOf(artifact) => format!("digest of {artifact}"),
            });
        }
    }

    fn change<T>(&mut self, depth: usize, what: &str, change: &Change<T>, told: impl Fn(&T) -> String) {
        let with = |told: String| if told.is_empty() { String::new() } else { format!(": {told}") };
        let line = match change {
            Change::Added(new) => format!("+ {what}{}", with(told(new))),
            Change::Removed(old) => format!("- {what}{}", with(told(old))),
            Change::Changed { old, new } => {
                let (old, new) = (told(old), told(new));
                let both = if old == new { new } else { format!("{old} → {new}") };
                format!("~ {what}{}", with(both))
            }
        };
        self.line(depth, &line);
    }

    fn line(&mut self, depth: usize, line: &(impl Display + ?Sized)) {
        let indent = 2 * depth;
        let wrapped = wrap(&plain(&line.to_string()), self.out.width(), indent, indent + 4);
        let paint = self.out.paint_out();
        let colored = match line.to_string().chars().next() {
            Some('+') => paint.green(&wrapped),
            Some('-') => paint.red(&wrapped),
            Some('~') => paint.yellow(&wrapped),
            Some(_) | None => wrapped,
        };
        self.text.push_str(&colored);
        self.text.push('\n');
    }
}

fn source_told(state: &SourceState) -> String {
    let commit = state.commit.as_str().get(..12).unwrap_or_default();
    let dirty = if state.dirty { ", uncommitted changes" } else { "" };
    format!("{commit} ({}{dirty})", state.reference)
}

fn artifact_told(state: &ArtifactState) -> String {
    format!("{} {}, {}", state.kind, state.digest.short(), size(state.size))
}

fn evidence_told(state: &EvidenceState) -> String {
    format!("{} {}, {}", state.kind, state.digest.short(), size(state.size))
}

fn step_told(step: &Step) -> String {
    match step {
        Step::Terraform { .. } => String::new(),
        Step::Service { containers, .. } => {
            let pairs = containers.iter().map(|(container, image)| format!("{container} = {image}"));
            pairs.collect::<Vec<_>>().join(", ")
        }
    }
}
