//! Addresses as a manifest may show them.

/// An address without password, token, query and fragment; what is no URL and no `user@host:path` stays as it is.
///
/// The user of an SSH address (`git@`) is part of it; a password never is.
pub(crate) fn without_credentials(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else { return scp_like(address) };
    let (authority, path) = split_authority(rest);
    let host = match authority.rsplit_once('@') {
        None => authority.to_owned(),
        Some((user, host)) if scheme.to_ascii_lowercase().ends_with("ssh") => format!("{}@{host}", name_of(user)),
        Some((_, host)) => host.to_owned(),
    };
    let path = path.map_or_else(String::new, |path| format!("/{}", before_query(path)));
    format!("{scheme}://{}{path}", before_query(&host))
}

/// `user:password@host:path`, which no program takes but people write, loses its password, too.
fn scp_like(address: &str) -> String {
    let (authority, path) = address.split_once('/').map_or((address, None), |(start, path)| (start, Some(path)));
    let Some((user, host)) = authority.rsplit_once('@').filter(|(_, host)| host.contains(':')) else {
        return address.to_owned();
    };
    let path = path.map_or_else(String::new, |path| format!("/{path}"));
    format!("{}@{host}{path}", name_of(user))
}

/// What comes before the path. A `/` that somebody left in a password doesn't end it: after `host:` come digits.
fn split_authority(rest: &str) -> (&str, Option<&str>) {
    let Some((start, path)) = rest.split_once('/') else { return (rest, None) };
    let is_port = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let cut_password = !start.contains('@')
        && !start.starts_with('[')
        && start.split_once(':').is_some_and(|(_, port)| !is_port(port));
    if cut_password && let Some(end) = rest.rfind('@') {
        let length = rest[end..].find('/').map_or(rest.len(), |slash| end + slash);
        return (&rest[..length], rest.get(length + 1..));
    }
    (start, Some(path))
}

fn name_of(user: &str) -> &str {
    user.split_once(':').map_or(user, |(name, _)| name)
}

fn before_query(text: &str) -> &str {
    text.split(['?', '#']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lose_their_credentials() {
        for (address, clean) in [
            ("https://github.com/a/b.git", "https://github.com/a/b.git"),
            ("https://token@github.com/a/b", "https://github.com/a/b"),
            ("https://user:p@ss@host:8443/a/b?token=x#y", "https://host:8443/a/b"),
            ("HTTPS://user%40corp:p%2Fss%40@host/a@v1/b", "HTTPS://host/a@v1/b"),
            ("https://user:p/ss@host/a", "https://host/a"),
            ("https://user:p/s/s@host", "https://host"),
            ("https://user:p?s#s@host/a", "https://host/a"),
            ("https://host?private_token=x", "https://host"),
            ("https://host#x", "https://host"),
            ("https://host/a#x", "https://host/a"),
            ("https://[::1]:8443/a@b", "https://[::1]:8443/a@b"),
            ("https://host:8443/a@b", "https://host:8443/a@b"),
            ("https://gitlab-ci-token:x@gitlab.example/a/b.git", "https://gitlab.example/a/b.git"),
            ("ssh://git@host/a", "ssh://git@host/a"),
            ("ssh://git:secret@host:22/a", "ssh://git@host:22/a"),
            ("git+ssh://git:secret@host/a", "git+ssh://git@host/a"),
            ("git@github.com:a/b.git", "git@github.com:a/b.git"),
            ("git:secret@github.com:a/b.git", "git@github.com:a/b.git"),
            ("git:se@cret@github.com:a", "git@github.com:a"),
            ("https://token@host", "https://host"),
            ("codecommit::eu-west-1://me@repository", "codecommit::eu-west-1://repository"),
            ("file:///srv/git/a.git", "file:///srv/git/a.git"),
            ("/srv/git/a@b:c.git", "/srv/git/a@b:c.git"),
            ("../a.git", "../a.git"),
            ("local:hello", "local:hello"),
        ] {
            assert_eq!(without_credentials(address), clean, "{address}");
        }
    }
}
