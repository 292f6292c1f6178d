//! `.terraform.lock.hcl`: which providers a root module runs, exactly.

use hcl_edit::expr::Expression;
use manifest_schema::plan::LockedProvider;

use super::{ConfigFile, Problem, Rule, read};

/// The name of the file, at the root of a bundle.
pub use super::files::LOCK as LOCK_FILE;

/// The providers that a lock file names, as it lists them.
///
/// # Errors
/// When it can't be parsed, or a provider has no version or no hash: nothing says then which one it is.
pub fn locked_providers(bytes: &[u8]) -> Result<Vec<LockedProvider>, Problem> {
    let file = ConfigFile { path: LOCK_FILE, bytes };
    let body = read::parse(&file, read::text(&file)?)?;
    let locked = body.get_blocks("provider").map(|block| {
        let address = block.labels.first().map(|label| label.as_str().to_owned());
        let version = block.body.get_attribute("version").and_then(|version| version.value.as_str());
        let hashes = block.body.get_attribute("hashes").and_then(|hashes| hashes.value.as_array());
        let hashes = hashes.and_then(|list| list.iter().map(text).collect::<Option<Vec<_>>>());
        let hashes = hashes.filter(|hashes| !hashes.is_empty());
        let (Some(address), Some(version), Some(hashes)) = (address, version, hashes) else {
            let message = "a provider without version and hashes: run terraform init".to_owned();
            return Err(Problem { file: LOCK_FILE.to_owned(), line: None, rule: Rule::Unlocked, message });
        };
        Ok(LockedProvider { address, version: version.to_owned(), hashes })
    });
    locked.collect()
}

fn text(expression: &Expression) -> Option<String> {
    expression.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_and_hashes_are_read() {
        let text = "# Maintained by terraform init.\nprovider \"registry.terraform.io/hashicorp/aws\" {\n  version     = \
                    \"5.100.0\"\n  constraints = \"~> 5.0\"\n  hashes = [\n    \"h1:abc=\",\n    \"zh:00\",\n  ]\n}\n";
        let locked = locked_providers(text.as_bytes()).unwrap();
        let [aws] = locked.as_slice() else { panic!("{locked:?}") };
        assert_eq!((aws.address.as_str(), aws.version.as_str()), ("registry.terraform.io/hashicorp/aws", "5.100.0"));
        assert_eq!(aws.hashes, ["h1:abc=", "zh:00"]);
        assert_eq!(locked_providers(b"").unwrap(), []);
        for bad in [
            "provider \"a/b/c\" {}",
            "provider \"a/b/c\" {\n version = \"1.0.0\"\n hashes = [1]\n}",
            "provider \"a/b/c\" {\n version = \"1.0.0\"\n hashes = []\n}",
            "provider {",
        ] {
            assert!(locked_providers(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
