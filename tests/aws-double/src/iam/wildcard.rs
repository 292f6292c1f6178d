//! Patterns with `*` and `?`, and the variables in them.

use super::Context;

/// Whether a text fits a pattern: `*` is any text, `?` one character.
pub(super) fn fits(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut read) = (0, 0);
    // Where the last `*` was, and how far it was read when it was met.
    let mut star: Option<(usize, usize)> = None;
    while read < text.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, read));
                at += 1;
            }
            Some(&wanted) if wanted == '?' || wanted == text[read] => (at, read) = (at + 1, read + 1),
            Some(_) | None => match star {
                Some((back, taken)) => {
                    star = Some((back, taken + 1));
                    (at, read) = (back + 1, taken + 1);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|&rest| rest == '*')
}

/// Whether an ARN fits another's pattern, part by part: a `*` in one of the first five parts reaches no further.
pub(super) fn arn_fits(pattern: &str, arn: &str) -> bool {
    if pattern == "*" {
        return true;
    }
    let (pattern, arn): (Vec<_>, Vec<_>) = (pattern.splitn(6, ':').collect(), arn.splitn(6, ':').collect());
    pattern.len() == arn.len() && pattern.iter().zip(&arn).all(|(pattern, part)| fits(pattern, part))
}

/// Puts what is known in place of `${key}`; `None` if that isn't known. Values aren't patterns, but none of ours has
/// a `*` or `?`.
pub(super) fn expand(pattern: &str, context: &Context) -> Option<String> {
    let mut whole = String::new();
    let mut rest = pattern;
    while let Some((before, variable)) = rest.split_once("${") {
        let (name, after) = variable.split_once('}')?;
        whole.push_str(before);
        whole.push_str(context.get(&name.to_lowercase())?.first()?);
        rest = after;
    }
    whole.push_str(rest);
    Some(whole)
}
