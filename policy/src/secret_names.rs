//! Names whose values are not for showing.

/// Parts of such names, in upper case.
const PARTS: [&str; 11] = [
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "SECRET",
    "TOKEN",
    "CREDENTIAL",
    "APIKEY",
    "API_KEY",
    "PRIVATE",
    "ACCESS_KEY",
    "AUTH",
];

/// Whether the name of an environment variable or label says that its value is a secret. An image should hold none; if
/// it does, a report is not where it is to be shown. Rather too many names than too few.
pub fn is_secret_name(name: &str) -> bool {
    let name = name.to_uppercase().replace(['-', '.'], "_");
    PARTS.iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_secrets() {
        for name in ["DB_PASSWORD", "githubToken", "AWS_SECRET_ACCESS_KEY", "api-key", "com.example.credentials"] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in ["PATH", "LANG", "PORT", "org.opencontainers.image.source", "MONKEY"] {
            assert!(!is_secret_name(name), "{name}");
        }
    }
}
