//! Images made by hand, straight into a store.

use manifest_schema::Digest;
use manifest_schema::manifest::{BlobEntry, BlobRef};
use serde_json::{Value, json};
use store::{BlobWriter, Source, Store};

pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const IN_TOTO: &str = "application/vnd.in-toto+json";

/// Bytes that nothing else has: as many as asked for, of a kind.
pub(crate) fn noise(seed: u64, size: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

/// Puts blobs into a store and lists them, children first.
pub(crate) struct Maker {
    writer: BlobWriter,
    listed: Vec<BlobEntry>,
}

impl Maker {
    pub(crate) async fn new(store: &Store) -> Self {
        Self { writer: store.blob_writer().await.unwrap(), listed: Vec::new() }
    }

    pub(crate) async fn blob(&mut self, media_type: &str, bytes: Vec<u8>) -> Value {
        let BlobRef { digest, size } = BlobRef::of(&bytes);
        let _ = self.writer.create(&BlobRef { digest, size }, Source::bytes(bytes)).await.unwrap();
        if self.listed.iter().all(|entry| entry.digest != digest) {
            self.listed.push(BlobEntry { media_type: media_type.to_owned(), digest, size });
        }
        json!({ "mediaType": media_type, "digest": digest, "size": size })
    }

    /// An image with layers of these bytes.
    pub(crate) async fn image(&mut self, architecture: &str, layers: &[Vec<u8>]) -> Value {
        let config = json!({ "architecture": architecture, "os": "linux", "config": {},
            "rootfs": { "type": "layers", "diff_ids": layers.iter().map(|layer| Digest::of(layer)).collect::<Vec<_>>() } });
        let config = self.blob(OCI_CONFIG, serde_json::to_vec(&config).unwrap()).await;
        let mut named = Vec::new();
        for layer in layers {
            named.push(self.blob(OCI_LAYER, layer.clone()).await);
        }
        self.manifest(json!({ "config": config, "layers": named })).await
    }

    /// A statement about another manifest, as BuildKit puts it beside the images of an index.
    pub(crate) async fn attestation(&mut self, about: &Value) -> Value {
        let config = self
            .blob(
                OCI_CONFIG,
                br#"{"architecture":"unknown","os":"unknown","rootfs":{"type":"layers","diff_ids":[]}}"#.to_vec(),
            )
            .await;
        let statement = self.blob(IN_TOTO, format!("{{\"subject\":{about}}}").into_bytes()).await;
        let mut named = self.manifest(json!({ "config": config, "layers": [statement] })).await;
        named["platform"] = json!({ "architecture": "unknown", "os": "unknown" });
        named["annotations"] = json!({ "vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": about["digest"] });
        named
    }

    /// A manifest with these fields. Its spaces are its own: whoever writes it anew changes its digest.
    pub(crate) async fn manifest(&mut self, mut fields: Value) -> Value {
        (fields["schemaVersion"], fields["mediaType"]) = (json!(2), json!(OCI_MANIFEST));
        self.blob(OCI_MANIFEST, format!("{fields:#} \n").into_bytes()).await
    }

    pub(crate) async fn index(&mut self, manifests: &[Value]) -> Value {
        let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests });
        self.blob(OCI_INDEX, format!("{index:#}\n").into_bytes()).await
    }

    /// What a build manifest lists: the last one first.
    pub(crate) fn list(mut self) -> Vec<BlobEntry> {
        let top = self.listed.pop().unwrap();
        self.listed.insert(0, top);
        self.listed
    }
}

/// An image of one platform.
pub(crate) async fn simple(store: &Store, layers: &[Vec<u8>]) -> Vec<BlobEntry> {
    let mut maker = Maker::new(store).await;
    maker.image("amd64", layers).await;
    maker.list()
}
