//! Functions as states: their code, their versions and their aliases, none of which is run.
//!
//! True to AWS: the calls' shapes, errors and texts; that each change has a revision of its own and is refused with
//! another one; that a function takes a while to take on code, and a version to be ready, and that nothing else can be
//! done to it meanwhile; that a version is published only of what is another than the last one; digests of code. Not
//! doubled: code in S3, layers, signing, provisioned concurrency, everything about configurations but that it is there.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use manifest_schema::Digest;
use serde_json::{Value, json};

use crate::http::{Refusal, Request, Response, response};
use crate::iam::Guard;
use crate::people::Caller;
use crate::{REGION, State};

/// What the paths of all calls begin with.
const PATH: &str = "/2015-03-31/functions/";
/// The function's own configuration.
const LATEST: &str = "$LATEST";
/// What two versions may differ in that are one.
const OWN: [&str; 9] = [
    "FunctionArn",
    "Version",
    "Description",
    "RevisionId",
    "LastModified",
    "State",
    "LastUpdateStatus",
    "LastUpdateStatusReason",
    "LastUpdateStatusReasonCode",
];

/// A function that is never run.
#[derive(Debug)]
struct Published {
    arn: String,
    latest: Version,
    /// The first is version 1.
    versions: Vec<Version>,
    aliases: BTreeMap<String, Value>,
    /// Why Lambda won't take the next code.
    rejects: Option<String>,
}

/// A configuration, and what of its code is told.
#[derive(Debug, Clone)]
struct Version {
    config: Value,
    code: Value,
    /// When Lambda is done with it, and why it won't be.
    settles: Option<(Instant, Option<String>)>,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Functions {
    functions: Vec<Published>,
    revisions: u64,
}

/// A call, read from its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) operation: &'static str,
    pub(super) function: String,
    alias: Option<String>,
}

impl Wanted {
    /// What a request asks for, unless it is for something that is run.
    pub(super) fn of(request: &Request) -> Option<Self> {
        let rest = request.path().strip_prefix(PATH)?;
        let parts: Vec<String> = rest.split('/').map(crate::http::decode).collect();
        let method = request.head.method.as_str();
        let (operation, function, alias) = match (method, &parts[..]) {
            ("GET", [name]) => ("GetFunction", name, None),
            ("GET", [name, what]) if what == "configuration" => ("GetFunctionConfiguration", name, None),
            ("PUT", [name, what]) if what == "code" => ("UpdateFunctionCode", name, None),
            ("POST", [name, what]) if what == "versions" => ("PublishVersion", name, None),
            ("GET", [name, what, alias]) if what == "aliases" => ("GetAlias", name, Some(alias)),
            ("PUT", [name, what, alias]) if what == "aliases" => ("UpdateAlias", name, Some(alias)),
            _ => return None,
        };
        Some(Self { operation, function: function.clone(), alias: alias.cloned() })
    }
}

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "InvalidParameterValueException", message)
}

/// Refuses a change of something that is another by now.
fn expect_revision(asked: &Value, known: &Value) -> Result<(), Refusal> {
    if asked["RevisionId"].is_null() || asked["RevisionId"] == *known {
        return Ok(());
    }
    let message = "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to \
                   retrieve the latest Revision Id";
    Err(Refusal::new(412, "PreconditionFailedException", message))
}

impl Version {
    /// Lambda is done with it, if it is time.
    fn settle(&mut self, revision: &mut impl FnMut() -> Value) {
        let Some((at, rejected)) = &self.settles else { return };
        if *at > Instant::now() {
            return;
        }
        let config = &mut self.config;
        config["State"] = "Active".into();
        config["LastUpdateStatus"] = if rejected.is_some() { "Failed" } else { "Successful" }.into();
        if let Some(why) = rejected {
            config["LastUpdateStatusReason"] = why.as_str().into();
            config["LastUpdateStatusReasonCode"] = "InvalidImage".into();
        }
        config["RevisionId"] = revision();
        self.settles = None;
    }

    /// Takes on what UpdateFunctionCode names.
    fn take_on(&mut self, asked: &Value) -> Result<(), Refusal> {
        let is_image = self.config["PackageType"] == "Image";
        match (asked["ImageUri"].as_str(), asked["ZipFile"].as_str()) {
            (Some(image), None) if is_image => {
                let digest = image.split_once("@sha256:").map(|(_, digest)| digest);
                let digest = digest.ok_or_else(|| Refusal::not_doubled("an image without a digest"))?;
                self.config["CodeSha256"] = digest.into();
                self.code = json!({ "RepositoryType": "ECR", "ImageUri": image, "ResolvedImageUri": image });
            }
            (None, Some(zip)) if !is_image => {
                let bytes = STANDARD.decode(zip).map_err(|_| invalid("Could not unzip uploaded file."))?;
                let hex = Digest::of(&bytes).hex();
                let digest: Vec<u8> =
                    (0..32).filter_map(|at| u8::from_str_radix(hex.get(2 * at..2 * at + 2)?, 16).ok()).collect();
                self.config["CodeSha256"] = STANDARD.encode(digest).into();
                self.config["CodeSize"] = bytes.len().into();
                self.code = json!({ "RepositoryType": "S3", "Location": "https://code.invalid/?signed=never-printed" });
            }
            (Some(_), _) => {
                return Err(invalid("Please don't provide ImageUri when updating a function with packageType Zip."));
            }
            (None, _) if is_image => {
                return Err(invalid("Please provide ImageUri when updating a function with packageType Image."));
            }
            (None, _) => return Err(invalid("Please provide a source for function code.")),
        }
        Ok(())
    }

