//! Attacks by what a Terraform bundle holds. Each runs twice: with plain Terraform, as a pipeline without Airlock runs
//! it, where it must do its harm; then through the real pipeline, where it must be refused where it stands, and do none.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::ops::Deref;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use manifest_schema::job::Happening;

use crate::Scratch;
use crate::scratch::copy;

/// What a bundle has no business with: a text in files of the host.
const SECRET: &str = "the-secret-of-the-host";

/// Providers that anybody could publish: each is a program that leaves a mark, and no provider otherwise. Those that
/// Terraform's maker publishes can't be downloaded here, and these stand for them: Terraform runs what it gets.
const PROVIDERS: &[&str] =
    &["registry.terraform.io/hashicorp/external", "registry.terraform.io/hashicorp/http", "example.com/test/fake"];

/// Published as well, and not in the trust policy.
const FOREIGN: &str = "example.com/test/foreign";

/// One attack.
#[derive(Debug, Clone, Copy)]
pub struct Attack {
    /// What is in the root module, by path; `@HOST@` is a directory outside of it, `@PORT@` a port on loopback.
    pub files: &'static [(&'static str, &'static str)],
    /// The root module's `main.tf` that is applied already.
    pub before: Option<&'static str>,
    /// What Terraform alone does.
    pub harm: Harm,
    /// What `airlock manifest build` says.
    pub build: Build,
    /// What the worker refuses, in the order of its reasons: places and rules.
    pub refused: &'static [(&'static str, &'static str)],
}

impl Attack {
    /// What most attacks have in common: they tell the secret, and CI's side warns of them.
    pub const USUAL: Self = Self { files: &[], before: None, harm: Harm::Secret, build: Build::Warns, refused: &[] };
}

/// What an attack does if nobody stops it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Harm {
    /// The file `@HOST@/mark` is there.
    Mark,
    /// Somebody called on loopback.
    Call,
    /// What `@HOST@/secret` holds is told.
    Secret,
    /// This text is told.
    Told(&'static str),
}

/// What CI's side says to a bundle that the worker refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Build {
    /// It warns of the same.
    Warns,
    /// It can't know.
    Silent,
    /// It fails with this text. Who packs the bundle himself, without a lock file, gets no further.
    Refuses(&'static str),
    /// It leaves out what is harmful, or brings along what is missing. Who packs the bundle himself gets no further.
    Mends,
}

/// The service, and around it all that an attack could want.
#[derive(Debug)]
pub struct World {
    scratch: Scratch,
    port: u16,
    calls: Arc<AtomicUsize>,
}

impl Deref for World {
    type Target = Scratch;

    fn deref(&self) -> &Scratch {
        &self.scratch
    }
}

impl World {
    /// With production ready for the fake providers.
    pub fn new() -> Self {
        let scratch = Scratch::new();
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        std::thread::spawn(move || answer(&listener, &counted));
        let world = Self { scratch, port, calls };
        world.furnish();
        world
    }

    fn furnish(&self) {
        let write = |inside: &str, text: &str| {
            let path = self.outside(inside);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            path
        };
        write("host/secret", SECRET);
        write("host/module/main.tf", &format!("output \"found\" {{\n  value = \"{SECRET}\"\n}}\n"));
        let state = serde_json::json!({
            "version": 4, "terraform_version": "1.4.0", "serial": 1, "lineage": "of-the-host", "resources": [],
            "outputs": { "found": { "value": SECRET, "type": "string" } },
        });
        write("host/terraform.tfstate", &state.to_string());
        let host = self.outside("host").display().to_string();
        for provider in PROVIDERS.iter().chain([&FOREIGN]) {
            let name = provider.rsplit('/').next().unwrap();
            let inside = format!("mirror/{provider}/1.0.0/linux_amd64/terraform-provider-{name}_v1.0.0");
            let program = write(&inside, &format!("#!/bin/sh\n: >'{host}/mark'\n"));
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let mirror = self.outside("mirror").display().to_string();
        write(
            "terraform.rc",
            &format!("provider_installation {{\n  filesystem_mirror {{\n    path = \"{mirror}\"\n  }}\n}}\n"),
        );
        let module = self.outside("host/module").display().to_string();
        let author = ["-C", &module, "-c", "user.name=Eve", "-c", "user.email=eve@example.com"];
        self.git(&["init", "--quiet", &module]);
        self.git(&[&author[..2], &["add", "--all"]].concat());
        self.git(&[&author[..], &["commit", "--quiet", "--message", "A module"]].concat());

        let settings = "path = \"infra\"\nprovider-mirror = \"../mirror\"\nplatforms = [\"linux_amd64\"]";
        self.replace(&self.path("airlock.toml"), "path = \"infra\"", settings);
        self.commit("Take providers from a mirror");
        self.next_policy(|policy| policy["environments"]["production"]["terraform"]["providers"] = PROVIDERS.into());
    }

    /// [`World::stops`] for each of them.
    #[track_caller]
    pub fn stops_all(&self, attacks: &[Attack]) {
        attacks.iter().for_each(|attack| self.stops(attack));
    }

    /// Expects that plain Terraform does the harm, and that the pipeline refuses to.
    #[track_caller]
    pub fn stops(&self, attack: &Attack) {
        let _ = fs::remove_dir_all(self.path("infra"));
        for (path, text) in attack.files {
            self.write(&format!("infra/{path}"), self.filled(text));
        }
        self.stops_what_is_there(attack);
    }

    /// The same with what the root module holds already.
    #[track_caller]
    pub fn stops_what_is_there(&self, attack: &Attack) {
        let told = self.as_without_airlock(attack);
        assert!(self.happened(attack.harm, &told), "no harm came of {attack:#?}\n{told}");
        let _ = fs::remove_file(self.outside("host/mark"));
        self.calls.store(0, Ordering::SeqCst);

        let told = self.refused(attack);
        assert!(!self.happened(attack.harm, &told), "harm came of {attack:#?}\n{told}");
    }

    fn filled(&self, text: &str) -> String {
        let host = self.outside("host").display().to_string();
        text.replace("@HOST@", &host).replace("@PORT@", &self.port.to_string())
    }

    fn happened(&self, harm: Harm, told: &str) -> bool {
        match harm {
            Harm::Mark => self.outside("host/mark").exists(),
            Harm::Call => self.calls.load(Ordering::SeqCst) > 0,
            Harm::Secret => told.contains(SECRET),
            Harm::Told(text) => told.contains(text),
        }
    }

    /// `init`, `plan` and `apply` as many a script runs them, a registry at hand, with no look at what failed before;
    /// gives all that they said. In a copy as deep as the repository's own.
    fn as_without_airlock(&self, attack: &Attack) -> String {
        let _ = fs::remove_dir_all(self.outside("naive"));
        let directory = self.outside("naive/infra");
        let terraform = |arguments: &[&str]| {
            let settings = format!("TF_CLI_CONFIG_FILE={}", self.outside("terraform.rc").display());
            let (program, there) =
                (crate::terraform().display().to_string(), format!("-chdir={}", directory.display()));
            self.run("env", &[&[settings.as_str(), &program, &there], arguments].concat()).all()
        };
        if let Some(before) = attack.before {
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join("main.tf"), before).unwrap();
            terraform(&["init", "-input=false"]);
            terraform(&["apply", "-input=false", "-auto-approve"]);
            fs::remove_file(directory.join("main.tf")).unwrap();
        }
        copy(&self.path("infra"), &directory);
        let mut told = terraform(&["init", "-input=false", "-no-color"]);
        told += &terraform(&["plan", "-input=false", "-no-color", "-out=saved"]);
        told += &terraform(&["apply", "-input=false", "-no-color", "saved"]);
        let lock = directory.join(".terraform.lock.hcl");
        if lock.exists() && !matches!(attack.build, Build::Refuses(_)) {
            fs::copy(lock, self.path("infra/.terraform.lock.hcl")).unwrap();
        }
        told
    }

