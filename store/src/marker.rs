//! The object that says that a place is a store.

use serde::{Deserialize, Serialize};

use crate::error::StoreError;

/// Its name, in a directory and in a bucket.
pub(crate) const NAME: &str = "airlock-store.json";
/// The most that is read of it, in bytes.
pub(crate) const LIMIT: usize = 64 << 10;
const SCHEMA: &str = "airlock/store/v1";

/// Fields that a later version adds are none of this one's business.
#[derive(Serialize, Deserialize)]
struct Marker {
    schema: String,
}

/// What a new store is marked with.
pub(crate) fn bytes() -> Vec<u8> {
    manifest_schema::json::to_bytes(&Marker { schema: SCHEMA.to_owned() })
}

/// Refuses the marker of a store that this version can't read.
pub(crate) fn check(store: String, marker: &[u8]) -> Result<(), StoreError> {
    let reason = match serde_json::from_slice::<Marker>(marker) {
        Ok(marker) if marker.schema == SCHEMA => return Ok(()),
        Ok(marker) => format!("its {NAME} has schema {:?}, this version reads {SCHEMA:?}", marker.schema),
        Err(error) => format!("its {NAME} can't be read: {error}"),
    };
    Err(StoreError::NotAStore { store, reason, hint: "upgrade the older side, or name another place" })
}