    /// What makes it another than the version before it.
    fn essence(&self) -> Value {
        let mut essence = self.config.clone();
        if let Some(fields) = essence.as_object_mut() {
            OWN.iter().for_each(|name| drop(fields.remove(*name)));
        }
        essence
    }
}

impl Published {
    fn version(&self, qualifier: Option<&str>) -> Option<&Version> {
        let named = |qualifier: &str| {
            let number = self.aliases.get(qualifier).and_then(|alias| alias["FunctionVersion"].as_str());
            match number.unwrap_or(qualifier) {
                LATEST => Some(&self.latest),
                number => self.versions.get(number.parse::<usize>().ok()?.checked_sub(1)?),
            }
        };
        qualifier.map_or(Some(&self.latest), named)
    }

    fn expect_settled(&self) -> Result<(), Refusal> {
        if self.latest.settles.is_none() {
            return Ok(());
        }
        let arn = &self.arn;
        let message =
            format!("The operation cannot be performed at this time. An update is in progress for resource: {arn}");
        Err(Refusal::new(409, "ResourceConflictException", message))
    }

    fn update(&mut self, asked: &Value, pace: Duration, revision: &Value) -> Result<Value, Refusal> {
        self.expect_settled()?;
        expect_revision(asked, &self.latest.config["RevisionId"])?;
        self.latest.take_on(asked)?;
        let config = &mut self.latest.config;
        config["RevisionId"] = revision.clone();
        config["LastUpdateStatus"] = "InProgress".into();
        config["LastUpdateStatusReason"] = "The function is being created.".into();
        self.latest.settles = Some((Instant::now() + pace, self.rejects.take()));
        Ok(self.latest.config.clone())
    }

    fn publish(&mut self, asked: &Value, pace: Duration, revisions: [Value; 2]) -> Result<Value, Refusal> {
        self.expect_settled()?;
        expect_revision(asked, &self.latest.config["RevisionId"])?;
        let now = &self.latest.config["CodeSha256"];
        if !asked["CodeSha256"].is_null() && asked["CodeSha256"] != *now {
            let asked = &asked["CodeSha256"];
            return Err(invalid(format!(
                "CodeSHA256 ({asked}) is different from current CodeSHA256 in $LATEST ({now}). Please try again with the \
                 CodeSHA256 in $LATEST."
            )));
        }
        if let Some(last) = self.versions.last().filter(|last| last.essence() == self.latest.essence()) {
            return Ok(last.config.clone());
        }
        let [own, latest] = revisions;
        self.latest.config["RevisionId"] = latest;
        let mut version = self.latest.clone();
        let number = (self.versions.len() + 1).to_string();
        version.config["FunctionArn"] = format!("{}:{number}", self.arn).into();
        version.config["Version"] = number.into();
        version.config["RevisionId"] = own;
        version.config["State"] = "Pending".into();
        if asked["Description"].is_string() {
            version.config["Description"] = asked["Description"].clone();
        }
        version.settles = Some((Instant::now() + pace, None));
        self.versions.push(version.clone());
        Ok(version.config)
    }

    fn alias(&self, name: &str) -> Result<&Value, Refusal> {
        let message = format!("Cannot find alias arn: {}:{name}", self.arn);
        self.aliases.get(name).ok_or_else(|| Refusal::new(404, "ResourceNotFoundException", message))
    }

    fn update_alias(&mut self, name: &str, asked: &Value, revision: &Value) -> Result<Value, Refusal> {
        let mut alias = self.alias(name)?.clone();
        expect_revision(asked, &alias["RevisionId"])?;
        if let Some(version) = asked["FunctionVersion"].as_str() {
            if self.version(Some(version)).is_none() {
                let message = format!("Function not found: {}:{version}", self.arn);
                return Err(Refusal::new(404, "ResourceNotFoundException", message));
            }
            alias["FunctionVersion"] = version.into();
        }
        alias["RevisionId"] = revision.clone();
        self.aliases.insert(name.to_owned(), alias.clone());
        Ok(alias)
    }
}

impl Functions {
    fn revision(&mut self) -> Value {
        self.revisions += 1;
        format!("d0b1e111-0000-4000-8000-{:012x}", self.revisions).into()
    }

    fn find(&mut self, arn: &str) -> Option<&mut Published> {
        self.functions.iter_mut().find(|function| function.arn == arn)
    }

