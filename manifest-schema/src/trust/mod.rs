//! The trust policy: who may sign what for which environment. It is itself signed, and versioned.

mod chain;
mod policy;
mod provider_hash;
mod terraform;

pub use chain::{ChainError, PinnedRoots, SignedPolicy, TrustRecord, TrustRecordSchema, TrustedPolicy};
pub use policy::{
    ApprovalRules, EnvironmentPolicy, EvidenceRule, Freeze, Person, ProjectPolicy, Role, Roles, SourceRule,
    Suppression, TrustPolicy, TrustPolicySchema,
};
pub use provider_hash::{ProviderHash, ProviderHashError};
pub use terraform::{AllowedVersion, AllowedVersionError, RelaxedRule, TerraformRules};
