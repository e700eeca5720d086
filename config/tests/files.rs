//! From paths to documents.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "what tests share is a test")]

use std::fs;
use std::path::{Path, PathBuf};

use outrigger_config::sidecar::{self, Admin, LogSink};
use outrigger_config::{Kind, LoadError, Source, codes, kind_of, load, validate};
use tempfile::TempDir;

fn dir(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

fn refusal(path: &Path) -> codes::Code {
    match load(path) {
        Err(LoadError::Invalid(problems)) => problems.problems[0].code,
        other => panic!("{other:?}"),
    }
}

fn read(text: &str) -> sidecar::Sidecar {
    let source =
        Source { name: "sidecar.yaml".into(), text: text.into(), dir: PathBuf::from("/etc/outrigger") };
    sidecar::parse(&source).unwrap_or_else(|problems| panic!("{problems}")).0
}

#[test]
fn a_file_that_is_not_there_is_unreadable_and_not_invalid() {
    let dir = dir(&[]);
    let path = dir.path().join("policy.yaml");
    assert!(matches!(load(&path), Err(LoadError::Unreadable { path: at, .. }) if at == path));
    assert!(matches!(validate(&path), Err(LoadError::Unreadable { .. })));
}

#[test]
fn a_directory_without_documents_is_refused() {
    let dir = dir(&[("README.md", "x"), ("policy.yaml.bak", "version: 1"), (".hidden.yaml", "version: 1")]);
    assert_eq!(refusal(dir.path()), codes::NO_FILES);
}

#[test]
fn a_directory_is_read_in_the_order_of_its_names() {
    let routes =
        |name: &str| format!("inbound: {{ routes: [{{ name: {name}, match: {{ path: /{name} }} }}] }}\n");
    let (a, b) = (routes("a"), routes("b"));
    let dir =
        dir(&[("20.yml", &b), ("00.yaml", "version: 1\n"), ("10.yaml", &a), (".30.yaml", "nonsense: 1\n")]);
    let plan = load(dir.path()).unwrap().plan;
    let names: Vec<&str> = plan.inbound.routes.iter().map(|route| route.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "default"]);
}

/// How a ConfigMap is mounted: links into a directory that is exchanged whole.
#[cfg(unix)]
#[test]
fn a_mounted_config_map_is_read_through_its_links() {
    let dir = dir(&[]);
    fs::create_dir(dir.path().join("..2026")).unwrap();
    fs::write(dir.path().join("..2026/policy.yaml"), "version: 1\n").unwrap();
    std::os::unix::fs::symlink("..2026", dir.path().join("..data")).unwrap();
    std::os::unix::fs::symlink("..data/policy.yaml", dir.path().join("policy.yaml")).unwrap();
    assert_eq!(load(dir.path()).unwrap().sources.len(), 1);
}

#[test]
fn a_file_that_never_ends_is_refused() {
    if Path::new("/dev/zero").exists() {
        assert_eq!(refusal(Path::new("/dev/zero")), codes::TOO_LARGE);
    }
}

#[test]
fn the_kinds_of_documents_are_told_apart_by_their_keys() {
    assert_eq!(kind_of("version: 1\nservice: a\n"), Kind::Policy);
    assert_eq!(kind_of("service: a\npolicy: { file: p.yaml }\n"), Kind::Sidecar);
    assert_eq!(kind_of("listen: 127.0.0.1:7400\nstore: {}\n"), Kind::Control);
    assert_eq!(kind_of("admin: {\nlimits: {\n"), Kind::Sidecar, "also if it is not YAML");
    assert_eq!(kind_of(""), Kind::Policy);
}

#[test]
fn a_sidecar_without_keys_of_its_own_is_the_defaults() {
    assert_eq!(read("workers: 1\n"), sidecar::Sidecar::default());
}

#[test]
fn paths_of_a_sidecar_begin_at_its_directory() {
    let read = read(
        "admin: { address: 'unix:run/admin.sock' }\npolicy: { file: ../policy }\ntelemetry: { access_log: { path: access.log, ok_sample: 100% } }\n",
    );
    assert_eq!(read.admin, Admin::Unix("/etc/outrigger/run/admin.sock".into()));
    assert_eq!(read.policy_file, Some("/etc/outrigger/../policy".into()));
    assert_eq!(read.access_log.sink, LogSink::File("/etc/outrigger/access.log".into()));
    assert_eq!(read.access_log.ok_sample_millionths, 1_000_000);
}

#[test]
fn an_outbound_listener_on_the_network_is_taken_with_a_warning() {
    let text = "listeners: { outbound: { address: 0.0.0.0:15001 } }\n";
    let source = Source { name: "sidecar.yaml".into(), text: text.into(), ..Source::default() };
    let (_, warnings) = sidecar::parse(&source).unwrap();
    assert_eq!(warnings.problems[0].code, codes::PORT_OPEN);
}
