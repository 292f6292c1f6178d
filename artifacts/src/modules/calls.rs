//! From the root module along all calls, and what each has to say in the bundle.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};

use manifest_schema::manifest::FileMode;
use manifest_schema::names::RelativePath;
use policy::configuration::{ConfigFile, ModuleCall, inside, module_calls, with_module_sources};

use super::installed::{self, Record};
use super::package::{Origin, Package};
use super::source::{is_allowed, is_local, is_same, without_credentials};
use super::{DIRECTORY, Rewritten, join, problem};
use crate::error::{ModuleProblem, PackError};
use crate::read::Still;

/// Deepest nesting of modules that is followed; a module that calls itself has none.
const DEEPEST: usize = 32;

/// Where the calls led.
pub(super) struct Followed {
    /// The root module first.
    pub(super) packages: Vec<Package>,
    pub(super) rewritten: BTreeMap<RelativePath, Rewritten>,
}

/// One module: a directory in a package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    package: usize,
    inside: String,
}

/// A file that calls modules.
struct Source {
    name: String,
    bytes: Vec<u8>,
    mode: FileMode,
    calls: Vec<ModuleCall>,
}

/// Follows all calls from the root module in `root`.
pub(super) fn follow(root: &Path) -> Result<Followed, PackError> {
    let base = root.canonicalize().map_err(PackError::read(root))?;
    let first = Package { base, at: String::new(), origin: Origin::Root, called: BTreeSet::new() };
    let mut walk = Walk {
        root,
        installed: installed::read(root)?,
        packages: vec![first],
        fetched: BTreeMap::new(),
        rewritten: BTreeMap::new(),
    };
    let mut open = VecDeque::from([(Vec::new(), Place { package: 0, inside: String::new() })]);
    while let Some((address, place)) = open.pop_front() {
        open.extend(walk.visit(&address, &place)?);
    }
    Ok(Followed { packages: walk.packages, rewritten: walk.rewritten })
}

struct Walk<'a> {
    root: &'a Path,
    installed: BTreeMap<String, Record>,
    packages: Vec<Package>,
    /// What a call of a module that was fetched meant, and under which address. A directory that is called twice is in
    /// the bundle once, so its calls must mean the same both times.
    fetched: BTreeMap<(Place, String), (String, Place)>,
    rewritten: BTreeMap<RelativePath, Rewritten>,
}

