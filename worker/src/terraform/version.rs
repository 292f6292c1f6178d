//! Which version of which program runs as Terraform, before it does anything.

use manifest_schema::Code;
use manifest_schema::trust::TerraformRules;

use super::Terraform;
use crate::stop::Stop;

impl Terraform<'_> {
    /// Refuses a program or a version that the trust policy doesn't allow.
    pub(super) async fn expect_allowed(&self, rules: &TerraformRules) -> Result<(), Stop> {
        if rules.versions.is_empty() {
            return Ok(());
        }
        let printed = self.run("version", &["version"]).await?;
        let printed = String::from_utf8_lossy(&printed);
        let Some((program, version)) = read(&printed) else {
            let path = self.program.display();
            return Err(Stop::failed(format!("{path} doesn't say which version of Terraform or OpenTofu it is")));
        };
        if rules.allows(program, version) {
            return Ok(());
        }
        let allowed: Vec<String> = rules.versions.iter().map(ToString::to_string).collect();
        let message = format!("this worker has {program} {version}; allowed is {}", allowed.join(", "));
        Err(Stop::refused(Code::TerraformVersion, message))
    }
}

/// Program and version from what `terraform version` prints first.
fn read(printed: &str) -> Option<(&'static str, &str)> {
    let (name, version) = printed.lines().next()?.split_once(" v")?;
    let program = match name {
        "Terraform" => "terraform",
        "OpenTofu" => "opentofu",
        _ => return None,
    };
    Some((program, version.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_names_program_and_version() {
        let with_advice = "Terraform v1.11.4\non linux_amd64\n\nYour version of Terraform is out of date!\n";
        for (printed, expected) in [
            (with_advice, Some(("terraform", "1.11.4"))),
            ("OpenTofu v1.9.0\non linux_amd64\n", Some(("opentofu", "1.9.0"))),
            ("Terraform v1.12.0-rc1\n", Some(("terraform", "1.12.0-rc1"))),
            ("Terragrunt v0.1\n", None),
            ("", None),
        ] {
            assert_eq!(read(printed), expected, "{printed:?}");
        }
    }
}
