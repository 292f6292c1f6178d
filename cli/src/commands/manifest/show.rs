//! `airlock manifest show`

use manifest_schema::manifest::{Content, Source, Step, Variable};

use crate::build::named::{BuildName, NamedBuild};
use crate::config::EnvironmentArgs;
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::output::{Output, Table, count, plain, size, wrap};

/// Which build.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A manifest file, sha256:…, project#number, or epoch.number.
    #[arg(value_name = "BUILD")]
    build: BuildName,
    #[command(flatten)]
    place: EnvironmentArgs,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result<Exit, Failure> {
        let build = NamedBuild::find(context, &self.place, &self.build)?;
        if context.out.is_json() {
            context.out.data(&build.bytes)?;
        } else {
            context.out.data(text(&context.out, &build))?;
        }
        Ok(Exit::Done)
    }
}

fn text(out: &Output, build: &NamedBuild) -> String {
    let manifest = &build.manifest;
    let paint = out.paint_out();
    let mut text = String::new();
    let mut line = |label: &str, value: &str| {
        let wrapped = wrap(&format!("{label}: {}", plain(value)), out.width(), 0, 2);
        text.push_str(&wrapped.replacen(label, &paint.bold(label), 1));
        text.push('\n');
    };
    line("build", &format!("{} of {}", manifest.build.number(), manifest.project));
    line("manifest", &build.digest.to_string());
    line("built by", &manifest.build.builder);
    manifest.build.id.iter().for_each(|id| line("id", id));
    manifest.build.url.iter().for_each(|url| line("url", url));
    manifest.sources.iter().for_each(|source| line("source", &told(source)));
    for (number, step) in (1..).zip(&manifest.deploy) {
        line(&format!("step {number}"), &step_told(step));
    }
    for report in &manifest.evidence {
        line("evidence", &format!("{} ({}, {})", report.name, report.kind, size(report.size)));
    }
    if !manifest.artifacts.is_empty() {
        let mut table = Table::new(["artifact", "kind", "size", "contents", "digest"]);
        for artifact in &manifest.artifacts {
            let contents = match &artifact.content {
                Content::File | Content::Provider => String::new(),
                Content::Directory { files, links } if !links.is_empty() => {
                    format!("{}, {}", count(files.len(), "file"), count(links.len(), "link"))
                }
                Content::Directory { files, .. } | Content::Terraform(files) => count(files.len(), "file"),
                Content::Image(blobs) => count(blobs.len(), "blob"),
            };
            let whole = artifact.blobs().iter().map(|blob| blob.size).sum();
            let (name, kind) = (artifact.name.to_string(), artifact.kind().to_string());
            table.row([name, kind, size(whole), contents, artifact.digest.short()]);
        }
        text.push('\n');
        text.push_str(&table.render(out.width()));
    }
    text
}

fn told(source: &Source) -> String {
    let commit = source.commit.as_str().get(..12).unwrap_or_default();
    let dirty = if source.dirty { ", with uncommitted changes" } else { "" };
    format!("{} at {commit} ({}, {}{dirty})", source.uri, source.reference, source.committed_at)
}

fn step_told(step: &Step) -> String {
    let list =
        |items: Vec<String>| if items.is_empty() { String::new() } else { format!(" with {}", items.join(", ")) };
    let rest = match step {
        Step::Terraform { variables, .. } => list(
            variables
                .iter()
                .map(|(name, value)| match value {
                    Variable::Value(text) => format!("{name} = {text:?}"),
                    Variable::DigestOf(artifact) => format!("{name} = digest of {artifact}"),
                })
                .collect(),
        ),
        Step::Service { containers, .. } => {
            list(containers.iter().map(|(container, image)| format!("{container} = {image}")).collect())
        }
    };
    format!("{step}{rest}")
}
