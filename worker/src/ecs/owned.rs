//! Services that Terraform would change, and a step, too.

use manifest_schema::plan::ServiceChange;
use manifest_schema::{Code, Reason};
use policy::plan::OwnedService;

/// What would be changed by Terraform and by a service step: each would undo the other. A service that isn't there
/// yet is Terraform's to make.
pub(crate) fn owned_twice(owned: &[OwnedService], services: &[ServiceChange]) -> Vec<Reason> {
    let twice = |owned: &&OwnedService| {
        services.iter().any(|service| {
            let in_cluster = |named: &String| {
                let name = named.rsplit('/').next().unwrap_or_default();
                service.cluster.as_ref().is_none_or(|cluster| cluster.as_str() == name)
            };
            owned.name.as_deref() == Some(service.service.as_str())
                && owned.cluster.as_ref().is_none_or(in_cluster)
                && !(owned.creates && service.task_definition.is_none())
        })
    };
    let reason = |owned: &OwnedService| {
        let message = format!(
            "{} would make the service run another task definition, and so does the step of the service {}",
            owned.address,
            owned.name.as_deref().unwrap_or_default()
        );
        Reason::new(Code::ServiceOwnedTwice, message)
    };
    owned.iter().filter(twice).map(reason).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_terraforms_or_a_steps() {
        let owned = |name: Option<&str>, cluster: Option<&str>, creates| OwnedService {
            address: "aws_ecs_service.web".to_owned(),
            name: name.map(str::to_owned),
            cluster: cluster.map(str::to_owned),
            creates,
        };
        let service = |definition: Option<&str>| ServiceChange {
            service: "web".parse().unwrap(),
            cluster: Some("main".parse().unwrap()),
            task_definition: definition.map(str::to_owned),
            containers: Default::default(),
            settings: Default::default(),
        };
        let there = service(Some("web:1"));
        for (case, owned, service, refused) in [
            ("changed", owned(Some("web"), Some("arn:aws:ecs:eu-central-1:2:cluster/main"), false), &there, true),
            ("in a cluster that is not known yet", owned(Some("web"), None, false), &there, true),
            ("made once more", owned(Some("web"), Some("main"), true), &there, true),
            ("made for the first time", owned(Some("web"), Some("main"), true), &service(None), false),
            (
                "in another cluster",
                owned(Some("web"), Some("arn:aws:ecs:eu-central-1:2:cluster/other"), false),
                &there,
                false,
            ),
            ("another one", owned(Some("web-2"), Some("main"), false), &there, false),
            ("without a name yet", owned(None, Some("main"), true), &there, false),
        ] {
            let found = owned_twice(&[owned], std::slice::from_ref(service));
            let codes: Vec<_> = found.iter().map(|reason| reason.code.to_string()).collect();
            assert_eq!(codes, if refused { vec!["service.owned-twice"] } else { vec![] }, "{case}");
        }
    }
}
