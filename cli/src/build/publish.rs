//! Copies a build into an artifacts store: blobs, then the manifest, then the statements, then the build pointer. Whoever
//! finds the pointer finds everything.

mod blobs;

use manifest_schema::Document as _;
use manifest_schema::manifest::BuildManifest;
use manifest_schema::pointer::{BuildPointer, BuildPointerSchema};
use manifest_schema::storage::{AttestationKind, Key};
use records::attestations;
use store::{Creation, Location, Store};

use super::named::{self, NamedBuild};
use crate::context::Context;
use crate::exit::{Failure, OrFail as _};
use crate::stores;

pub(crate) use blobs::{Sent, open};

/// What publishing a build changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Happened {
    /// It has its number now.
    Published,
    /// It had been published, then collected, and is whole again.
    Restored,
    /// It had been published.
    Nothing,
}

/// What came of publishing.
#[derive(Debug)]
pub(crate) struct Published {
    /// What that changed.
    pub(crate) happened: Happened,
    /// What became of the blobs.
    pub(crate) blobs: Sent,
}

/// Publishes a build with its statements. Doing so again changes nothing.
///
/// # Errors
/// When another manifest has the build's number, a file is no longer what the manifest says, or the store can't be
/// written.
pub(crate) async fn publish(
    context: &Context,
    location: &Location,
    build: &NamedBuild,
    envelopes: &[Vec<u8>],
) -> Result<Published, Failure> {
    let store = Store::open_or_create(location).await?;
    // Asked first, so that nothing is copied for a number that is taken; and again when the pointer is created.
    expect_free(&store, build).await?;
    // Held until the pointer is there: until then nothing names what is sent, or was found there.
    let writer = stores::blob_writer(&context.out, &store).await?;
    let blobs = blobs::send(context, &store, &writer, &build.manifest).await?;
    let whole_before = writer.create_bytes(build.bytes.clone()).await? == Creation::Exists;
    for envelope in envelopes {
        let (Creation::Created | Creation::Exists) =
            attestations::add(&store, build.digest, AttestationKind::Build, envelope).await?;
    }
    let BuildManifest { project, build: numbered, .. } = &build.manifest;
    let key = Key::Build(project.clone(), numbered.number());
    let pointer = BuildPointer {
        schema: BuildPointerSchema,
        project: project.clone(),
        build: numbered.number(),
        manifest: build.digest,
    };
    match store.create(&key, &pointer.to_bytes()).await? {
        Creation::Created => Ok(Published { happened: Happened::Published, blobs }),
        Creation::Exists => {
            expect_free(&store, build).await?;
            let happened = if whole_before { Happened::Nothing } else { Happened::Restored };
            Ok(Published { happened, blobs })
        }
    }
}

/// Refuses a number under which another manifest was published.
async fn expect_free(store: &Store, build: &NamedBuild) -> Result<(), Failure> {
    let (project, number) = (&build.manifest.project, build.manifest.build.number());
    match named::pointer(store, project, number).await? {
        Some(other) if other != build.digest => {
            let (other, this) = (other.short(), build.digest.short());
            let store = store.location();
            let problem =
                anyhow::anyhow!("build {number} of {project} is already in {store} with manifest {other}, not {this}");
            Err(problem).or_hint("a number stands for one build for ever: build again with a higher one")
        }
        Some(_) | None => Ok(()),
    }
}