impl Walk<'_> {
    /// Looks at one module under one of its addresses; returns the modules that it calls, under theirs.
    fn visit(&mut self, address: &[String], place: &Place) -> Result<Vec<(Vec<String>, Place)>, PackError> {
        if address.len() > DEEPEST {
            return Err(problem(self.root, ModuleProblem::Deep { address: address.join(".") }));
        }
        self.packages[place.package].called.insert(place.inside.clone());
        let mut next = Vec::new();
        for source in sources(&self.packages[place.package].base.join(&place.inside))? {
            let mut replaced = BTreeMap::new();
            for call in &source.calls {
                let Some(asked) = call.source.as_deref() else { continue };
                let address: Vec<String> = address.iter().chain([&call.name]).cloned().collect();
                let (target, stays) = self.target(&address.join("."), place, call, asked)?;
                if !stays {
                    replaced.insert(call.name.clone(), self.path_between(place, &target));
                }
                next.push((address, target));
            }
            if !replaced.is_empty() {
                self.rewrite(place, &source, &replaced)?;
            }
        }
        Ok(next)
    }

    /// The module that a call means, and whether its source may stay as it is.
    fn target(
        &mut self,
        address: &str,
        caller: &Place,
        call: &ModuleCall,
        asked: &str,
    ) -> Result<(Place, bool), PackError> {
        if !is_local(asked) {
            return Ok((self.fetched(address, caller, call, asked)?, false));
        }
        let package = &self.packages[caller.package];
        let missing = || ModuleProblem::Missing { address: address.to_owned(), asked: asked.to_owned() };
        if let Some(inside) = inside(&caller.inside, asked) {
            let is_there = package.base.join(&inside).is_dir();
            let target = Place { package: caller.package, inside };
            return if is_there { Ok((target, true)) } else { Err(problem(self.root, missing())) };
        }
        if matches!(package.origin, Origin::Fetched { .. }) {
            let (address, asked) = (address.to_owned(), asked.to_owned());
            return Err(problem(self.root, ModuleProblem::Escapes { address, asked }));
        }
        let found = package.base.join(&caller.inside).join(asked).canonicalize();
        let found = found.ok().filter(|found| found.is_dir()).ok_or_else(|| problem(self.root, missing()))?;
        Ok((self.outside(address, found), false))
    }

    /// A local module that its caller's package doesn't hold.
    fn outside(&mut self, address: &str, directory: PathBuf) -> Place {
        let known = self.packages.iter().enumerate().find_map(|(index, package)| {
            let inside = directory.strip_prefix(&package.base).ok()?.to_str()?;
            (!matches!(package.origin, Origin::Fetched { .. }))
                .then(|| Place { package: index, inside: inside.to_owned() })
        });
        known.unwrap_or_else(|| self.add(address, directory, Origin::Local, String::new()))
    }

    /// The module that a call of anything but a path means.
    fn fetched(&mut self, address: &str, caller: &Place, call: &ModuleCall, asked: &str) -> Result<Place, PackError> {
        let record = self.record(address, call, asked).map_err(|source| problem(self.root, source))?;
        let origin = Origin::Fetched { source: record.source.clone(), version: record.version.clone() };
        let (base, inside) = record.package(self.root);
        let key = (caller.clone(), call.name.clone());
        if let Some((first, place)) = self.fetched.get(&key) {
            let (first, second) = (first.clone(), address.to_owned());
            let is_same = self.packages[place.package].origin == origin;
            let differs = || problem(self.root, ModuleProblem::Ambiguous { first, second });
            return is_same.then(|| place.clone()).ok_or_else(differs);
        }
        let base = base.canonicalize().map_err(PackError::read(&base))?;
        let place = self.add(address, base, origin, inside);
        self.fetched.insert(key, (address.to_owned(), place.clone()));
        Ok(place)
    }

    /// What was fetched for a call, if it is what the call asks for.
    fn record(&self, address: &str, call: &ModuleCall, asked: &str) -> Result<Record, ModuleProblem> {
        let (address, told) = (address.to_owned(), without_credentials(asked));
        let there = self.installed.get(&address).filter(|record| record.package(self.root).0.is_dir());
        let Some(record) = there else { return Err(ModuleProblem::NotFetched { address, asked: told }) };
        let version = record.version.as_deref().unwrap_or_default();
        let wanted = call.version.as_deref().filter(|wanted| !is_allowed(wanted, version));
        if wanted.is_none() && is_same(asked, &record.source) {
            return Ok(record.clone());
        }
        let asked = format!("{told} {}", wanted.unwrap_or_default()).trim_end().to_owned();
        let fetched = format!("{} {version}", without_credentials(&record.source)).trim_end().to_owned();
        Err(ModuleProblem::Stale { address, asked, fetched })
    }

    fn add(&mut self, address: &str, base: PathBuf, origin: Origin, inside: String) -> Place {
        let at = join(&[DIRECTORY, address]);
        self.packages.push(Package { base, at, origin, called: BTreeSet::new() });
        Place { package: self.packages.len() - 1, inside }
    }

    /// Where a module is in the bundle.
    fn directory(&self, place: &Place) -> String {
        join(&[&self.packages[place.package].at, &place.inside])
    }

    /// A path as Terraform takes it for a local module.
    fn path_between(&self, from: &Place, to: &Place) -> String {
        let (from, to) = (self.directory(from), self.directory(to));
        let parts =
            |path: &'_ str| path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect::<Vec<_>>();
        let (from, to) = (parts(&from), parts(&to));
        let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
        let up = "../".repeat(from.len() - common);
        let start = if up.is_empty() { "./" } else { &up };
        format!("{start}{}", to[common..].join("/"))
    }

    fn rewrite(
        &mut self,
        place: &Place,
        source: &Source,
        replaced: &BTreeMap<String, String>,
    ) -> Result<(), PackError> {
        let path = join(&[&self.directory(place), &source.name]);
        let file = ConfigFile { path: &path, bytes: &source.bytes };
        let text = with_module_sources(&file, replaced)
            .map_err(|found| problem(self.root, ModuleProblem::Odd(found.to_string())))?;
        let inside = RelativePath::new(path).map_err(PackError::name(self.root))?;
        self.rewritten.insert(inside, Rewritten { mode: source.mode, bytes: text.into_bytes() });
        Ok(())
    }
}

/// The files of a module that call others. What can't be parsed calls nothing here: a worker refuses it.
fn sources(directory: &Path) -> Result<Vec<Source>, PackError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).map_err(PackError::read(directory))? {
        let entry = entry.map_err(PackError::read(directory))?;
        let name = entry.file_name().into_string().unwrap_or_default();
        let is_configuration = name.ends_with(".tf") || name.ends_with(".tf.json");
        let is_file = entry.file_type().map_err(PackError::read(directory))?.is_file();
        if is_configuration && is_file && !name.starts_with('.') {
            names.push(name);
        }
    }
    names.sort();
    let mut sources = Vec::new();
    for name in names {
        let path = directory.join(&name);
        let still = Still::open(&path)?;
        let (mode, mut bytes) = (still.mode(), Vec::new());
        still.read(&|_| (), |piece| bytes.extend_from_slice(piece))?;
        let calls = module_calls(&ConfigFile { path: &name, bytes: &bytes }).unwrap_or_default();
        if !calls.is_empty() {
            sources.push(Source { name, bytes, mode, calls });
        }
    }
    Ok(sources)
}
