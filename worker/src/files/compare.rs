//! What a place would have to change to hold a build's files. Pure.

use std::collections::BTreeMap;

use manifest_schema::Digest;
use manifest_schema::manifest::{FileEntry, FilesStep, Headers};
use manifest_schema::plan::{FilesChange, Keys};

use super::Present;

/// What an object is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted<'a> {
    pub(super) file: &'a FileEntry,
    pub(super) headers: Headers,
}

/// What an object is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// SHA-256 of its bytes; `None` where nobody knows it, as of what others put there.
    pub(super) digest: Option<Digest>,
    /// `None` where no headers are kept.
    pub(super) headers: Option<Headers>,
    /// Whether it has one that no step sets: `Expires`, or the redirect of a bucket that is a website.
    pub(super) has_others: bool,
    /// Whether a deploy of this project put it there.
    pub(super) ours: bool,
    /// Which state of the object this is.
    pub(super) tag: String,
}

/// An object to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Put<'a> {
    pub(super) key: String,
    pub(super) wanted: Wanted<'a>,
    /// What it replaces.
    pub(super) over: Option<Found>,
}

/// An object to be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Delete {
    pub(super) key: String,
    pub(super) found: Found,
}

/// Everything that would change in one place; sorted by key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Differences<'a> {
    /// Whether there is no such bucket.
    pub(super) missing: bool,
    pub(super) puts: Vec<Put<'a>>,
    pub(super) deletes: Vec<Delete>,
}

impl Wanted<'_> {
    /// Whether it is a page, which may name other files.
    pub(super) fn is_page(&self) -> bool {
        self.headers.content_type.as_deref().is_some_and(|said| said.starts_with("text/html"))
    }

    /// Whether an object is as it is to be.
    pub(super) fn is(&self, found: &Found) -> bool {
        let served = found.headers.as_ref().is_none_or(|headers| *headers == self.headers);
        found.ours && served && !found.has_others && found.digest == Some(self.file.digest)
    }
}

/// What a step wants each object to be, by key. Where no rule says a type, the file's name does; text is UTF-8.
pub(super) fn wanted<'a>(step: &FilesStep, files: &'a [FileEntry]) -> BTreeMap<String, Wanted<'a>> {
    let object = |file: &'a FileEntry| {
        let mut headers = step.headers_of(&file.path);
        headers.content_type.get_or_insert_with(|| {
            let guessed = mime_guess::from_path(file.path.as_str()).first_or_octet_stream();
            let charset = if guessed.type_() == mime_guess::mime::TEXT { "; charset=utf-8" } else { "" };
            format!("{}{charset}", guessed.essence_str())
        });
        (step.key(&file.path), Wanted { file, headers })
    };
    files.iter().map(object).collect()
}

/// Compares. What is there and isn't wanted counts only if it is to be deleted.
pub(super) fn differences(wanted: BTreeMap<String, Wanted<'_>>, present: Present, delete: bool) -> Differences<'_> {
    let missing = present.is_none();
    let mut present = present.unwrap_or_default();
    let mut puts = Vec::new();
    for (key, wanted) in wanted {
        let over = present.remove(&key);
        if !over.as_ref().is_some_and(|found| wanted.is(found)) {
            puts.push(Put { key, wanted, over });
        }
    }
    let extra = if delete { present } else { BTreeMap::new() };
    let deletes = extra.into_iter().map(|(key, found)| Delete { key, found }).collect();
    Differences { missing, puts, deletes }
}

impl Differences<'_> {
    /// What people are shown of it.
    pub(super) fn change(&self, step: &FilesStep) -> FilesChange {
        let key = |put: &&Put<'_>| put.over.is_none();
        let (added, changed): (Vec<_>, Vec<_>) = self.puts.iter().partition(key);
        let gone = changed.iter().filter_map(|put| Some((&put.key, put.over.as_ref()?)));
        let gone = gone.chain(self.deletes.iter().map(|delete| (&delete.key, &delete.found)));
        let gone: BTreeMap<&str, &Found> = gone.map(|(key, found)| (key.as_str(), found)).collect();
        let foreign = gone.iter().filter(|(_, found)| !found.ours).map(|(key, _)| *key);
        FilesChange {
            bucket: step.bucket.clone(),
            prefix: step.prefix.clone(),
            missing: self.missing,
            added: Keys::of(added.iter().map(|put| put.key.as_str())),
            changed: Keys::of(changed.iter().map(|put| put.key.as_str())),
            deleted: Keys::of(self.deletes.iter().map(|delete| delete.key.as_str())),
            before: before(&gone),
            foreign: Keys::of(foreign),
        }
    }
}

/// The state of what would be changed or deleted, for comparing.
fn before(gone: &BTreeMap<&str, &Found>) -> Option<Digest> {
    let lines = gone.iter().map(|(key, found)| format!("{key}\n{}\n{}\n", found.tag, found.ours));
    (!gone.is_empty()).then(|| Digest::of(lines.collect::<String>().as_bytes()))
}

