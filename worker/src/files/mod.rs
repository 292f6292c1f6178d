//! Files of a build, put into S3 or the directory that stands in for it.
//!
//! What is there is compared by content and headers, never by time or size, so that nothing is sent that is there
//! already, and what another put there is seen. Where files may go, the worker's configuration says. Pages come last, so
//! that none names an asset that isn't there yet; then what the build hasn't is deleted, if its step says so.
//!
//! Gate 11 is here: each file is verified before the first of its bytes is sent.

mod compare;
mod local;
mod s3;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use manifest_schema::gates::Admission;
use manifest_schema::manifest::{BuildManifest, FileEntry, FilesStep};
use manifest_schema::plan::FilesChange;
use manifest_schema::{Code, Reason};
use records::config::FilesConfig;

use crate::session::Session;
use crate::stop::{Refusals, Stop};
use compare::{Delete, Differences, Found, Put};
use local::LocalFiles;
use s3::S3Files;

/// Between two events about one step.
const EVERY: Duration = Duration::from_secs(5);
/// So many objects are looked at, sent or deleted at the same time.
const AT_ONCE: usize = 16;

/// Where files are put.
pub(crate) struct Files<'a> {
    session: &'a Session,
    target: Option<Target<'a>>,
}

enum Target<'a> {
    /// A directory.
    Local(LocalFiles),
    /// Amazon S3.
    S3(Box<S3Files<'a>>),
}

/// What is at a place: objects by key, as far as they matter to a step. `None` if there is no such bucket.
type Present = Option<BTreeMap<String, Found>>;

impl<'a> Files<'a> {
    /// Asks nobody yet.
    pub(crate) async fn open(session: &'a Session, admission: &Admission) -> Self {
        let target = match &session.config().files {
            None => None,
            Some(FilesConfig::Local(path)) => {
                Some(Target::Local(LocalFiles::open(path, &session.request().environment)))
            }
            Some(FilesConfig::S3(config)) => {
                Some(Target::S3(Box::new(S3Files::open(session, config, &admission.environment().account).await)))
            }
        };
        Self { session, target }
    }

    /// What deploying this build would change in each place.
    ///
    /// # Errors
    /// When S3 can't be asked; with everything that isn't supported, of all places.
    pub(crate) async fn changes(&self, manifest: &BuildManifest) -> Result<Vec<FilesChange>, Stop> {
        let (mut changes, mut refused) = (Vec::new(), Refusals::default());
        for (step, files) in manifest.files() {
            let Some(target) = refused.sort(self.target_of(step))? else { continue };
            let differences = self.look(target, step, files).await?;
            if differences.missing && manifest.terraform().is_none() {
                let what = "there is no such bucket, and the build has no Terraform step that could make it";
                refused.add([unsupported(step, what)]);
            }
            changes.push(differences.change(step));
        }
        refused.or(changes)
    }

    /// Makes a place hold the build's files, and does to it exactly what people agreed to. `scratch` is an empty directory
    /// for this worker alone.
    pub(crate) async fn put(
        &self,
        admission: &Admission,
        step: &FilesStep,
        approved: &FilesChange,
        scratch: &Path,
    ) -> Result<(), Stop> {
        let manifest = admission.manifest().manifest();
        let target = self.target_of(step)?;
        let files = manifest.files().find(|(other, _)| *other == step).map(|(_, files)| files).unwrap_or_default();
        let differences = self.look(target, step, files).await?;
        if differences.missing {
            return Err(failed(step, "there is still no such bucket"));
        }
        // The bucket may have been made meanwhile, by this build.
        let approved = FilesChange { missing: false, ..approved.clone() };
        if differences.change(step) != approved {
            return Err(failed(step, "what is there changed after the plan was made: plan again"));
        }
        let work = Work { session: self.session, target, step, manifest, scratch };
        let Differences { puts, deletes, .. } = &differences;
        let (pages, assets): (Vec<_>, Vec<_>) = puts.iter().partition(|put| put.wanted.is_page());
        let send = async |puts| work.all("sent", puts, async |put| work.put(put).await).await;
        let delete = async || work.all("deleted", deletes.iter().collect(), async |one| work.delete(one).await).await;
        match target {
            // What isn't there any more may have the name of a directory now.
            Target::Local(_) => {
                delete().await?;
                send(assets).await?;
                send(pages).await?;
            }
            Target::S3(_) => {
                send(assets).await?;
                send(pages).await?;
                delete().await?;
            }
        }
        self.session.tell(format!("{step}: {} sent, {} deleted", puts.len(), deletes.len())).await
    }

    /// Where a step's files go.
    fn target_of(&self, step: &FilesStep) -> Result<&Target<'a>, Stop> {
        let nowhere = || unsupported(step, "files have nowhere to be: name `files` in the workers' configuration");
        self.target.as_ref().ok_or_else(|| Stop::Refused(vec![nowhere()]))
    }

    async fn look<'s>(
        &self,
        target: &Target<'_>,
        step: &'s FilesStep,
        files: &'s [FileEntry],
    ) -> Result<Differences<'s>, Stop> {
        let wanted = compare::wanted(step, files);
        let present = match target {
            Target::Local(local) => local.present(step, &wanted)?,
            Target::S3(s3) => self.session.unless_stopped(s3.present(step, &wanted)).await?,
        };
        Ok(compare::differences(wanted, present, step.delete))
    }
}

/// One step that is being done.
struct Work<'w> {
    session: &'w Session,
    target: &'w Target<'w>,
    step: &'w FilesStep,
    manifest: &'w BuildManifest,
    scratch: &'w Path,
}

impl Work<'_> {
    /// Does the same with many objects, several at once, and tells how far it is. When somebody wishes to stop, it breaks
    /// off: an object is there whole or isn't.
    async fn all<'t, T>(
        &self,
        done: &str,
        objects: Vec<&'t T>,
        one: impl AsyncFn(&'t T) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        let (count, so_far) = (objects.len(), AtomicU64::new(0));
        let (one, counted) = (&one, &so_far);
        let each = objects.into_iter().map(|object| async move {
            one(object).await?;
            counted.fetch_add(1, Ordering::Relaxed);
            Ok::<_, Stop>(())
        });
        let all = stream::iter(each).buffer_unordered(AT_ONCE).try_collect::<()>();
        let mut all = std::pin::pin!(self.session.unless_stopped(all));
        loop {
            tokio::select! {
                ended = &mut all => return ended,
                // An event that was begun is always written: nobody could say otherwise whose it is.
                () = tokio::time::sleep(EVERY) => {
                    let so_far = so_far.load(Ordering::Relaxed);
                    self.session.tell(format!("{}: {so_far} of {count} {done}", self.step)).await?;
                }
            }
        }
    }

    async fn put(&self, put: &Put<'_>) -> Result<(), Stop> {
        match self.target {
            Target::Local(local) => local.put(self.step, put, &self.session.sides().artifacts).await,
            Target::S3(s3) => s3.put(self, put).await,
        }
    }

    async fn delete(&self, delete: &Delete) -> Result<(), Stop> {
        match self.target {
            Target::Local(local) => local.delete(self.step, delete),
            Target::S3(s3) => s3.delete(self.step, delete).await,
        }
    }
}

fn unsupported(step: &FilesStep, what: &str) -> Reason {
    Reason::new(Code::FilesUnsupported, format!("{step}: {what}"))
}

/// A step that can't go on.
fn failed(step: &FilesStep, what: impl std::fmt::Display) -> Stop {
    Stop::Failed(Reason::new(Code::FilesFailed, format!("{step}: {what}")))
}
