//! The lock on a state in S3, which Terraform leaves behind when it is killed.
//!
//! It is an object beside the state (`use_lockfile`). A lock on a state in a directory is the system's, and ends with its
//! process.

use aws_sdk_s3::Client;
use aws_sdk_s3::config::Builder;
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use manifest_schema::Timestamp;
use manifest_schema::deployment::Heartbeat;
use manifest_schema::job::{Happening, WriterKind};
use manifest_schema::storage::Key;
use records::Journal;
use serde::Deserialize;
use tokio::io::AsyncReadExt as _;

use super::credentials;
use super::state::{StatePlace, no_role};
use crate::session::Session;
use crate::stop::Stop;

/// For how long at most a worker lives on after it was last heard of, in seconds: somewhat more than between two
/// heartbeats.
const UNNOTICED: u64 = 15;
/// Most bytes of a lock that are read.
const MOST: u64 = 64 << 10;

/// What Terraform writes into a lock, as far as it is told.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Lock {
    #[serde(rename = "ID")]
    id: String,
    who: String,
    operation: String,
}

/// Removes the lock that a dead job's Terraform left on the state: only under the lease that was taken over from it, only
/// a lock that was made while that job was going on, and only if it is still the same.
pub(crate) async fn remove(session: &Session, dead: &Journal) -> Result<(), Stop> {
    let place = StatePlace::of(session);
    let StatePlace::Object { bucket, key } = &place else { return Ok(()) };
    let role = session.config().terraform_role.as_ref().ok_or_else(|| no_role(&place))?;
    let connection = credentials::take_on(session, role).await;
    let path_style = session.config().state_bucket.path_style;
    let client = Client::from_conf(Builder::from(connection.config()).force_path_style(path_style).build());
    let key = format!("{key}.tflock");
    let call = |action| aws::Call { action, resource: format!("arn:aws:s3:::{bucket}/{key}") };
    let failed = |error: aws::AwsError| Stop::failed(format!("the state's lock: {error}: {}", error.advice()));

    let found = match client.get_object().bucket(bucket).key(&key).send().await {
        Ok(found) => found,
        Err(error) => {
            let error = aws::AwsError::new(call("s3:GetObject"), error);
            return if error.kind() == aws::ErrorKind::Missing { Ok(()) } else { Err(failed(error)) };
        }
    };
    let (made, tag) = (made_at(&found), found.e_tag.clone());
    let alive = last_alive(session, dead).await?;
    let lock = read(found).await;
    let shown = format!("lock {} of {} ({})", clip(&lock.id), clip(&lock.who), clip(&lock.operation));
    let job = dead.job().id();
    let (Some(tag), true) = (tag, made.zip(alive).is_some_and(|(made, alive)| is_of(dead, alive, made))) else {
        return session.tell(format!("{shown} on {place} is not job {job}'s: it stays")).await;
    };
    session.tell(format!("job {job} died: removing its {shown} on {place}")).await?;
    match client.delete_object().bucket(bucket).key(&key).if_match(tag).send().await {
        Ok(_) => Ok(()),
        Err(error) => Err(failed(aws::AwsError::new(call("s3:DeleteObject"), error))),
    }
}

fn made_at(found: &GetObjectOutput) -> Option<Timestamp> {
    Timestamp::from_millis(found.last_modified()?.to_millis().ok()?).ok()
}

/// What can't be read is told as nothing: the object's time says whose it is.
async fn read(found: GetObjectOutput) -> Lock {
    let mut bytes = Vec::new();
    match found.body.into_async_read().take(MOST).read_to_end(&mut bytes).await {
        Ok(_) => serde_json::from_slice(&bytes).unwrap_or_default(),
        Err(_) => Lock::default(),
    }
}

/// When a job's worker was last known to be alive: by its heartbeat, or by what it wrote.
async fn last_alive(session: &Session, dead: &Journal) -> Result<Option<Timestamp>, Stop> {
    let heartbeat: Option<Heartbeat> =
        records::load(&session.sides().production, &Key::JobHeartbeat(dead.job().id())).await?;
    let wrote = dead.events().iter().filter(|event| event.writer.kind == WriterKind::Worker).map(|event| event.at);
    Ok(wrote.chain(heartbeat.map(|heartbeat| heartbeat.at)).max())
}

/// Whether something was made while a job was going on: from its request until its worker can't have lived any more, and
/// before it was closed. S3 says whole seconds; what was made in the last of them may be somebody else's.
fn is_of(dead: &Journal, alive: Timestamp, made: Timestamp) -> bool {
    let ended = dead.events().iter().find(|event| matches!(event.event, Happening::Ended { .. }));
    let begun = dead.request().requested_at.whole_seconds();
    let within = begun <= made && made <= alive.plus_seconds(UNNOTICED);
    within && ended.is_some_and(|ended| made < ended.at.whole_seconds())
}

/// Text that somebody else wrote, for one line.
fn clip(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(100).collect()
}
