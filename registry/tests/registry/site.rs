//! A registry, a bad way to it, a store, and a witness.

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use emulators::faults::{FaultProxy, Seen};
use emulators::{DockerRegistry, installed};
use manifest_schema::Digest;
use manifest_schema::manifest::BlobEntry;
use registry::{Credentials, Destination, Happening, Listener, Pushed, Registry, RegistryError};
use store::{Access, Location, Store};
use tempfile::TempDir;

pub(crate) struct Site {
    pub(crate) docker: DockerRegistry,
    pub(crate) proxy: FaultProxy,
    pub(crate) store: Store,
    pub(crate) home: TempDir,
    pub(crate) happened: Arc<Mutex<Vec<Happening>>>,
}

impl Site {
    pub(crate) async fn new() -> Self {
        let docker = DockerRegistry::start();
        let home = TempDir::new().unwrap();
        let location = Location::from(home.path().join("store").as_path());
        let store = Store::open_or_create(&location, &Access::default()).await.unwrap();
        let proxy = FaultProxy::start(docker.port());
        Self { proxy, docker, store, home, happened: Arc::default() }
    }

    /// The address of the bad way.
    pub(crate) fn address(&self) -> String {
        self.proxy.endpoint().replace("http://", "")
    }

    /// The registry behind the bad way.
    pub(crate) fn registry(&self, credentials: Credentials) -> Registry {
        Registry::open(&self.address().parse().unwrap(), credentials).unwrap()
    }

    pub(crate) fn listener(&self) -> Listener {
        let happened = self.happened.clone();
        Arc::new(move |happening| happened.lock().unwrap().push(happening))
    }

    pub(crate) async fn push(&self, to: &Destination, image: &[BlobEntry]) -> Result<Pushed, RegistryError> {
        self.happened.lock().unwrap().clear();
        self.registry(Credentials::Anonymous).push(to, image, &self.store, &self.listener()).await
    }

    /// From where uploads went on that broke off.
    pub(crate) fn resumed(&self) -> Vec<u64> {
        let happened = self.happened.lock().unwrap();
        let offsets = happened.iter().filter_map(|happening| match happening {
            Happening::Again { offset, .. } => Some(*offset),
            Happening::Present(_) | Happening::Mounted(_) | Happening::Moving { .. } | Happening::Sent(_) => None,
        });
        offsets.collect()
    }

    /// Requests with this method.
    pub(crate) fn seen(&self, method: &str) -> Vec<Seen> {
        self.proxy.seen().into_iter().filter(|seen| seen.method == method).collect()
    }

    /// Whether the registry has a blob, whatever repository it belongs to.
    pub(crate) fn has_blob(&self, digest: &Digest) -> bool {
        let hex = digest.hex();
        self.docker.blobs().join("sha256").join(&hex[..2]).join(&hex).exists()
    }

    /// What skopeo has to say, and that it is content.
    pub(crate) fn skopeo(&self, arguments: &[&str]) -> Vec<u8> {
        let output = Command::new(installed("skopeo")).args(arguments).current_dir(self.home.path()).output().unwrap();
        assert!(output.status.success(), "skopeo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    /// skopeo reads an image whole, which compares every digest, and finds exactly these bytes.
    pub(crate) fn assert_arrived(&self, repository: &str, image: &[BlobEntry]) {
        let (top, address) = (&image[0], self.docker.address());
        let source = format!("docker://{address}/{repository}@{}", top.digest);
        let raw = self.skopeo(&["inspect", "--raw", "--tls-verify=false", &source]);
        assert_eq!(Digest::of(&raw), top.digest, "{}", String::from_utf8_lossy(&raw));
        let copy = format!("back-{}-{}", repository.replace('/', "-"), top.digest.short());
        let target = format!("dir:{copy}");
        self.skopeo(&["copy", "--all", "--preserve-digests", "--src-tls-verify=false", &source, &target]);
        let manifest = std::fs::read(self.home.path().join(&copy).join("manifest.json")).unwrap();
        assert_eq!(Digest::of(&manifest), top.digest);
        for entry in
            image.iter().filter(|entry| !entry.media_type.contains("manifest") && !entry.media_type.contains("index"))
        {
            let bytes = std::fs::read(self.home.path().join(&copy).join(entry.digest.hex())).unwrap();
            assert_eq!(Digest::of(&bytes), entry.digest);
        }
    }

    /// Changes a byte of a blob in the store, which keeps its size.
    pub(crate) fn damage(&self, digest: &Digest, at: usize) {
        let path = self.home.path().join("store/blobs/sha256").join(digest.hex());
        let path = if path.exists() { path } else { find(&self.home.path().join("store"), &digest.hex()) };
        let mut permissions = std::fs::metadata(&path).unwrap().permissions();
        #[expect(clippy::permissions_set_readonly_false, reason = "it is our own scratch file")]
        permissions.set_readonly(false);
        std::fs::set_permissions(&path, permissions).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[at] ^= 1;
        std::fs::write(&path, bytes).unwrap();
    }
}

fn find(root: &Path, name: &str) -> std::path::PathBuf {
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.ends_with(name) {
                return path;
            }
        }
    }
    panic!("{name} is not in {}", root.display())
}

/// A repository, without tag or mounts.
pub(crate) fn into(repository: &str) -> Destination {
    Destination { repository: repository.parse().unwrap(), tag: None, mount_from: Vec::new() }
}
