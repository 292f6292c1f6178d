//! Images from a store into a container registry: ECR, or any that speaks the OCI distribution specification v1.1.
//!
//! What it promises:
//!
//! - bytes stream from the store into the registry, checked on their way; what isn't its digest never becomes a blob
//!   there, because the last bytes of a blob are sent only after all of it was verified;
//! - only what the registry lacks is sent; what another repository there has is mounted;
//! - manifests and indexes are sent as the bytes that they are, after everything they name, and the digest that the
//!   registry answers has to be theirs;
//! - a tag is a courtesy: it is put only where none is, and nothing here ever reads an image by one;
//! - what fails in passing is tried again, an upload from where it broke off if the registry says where that is;
//! - credentials go only to the registry itself, over TLS, and to the token server that it names.
//!
//! It deletes nothing, makes no repository, and doesn't judge what an image holds.
//!
//! `docs/decisions/0016-a-registry-client-by-hand.md` says why the requests are made here and not by a library.

mod authorization;
mod challenge;
mod client;
mod credentials;
mod documents;
mod ecr;
mod error;
mod manifests;
mod pipe;
mod push;
mod upload;

pub use credentials::Credentials;
pub use error::RegistryError;
pub use push::{Amount, Destination, Happening, Listener, Pushed, Registry};