#[cfg(test)]
mod tests {
    use manifest_schema::manifest::FileMode;
    use manifest_schema::names::RelativePath;

    use super::*;

    fn step() -> FilesStep {
        let step = serde_json::json!({
            "artifact": "site", "bucket": "hello-site", "prefix": "v1",
            "headers": [{"path": "*.css", "cacheControl": "immutable"}, {"path": "*.bin", "contentType": "a/b"}],
        });
        serde_json::from_value(step).unwrap()
    }

    fn file(path: &str, text: &str) -> FileEntry {
        let (path, digest) = (RelativePath::new(path).unwrap(), Digest::of(text.as_bytes()));
        FileEntry { path, mode: FileMode::Regular, digest, size: text.len() as u64 }
    }

    #[test]
    fn a_type_is_what_a_rule_or_the_name_says() {
        let files = ["a.html", "b.css", "c.js", "d.svg", "e.bin", "f", "g.json", "h.WOFF2"].map(|path| file(path, ""));
        let wanted = wanted(&step(), &files);
        let types: Vec<_> =
            wanted.iter().map(|(key, w)| (&**key, w.headers.content_type.as_deref().unwrap())).collect();
        assert_eq!(
            types,
            [
                ("v1/a.html", "text/html; charset=utf-8"),
                ("v1/b.css", "text/css; charset=utf-8"),
                ("v1/c.js", "text/javascript; charset=utf-8"),
                ("v1/d.svg", "image/svg+xml"),
                ("v1/e.bin", "a/b"),
                ("v1/f", "application/octet-stream"),
                ("v1/g.json", "application/json"),
                ("v1/h.WOFF2", "font/woff2"),
            ]
        );
        let pages: Vec<_> = wanted.iter().filter(|(_, wanted)| wanted.is_page()).map(|(key, _)| key.as_str()).collect();
        assert_eq!(pages, ["v1/a.html"]);
    }

    #[test]
    fn only_the_same_bytes_with_the_same_headers_that_are_ours_stay() {
        let files = [file("a.css", "a")];
        let same = Found {
            digest: Some(Digest::of(b"a")),
            headers: Some(wanted(&step(), &files)["v1/a.css"].headers.clone()),
            has_others: false,
            ours: true,
            tag: "1".to_owned(),
        };
        let with = |edit: &dyn Fn(&mut Found)| {
            let mut found = same.clone();
            edit(&mut found);
            Some(found)
        };
        for (case, found, (added, changed, foreign)) in [
            ("not there", None, (1, 0, 0)),
            ("as it is to be", with(&|_| ()), (0, 0, 0)),
            ("in a directory", with(&|found| found.headers = None), (0, 0, 0)),
            ("other bytes", with(&|found| found.digest = Some(Digest::of(b"b"))), (0, 1, 0)),
            ("unknown bytes", with(&|found| found.digest = None), (0, 1, 0)),
            ("other headers", with(&|found| found.headers = Some(Headers::default())), (0, 1, 0)),
            ("headers of its own", with(&|found| found.has_others = true), (0, 1, 0)),
            ("another's", with(&|found| found.ours = false), (0, 1, 1)),
        ] {
            let present = found.map(|found| ("v1/a.css".to_owned(), found)).into_iter().collect();
            let change = differences(wanted(&step(), &files), Some(present), true).change(&step());
            assert_eq!(
                (change.added.count, change.changed.count, change.foreign.count),
                (added, changed, foreign),
                "{case}"
            );
            assert_eq!((change.changes(), change.missing), (added + changed > 0, false), "{case}");
        }
    }

    #[test]
    fn what_the_build_has_not_goes_only_if_the_step_says_so() {
        let found = |ours| Found { digest: None, headers: None, has_others: false, ours, tag: "1".to_owned() };
        let present: BTreeMap<_, _> =
            [("v1/x".to_owned(), found(true)), ("v1/y".to_owned(), found(false))].into_iter().collect();
        for (delete, deleted, foreign) in [(false, &[][..], &[][..]), (true, &["v1/x", "v1/y"], &["v1/y"])] {
            let change = differences(BTreeMap::new(), Some(present.clone()), delete).change(&step());
            assert_eq!(
                (&*change.deleted.first, &*change.foreign.first),
                (
                    &deleted.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>()[..],
                    &foreign.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>()[..]
                )
            );
        }
        assert!(differences(BTreeMap::new(), None, true).missing);
    }

    #[test]
    fn the_state_of_what_goes_is_agreed_to() {
        let state = |tag: &str, ours| {
            let found = Found { digest: None, headers: None, has_others: false, ours, tag: tag.to_owned() };
            let present = [("v1/x".to_owned(), found)].into_iter().collect();
            differences(BTreeMap::new(), Some(present), true).change(&step()).before
        };
        assert_eq!(state("1", true), Some(Digest::of(b"v1/x\n1\ntrue\n")));
        assert!(state("1", true) != state("2", true) && state("1", true) != state("1", false));
        assert_eq!(differences(BTreeMap::new(), None, true).change(&step()).before, None);
    }
}
