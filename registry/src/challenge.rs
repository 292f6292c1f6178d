//! What a registry answers to who it doesn't know: how to show who one is (RFC 9110, section 11.6.1; distribution's
//! token authentication specification).

/// How a registry wants to be shown who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// Name and password with each request.
    Basic,
    /// A token, which a server gives that knows name and password.
    Bearer {
        /// The server.
        realm: String,
        /// For which service of its.
        service: Option<String>,
    },
}

impl Challenge {
    /// Reads the headers `WWW-Authenticate`; a token is preferred.
    pub(crate) fn read<'a>(headers: impl Iterator<Item = &'a str>) -> Option<Self> {
        let mut found: Vec<Self> = headers.flat_map(challenges).collect();
        let bearer = found.iter().position(|challenge| matches!(challenge, Self::Bearer { .. }));
        let best = bearer.or(if found.is_empty() { None } else { Some(0) })?;
        Some(found.swap_remove(best))
    }
}

/// A scheme's parameters as they are collected.
#[derive(Default)]
struct Scheme {
    name: String,
    realm: Option<String>,
    service: Option<String>,
}

impl Scheme {
    fn finish(self) -> Option<Challenge> {
        match (self.name.as_str(), self.realm) {
            ("bearer", Some(realm)) => Some(Challenge::Bearer { realm, service: self.service }),
            ("basic", _) => Some(Challenge::Basic),
            _ => None,
        }
    }
}

/// `scheme key="value", key=value, scheme …`
fn challenges(header: &str) -> Vec<Challenge> {
    let mut found = Vec::new();
    let mut scheme = Scheme::default();
    let mut rest = header;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let end = rest.find([' ', '\t', ',', '=']).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if word.is_empty() {
            break;
        }
        let Some(value) = after.strip_prefix('=') else {
            found.extend(std::mem::take(&mut scheme).finish());
            scheme.name = word.to_ascii_lowercase();
            rest = after;
            continue;
        };
        let (value, after) = parameter(value);
        match word.to_ascii_lowercase().as_str() {
            "realm" => scheme.realm = Some(value),
            "service" => scheme.service = Some(value),
            _ => {}
        }
        rest = after;
    }
    found.extend(scheme.finish());
    found
}

/// A value, quoted or not, and what comes after it.
fn parameter(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([' ', '\t', ',']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let (mut value, mut escaped) = (String::new(), false);
    for (at, c) in quoted.char_indices() {
        match c {
            _ if escaped => {
                value.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => return (value, &quoted[at + 1..]),
            _ => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read_as_registries_write_them() {
        let bearer = |realm: &str, service: Option<&str>| {
            Some(Challenge::Bearer { realm: realm.to_owned(), service: service.map(str::to_owned) })
        };
        for (headers, expected) in [
            (
                &[r#"Bearer realm="https://auth.example.com/token",service="registry",scope="repository:a:pull,push""#]
                    [..],
                bearer("https://auth.example.com/token", Some("registry")),
            ),
            (&[r#"bearer Realm=https://a/t , scope="a b""#], bearer("https://a/t", None)),
            (
                &[r#"Basic realm="https://1.dkr.ecr.x.amazonaws.com/",service="ecr.amazonaws.com""#],
                Some(Challenge::Basic),
            ),
            (&["Basic"], Some(Challenge::Basic)),
            (&["Basic realm=x", r#"Bearer realm="https://a""#], bearer("https://a", None)),
            (&[r#"Basic realm="a, Bearer realm=b", Bearer realm="c\"d""#], bearer("c\"d", None)),
            (&["Bearer"], None),
            (&["Negotiate", ""], None),
            (&[r#"Bearer realm="never closed"#], bearer("never closed", None)),
            (&["=", "= =,", "a=b"], None),
            (&[], None),
        ] {
            assert_eq!(Challenge::read(headers.iter().copied()), expected, "{headers:?}");
        }
    }
}
