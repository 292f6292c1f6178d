//! An image's documents, told as a report.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use artifacts::{Descriptor, ImageConfig, ImageDocument, Platform};
use manifest_schema::Digest;
use manifest_schema::diff::ComparedBuild;
use manifest_schema::image_report::{
    ImageLayer, ImageReport, ImageReportSchema, ImageSettings, ImageVariable, PlatformImage, Shared,
};
use manifest_schema::manifest::{BlobEntry, Content};
use policy::is_secret_name;

use super::source::ImageSource;
use crate::build::named::NamedBuild;
use crate::context::Context;
use crate::exit::Failure;

/// Most indexes inside each other; packing takes no more either.
const MOST_DEEP: usize = 3;

/// Reads everything that the image's documents say.
pub(super) fn of(context: &Context, source: &ImageSource, with: Option<&NamedBuild>) -> Result<ImageReport, Failure> {
    let has = with.map(blobs_of);
    let mut reader = Reader { context, source, has: has.as_ref(), images: Vec::new() };
    let artifact = &source.artifact;
    reader.read(&artifact.digest, &artifact.media_type, None, 1)?;
    let sum = |blobs: &[&BlobEntry]| blobs.iter().map(|blob| blob.size).sum::<u64>();
    let all: Vec<&BlobEntry> = source.blobs().iter().collect();
    let shared = with.zip(has.as_ref()).map(|(build, has)| {
        let kept: Vec<&BlobEntry> = all.iter().copied().filter(|blob| has.contains(&blob.digest)).collect();
        let with = ComparedBuild {
            project: build.manifest.project.clone(),
            build: build.manifest.build.number(),
            manifest: build.digest,
            deployed: build.deployed.clone(),
        };
        Shared { with, blobs: kept.len() as u64, size: sum(&kept), new: sum(&all) - sum(&kept) }
    });
    Ok(ImageReport {
        schema: ImageReportSchema,
        digest: artifact.digest,
        media_type: artifact.media_type.clone(),
        blobs: all.len() as u64,
        size: sum(&all),
        images: reader.images,
        shared,
    })
}

/// The blobs of all of a build's images.
fn blobs_of(build: &NamedBuild) -> BTreeSet<Digest> {
    let blobs = build.manifest.artifacts.iter().filter_map(|artifact| match &artifact.content {
        Content::Image(blobs) => Some(blobs),
        Content::File | Content::Provider(_) | Content::Directory { .. } | Content::Terraform { .. } => None,
    });
    blobs.flatten().map(|blob| blob.digest).collect()
}

struct Reader<'a> {
    context: &'a Context,
    source: &'a ImageSource,
    has: Option<&'a BTreeSet<Digest>>,
    images: Vec<PlatformImage>,
}

impl Reader<'_> {
    fn read(
        &mut self,
        digest: &Digest,
        media_type: &str,
        platform: Option<&Platform>,
        depth: usize,
    ) -> Result<(), Failure> {
        if depth > MOST_DEEP {
            return Err(anyhow::anyhow!("indexes are nested more than {MOST_DEEP} deep").into());
        }
        let bytes = self.source.document(self.context, digest)?;
        let document = ImageDocument::from_bytes(&bytes, media_type)
            .with_context(|| format!("the image manifest {digest} can't be used"))?;
        match document {
            ImageDocument::Index { manifests } => {
                for next in &manifests {
                    self.read(&next.digest, &next.media_type, next.platform.as_ref(), depth + 1)?;
                }
            }
            ImageDocument::Image { config, layers } => {
                let image = self.image(digest, bytes.len() as u64, platform, &config, &layers)?;
                self.images.push(image);
            }
        }
        Ok(())
    }

    fn image(
        &self,
        digest: &Digest,
        size: u64,
        platform: Option<&Platform>,
        config: &Descriptor,
        layers: &[Descriptor],
    ) -> Result<PlatformImage, Failure> {
        // An attestation says that it runs nowhere, and has a configuration for form's sake.
        let runs = platform.is_none_or(|platform| platform.os != "unknown");
        let settings = if ImageConfig::is_media_type(&config.media_type) && runs {
            let bytes = self.source.document(self.context, &config.digest)?;
            let read = ImageConfig::from_bytes(&bytes);
            Some(read.with_context(|| format!("the configuration {} can't be used", config.digest))?)
        } else {
            None
        };
        let steps = settings.as_ref().map(|config| config.steps(layers.len())).unwrap_or_default();
        let told = |(number, layer): (usize, &Descriptor)| ImageLayer {
            digest: layer.digest,
            media_type: layer.media_type.clone(),
            size: layer.size,
            created_by: steps.get(number).and_then(|step| step.created_by.clone()),
            shared: self.has.map(|has| has.contains(&layer.digest)),
        };
        let distinct: BTreeMap<Digest, u64> = layers.iter().chain([config]).map(|one| (one.digest, one.size)).collect();
        let own = settings.as_ref().and_then(|config| config.os.as_ref().zip(config.architecture.as_ref()));
        Ok(PlatformImage {
            platform: platform.map(Platform::to_string).or_else(|| own.map(|(os, on)| format!("{os}/{on}"))),
            digest: *digest,
            size: size + distinct.values().sum::<u64>(),
            config: settings.as_ref().map(|read| told_config(config.digest, read)),
            layers: layers.iter().enumerate().map(told).collect(),
        })
    }
}

fn told_config(digest: Digest, config: &ImageConfig) -> ImageSettings {
    let run = &config.config;
    let variable = |pair: &String| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        ImageVariable { name: name.to_owned(), value: shown(name, value) }
    };
    ImageSettings {
        digest,
        created: config.created.clone(),
        architecture: config.architecture.clone(),
        os: config.os.clone(),
        user: run.user.clone(),
        entrypoint: run.entrypoint.clone(),
        cmd: run.cmd.clone(),
        working_dir: run.working_dir.clone(),
        env: run.env.iter().map(variable).collect(),
        ports: run.exposed_ports.iter().cloned().collect(),
        labels: run.labels.iter().map(|(name, value)| (name.clone(), shown(name, value))).collect(),
    }
}

fn shown(name: &str, value: &str) -> Option<String> {
    (!is_secret_name(name)).then(|| value.to_owned())
}
