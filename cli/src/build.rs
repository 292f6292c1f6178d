//! From what is on this machine to a build manifest, and back from a manifest to where its bytes are.

pub(crate) mod ci;
pub(crate) mod named;
pub(crate) mod number;
pub(crate) mod pack;
pub(crate) mod sources;
