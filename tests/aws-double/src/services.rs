//! What tests do to services, their tasks and their images, besides what they do over ECS's own calls.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{Double, Script, ServiceView};

impl Double {
    /// Lets the tasks that services start from now on, and the programs that RunTask starts, fare like this if a part of
    /// their image's reference is this text, such as its digest. It comes before what is said of a service.
    pub fn script_image(&self, part: &str, script: Script) {
        self.state().ecs.script_image(part, script);
    }

    /// Lets the tasks that a service starts from now on fare like this; those that are stuck, too.
    pub fn script_service(&self, name: &str, script: Script) {
        self.state().ecs.script_service(name, script);
    }

    /// Lets containers whose image's reference has this text in it say that they run this digest: what a tag points to,
    /// or the manifest of the platform that an index points to.
    pub fn resolve_image(&self, part: &str, digest: &str) {
        self.state().ecs.resolve_image(part, digest);
    }

    /// Lets the images of a registry (its host and port) be pulled only if they were pushed: `storage` is where
    /// docker-registry has its `repositories` and `blobs`. Images of all other registries are always there.
    pub fn registry(&self, address: &str, storage: impl Into<PathBuf>) {
        self.state().ecs.add_registry(address, storage.into());
    }

    /// Lets DescribeServices say this about a service, whatever it knows: for what isn't doubled, such as `taskSets`.
    pub fn amend_service(&self, arn: &str, field: &str, value: Value) {
        self.state().ecs.amend_service(arn, field, value);
    }

    /// Has somebody else give a service another definition, by its ARN.
    ///
    /// # Panics
    /// When ECS refuses it.
    pub fn update_service(&self, arn: &str, definition: &str) {
        let updated = self.state().ecs.update_service(arn, Some(definition), &json!({}));
        updated.unwrap_or_else(|refusal| panic!("the update is refused: {}", refusal.message));
    }

    /// Has somebody else delete a service with all its tasks.
    ///
    /// # Panics
    /// When there is none.
    pub fn delete_service(&self, arn: &str) {
        let deleted = self.state().ecs.delete_service(arn, true);
        deleted.unwrap_or_else(|refusal| panic!("the deletion is refused: {}", refusal.message));
    }

    /// A task definition as it could be registered once more: what only ECS says of one isn't in it, its tags are.
    ///
    /// # Panics
    /// When there is none.
    pub fn definition(&self, arn: &str) -> Value {
        self.state().ecs.registered_definition(arn).unwrap_or_else(|| panic!("there is no definition {arn}"))
    }

    /// A service.
    ///
    /// # Panics
    /// When there is none.
    pub fn service(&self, arn: &str) -> ServiceView {
        self.state().ecs.service_view(arn).unwrap_or_else(|| panic!("there is no service {arn}"))
    }

    /// Waits until a service is as it should be.
    ///
    /// # Panics
    /// When that takes longer than a minute, with what the service is like.
    pub fn wait_for_service(&self, arn: &str, wanted: impl Fn(&ServiceView) -> bool) -> ServiceView {
        let begun = Instant::now();
        loop {
            let service = self.service(arn);
            if wanted(&service) {
                return service;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "the service never gets there: {service:#?}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}
