//! A build, for people.

use std::collections::BTreeMap;

use manifest_schema::manifest::{Artifact, Content, Source, Step, Variable, VendoredModule};
use manifest_schema::names::{ArtifactName, ServiceName};
use manifest_schema::report::Stored;

use super::{Looked, stored};
use crate::build::named::NamedBuild;
use crate::context::Context;
use crate::output::{Table, count, plain, size, wrap};

pub(super) fn text(context: &Context, build: &NamedBuild, looked: &Looked) -> String {
    let out = &context.out;
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
    for module in manifest.artifacts.iter().flat_map(modules) {
        line("module", &format!("{module}, as {}", module.path));
    }
    for report in &manifest.evidence {
        line("evidence", &format!("{} ({}, {})", report.name, report.kind, size(report.size)));
    }
    let stored = looked.stored.as_ref().ok();
    if !manifest.artifacts.is_empty() {
        text.push('\n');
        text.push_str(&artifacts(&manifest.artifacts, stored).render(out.width()));
    }
    if let Some(stored) = stored {
        text.push_str(&stored::statements(context, stored));
    }
    text.push('\n');
    text.push_str(&stored::place(context, build, looked));
    text
}

fn modules(artifact: &Artifact) -> &[VendoredModule] {
    match &artifact.content {
        Content::Terraform { modules, .. } => modules,
        Content::File | Content::Provider(_) | Content::Directory { .. } | Content::Image(_) => &[],
    }
}

fn artifacts(artifacts: &[Artifact], stored: Option<&Stored>) -> Table {
    let mut table = match stored {
        Some(_) => Table::new(["artifact", "kind", "size", "contents", "digest", "in the store"]),
        None => Table::new(["artifact", "kind", "size", "contents", "digest"]),
    };
    for (index, artifact) in artifacts.iter().enumerate() {
        let contents = match &artifact.content {
            Content::File => String::new(),
            Content::Provider(provider) => provider.to_string(),
            Content::Directory { files, links } if !links.is_empty() => {
                format!("{}, {}", count(files.len(), "file"), count(links.len(), "link"))
            }
            Content::Terraform { files, modules } if !modules.is_empty() => {
                format!("{}, {} from elsewhere", count(files.len(), "file"), count(modules.len(), "module"))
            }
            Content::Directory { files, .. } | Content::Terraform { files, .. } => count(files.len(), "file"),
            Content::Image(blobs) => count(blobs.len(), "blob"),
        };
        let whole = artifact.blobs().iter().map(|blob| blob.size).sum();
        let (name, kind) = (artifact.name.to_string(), artifact.kind().to_string());
        let there = stored.and_then(|stored| stored.artifacts.get(index)).map(stored::presence);
        let cells = [name, kind, size(whole), contents, artifact.digest.short()];
        table.row(cells.into_iter().chain(there));
    }
    table
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
                    Variable::Parameter(parameter) => format!("{name} = parameter {parameter}"),
                    Variable::Secret(secret) => format!("{name} = secret {secret}"),
                })
                .collect(),
        ),
        Step::Service(service) => list(said(&service.containers, service.settings())),
        Step::Task(task) => list(said(&task.containers, task.settings())),
        Step::Files(files) => list(said(&BTreeMap::new(), files.settings())),
        Step::Schedule(schedule) => list(said(&schedule.containers, schedule.revision().settings())),
        Step::Function(function) => list(said(&BTreeMap::new(), function.settings())),
    };
    format!("{step}{rest}")
}

/// The images and settings of a step.
fn said(containers: &BTreeMap<ServiceName, ArtifactName>, settings: BTreeMap<String, String>) -> Vec<String> {
    let images = containers.iter().map(|(container, image)| format!("{container} = {image}"));
    images.chain(settings.into_iter().map(|(path, value)| format!("{path} = {value}"))).collect()
}
