//! Gates 1 to 10 against [`world::World`]: a request that passes, and everything that can be wrong with it.

mod attacks;
mod bindings;
mod builds;
mod cast;
mod clock;
mod deployed;
pub(crate) mod rules;
mod table;
mod votes;
pub(crate) mod world;

use super::*;

/// The distinct codes of a refusal, sorted; none when it passed.
fn codes(case: &Case) -> Vec<Code> {
    let mut codes: Vec<_> =
        decide(case).err().into_iter().flatten().map(|reason| reason.code.known().unwrap()).collect();
    codes.sort_unstable();
    codes.dedup();
    codes
}

/// A refusal as text, to look for words in.
fn refusal(case: &Case) -> String {
    let reasons = decide(case).expect_err("the case should be refused");
    reasons.iter().map(|reason| format!("{reason}\n")).collect()
}
