//! Where the documents lead: every link to a file that is there, every anchor to a heading of that
//! file, and each language to documents of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use super::markdown::{self, Block};
use super::{PAIRS, read};
use crate::support::files_below;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every document of the repository, by its path from the root.
fn documents() -> BTreeMap<PathBuf, String> {
    let mut paths = files_below("docs", "md");
    for entry in fs::read_dir(root()).unwrap() {
        let path = PathBuf::from(entry.unwrap().file_name());
        if path.extension().is_some_and(|found| found == "md") {
            paths.push(path);
        }
    }
    let with_text = |path: PathBuf| {
        let text = read(path.to_str().unwrap());
        (path, text)
    };
    paths.into_iter().map(with_text).collect()
}

/// Where the links of a document lead, as they are written. Addresses on other hosts are left out.
fn links(document: &str) -> Vec<String> {
    let mut is_code = false;
    let mut found = Vec::new();
    for line in document.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if !is_code {
            let plain: String = line.split('`').step_by(2).collect();
            let leads = plain.split("](").skip(1);
            let leads = leads.filter_map(|rest| rest.split(')').next());
            found.extend(leads.filter(|link| !link.contains(':')).map(str::to_owned));
        }
    }
    found
}

/// The anchor that GitHub makes of a heading, before those of several alike are numbered.
fn slug(heading: &str) -> String {
    let letters = heading.chars().flat_map(char::to_lowercase);
    let kept = letters.filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// The anchors of all headings of a document: the second of several alike ends in `-1`.
fn anchors(document: &str) -> BTreeSet<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut anchors = BTreeSet::new();
    for block in markdown::blocks(document) {
        if let Block::Heading(text) = block {
            let slug = slug(&text);
            let before = seen.entry(slug.clone()).or_default();
            anchors.insert(match *before {
                0 => slug,
                number => format!("{slug}-{number}"),
            });
            *before += 1;
        }
    }
    anchors
}

/// The file that a link of a document leads to, from the root, and the anchor, which may be empty.
fn target<'a>(document: &Path, link: &'a str) -> (PathBuf, &'a str) {
    let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
    if file.is_empty() {
        return (document.to_owned(), anchor);
    }
    let mut path = document.parent().unwrap().to_owned();
    for part in Path::new(file).components() {
        match part {
            Component::ParentDir => assert!(path.pop(), "{link} leads out of the repository"),
            other => path.push(other),
        }
    }
    (path, anchor)
}

#[test]
fn every_link_leads_to_a_file_and_every_anchor_to_a_heading() {
    let documents = documents();
    let headings: BTreeMap<&Path, BTreeSet<String>> = documents
        .iter()
        .map(|(path, text)| (path.as_path(), anchors(text)))
        .collect();
    let (mut count, mut broken) = (0, Vec::new());
    for (document, text) in &documents {
        for link in links(text) {
            count += 1;
            let (file, anchor) = target(document, &link);
            let known = headings.get(file.as_path());
            let has_anchor = anchor.is_empty() || known.is_some_and(|all| all.contains(anchor));
            if !root().join(&file).exists() || !has_anchor {
                broken.push(format!("{}: {link}", document.display()));
            }
        }
    }
    assert!(count > 200, "{count} links");
    assert_eq!(broken, Vec::<String>::new());
}

#[test]
fn each_language_leads_to_its_own_documents() {
    let documents = documents();
    // A document of one language with that of the other.
    let other: BTreeMap<&Path, &Path> = PAIRS
        .iter()
        .flat_map(|&(english, chinese)| [(english, chinese), (chinese, english)])
        .map(|(one, other)| (Path::new(one), Path::new(other)))
        .collect();
    let chinese: BTreeSet<&Path> = PAIRS
        .iter()
        .map(|&(_, chinese)| Path::new(chinese))
        .collect();
    for (&document, &translated) in &other {
        let leads = links(&documents[document]);
        let leads = leads.iter().map(|link| (link, target(document, link).0));
        for (link, file) in leads.filter(|(_, file)| file != translated) {
            let is_ours = !other.contains_key(file.as_path())
                || chinese.contains(document) == chinese.contains(file.as_path());
            assert!(is_ours, "{}: {link}", document.display());
        }
    }
}

#[test]
fn anchors_are_those_of_github() {
    for (heading, expected) in [
        ("Build and test", "build-and-test"),
        (
            "`GET /people/{identity_id}` · read",
            "get-peopleidentity_id--read",
        ),
        ("3. Serve, on port 443", "3-serve-on-port-443"),
        ("Time-outs, and a_name", "time-outs-and-a_name"),
        ("3. 启动服务，走 443 端口", "3-启动服务走-443-端口"),
        ("demo 演示了什么？", "demo-演示了什么"),
    ] {
        assert_eq!(slug(heading), expected);
    }
    let found = anchors("# A\n\n## B\n\n```sh\n# no heading\n```\n\n## B\n\n### B\n");
    let expected = ["a", "b", "b-1", "b-2"].map(str::to_owned);
    assert_eq!(found, BTreeSet::from(expected));
}

#[test]
fn links_are_read_outside_of_code() {
    let document =
        "[a](b.md#c) and [`d`](#e), `[f](g)`, [h](https://example.com)\n\n```\n[i](j)\n```\n";
    assert_eq!(links(document), ["b.md#c", "#e"]);
    let from = Path::new("docs/zh-CN/api.md");
    assert_eq!(target(from, "#e"), (from.to_owned(), "e"));
    let (file, anchor) = target(from, "../../SECURITY.zh-CN.md");
    assert_eq!((file.to_str(), anchor), (Some("SECURITY.zh-CN.md"), ""));
}
