//! Pure judgements: a Terraform plan into a summary with risk findings.
