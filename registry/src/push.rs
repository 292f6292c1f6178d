//! A registry, and an image's way into it.

use std::fmt;
use std::sync::Arc;

use manifest_schema::Digest;
use manifest_schema::manifest::{BlobEntry, BlobRef};
use manifest_schema::registry::{Address, Repository, Tag};
use store::Store;
use tokio::task::JoinSet;

use crate::authorization::Identity;
use crate::client::{Ask, Client, Transport};
use crate::credentials::Credentials;
use crate::documents::Documents;
use crate::ecr::EcrTokens;
use crate::error::{Permission, RegistryError};
use crate::manifests;
use crate::upload::{Upload, Way};

/// Blobs on their way at once.
const AT_ONCE: usize = 6;

/// A registry, and who we are there. Clones are cheap and share connections and ECR's token.
#[derive(Debug, Clone)]
pub struct Registry {
    transport: Arc<Transport>,
    identity: Arc<Identity>,
}

/// Where an image goes.
#[derive(Debug, Clone)]
pub struct Destination {
    /// The repository. In ECR it has to exist.
    pub repository: Repository,
    /// A tag for people, put only if it names nothing yet.
    pub tag: Option<Tag>,
    /// Repositories of the same registry that may have some of the blobs, the likeliest first.
    pub mount_from: Vec<Repository>,
}

/// What happens during a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happening {
    /// The registry has a blob or a manifest already.
    Present(BlobRef),
    /// A blob was mounted from another repository.
    Mounted(BlobRef),
    /// Bytes of a blob went out; those of an attempt that failed are counted, too.
    Moving {
        /// The blob.
        blob: BlobRef,
        /// How many since the last time.
        bytes: u64,
    },
    /// An upload broke off and goes on.
    Again {
        /// The blob.
        blob: BlobRef,
        /// From where on it is sent: 0 is everything.
        offset: u64,
        /// What went wrong. Whoever answers in the registry's place wrote some of it.
        why: String,
    },
    /// A blob or a manifest was sent, and the registry has it.
    Sent(BlobRef),
}

/// Told what happens, from any of several tasks; it must not block.
pub type Listener = Arc<dyn Fn(Happening) + Send + Sync>;

/// Blobs and manifests, and the sum of their sizes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amount {
    /// How many.
    pub blobs: u64,
    /// Bytes, each counted once, however often they were sent.
    pub bytes: u64,
}

/// What came of a push: the registry has the whole image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pushed {
    /// What to deploy: the digest of the first manifest or index, as the registry confirms it.
    pub digest: Digest,
    /// What was sent.
    pub sent: Amount,
    /// What was mounted from other repositories.
    pub mounted: Amount,
    /// What was there.
    pub present: Amount,
}

impl Pushed {
    fn add(&mut self, blob: BlobRef, way: &Way, listener: &Listener) {
        let (amount, happening) = match way {
            Way::Present => (&mut self.present, Happening::Present(blob)),
            Way::Mounted => (&mut self.mounted, Happening::Mounted(blob)),
            Way::Sent => (&mut self.sent, Happening::Sent(blob)),
        };
        amount.blobs += 1;
        amount.bytes += blob.size;
        listener(happening);
    }
}

impl fmt::Display for Pushed {
    /// For people: `sha256:…: 2 sent (20 bytes), 0 mounted, 5 there`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { digest, sent, mounted, present } = self;
        let Amount { blobs, bytes } = sent;
        write!(f, "{digest}: {blobs} sent ({bytes} bytes), {} mounted, {} there", mounted.blobs, present.blobs)
    }
}

impl Registry {
    /// Prepares everything; asks nothing over the network.
    ///
    /// # Errors
    /// [`RegistryError::NotEcr`] for credentials of AWS and an address that isn't ECR's.
    pub fn open(address: &Address, credentials: Credentials) -> Result<Self, RegistryError> {
        let identity = match &credentials {
            Credentials::Ecr(connection) => Identity::Ecr(EcrTokens::new(address, connection)?),
            Credentials::Anonymous | Credentials::Basic { .. } => Identity::Asked(credentials),
        };
        Ok(Self { transport: Arc::new(Transport::new(address.clone())), identity: Arc::new(identity) })
    }

