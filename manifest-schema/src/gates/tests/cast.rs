//! Who holds keys, and what they say of a plan.

use crate::Digest;
use crate::statement;

/// Seeds of the keys, by who holds them.
pub(crate) mod seed {
    pub(crate) const ROOT: u8 = 1;
    pub(crate) const BUILDER: u8 = 2;
    pub(crate) const BOT: u8 = 3;
    pub(crate) const PLANNER: u8 = 4;
    pub(crate) const DEPLOYER: u8 = 5;
    pub(crate) const ALICE: u8 = 6;
    pub(crate) const ALICE_2: u8 = 7;
    pub(crate) const BOB: u8 = 8;
    pub(crate) const CAROL: u8 = 9;
    pub(crate) const SCANNER: u8 = 10;
    /// Second keys of roles, listed but not in use until a test raises a threshold.
    pub(crate) const ROOT_2: u8 = 11;
    pub(crate) const BUILDER_2: u8 = 12;
    pub(crate) const PLANNER_2: u8 = 14;
    pub(crate) const BOT_2: u8 = 13;
    /// A key that no policy names.
    pub(crate) const STRANGER: u8 = 99;
}

/// What somebody says about the plan.
#[derive(Clone)]
pub(crate) enum Say {
    Yes,
    No,
    /// Takes back the vote at this place.
    Revoke(usize),
}

/// One vote, before it is signed.
#[derive(Clone)]
pub(crate) struct Cast {
    pub(crate) key: u8,
    pub(crate) say: Say,
    /// Whether the request names it.
    pub(crate) named: bool,
    /// Changes what is signed.
    pub(crate) edit: fn(&mut statement::Approval),
    /// Replaces the manifest and the plan summary that it is about.
    pub(crate) about: Option<(Digest, Digest)>,
}

/// A yes that the request names.
pub(crate) fn yes(key: u8) -> Cast {
    Cast { key, say: Say::Yes, named: true, edit: |_| {}, about: None }
}

/// A no that nobody mentions.
pub(crate) fn no(key: u8) -> Cast {
    Cast { say: Say::No, named: false, ..yes(key) }
}

/// Takes back the vote at `place`; nobody mentions it.
pub(crate) fn revoke(key: u8, place: usize) -> Cast {
    Cast { say: Say::Revoke(place), named: false, ..yes(key) }
}
