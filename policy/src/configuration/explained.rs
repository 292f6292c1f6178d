//! What each rule about configuration means, and what to do: `airlock explain` prints what is written here.

use super::Rule;

/// Declares them once: a rule without a line here doesn't compile.
macro_rules! explained {
    ($($rule:ident: $meaning:literal => $advice:literal,)*) => {
        impl Rule {
            /// Every rule.
            pub const ALL: &'static [Self] = &[$(Self::$rule,)*];

            /// What it means that something breaks it, in a sentence.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$rule => $meaning,)* }
            }

            /// What to do about it.
            pub fn advice(self) -> &'static str {
                match self { $(Self::$rule => $advice,)* }
            }
        }
    };
}

explained! {
    Unreadable:
        "A file of the Terraform bundle can't be parsed, or two parsers could read it differently."
        => "Correct the place that is named: UTF-8, no control characters, valid HCL or JSON.",
    HiddenFile:
        "A name in the Terraform bundle starts with a dot, where nobody looks; only `.terraform.lock.hcl` may."
        => "Rename or remove it, or have the trust policy relax the rule; `.terraform` never may be in a bundle.",
    Override:
        "A file silently replaces parts of others: an override file, or one that only OpenTofu reads."
        => "Write the change where it belongs, or have the trust policy relax the rule.",
    VariablesFile:
        "A file silently sets variables, which come from the build manifest."
        => "Set them as `variables` of the Terraform step in `airlock.toml`, or have the trust policy relax the rule.",
    StateFile:
        "The Terraform bundle holds state, which belongs in the worker's backend."
        => "Remove the file, from git as well, and look for secrets in it.",
    CliSettings:
        "The Terraform bundle holds settings or plugins of Terraform's command line, which could choose what runs."
        => "Remove them: how Terraform is set up is the worker's matter.",
    UnknownBlock:
        "The configuration has a block or a setting that isn't known to be harmless."
        => "Remove it; if Terraform needs it, a newer version of Airlock may know it.",
    Backend:
        "The configuration chooses where state goes, with a `backend` or `cloud` block."
        => "Remove the block: the worker writes its own.",
    Provisioner:
        "A provisioner or its connection would run commands in the worker."
        => "Do it with a resource, or in the image, or have the trust policy relax the rule.",
    DataSource:
        "A data source runs a program or reaches outside while Terraform plans, before anybody approved."
        => "Pass the value as a variable, or have the trust policy relax the rule.",
    ProviderSettings:
        "A setting of a provider would run a program, take on another identity, or call elsewhere."
        => "Leave it out: the worker says who Terraform is; or have the trust policy relax the rule.",
    Ephemeral:
        "An ephemeral resource would run in the apply without any plan showing it."
        => "Use a resource or a variable, or have the trust policy relax the rule.",
    ModuleSource:
        "A module is called from anywhere but this bundle."
        => "Run `terraform init` before `airlock manifest build`, which copies modules into the bundle.",
    FilePath:
        "A function reads a file that isn't certain to be in the bundle."
        => "Name a file in the module literally, or by `${path.module}/`.",
    Nonsensitive:
        "A call of `nonsensitive` takes the mark from a value, by which what is sensitive could leave production."
        => "Do without the call, or have the trust policy relax the rule.",
    Reference:
        "A variable gets a value that only production knows, and the root module doesn't keep it secret."
        => "Declare it in the root module with `sensitive = true`, and not as ephemeral.",
    Provider:
        "A provider is not one that the trust policy allows: by its address, or by its hashes where those are pinned."
        => "Add the address to `providers`, and its hashes to `providerHashes`, in the next version of the trust policy, if you trust who made it.",
    Unlocked:
        "A provider is used that no lock file names with version and hashes."
        => "Run `terraform init`, and commit `.terraform.lock.hcl`.",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_that_may_be_relaxed_say_so_and_no_others() {
        for rule in Rule::ALL {
            let says = rule.advice().contains("have the trust policy relax the rule");
            assert_eq!(says, rule.relaxation().is_some(), "{rule}");
        }
    }
}
