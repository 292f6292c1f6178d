//! A registry behind the gap: Debian's docker-registry, a way to it that can be made bad, and skopeo as a witness who
//! knows nothing of Airlock.

use std::fs;
use std::ops::Deref;

use emulators::DockerRegistry;
use emulators::faults::{Fault, FaultProxy, Seen};
use manifest_schema::Digest;
use serde_json::{Value, json};

use crate::{Run, Scratch};

/// A scratch repository whose deployer pushes images.
pub struct Harbour {
    /// The repository.
    pub scratch: Scratch,
    /// The way to the registry, as the deployer is told it.
    pub proxy: FaultProxy,
    docker: DockerRegistry,
}

impl Deref for Harbour {
    type Target = Scratch;

    fn deref(&self) -> &Scratch {
        &self.scratch
    }
}

impl Harbour {
    /// After `airlock init`; the registry is empty. The image has a base layer of some megabytes that never changes.
    pub fn new() -> Self {
        let docker = DockerRegistry::start();
        let proxy = FaultProxy::start(docker.port());
        let harbour = Self { scratch: Scratch::new(), proxy, docker };
        harbour.write("image/base/noise", noise(3 << 20));
        harbour.image();
        harbour.commit("Weigh something");
        harbour.configure(|_| {});
        harbour
    }

    /// The registry's address, as the deployer is told it.
    pub fn address(&self) -> String {
        self.proxy.endpoint().replace("http://", "")
    }

    /// Tells the deployer of the registry, and what `change` makes of that.
    pub fn configure(&self, change: impl FnOnce(&mut Value)) {
        let path = self.production("config/deployer.json");
        let mut config = self.read(&path);
        config["registry"] = json!({"address": self.address()});
        change(&mut config["registry"]);
        fs::write(path, config.to_string()).unwrap();
    }

    /// The image's digest, as a build manifest has it.
    pub fn digest_of(&self, artifact: &str) -> String {
        let manifest = self.read(&self.path("build-manifest.json"));
        let artifacts = manifest["artifacts"].as_array().unwrap();
        let found = artifacts.iter().find(|one| one["name"] == artifact).expect("the build has it");
        found["digest"].as_str().unwrap().to_owned()
    }

    /// skopeo, without TLS.
    pub fn skopeo(&self, arguments: &[&str]) -> Run {
        self.run("skopeo", arguments)
    }

    /// How skopeo names an image, past the bad way.
    pub fn source(&self, repository: &str, digest: &str) -> String {
        format!("docker://{}/{repository}@{digest}", self.docker.address())
    }

    /// skopeo reads an image whole, which compares every digest.
    #[track_caller]
    pub fn expect_arrived(&self, repository: &str, digest: &str) {
        let source = self.source(repository, digest);
        let raw = self.skopeo(&["inspect", "--raw", "--tls-verify=false", &source]).exits(0);
        assert_eq!(Digest::of(raw.stdout.as_bytes()).to_string(), digest);
        let target = format!("dir:{}", self.outside(&format!("back-{}", &digest[7..19])).display());
        let copy = ["copy", "--all", "--preserve-digests", "--src-tls-verify=false", &source, &target];
        self.skopeo(&copy).exits(0);
    }

    /// Whether the registry has a blob, whatever repository it belongs to.
    pub fn has_blob(&self, digest: &str) -> bool {
        let hex = digest.trim_start_matches("sha256:");
        self.docker.blobs().join("sha256").join(&hex[..2]).join(hex).exists()
    }

    /// Requests that put something into the registry since [`Harbour::watch`]: their methods.
    pub fn writes(&self) -> Vec<String> {
        let written = self.proxy.seen().into_iter().map(|seen| seen.method);
        written.filter(|method| !matches!(method.as_str(), "GET" | "HEAD")).collect()
    }

    /// From here on requests are counted, and nothing bad happens to them.
    pub fn watch(&self) {
        self.proxy.plan(|_| Fault::None);
    }

    /// What the newest apply job told of its images in the end: everything after the image's digest.
    #[track_caller]
    pub fn told(&self, image: &str) -> String {
        let job = self.jobs("apply").pop().expect("there is an apply job");
        let lines = self.progress(&job);
        let start = format!("image {image} in {}/hello/{image}: sha256:", self.address());
        let end = lines.iter().filter_map(|line| line.strip_prefix(&start)?.split_once(": "));
        end.map(|(_, told)| told.to_owned()).next_back().unwrap_or_else(|| panic!("{start} is not in {lines:#?}"))
    }
}

impl Default for Harbour {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether bytes of the large layer go out.
pub fn is_large(seen: &Seen) -> bool {
    seen.method == "PATCH" && seen.length > 1 << 20
}

/// Bytes that don't get smaller.
fn noise(size: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    std::iter::repeat_with(next).take(size).collect()
}
