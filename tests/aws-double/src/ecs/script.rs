//! What tests decide about the tasks of services and images: how they fare, what they write, how slowly they go.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use manifest_schema::Digest;

use super::Ecs;

/// How a task fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It runs until it is stopped.
    Healthy,
    /// It runs and exits with this code.
    Crash(i32),
    /// It runs, and ECS stops it because of its health.
    Unhealthy(HealthCheck),
    /// Its image can't be pulled.
    ImageMissing,
    /// It stays in PENDING until its image or service has another script.
    Stuck,
}

/// Who finds that a task isn't well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HealthCheck {
    /// The container's own.
    Container,
    /// The load balancer's.
    LoadBalancer,
}

/// How the tasks of a service or an image fare, from the time on that a test says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    pub(super) fate: Fate,
    pub(super) says: Vec<String>,
    pub(super) lingers: Duration,
    pub(super) after: Duration,
    pub(super) times: Option<usize>,
}

impl Script {
    /// Whose tasks fare like this.
    pub fn new(fate: Fate) -> Self {
        Self { fate, says: Vec::new(), lingers: Duration::ZERO, after: Duration::ZERO, times: None }
    }

    /// Whose container writes these lines when it starts: the one with the image, or the first of the service's task.
    #[must_use]
    pub fn saying<L: Into<String>>(mut self, lines: impl IntoIterator<Item = L>) -> Self {
        self.says = lines.into_iter().map(Into::into).collect();
        self
    }

    /// Whose tasks, once they are to stop, still serve for so long (of services only).
    #[must_use]
    pub fn lingering(mut self, time: Duration) -> Self {
        self.lingers = time;
        self
    }

    /// Whose tasks run for so long before they meet their fate (of services only).
    #[must_use]
    pub fn after(mut self, time: Duration) -> Self {
        self.after = time;
        self
    }

    /// Which holds for so many tasks of services, and no longer.
    #[must_use]
    pub fn times(mut self, times: usize) -> Self {
        self.times = Some(times);
        self
    }
}

/// All scripts.
#[derive(Debug, Default)]
pub(super) struct Scripts {
    /// By a part of an image's reference, such as its digest.
    images: BTreeMap<String, Script>,
    /// By name.
    services: BTreeMap<String, Script>,
    /// Digests, by a part of an image's reference.
    resolved: BTreeMap<String, String>,
    /// Where registries have what was pushed to them, by their address.
    registries: BTreeMap<String, PathBuf>,
}

impl Scripts {
    /// What holds for an image.
    pub(super) fn of_image(&self, image: &str) -> Option<&Script> {
        let of = |(part, script): (&String, _)| image.contains(part.as_str()).then_some(script);
        self.images.iter().find_map(of).filter(|script| script.times != Some(0))
    }

    /// What holds for a task of a service with these images, and for which of its containers; uses it up.
    pub(super) fn cast(&mut self, service: &str, images: &[&str]) -> (Script, usize) {
        let known = |(part, script): (&String, &Script)| {
            let number = images.iter().position(|image| image.contains(part.as_str()))?;
            (script.times != Some(0)).then(|| (part.clone(), number))
        };
        let of_image = self.images.iter().find_map(known);
        let (script, number) = match &of_image {
            Some((part, number)) => (self.images.get_mut(part), *number),
            None => (self.services.get_mut(service).filter(|script| script.times != Some(0)), 0),
        };
        let Some(script) = script else { return (Script::new(Fate::Healthy), 0) };
        let cast = script.clone();
        script.times = script.times.map(|times| times - 1);
        (cast, number)
    }

    /// Whether an image can be pulled: from a registry that a test has named only if it is there.
    pub(super) fn is_there(&self, image: &str) -> bool {
        let of = |(address, storage): (&String, &PathBuf)| {
            let name = image.strip_prefix(address)?.strip_prefix('/')?;
            let (repository, link) = match name.split_once("@sha256:") {
                Some((repository, hex)) => (repository, format!("_manifests/revisions/sha256/{hex}/link")),
                None => {
                    let (repository, tag) = name.split_once(':').unwrap_or((name, "latest"));
                    (repository, format!("_manifests/tags/{tag}/current/link"))
                }
            };
            Some(storage.join("repositories").join(repository).join(link).is_file())
        };
        self.registries.iter().find_map(of).unwrap_or(true)
    }

    /// The digest that a container with this image says it runs.
    pub(super) fn digest_of(&self, image: &str) -> String {
        let resolved = self.resolved.iter().find(|(part, _)| image.contains(part.as_str())).map(|(_, digest)| digest);
        let pinned = || image.split_once('@').map(|(_, digest)| digest.to_owned());
        // Of a tag that no test says anything about, one that is always the same.
        resolved.cloned().or_else(pinned).unwrap_or_else(|| Digest::of(image.as_bytes()).to_string())
    }
}

impl Ecs {
    pub(crate) fn script_image(&mut self, part: &str, script: Script) {
        self.scripts.images.insert(part.to_owned(), script);
    }

    pub(crate) fn script_service(&mut self, name: &str, script: Script) {
        self.scripts.services.insert(name.to_owned(), script);
    }

    pub(crate) fn resolve_image(&mut self, part: &str, digest: &str) {
        self.scripts.resolved.insert(part.to_owned(), digest.to_owned());
    }

    pub(crate) fn add_registry(&mut self, address: &str, storage: PathBuf) {
        self.scripts.registries.insert(address.to_owned(), storage);
    }
}