    /// Builds, signs, publishes and plans; expects the refusal; gives all that came out of production.
    #[track_caller]
    fn refused(&self, attack: &Attack) -> String {
        self.commit("Another attack");
        let manifest = self.published(attack);
        let run = self.airlock(&["launch-deploy-job", &manifest, "--action", "plan", "--follow"]);
        let run = run.exits(3).explains(&["terraform.forbidden"]);
        let job = self.jobs("plan").pop().unwrap();
        let events = self.events(&job);
        let Some(Happening::Ended { reasons, .. }) = events.last().map(|event| &event.event) else {
            panic!("{job} has not ended: {events:#?}")
        };
        let found: Vec<_> = reasons.iter().map(|reason| place_and_rule(&reason.message)).collect();
        assert_eq!(found, attack.refused, "{reasons:#?}");
        assert!(!self.story(&job).contains(&"fetched".to_owned()), "Terraform comes after that");
        format!("{}{events:#?}", run.all())
    }

    #[track_caller]
    fn published(&self, attack: &Attack) -> String {
        let build = self.airlock(&["manifest", "build", "--output", "build-manifest.json"]);
        match attack.build {
            Build::Warns => {
                let run = build.exits(0);
                for (place, rule) in attack.refused {
                    let warned = |line: &str| line.contains(&format!("infra/{place}: ")) && line.contains(rule);
                    assert!(run.stderr.lines().any(warned), "no warning of {place}, {rule}:\n{}", run.all());
                }
                self.sign_and_publish()
            }
            Build::Silent => {
                assert!(!build.exits(0).stderr.contains("production would refuse"));
                self.sign_and_publish()
            }
            Build::Refuses(text) => {
                build.exits(1).explains(&[text]);
                self.publish_by_hand()
            }
            Build::Mends => {
                assert!(!build.exits(0).stderr.contains("production would refuse"));
                self.publish_by_hand()
            }
        }
    }

    /// What is in the root module, in the place of something innocent that was built.
    #[track_caller]
    fn publish_by_hand(&self) -> String {
        let packed = self.outside("packed");
        let _ = fs::remove_dir_all(&packed);
        fs::rename(self.path("infra"), &packed).unwrap();
        self.write("infra/main.tf", "");
        self.commit("Look innocent");
        self.publish_packed_by_hand(&packed)
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

/// `main.tf:4: what [configuration.rule]`; no rule where it is not the configuration.
fn place_and_rule(message: &str) -> (&str, &str) {
    let place = message.split_once(": ").map_or(message, |(place, _)| place);
    let rule = message.strip_suffix(']').and_then(|message| message.rsplit_once('['));
    (place, rule.map_or("", |(_, rule)| rule))
}

/// Counts calls; to whoever speaks HTTP there is nothing here.
fn answer(listener: &TcpListener, calls: &AtomicUsize) {
    for call in listener.incoming() {
        calls.fetch_add(1, Ordering::SeqCst);
        let Ok(mut call) = call else { continue };
        let _ = call.read(&mut [0; 4096]);
        let _ = call.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
}