    /// Whether images can be pushed into a repository: false if the registry says that there is none. Registries that
    /// make repositories by themselves, as images come, have every one. Needs no right that a push doesn't need.
    ///
    /// # Errors
    /// When the registry can't be asked, or doesn't let us.
    pub async fn has_repository(&self, repository: &Repository) -> Result<bool, RegistryError> {
        let client = Client::new(&self.transport, &self.identity, repository, "pull", &[]);
        let doing = client.doing("look for a manifest", Permission::BatchGetImage);
        // No manifest has no bytes. A list of tags would tell as much, but not of images without.
        let ask = Ask::new("GET", client.url(&format!("manifests/{}", Digest::of(b"")))).header("accept", "*/*");
        match client.ask(&ask, &doing).await {
            Err(RegistryError::NoRepository { .. }) => Ok(false),
            Err(error) => Err(error),
            Ok(answer) if matches!(answer.status, 200 | 400 | 404) => Ok(true),
            Ok(answer) => Err(RegistryError::Refused { doing, said: answer.said() }),
        }
    }

    /// Sees to it that the registry has an image with all that belongs to it, sending only what it lacks: layers and
    /// configurations first, then manifests, those that are named before those that name them, and the tag last.
    ///
    /// `image` is what a build manifest lists for an image: the image's own manifest or index first. If this stops, or is
    /// dropped, what was completed stays in the registry, and the next push goes on from there; nothing names a part of an
    /// image before all of it is there.
    ///
    /// # Errors
    /// [`RegistryError::TagTaken`] before anything is sent, if it can be known by then; otherwise what the registry, the
    /// store or AWS says. A blob of the store that isn't its digest ([`store::StoreError::BlobMismatch`]) never becomes a
    /// blob of the registry.
    pub async fn push(
        &self,
        to: &Destination,
        image: &[BlobEntry],
        from: &Store,
        listener: &Listener,
    ) -> Result<Pushed, RegistryError> {
        let documents = Documents::read(image, from).await?;
        let top = image.first().ok_or_else(|| RegistryError::WrongList { problem: "it is empty".to_owned() })?;
        let client = Client::new(&self.transport, &self.identity, &to.repository, "pull,push", &to.mount_from);
        let client = Arc::new(client);
        if let Some(tag) = &to.tag {
            manifests::look_at_tag(&client, tag, top).await?;
        }
        let none = Amount::default();
        let mut pushed = Pushed { digest: top.digest, sent: none, mounted: none, present: none };
        contents(&client, &documents, to, from, listener, &mut pushed).await?;
        for entry in &documents.manifests {
            let there = manifests::is_there(&client, entry).await?;
            if !there {
                manifests::put(&client, entry, from).await?;
            }
            let way = if there { Way::Present } else { Way::Sent };
            pushed.add(BlobRef { digest: entry.digest, size: entry.size }, &way, listener);
        }
        if let Some(tag) = &to.tag {
            manifests::put_tag(&client, tag, top, from).await?;
        }
        Ok(pushed)
    }
}

/// Layers and configurations, several at once. The first error ends the others, too.
async fn contents(
    client: &Arc<Client>,
    documents: &Documents,
    to: &Destination,
    from: &Store,
    listener: &Listener,
    pushed: &mut Pushed,
) -> Result<(), RegistryError> {
    let mount_from: Arc<[Repository]> = to.mount_from.clone().into();
    let mut moving = JoinSet::new();
    let mut waiting = documents.contents.iter().copied();
    loop {
        while moving.len() < AT_ONCE
            && let Some(blob) = waiting.next()
        {
            let (client, store) = (client.clone(), from.clone());
            let (mount_from, listener) = (mount_from.clone(), listener.clone());
            let upload = Upload { client, store, blob, mount_from, listener };
            moving.spawn(async move { (blob, upload.run().await) });
        }
        match moving.join_next().await {
            Some(Ok((blob, way))) => pushed.add(blob, &way?, listener),
            Some(Err(stopped)) => match stopped.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // Nothing but this function could have stopped it.
                Err(_) => continue,
            },
            None => return Ok(()),
        }
    }
}
