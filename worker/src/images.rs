//! The build's images on their way into the production registry: before Terraform where their repository is there already,
//! after it where Terraform may have made it, and always before anything runs them.
//!
//! Gate 11 is here: each blob is verified while it streams, and what isn't its digest never becomes a blob there.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use manifest_schema::job::Happening;
use manifest_schema::manifest::{BlobEntry, BuildManifest};
use manifest_schema::names::ArtifactName;
use manifest_schema::registry::{Repository, Tag};
use records::config::{RegistryConfig, WorkerConfig};
use registry::{Credentials, Destination, Listener, Pushed, Registry};
use zeroize::Zeroizing;

use crate::session::Session;
use crate::stop::Stop;

/// Between two events about one push.
const EVERY: Duration = Duration::from_secs(5);
/// Of how many uploads that broke off such an event tells.
const TOLD: usize = 5;

/// The images that steps run, as far as they are not pushed yet.
pub(crate) struct Images<'a> {
    session: &'a Session,
    /// Without one, nothing is pushed.
    registry: Option<(Registry, &'a RegistryConfig)>,
    tag: Option<Tag>,
    waiting: Vec<Image<'a>>,
}

struct Image<'a> {
    name: &'a ArtifactName,
    blobs: &'a [BlobEntry],
    repository: Repository,
    /// Repositories of the build's other images that share blobs with this one.
    mount_from: Vec<Repository>,
}

impl<'a> Images<'a> {
    /// Prepares everything; asks nothing over the network.
    pub(crate) async fn open(session: &'a Session, manifest: &'a BuildManifest) -> Result<Self, Stop> {
        let Some(config) = &session.config().registry else {
            return Ok(Self { session, registry: None, tag: None, waiting: Vec::new() });
        };
        let registry = Registry::open(&config.address, credentials(session.config(), config).await?)?;
        let number = config.tag.then(|| manifest.build.number().to_string().parse());
        let tag = number.transpose().map_err(Stop::failed)?;
        let waiting = images(config, manifest)?;
        Ok(Self { session, registry: Some((registry, config)), tag, waiting })
    }

    /// Pushes those whose repository is there.
    pub(crate) async fn push_into_existing(&mut self) -> Result<(), Stop> {
        let Some((registry, config)) = &self.registry else { return Ok(()) };
        for image in std::mem::take(&mut self.waiting) {
            if self.session.unless_stopped(registry.has_repository(&image.repository)).await? {
                self.push(registry, config, &image).await?;
                continue;
            }
            let Image { name, repository, .. } = &image;
            let line = format!("image {name} waits: there is no repository {repository} in {} yet", config.address);
            self.session.tell(line).await?;
            self.waiting.push(image);
        }
        Ok(())
    }

    /// Pushes what is not pushed yet.
    pub(crate) async fn push_rest(&mut self) -> Result<(), Stop> {
        let Some((registry, config)) = &self.registry else { return Ok(()) };
        for image in std::mem::take(&mut self.waiting) {
            self.push(registry, config, &image).await?;
        }
        Ok(())
    }

    async fn push(&self, registry: &Registry, config: &RegistryConfig, image: &Image<'_>) -> Result<(), Stop> {
        let Image { name, blobs, repository, mount_from } = image;
        let to = Destination { repository: repository.clone(), tag: self.tag.clone(), mount_from: mount_from.clone() };
        let tally = Arc::new(Mutex::new(Tally::default()));
        let listener: Listener = {
            let tally = tally.clone();
            Arc::new(move |happening| tally.lock().unwrap_or_else(PoisonError::into_inner).add(happening))
        };
        let pushing = registry.push(&to, blobs, &self.session.sides().artifacts, &listener);
        let mut pushing = std::pin::pin!(self.session.unless_stopped(pushing));
        let pushed: Pushed = loop {
            tokio::select! {
                pushed = &mut pushing => break pushed?,
                // An event that was begun is always written: nobody could say otherwise whose it is.
                () = tokio::time::sleep(EVERY) => {
                    let told = tally.lock().unwrap_or_else(PoisonError::into_inner).told(name, blobs.len());
                    if !told.is_empty() {
                        self.session.say(Happening::Progress { lines: told }).await?;
                    }
                }
            }
        };
        self.session.tell(format!("image {name} in {}/{repository}: {pushed}", config.address)).await
    }
}

