//! Where an image's documents are read from: the working directory, or the artifacts store.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;
use artifacts::{DOCUMENT_LIMIT, Origin, pack_image};
use manifest_schema::Digest;
use manifest_schema::manifest::{Artifact, ArtifactKind, BlobEntry, Content};
use manifest_schema::names::ArtifactName;
use store::Store;

use crate::build::named::{BuildName, FORMS, NamedBuild};
use crate::build::pack::expected_bytes;
use crate::build::publish::open;
use crate::config::EnvironmentArgs;
use crate::context::Context;
use crate::exit::{Failure, OrFail as _};
use crate::progress::Progress;
use crate::purpose::Purpose;

/// An image and where its blobs are.
pub(super) struct ImageSource {
    pub(super) artifact: Artifact,
    place: Place,
}

enum Place {
    Files(BTreeMap<Digest, Origin>),
    Store(Store),
}

impl ImageSource {
    /// Finds an image: in a layout or archive, all of which is read, or in a build of the store.
    pub(super) fn find(
        context: &Context,
        place: &EnvironmentArgs,
        name: &BuildName,
        artifact: Option<&ArtifactName>,
    ) -> Result<Self, Failure> {
        if let BuildName::File(path) = name
            && !is_manifest(path)
        {
            return Self::packed(context, path);
        }
        let build = NamedBuild::find(context, place, name)?;
        let artifact = choose(&build, artifact)?.clone();
        let environment = match name {
            BuildName::Deployed(environment) => {
                let (environment, store) = (Some(environment.clone()), place.store.clone());
                context.environment(&EnvironmentArgs { environment, store })?
            }
            BuildName::File(_) | BuildName::Digest(_) | BuildName::Number { .. } => context.environment(place)?,
        };
        let location = environment.artifacts()?;
        let access = environment.access(&Purpose::of_build(build.manifest.build.number()));
        let store = context.block_on(async { Ok::<_, Failure>(Store::open(location, &access).await?) })?;
        Ok(Self { artifact, place: Place::Store(store) })
    }

    fn packed(context: &Context, path: &Path) -> Result<Self, Failure> {
        if !path.exists() {
            let problem = anyhow::anyhow!("can't read {}: there is no such file", path.display());
            return Err(problem).or_hint(format!("name an image layout or archive, or a build; {FORMS}"));
        }
        let paths = vec![path.to_owned()];
        let progress = Progress::bytes(&context.out, "hashing", move || expected_bytes(paths));
        let name = ArtifactName::new("image").context("no name for the image")?;
        let packed = pack_image(name, path, &|bytes| progress.advance(bytes))?;
        let origins = packed.blobs.into_iter().map(|source| (source.blob.digest, source.origin)).collect();
        Ok(Self { artifact: packed.artifact, place: Place::Files(origins) })
    }

    /// The image's blobs, its manifest first.
    pub(super) fn blobs(&self) -> &[BlobEntry] {
        match &self.artifact.content {
            Content::Image(blobs) => blobs,
            Content::File | Content::Provider(_) | Content::Directory { .. } | Content::Terraform { .. } => &[],
        }
    }

    /// The bytes of a document, which are those that its digest names.
    pub(super) fn document(&self, context: &Context, digest: &Digest) -> Result<Vec<u8>, Failure> {
        let limit = usize::try_from(DOCUMENT_LIMIT).unwrap_or(usize::MAX);
        match &self.place {
            Place::Store(store) => context.block_on(async { Ok(store.fetch(digest, limit).await?) }),
            Place::Files(origins) => {
                let origin = origins.get(digest).with_context(|| format!("the image has no blob {digest}"))?;
                let mut bytes = Vec::new();
                let source = open(origin).with_context(|| format!("can't read the blob {digest}"))?;
                source.take(DOCUMENT_LIMIT).read_to_end(&mut bytes).with_context(|| format!("can't read {digest}"))?;
                if Digest::of(&bytes) != *digest {
                    return Err(anyhow::anyhow!("the blob {digest} changed meanwhile, or is too large to read").into());
                }
                Ok(bytes)
            }
        }
    }
}

/// A build manifest is a JSON object; no tar file begins like one.
fn is_manifest(path: &Path) -> bool {
    let mut first = [0];
    path.is_file() && File::open(path).is_ok_and(|mut file| file.read_exact(&mut first).is_ok()) && first == *b"{"
}

fn choose<'a>(build: &'a NamedBuild, name: Option<&ArtifactName>) -> Result<&'a Artifact, Failure> {
    let images: Vec<&Artifact> =
        build.manifest.artifacts.iter().filter(|artifact| artifact.kind() == ArtifactKind::Image).collect();
    let names = images.iter().map(|image| image.name.to_string()).collect::<Vec<_>>().join(", ");
    match (name, images.as_slice()) {
        (_, []) => Err(anyhow::anyhow!("build {} has no image", build.manifest.build.number()).into()),
        (None, [image]) => Ok(image),
        (None, _) => Err(anyhow::anyhow!("the build has several images: {names}")).or_hint("name one with --artifact"),
        (Some(name), _) => {
            let found = images.iter().find(|image| image.name == *name).copied();
            found.with_context(|| format!("the build has no image {name}")).or_hint(format!("it has {names}"))
        }
    }
}
