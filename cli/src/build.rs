//! From what is on this machine to a build manifest, its signature and its publication; and back from a build's name to
//! its manifest. Commands tell people about it.

pub(crate) mod bundle;
pub(crate) mod ci;
pub(crate) mod make;
pub(crate) mod named;
mod number;
pub(crate) mod pack;
pub(crate) mod providers;
pub(crate) mod publish;
mod sources;
pub(crate) mod tally;