/// Who pushes.
async fn credentials(config: &WorkerConfig, registry: &RegistryConfig) -> Result<Credentials, Stop> {
    let Some(login) = &registry.login else {
        return Ok(match registry.address.ecr() {
            Some(_) => Credentials::Ecr(Box::new(aws::Connection::new(&config.aws, &[]).await)),
            None => Credentials::Anonymous,
        });
    };
    let path = login.password_file.display();
    let read = std::fs::read_to_string(&login.password_file).map(Zeroizing::new);
    let read = read.map_err(|error| Stop::failed(format!("can't read the registry's password {path}: {error}")))?;
    let password = read.strip_suffix('\n').unwrap_or(&read);
    if password.is_empty() || password.contains(['\r', '\n']) {
        return Err(Stop::failed(format!("the registry's password {path} has to be one line, which is not empty")));
    }
    Ok(Credentials::Basic { user: login.user.clone(), password: Zeroizing::new(password.to_owned()) })
}

/// The images that steps run, and where each goes.
fn images<'a>(config: &RegistryConfig, manifest: &'a BuildManifest) -> Result<Vec<Image<'a>>, Stop> {
    let digests = |blobs: &[BlobEntry]| blobs.iter().map(|entry| entry.digest).collect::<BTreeSet<_>>();
    let mut placed = Vec::new();
    for (artifact, blobs) in manifest.images_to_run() {
        let repository = config.repository(&manifest.project, &artifact.name);
        let refused = |error| Stop::failed(format!("image {} has no place in a registry: {error}", artifact.name));
        placed.push((&artifact.name, blobs, repository.map_err(refused)?, digests(blobs)));
    }
    let image = |(name, blobs, repository, own): &(&'a ArtifactName, &'a [BlobEntry], Repository, BTreeSet<_>)| {
        let others = placed.iter().filter(|(.., other, theirs)| other != repository && !own.is_disjoint(theirs));
        let mount_from = others.map(|(.., other, _)| other.clone()).collect();
        Image { name, blobs, repository: repository.clone(), mount_from }
    };
    Ok(placed.iter().map(image).collect())
}

/// What happens during a push, until it is told.
#[derive(Default)]
struct Tally {
    /// Blobs and manifests that the registry has.
    there: u64,
    /// Bytes that went out.
    bytes: u64,
    setbacks: Vec<String>,
    /// What the last event said of `there` and `bytes`.
    last: (u64, u64),
}

impl Tally {
    fn add(&mut self, happening: registry::Happening) {
        match happening {
            registry::Happening::Present(_) | registry::Happening::Mounted(_) | registry::Happening::Sent(_) => {
                self.there += 1;
            }
            registry::Happening::Moving { bytes, .. } => self.bytes += bytes,
            registry::Happening::Again { blob, offset, why } => {
                self.setbacks.push(format!("{} broke off and goes on from byte {offset}: {why}", blob.digest));
            }
        }
    }

    /// What is new, in lines for people.
    fn told(&mut self, image: &ArtifactName, blobs: usize) -> Vec<String> {
        let Self { there, bytes, .. } = *self;
        let mut lines = Vec::new();
        if self.last != (there, bytes) {
            self.last = (there, bytes);
            lines.push(format!("image {image}: {there} of {blobs} blobs there, {} MiB sent", bytes >> 20));
        }
        let setbacks = std::mem::take(&mut self.setbacks);
        lines.extend(setbacks.iter().take(TOLD).map(|setback| format!("image {image}: {setback}")));
        if let Some(more @ 1..) = setbacks.len().checked_sub(TOLD) {
            lines.push(format!("image {image}: {more} more uploads broke off and go on"));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use manifest_schema::manifest::BlobRef;

    use super::*;

    #[test]
    fn what_is_told_is_what_is_new_and_never_much() {
        let (name, blob) = ("web".parse().unwrap(), BlobRef::of(b""));
        let mut tally = Tally::default();
        assert_eq!(tally.told(&name, 3), [""; 0]);
        tally.add(registry::Happening::Present(blob));
        tally.add(registry::Happening::Moving { blob, bytes: 3 << 20 });
        assert_eq!(tally.told(&name, 3), ["image web: 1 of 3 blobs there, 3 MiB sent"]);
        assert_eq!(tally.told(&name, 3), [""; 0]);
        for _ in 0..7 {
            tally.add(registry::Happening::Again { blob, offset: 5, why: "HTTP 503".to_owned() });
        }
        let told = tally.told(&name, 3);
        assert_eq!(told.len(), TOLD + 1);
        assert_eq!(told[0], format!("image web: {} broke off and goes on from byte 5: HTTP 503", blob.digest));
        assert_eq!(told[TOLD], "image web: 2 more uploads broke off and go on");
    }
}
