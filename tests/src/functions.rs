//! A project whose code runs in production's Lambda.

use std::ops::Deref;

use aws_double::PRODUCTION;
use emulators::DockerRegistry;
use serde_json::{Value, json};

use crate::cloud::{allow, statements};
use crate::{Background, Cloud};

/// The steps of the project: its archive is watched for a second.
const STEPS: &str = r#"[artifacts.bundle]
kind = "file"
path = "build/bundle.zip"

[[deploy]]
function = "resize"
zip = "bundle"
alias = "live"
alarms = ["errors", "everything"]
watch-seconds = 1

[[deploy]]
function = "render"
image = "web"
alias = "live"
"#;

/// The example project, whose functions `resize` (of a zip archive) and `render` (of an image) are there and run what
/// somebody published by hand: version 1, which the alias `live` names.
pub struct Functions {
    /// Everything else.
    pub cloud: Cloud,
    /// Where production has images.
    pub registry: DockerRegistry,
    /// The ARN of the function of the archive.
    pub resize: String,
    /// The ARN of the function of the image.
    pub render: String,
}

impl Deref for Functions {
    type Target = Cloud;

    fn deref(&self) -> &Cloud {
        &self.cloud
    }
}

impl Functions {
    /// With alarms that are quiet, and an archive.
    pub fn new() -> Self {
        let (cloud, registry) = (Cloud::new(), DockerRegistry::start());
        let production = cloud.double.account(PRODUCTION);
        let config = json!({"MemorySize": 128, "Environment": {"Variables": {"PASSWORD": "hunter2"}}, "Role": "arn:x"});
        let zip = json!({"ZipFile": "UEsDBA=="});
        let image = format!("{}/hello/web@sha256:{}", registry.address(), "1".repeat(64));
        let resize = production.published_function("resize", &config, &zip, "live");
        let render = production.published_function("render", &config, &json!({"ImageUri": image}), "live");
        production.alarm("errors");
        production.composite_alarm("everything");
        let toml = cloud.path("airlock.toml");
        let text = std::fs::read_to_string(&toml).expect("the project has a configuration");
        let (head, rest) = text.split_once("# Steps, in order").expect("it has steps");
        let environments = rest.split_once("\n[environments").expect("it has an environment").1;
        std::fs::write(&toml, format!("{head}{STEPS}\n[environments{environments}")).expect("it can be written");
        let functions = Self { cloud, registry, resize, render };
        functions.configure(|_| {});
        functions.archive("the first archive");
        functions
    }

    /// Gives both workers another configuration.
    pub fn configure(&self, change: impl Fn(&mut Value)) {
        self.cloud.reconfigure(&[may()], |_, config| {
            config["registry"] = json!({"address": self.registry.address()});
            config["targets"] = json!({"projects": {"hello": {"functions": ["resize", "render"]}}});
            change(config);
        });
    }

    /// Has this in the archive from now on.
    pub fn archive(&self, content: &str) {
        self.write("build/bundle.zip", content);
        self.commit("Another archive");
    }

    /// Watches the alarms of `resize` for so long.
    pub fn watch(&self, seconds: u32) {
        self.replace(&self.path("airlock.toml"), "watch-seconds = 1", &format!("watch-seconds = {seconds}"));
        self.commit("Watch for another time");
    }

    /// Starts a deploy, and waits until the alias of `resize` was moved; it and the job.
    pub fn watching(&self) -> (Background, String) {
        self.watch(60);
        let jobs = self.jobs("apply").len();
        let deploy = self.start_deploy();
        let job = self.job("apply", jobs + 1);
        crate::wait_until("a line about the alias", || {
            self.progress(&job).iter().any(|line| line.contains("alias live names version")).then_some(())
        });
        (deploy, job)
    }

    /// The version that an alias `live` names, and how many there are.
    pub fn live(&self, function: &str) -> (String, usize) {
        let told = self.double.published(function);
        let live = told["aliases"]["live"]["FunctionVersion"].as_str().expect("it names a version").to_owned();
        (live, told["versions"].as_array().map_or(0, Vec::len))
    }

    /// The summary of the newest plan.
    pub fn planned_change(&self) -> Value {
        let job = self.jobs("plan").pop().expect("a plan job");
        self.read(&self.production(&format!("jobs/{job}/plan/summary.json")))
    }
}

impl Default for Functions {
    fn default() -> Self {
        Self::new()
    }
}

/// What docs/operations.md lets a worker do to functions.
fn may() -> Value {
    let functions: Vec<_> = ["resize", "render"]
        .into_iter()
        .flat_map(|name| ["", ":*"].map(|end| format!("arn:aws:lambda:eu-central-1:222222222222:function:{name}{end}")))
        .collect();
    let actions = [
        "lambda:GetFunction",
        "lambda:GetAlias",
        "lambda:UpdateFunctionCode",
        "lambda:PublishVersion",
        "lambda:UpdateAlias",
    ];
    statements(&json!([allow(&actions, functions), allow(&["cloudwatch:DescribeAlarms"], "*")]))
}
