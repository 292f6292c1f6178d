use super::*;
use crate::manifest::tests::{file, link};

#[test]
fn a_tree_digest_covers_everything_about_files_and_links() {
    let base = vec![file("a", "1"), file("c", "2")];
    let links = vec![link("b", "a")];
    let changed = |change: fn(&mut FileEntry)| {
        let mut files = base.clone();
        change(&mut files[0]);
        tree_digest(&files, &links)
    };
    let mut digests = vec![
        tree_digest(&base, &links),
        tree_digest(&base, &[]),
        tree_digest(&base, &[link("b", "c")]),
        tree_digest(&base, &[link("d", "a")]),
        tree_digest(&base[..1], &[]),
        tree_digest(&[], &[]),
        changed(|file| file.path = RelativePath::new("aa").unwrap()),
        changed(|file| file.mode = FileMode::Executable),
        changed(|file| file.size += 1),
        changed(|file| file.digest = Digest::of(b"other")),
    ];
    digests.sort_unstable();
    digests.dedup();
    assert_eq!(digests.len(), 10);
    let lines = [
        format!("0644 1 {} a\n", Digest::of(b"1").hex()),
        format!("120000 1 {} b\n", Digest::of(b"a").hex()),
        format!("0644 1 {} c\n", Digest::of(b"2").hex()),
    ];
    assert_eq!(tree_digest(&base, &links), Digest::of(lines.concat().as_bytes()));
    assert_eq!(tree_digest(&base[..1], &links), Digest::of(lines[..2].concat().as_bytes()));
}

#[test]
fn links_that_stay_inside_are_taken() {
    let files = [file("bin/run", ""), file("releases/1/app", ""), file("top", "")];
    for (path, target) in [
        ("bin/again", "run"),
        ("bin/dot", "./run"),
        ("current", "releases/1"),
        ("bin/up", "../top"),
        ("bin/back", "../bin/../top"),
        ("releases/here", "."),
        ("releases/1/root", "../.."),
        ("to-parent", "releases/1/.."),
    ] {
        assert_eq!(check_tree(&files, &[link(path, target)]), Ok(()), "{path} -> {target}");
    }
    let chain = [link("a", "b"), link("b", "current/app"), link("current", "releases/1")];
    assert_eq!(check_tree(&files, &chain), Ok(()));
}

#[test]
fn links_that_lead_out_or_nowhere_are_refused() {
    let files = [file("a/file", ""), file("b/deep/file", ""), file("top", "")];
    let out = |path: &str, target: &str| TreeProblem::LinkOut { path: path.to_owned(), target: target.to_owned() };
    let nowhere =
        |path: &str, target: &str| TreeProblem::LinkNowhere { path: path.to_owned(), target: target.to_owned() };
    let cases: &[(&str, Vec<LinkEntry>, TreeProblem)] = &[
        ("out of the root", vec![link("l", "..")], out("l", "..")),
        ("out and in again", vec![link("a/l", "../../x/top")], out("a/l", "../../x/top")),
        ("deep out", vec![link("a/l", "../b/../../x")], out("a/l", "../b/../../x")),
        // By text alone, a/l/../.. would be the root.
        (
            "out by way of another link",
            vec![link("a/l", "../b"), link("l", "a/l/../../top")],
            out("l", "a/l/../../top"),
        ),
        ("dangling", vec![link("l", "gone")], nowhere("l", "gone")),
        ("to a directory without files", vec![link("l", "a/empty")], nowhere("l", "a/empty")),
        ("through a file", vec![link("l", "top/x")], nowhere("l", "top/x")),
        ("through a file and back", vec![link("l", "top/../a")], nowhere("l", "top/../a")),
        ("to itself", vec![link("l", "l")], nowhere("l", "l")),
        ("in a circle", vec![link("l", "m"), link("m", "l")], nowhere("l", "m")),
    ];
    for (case, links, expected) in cases {
        assert_eq!(check_tree(&files, links).as_ref(), Err(expected), "{case}");
    }
    let long: Vec<LinkEntry> = (100..=140)
        .map(|n| link(&format!("l{n}"), &if n == 140 { "top".into() } else { format!("l{}", n + 1) }))
        .collect();
    assert_eq!(check_tree(&files, &long[1..]), Ok(()), "40 links are followed");
    assert_eq!(check_tree(&files, &long), Err(nowhere("l100", "l101")), "41 are not");
}

#[test]
fn a_link_takes_its_path_like_a_file() {
    let files = [file("a/file", ""), file("b", "")];
    let both = |path: &str| Err(TreeProblem::FileAndDirectory(path.to_owned()));
    for (case, links, expected) in [
        ("unsorted", vec![link("d", "b"), link("c", "b")], Err(TreeProblem::Order("c".to_owned()))),
        ("twice", vec![link("c", "b"), link("c", "b")], Err(TreeProblem::Order("c".to_owned()))),
        ("where a file is", vec![link("b", "a")], Err(TreeProblem::Case("b".to_owned()))),
        ("in another case", vec![link("B", "a")], Err(TreeProblem::Case("b".to_owned()))),
        ("where a directory is", vec![link("a", "b")], both("a")),
        ("below a link", vec![link("c", "a"), link("c/d", "b")], both("c")),
        ("below a file", vec![link("b/c", "a")], both("b")),
    ] {
        assert_eq!(check_tree(&files, &links), expected, "{case}");
    }
}

/// `a-b` sorts between `a` and `a/b`: what is above a path need not be just before it.
#[test]
fn a_file_above_another_is_found_wherever_it_sorts() {
    let both = |path: &str| Err(TreeProblem::FileAndDirectory(path.to_owned()));
    for (paths, expected) in [
        (&["a", "a-b", "a/b"][..], both("a")),
        (&["a", "a-b/c", "a/b", "a/c"], both("a")),
        (&["a-b", "a/b", "a/b-c/d", "a/b/c"], both("a/b")),
        (&["a-b", "a/b", "a/bc/d"], Ok(())),
        (&["ab/c", "ab/cd/e", "abc"], Ok(())),
    ] {
        let files: Vec<FileEntry> = paths.iter().map(|path| file(path, "")).collect();
        assert_eq!(check_tree(&files, &[]), expected, "{paths:?}");
    }
}
