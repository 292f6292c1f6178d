//! Keys of instances within Terraform's addresses: `a` in `module.web["a"].aws_s3_bucket.logs[0]`.
//!
//! Types and names in an address are written in the configuration; keys are computed, so anything can be in them.

/// The address without what is in its brackets: safe to say, whatever was computed.
pub(super) fn without_keys(address: &str) -> String {
    pieces(address).into_iter().fold(String::new(), |bare, piece| match piece {
        Piece::Names(names) => bare + names,
        Piece::Key { .. } => bare + "[…]",
    })
}

/// The address with other keys where `other` gives one for a key as it was before it was quoted. It isn't asked about
/// numbers, which `count` makes: they tell how many there are, no more.
pub(super) fn with_keys(address: &str, mut other: impl FnMut(&str) -> Option<String>) -> String {
    pieces(address).into_iter().fold(String::new(), |told, piece| match piece {
        Piece::Names(names) => told + names,
        Piece::Key { bracketed, .. } if is_number(bracketed) => told + bracketed,
        Piece::Key { bracketed, quoted } => match other(&unescaped(quoted)) {
            Some(key) => told + "[\"" + &key + "\"]",
            None => told + bracketed,
        },
    })
}

/// The keys, as they were before they were quoted.
pub(super) fn keys(address: &str) -> Vec<String> {
    let key = |piece| match piece {
        Piece::Names(_) => None,
        Piece::Key { quoted, .. } => Some(unescaped(quoted)),
    };
    pieces(address).into_iter().filter_map(key).collect()
}

fn is_number(bracketed: &str) -> bool {
    let inner = bracketed.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    inner.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

enum Piece<'a> {
    Names(&'a str),
    Key {
        /// With its brackets.
        bracketed: &'a str,
        /// What is between brackets, and between quotes within these if there are any.
        quoted: &'a str,
    },
}

/// A bracket or quote that isn't closed makes a key of all the rest.
fn pieces(address: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = address;
    while let Some((names, bracket)) = rest.split_once('[') {
        let (key, after) = match bracket.strip_prefix('"') {
            Some(string) => {
                let (key, after) = string.split_at(closing_quote(string));
                (key, after.strip_prefix("\"]").unwrap_or_default())
            }
            None => bracket.split_once(']').unwrap_or((bracket, "")),
        };
        let bracketed = &rest[names.len()..rest.len() - after.len()];
        pieces.extend([Piece::Names(names), Piece::Key { bracketed, quoted: key }]);
        rest = after;
    }
    pieces.push(Piece::Names(rest));
    pieces
}

/// Where a quoted string ends its address's bracket; the end of the text if it doesn't.
fn closing_quote(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' if text[at + 1..].starts_with(']') => return at,
            _ => {}
        }
    }
    text.len()
}

/// Undoes what Terraform does to a key to write it as a string of HCL.
fn unescaped(quoted: &str) -> String {
    let mut text = String::new();
    let mut rest = quoted;
    while let Some(c) = rest.chars().next() {
        let (plain, length) = escape(rest).unwrap_or((c, c.len_utf8()));
        text.push(plain);
        rest = &rest[length..];
    }
    text
}

/// The character that an escape at the start of `text` stands for, and the escape's length.
fn escape(text: &str) -> Option<(char, usize)> {
    if text.starts_with("$${") || text.starts_with("%%{") {
        return Some((text.chars().next()?, 2));
    }
    let letter = text.strip_prefix('\\')?.chars().next()?;
    let code = |digits: usize| {
        let code = u32::from_str_radix(text.get(2..2 + digits)?, 16).ok()?;
        Some((char::from_u32(code)?, 2 + digits))
    };
    match letter {
        'n' => Some(('\n', 2)),
        'r' => Some(('\r', 2)),
        't' => Some(('\t', 2)),
        '"' | '\\' => Some((letter, 2)),
        'u' => code(4),
        'U' => code(8),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_they_were_before_quoting() {
        for (address, expected, bare) in [
            ("a.b", vec![], "a.b"),
            ("a.b[0]", vec!["0"], "a.b[…]"),
            (r#"module.m["x"].a.b["y.z"]"#, vec!["x", "y.z"], "module.m[…].a.b[…]"),
            (r#"a.b["q\"]\\"].c"#, vec![r#"q"]\"#], "a.b[…].c"),
            (r#"a.b["\n$${x}%%{y}$$${z}$\u0007\U0001f600é"]"#, vec!["\n${x}%{y}$${z}$\u{7}😀é"], "a.b[…]"),
            (r#"a.b["open].c"#, vec!["open].c"], "a.b[…]"),
            (r#"a.b["\u00"]"#, vec![r"\u00"], "a.b[…]"),
            ("a.b[open", vec!["open"], "a.b[…]"),
        ] {
            assert_eq!(keys(address), expected, "{address}");
            assert_eq!(without_keys(address), bare, "{address}");
            assert_eq!(with_keys(address, |_| None), address);
            let told = with_keys(address, |_| Some("k".to_owned()));
            assert_eq!(told, bare.replace("[…]", if address.contains("[0]") { "[0]" } else { "[\"k\"]" }), "{address}");
        }
    }
}
