//! The policies that the documentation shows are policies.
#![allow(clippy::unwrap_used, clippy::panic, reason = "what tests share is a test")]

use std::path::Path;

use outrigger_config::{Source, parse};

/// What stands between the fences of `kind`.
fn fenced(text: &str, kind: &str) -> Vec<String> {
    let open = format!("```{kind}\n");
    text.split(&open).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

#[test]
fn every_policy_in_the_readme_holds_without_a_warning() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("README.md");
    let policies = fenced(&std::fs::read_to_string(readme).unwrap(), "yaml");
    assert!(policies.len() >= 3, "{}", policies.len());
    for text in policies {
        let source = Source { name: "README.md".into(), text: text.clone(), ..Source::default() };
        let policy = parse(vec![source]).unwrap_or_else(|problems| panic!("{problems}\n{text}"));
        assert!(policy.warnings.is_empty(), "{}\n{text}", policy.warnings);
    }
}

#[test]
fn the_readme_names_whatever_is_refused_as_not_in_this_version() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.with_file_name("README.md")).unwrap();
    let section =
        readme.split("## What is not in this version").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut found = 0;
    for entry in root.join("tests/zoo").read_dir().unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "expected") {
            for key in refused(&std::fs::read_to_string(&path).unwrap()) {
                assert!(section.contains(&key), "`{key}`, of {}", path.display());
                found += 1;
            }
        }
    }
    assert!(found >= 25, "{found}");
}

/// The keys that a report calls not in this version.
fn refused(report: &str) -> Vec<String> {
    let before =
        report.lines().filter_map(|line| line.split_once("` is not in this version")).map(|(line, _)| line);
    before.filter_map(|line| line.rsplit_once('`')).map(|(_, key)| key.to_owned()).collect()
}