    /// A function that is there for long, of which version 1 is published, and an alias names it.
    pub(crate) fn add(&mut self, account: &str, name: &str, config: &Value, code: &Value, alias: &str) -> String {
        let arn = format!("arn:aws:lambda:{REGION}:{account}:function:{name}");
        let mut latest = Version { config: config.clone(), code: Value::Null, settles: None };
        for (field, value) in [
            ("FunctionName", name),
            ("FunctionArn", &arn),
            ("Version", LATEST),
            ("State", "Active"),
            ("LastUpdateStatus", "Successful"),
        ] {
            latest.config[field] = value.into();
        }
        let image = code["ImageUri"].is_string();
        latest.config["PackageType"] = if image { "Image" } else { "Zip" }.into();
        latest.take_on(code).unwrap_or_else(|refusal| panic!("the code is refused: {}", refusal.message));
        latest.config["RevisionId"] = self.revision();
        let mut function =
            Published { arn: arn.clone(), latest, versions: Vec::new(), aliases: BTreeMap::new(), rejects: None };
        let revisions = [self.revision(), self.revision()];
        function.publish(&json!({}), Duration::ZERO, revisions).unwrap_or_else(|refusal| panic!("{}", refusal.message));
        let described = json!({
            "AliasArn": format!("{arn}:{alias}"), "Name": alias, "FunctionVersion": "1", "Description": "",
            "RevisionId": self.revision(),
        });
        function.aliases.insert(alias.to_owned(), described);
        self.functions.retain(|known| known.arn != arn);
        self.functions.push(function);
        arn
    }

    /// Everything of a function, as it is told.
    pub(crate) fn told(&mut self, arn: &str) -> Option<Value> {
        self.settle();
        let function = self.find(arn)?;
        let versions: Vec<_> = function.versions.iter().map(|version| &version.config).collect();
        Some(json!({ "latest": function.latest.config, "versions": versions, "aliases": function.aliases }))
    }

    /// Somebody else changes something: `{"FunctionVersion": …}` or `{"RoutingConfig": …}` of an alias, or anything of the
    /// function's own configuration.
    pub(crate) fn amend(&mut self, arn: &str, alias: Option<&str>, change: &Value) {
        let revision = self.revision();
        let function = self.find(arn).unwrap_or_else(|| panic!("there is no function {arn}"));
        let changed = match alias {
            Some(alias) => function.aliases.get_mut(alias).unwrap_or_else(|| panic!("{arn} has no alias {alias}")),
            None => &mut function.latest.config,
        };
        for (name, value) in change.as_object().into_iter().flatten() {
            changed[name] = value.clone();
        }
        changed["RevisionId"] = revision;
    }

    pub(crate) fn remove_alias(&mut self, arn: &str, alias: &str) {
        self.find(arn).and_then(|function| function.aliases.remove(alias));
    }

    pub(crate) fn reject(&mut self, arn: &str, why: &str) {
        let function = self.find(arn).unwrap_or_else(|| panic!("there is no function {arn}"));
        function.rejects = Some(why.to_owned());
    }

    fn settle(&mut self) {
        let Self { functions, revisions } = self;
        let mut revision = || {
            *revisions += 1;
            Value::from(format!("d0b1e111-0000-4000-8000-{:012x}", *revisions))
        };
        for function in functions {
            function.latest.settle(&mut revision);
            function.versions.iter_mut().for_each(|version| version.settle(&mut revision));
        }
    }
}

impl State {
    /// A call about a function that is never run.
    pub(super) fn published(
        &mut self,
        wanted: &Wanted,
        request: &Request,
        caller: &Caller,
    ) -> Result<Response, Refusal> {
        let Wanted { operation, function, alias } = wanted;
        let asked = request.json();
        let qualifier = request.query().remove("Qualifier");
        let account = caller.account();
        let arn = format!("arn:aws:lambda:{REGION}:{account}:function:{function}");
        let named = qualifier.as_ref().map_or_else(|| arn.clone(), |qualifier| format!("{arn}:{qualifier}"));
        caller
            .may((&format!("lambda:{operation}"), &named, account), &caller.context([]), Guard::None)
            .map_err(|message| Refusal::new(403, "AccessDeniedException", message))?;
        let pace = self.ecs.pace;
        let functions = &mut self.functions;
        functions.settle();
        let revisions = [functions.revision(), functions.revision()];
        let gone = || Refusal::new(404, "ResourceNotFoundException", format!("Function not found: {named}"));
        let found = functions.find(&arn).ok_or_else(gone)?;
        let name = alias.as_deref().unwrap_or_default();
        let (status, body) = match *operation {
            "GetFunction" => {
                let version = found.version(qualifier.as_deref()).ok_or_else(gone)?;
                (200, json!({ "Configuration": version.config, "Code": version.code }))
            }
            "GetFunctionConfiguration" => (200, found.version(qualifier.as_deref()).ok_or_else(gone)?.config.clone()),
            "UpdateFunctionCode" => (200, found.update(&asked, pace, &revisions[0])?),
            "PublishVersion" => (201, found.publish(&asked, pace, revisions)?),
            "GetAlias" => (200, found.alias(name)?.clone()),
            "UpdateAlias" => (200, found.update_alias(name, &asked, &revisions[0])?),
            _ => return Err(Refusal::not_doubled(format!("lambda:{operation}"))),
        };
        Ok(response(status, "application/json", body.to_string()))
    }
}
