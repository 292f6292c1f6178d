//! Copies a build into an artifacts store: blobs, then the manifest, then the statements, then the build pointer. Whoever
//! finds the pointer finds everything.

mod blobs;

use std::collections::BTreeSet;

use manifest_schema::Document as _;
use manifest_schema::manifest::{BlobRef, BuildManifest};
use manifest_schema::pointer::{BuildPointer, BuildPointerSchema};
use manifest_schema::storage::{AttestationKind, Key};
use records::attestations;
use store::{Creation, Repair, Source, Store};

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

/// Whether what is there is taken for what its name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Care {
    /// It is: whoever reads it checks it.
    Believe,
    /// It is read and hashed, and what is wrong is replaced.
    Repair,
}

/// Publishes a build with its statements. Doing so again changes nothing.
///
/// # Errors
/// When another manifest has the build's number, a file is no longer what the manifest says, or the store can't be
/// written.
pub(crate) async fn publish(
    context: &Context,
    store: &Store,
    build: &NamedBuild,
    envelopes: &[Vec<u8>],
    care: Care,
) -> Result<Published, Failure> {
    // Held until the pointer is there: until then nothing names what is sent, or was found there.
    let writer = stores::blob_writer(&context.out, store).await?;
    // Asked before anything is copied for a number that is taken; and again when the pointer is created.
    let pointed = expect_free(store, build).await?;
    let manifest = BlobRef::of(&build.bytes);
    let whole = pointed && !store.present(&BTreeSet::from([manifest])).await?.is_empty();
    let blobs = match care {
        // The pointer came last, and the manifest goes first when a build is collected: all of it is there.
        Care::Believe if whole => Sent::nothing(&build.manifest),
        Care::Believe => blobs::send(context, store, &writer, &build.manifest).await?,
        Care::Repair => blobs::repair(context, store, &writer, &build.manifest).await?,
    };
    let whole_before = match care {
        Care::Believe if whole => true,
        Care::Believe => writer.create_bytes(build.bytes.clone()).await? == Creation::Exists,
        Care::Repair => writer.repair(&manifest, Source::bytes(build.bytes.clone())).await? == Repair::Sound,
    };
    for envelope in envelopes {
        let (Creation::Created | Creation::Exists) =
            attestations::add(store, build.digest, AttestationKind::Build, envelope).await?;
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
            let _ = expect_free(store, build).await?;
            let happened = if whole_before { Happened::Nothing } else { Happened::Restored };
            Ok(Published { happened, blobs })
        }
    }
}

/// Refuses a number under which another manifest was published; says whether this one was.
async fn expect_free(store: &Store, build: &NamedBuild) -> Result<bool, Failure> {
    let (project, number) = (&build.manifest.project, build.manifest.build.number());
    match named::pointer(store, project, number).await? {
        Some(other) if other != build.digest => {
            let (other, this) = (other.short(), build.digest.short());
            let store = store.location();
            let problem =
                anyhow::anyhow!("build {number} of {project} is already in {store} with manifest {other}, not {this}");
            Err(problem).or_hint("a number stands for one build for ever: build again with a higher one")
        }
        pointed => Ok(pointed.is_some()),
    }
}
