//! Manifests and tags (distribution-spec v1.1, "Pushing manifests").

use manifest_schema::Digest;
use manifest_schema::manifest::BlobEntry;
use manifest_schema::registry::Tag;
use store::Store;

use crate::client::{Ask, Client};
use crate::documents::bytes_of;
use crate::error::{Doing, Permission, RegistryError};

/// The header in which registries say which manifest they mean.
const DIGEST: &str = "docker-content-digest";

/// What a tag is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Tagged {
    Nothing,
    This,
}

/// Whether the registry has exactly this manifest.
pub(crate) async fn is_there(client: &Client, entry: &BlobEntry) -> Result<bool, RegistryError> {
    let digest = entry.digest;
    let doing = client.doing(format!("look for the manifest {digest}"), Permission::BatchGetImage);
    let url = client.url(&format!("manifests/{digest}"));
    let answer = client.ask(&Ask::new("HEAD", url).header("accept", &entry.media_type), &doing).await?;
    match answer.status {
        200 => same(answer.header(DIGEST), &digest, &doing).map(|()| true),
        404 => Ok(false),
        _ => Err(RegistryError::Refused { doing, said: answer.said() }),
    }
}

/// Puts a manifest under its digest.
pub(crate) async fn put(client: &Client, entry: &BlobEntry, store: &Store) -> Result<(), RegistryError> {
    let digest = entry.digest;
    let doing = client.doing(format!("put the manifest {digest}"), Permission::PutImage);
    let ask = put_as(client, &digest.to_string(), entry, store).await?;
    let answer = client.ask(&ask, &doing).await?;
    match answer.status {
        200 | 201 => same(answer.header(DIGEST), &digest, &doing),
        _ => Err(RegistryError::Refused { doing, said: answer.said() }),
    }
}

/// Refuses a tag that names another image.
pub(crate) async fn look_at_tag(client: &Client, tag: &Tag, entry: &BlobEntry) -> Result<Tagged, RegistryError> {
    let doing = client.doing(format!("look for the tag {tag}"), Permission::BatchGetImage);
    let url = client.url(&format!("manifests/{tag}"));
    // Whatever it is, so that no image of another form goes unseen.
    let accept = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
                  application/vnd.docker.distribution.manifest.list.v2+json, \
                  application/vnd.docker.distribution.manifest.v2+json, */*";
    let answer = client.ask(&Ask::new("HEAD", url).header("accept", accept), &doing).await?;
    match (answer.status, answer.header(DIGEST)) {
        (404, _) => Ok(Tagged::Nothing),
        (200, Some(found)) if found == entry.digest.to_string() => Ok(Tagged::This),
        (200, Some(found)) => Err(taken(client, tag, entry, found.to_owned())),
        (200, None) => {
            Err(RegistryError::WrongAnswer { doing, problem: "it doesn't say which image the tag names".to_owned() })
        }
        _ => Err(RegistryError::Refused { doing, said: answer.said() }),
    }
}

/// Puts a tag where none is. Whoever puts the same tag at the same moment is not noticed, unless the repository's tags
/// are immutable.
pub(crate) async fn put_tag(client: &Client, tag: &Tag, entry: &BlobEntry, store: &Store) -> Result<(), RegistryError> {
    if look_at_tag(client, tag, entry).await? == Tagged::This {
        return Ok(());
    }
    let doing = client.doing(format!("put the tag {tag}"), Permission::PutImage);
    let ask = put_as(client, &tag.to_string(), entry, store).await?;
    let answer = client.ask(&ask, &doing).await?;
    match answer.status {
        200 | 201 => same(answer.header(DIGEST), &entry.digest, &doing),
        // An immutable tag that came to be in between, or answers of ours that were lost: what it is now decides. ECR
        // says TAG_INVALID or ImageTagAlreadyExistsException.
        400 | 403 | 405 | 409 | 412 => match look_at_tag(client, tag, entry).await? {
            Tagged::This => Ok(()),
            Tagged::Nothing => Err(RegistryError::Refused { doing, said: answer.said() }),
        },
        _ => Err(RegistryError::Refused { doing, said: answer.said() }),
    }
}

async fn put_as(client: &Client, reference: &str, entry: &BlobEntry, store: &Store) -> Result<Ask, RegistryError> {
    let mut ask =
        Ask::new("PUT", client.url(&format!("manifests/{reference}"))).header("content-type", &entry.media_type);
    ask.body = bytes_of(entry, store).await?;
    Ok(ask)
}

/// What a registry says about a manifest has to be its digest; it needn't say anything.
fn same(found: Option<&str>, expected: &Digest, doing: &Doing) -> Result<(), RegistryError> {
    match found.filter(|found| *found != expected.to_string()) {
        Some(found) => {
            let problem = format!("it is about {found:?}");
            Err(RegistryError::WrongAnswer { doing: doing.clone(), problem })
        }
        None => Ok(()),
    }
}

fn taken(client: &Client, tag: &Tag, entry: &BlobEntry, found: String) -> RegistryError {
    RegistryError::TagTaken { repository: client.place(), tag: tag.to_string(), found, wanted: entry.digest }
}
