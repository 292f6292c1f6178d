//! What can be found out about a build without deploying it: who signed what, whether a store holds all of it, and
//! whether files on this machine are still what it says.

pub(crate) mod disk;
pub(crate) mod presence;
pub(crate) mod signatures;

/// How many things a line for people names.
const MOST_LISTED: usize = 5;

/// The first of a list, and how many more there are.
fn bounded(items: impl IntoIterator<Item = String>) -> String {
    let mut items = items.into_iter();
    let mut listed = items.by_ref().take(MOST_LISTED).collect::<Vec<_>>().join(", ");
    let more = items.count();
    if more > 0 {
        listed.push_str(&format!(" and {more} more"));
    }
    listed
}
