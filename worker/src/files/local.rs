//! The directory that stands in for S3: one directory for each bucket, in that of the environment. It keeps bytes and no
//! headers, and nobody's name.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use manifest_schema::Digest;
use manifest_schema::digest::Hasher;
use manifest_schema::manifest::{BlobRef, FilesStep};
use manifest_schema::names::EnvironmentName;
use store::Store;

use super::compare::{Delete, Found, Put, Wanted};
use super::{Present, failed};
use crate::stop::Stop;

/// The files of one environment.
pub(super) struct LocalFiles {
    directory: PathBuf,
}

impl LocalFiles {
    pub(super) fn open(base: &Path, environment: &EnvironmentName) -> Self {
        Self { directory: base.join(environment.as_str()) }
    }

    fn bucket(&self, step: &FilesStep) -> PathBuf {
        self.directory.join(step.bucket.as_str())
    }

    pub(super) fn present(&self, step: &FilesStep, wanted: &BTreeMap<String, Wanted<'_>>) -> Result<Present, Stop> {
        let mut keys = BTreeSet::new();
        let bucket = self.bucket(step);
        list(&bucket, &step.key_prefix(), &mut keys).map_err(|error| failed(step, error))?;
        let mut present = BTreeMap::new();
        for key in keys {
            if step.delete || wanted.contains_key(&key) {
                let digest = hash(&bucket.join(&key));
                let digest = digest.map_err(|error| failed(step, format!("can't read {key}: {error}")))?;
                let (digest, tag) = (Some(digest), digest.hex());
                present.insert(key, Found { digest, headers: None, has_others: false, ours: true, tag });
            }
        }
        Ok(Some(present))
    }

    pub(super) async fn put(&self, step: &FilesStep, put: &Put<'_>, artifacts: &Store) -> Result<(), Stop> {
        let path = self.bucket(step).join(&put.key);
        let written = |error: io::Error| {
            let in_the_way = [ErrorKind::NotADirectory, ErrorKind::IsADirectory, ErrorKind::AlreadyExists];
            let what = format!("can't write {}: ", put.key);
            if in_the_way.contains(&error.kind()) {
                let why =
                    "a file has the name of a directory, which only a bucket can hold: remove it, or set `delete`";
                return failed(step, what + why);
            }
            failed(step, format!("{what}{error}"))
        };
        let parent = path.parent().unwrap_or(&self.directory);
        fs::create_dir_all(parent).map_err(written)?;
        // Beside the buckets: one that a killed worker leaves is nobody's object.
        let file = tempfile::NamedTempFile::new_in(&self.directory).map_err(written)?;
        let blob = BlobRef { digest: put.wanted.file.digest, size: put.wanted.file.size };
        let file = artifacts.read_blob(&blob, file).await?;
        file.persist(&path).map_err(|error| written(error.error))?;
        Ok(())
    }

    pub(super) fn delete(&self, step: &FilesStep, delete: &Delete) -> Result<(), Stop> {
        let path = self.bucket(step).join(&delete.key);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(failed(step, format!("can't delete {}: {error}", delete.key)));
            }
            Ok(()) | Err(_) => {}
        }
        // S3 has no directories: one that holds nothing is none. What isn't empty stays.
        let bucket = self.bucket(step);
        let above = path.ancestors().skip(1).take_while(|above| *above != bucket);
        let _ = above.map(fs::remove_dir).find(Result::is_err);
        Ok(())
    }
}

/// The keys of everything at and below a directory that starts with `prefix`.
fn list(bucket: &Path, prefix: &str, keys: &mut BTreeSet<String>) -> io::Result<()> {
    let entries = match fs::read_dir(bucket.join(prefix)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_str().ok_or_else(|| io::Error::other(format!("{name:?} is not UTF-8")))?;
        let key = format!("{prefix}{name}");
        if entry.file_type()?.is_dir() {
            list(bucket, &format!("{key}/"), keys)?;
        } else {
            keys.insert(key);
        }
    }
    Ok(())
}

fn hash(path: &Path) -> io::Result<Digest> {
    let (mut file, mut hasher) = (File::open(path)?, Hasher::default());
    let mut bytes = vec![0; 64 << 10];
    loop {
        match file.read(&mut bytes)? {
            0 => return Ok(hasher.finish().0),
            read => hasher.update(&bytes[..read]),
        }
    }
}
