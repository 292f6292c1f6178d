//! A Terraform bundle as a builder could pack it who has the builder's key and his own tool: `airlock manifest build`
//! leaves things out, and refuses others; a worker must not rely on that.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use manifest_schema::Document as _;
use manifest_schema::manifest::{BlobRef, BuildManifest, Content, FileEntry, FileMode};
use manifest_schema::names::RelativePath;
use tar::{EntryType, Header};

use crate::Scratch;

impl Scratch {
    /// Builds what is committed, puts everything that is in `directory` in the place of its Terraform bundle, signs and
    /// publishes that; gives the manifest's digest.
    #[track_caller]
    pub fn publish_packed_by_hand(&self, directory: &Path) -> String {
        self.ok(&["manifest", "build", "--output", "build-manifest.json"]);
        let path = self.path("build-manifest.json");
        let mut manifest = BuildManifest::from_bytes(&fs::read(&path).unwrap()).unwrap();
        let (files, archive) = pack(directory);
        let blob = BlobRef::of(&archive);
        let blobs = self.artifacts("blobs/sha256");
        fs::create_dir_all(&blobs).unwrap();
        fs::write(blobs.join(blob.digest.hex()), archive).unwrap();
        for artifact in &mut manifest.artifacts {
            if let Content::Terraform { files: old, .. } = &mut artifact.content {
                *old = files.clone();
                (artifact.digest, artifact.size) = (blob.digest, blob.size);
            }
        }
        fs::write(path, manifest.to_bytes()).unwrap();
        self.sign_and_publish()
    }
}

/// Every file below a directory as the one encoding that bundles have.
fn pack(directory: &Path) -> (Vec<FileEntry>, Vec<u8>) {
    let mut paths = Vec::new();
    list(directory, directory, &mut paths);
    paths.sort();
    let (mut files, mut archive) = (Vec::new(), Vec::new());
    for (inside, path) in paths {
        let bytes = fs::read(&path).unwrap();
        let executable = fs::metadata(&path).unwrap().permissions().mode() & 0o100 != 0;
        let mode = if executable { FileMode::Executable } else { FileMode::Regular };
        let BlobRef { digest, size } = BlobRef::of(&bytes);
        archive.extend(header(&inside, mode, size));
        archive.extend(bytes);
        archive.resize(archive.len().next_multiple_of(512), 0);
        files.push(FileEntry { path: RelativePath::new(inside).unwrap(), mode, digest, size });
    }
    archive.extend([0; 1024]);
    (files, archive)
}

fn list(root: &Path, directory: &Path, paths: &mut Vec<(String, PathBuf)>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            list(root, &path, paths);
        } else {
            paths.push((path.strip_prefix(root).unwrap().to_str().unwrap().to_owned(), path));
        }
    }
}

/// Paths of up to 100 bytes are enough here; longer ones are written in another way.
fn header(path: &str, mode: FileMode, size: u64) -> Vec<u8> {
    let mut header = Header::new_ustar();
    let name = &mut header.as_old_mut().name;
    name.get_mut(..path.len()).expect("a short path").copy_from_slice(path.as_bytes());
    header.set_entry_type(EntryType::Regular);
    header.set_mode(mode.bits());
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header.set_cksum();
    header.as_bytes().to_vec()
}
