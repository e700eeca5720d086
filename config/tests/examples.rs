//! Every example is a policy that holds, says nothing doubtful, and means what it says it means.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "what tests share is a test")]

use std::path::{Path, PathBuf};

use outrigger_config::plan::{Discovery, PathMatch, Protocol};
use outrigger_config::sidecar::{Sidecar, TlsServer};
use outrigger_config::{Kind, Policy, Source, kind_of, load, parse, sidecar, validate};

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

fn policies() -> Vec<(PathBuf, Policy)> {
    let mut found = Vec::new();
    for entry in examples().read_dir().unwrap() {
        let path = entry.unwrap().path();
        if !path.ends_with("sidecar.yaml") {
            let policy = load(&path).unwrap_or_else(|error| panic!("{error}"));
            found.push((path, policy));
        }
    }
    assert!(found.len() >= 8, "{}", found.len());
    found
}

#[test]
fn every_example_holds_without_a_warning() {
    for (path, policy) in policies() {
        assert!(policy.warnings.is_empty(), "{}: {}", path.display(), policy.warnings);
        assert_eq!(validate(&path).unwrap().0, Kind::Policy);
        assert_eq!(policy.plan.inbound.routes.last().unwrap().name, "default");
    }
}

#[test]
fn the_effective_document_of_an_example_is_the_same_policy() {
    for (path, policy) in policies() {
        let text = serde_json::to_string_pretty(&policy.document).unwrap();
        let source = Source { name: "effective".into(), text, ..Source::default() };
        let again = parse(vec![source]).unwrap_or_else(|problems| panic!("{}: {problems}", path.display()));
        assert_eq!(again.plan, policy.plan, "{}", path.display());
        assert_eq!(again.hash, policy.hash);
    }
}

#[test]
fn the_full_example_reads_as_its_comments_say() {
    let plan = load(&examples().join("full.yaml")).unwrap().plan;
    let names: Vec<&str> = plan.inbound.routes.iter().map(|route| route.name.as_str()).collect();
    assert_eq!(names, ["create-order", "orders", "customer", "default"]);
    let limits = |route: usize| plan.inbound.routes[route].policies.rate_limits.len();
    assert_eq!([limits(0), limits(1), limits(2), limits(3)], [2, 1, 1, 0]);
    assert_eq!(plan.inbound.routes[1].policies.rate_limits[0].name, "everything", "inherited");
    assert_eq!(plan.inbound.routes[1].matches.path, PathMatch::Prefix("/v1/orders".into()));
    let inventory = &plan.dependencies[0].upstream;
    assert_eq!(inventory.protocol, Protocol::Auto);
    let tls = inventory.tls.clone().unwrap();
    assert_eq!(tls.ca, Some(examples().join("tls/ca.pem")), "relative to the file that names it");
    assert!(matches!(&plan.dependencies[1].upstream.discovery, Discovery::Dns { port: 9200, .. }));
}

#[test]
fn a_directory_is_one_policy() {
    let policy = load(&examples().join("directory")).unwrap();
    let names: Vec<&str> = policy.plan.inbound.routes.iter().map(|route| route.name.as_str()).collect();
    assert_eq!(names, ["reports", "orders", "default"]);
    assert_eq!(policy.plan.dependencies.len(), 1);
    assert_eq!(policy.sources.len(), 3);
}

#[test]
fn the_sidecar_example_is_the_defaults_written_down() {
    let path = examples().join("sidecar.yaml");
    assert_eq!(kind_of(&std::fs::read_to_string(&path).unwrap()), Kind::Sidecar);
    assert!(validate(&path).unwrap().1.is_empty());
    let mut read = sidecar::load(&path).unwrap();
    let at = |path: &str| examples().join(path);
    let tls = TlsServer {
        cert: at("tls/cert.pem"),
        key: at("tls/key.pem"),
        client_ca: Some(at("tls/ca.pem")),
        client_optional: false,
    };
    assert_eq!(read.inbound.tls.take(), Some(tls));
    let expected = Sidecar {
        service: Some("orders".into()),
        policy_file: Some(at("full.yaml")),
        state_dir: at("./state"),
        ..Sidecar::default()
    };
    assert_eq!(read, expected);
}

/// The blocks of text in the deployment files are documents of ours.
#[test]
fn deployment_files_hold_documents_that_hold() {
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy");
    let mut found = 0;
    for file in ["compose.yaml", "kubernetes.yaml"] {
        let text = std::fs::read_to_string(deploy.join(file)).unwrap();
        for text in blocks(&text) {
            let source = Source { name: file.into(), text, ..Source::default() };
            match kind_of(&source.text) {
                Kind::Policy => drop(parse(vec![source]).unwrap_or_else(|problems| panic!("{problems}"))),
                Kind::Sidecar => {
                    drop(sidecar::parse(&source).unwrap_or_else(|problems| panic!("{problems}")))
                }
                Kind::Control => panic!("{file} holds a control.yaml"),
            }
            found += 1;
        }
    }
    assert_eq!(found, 4);
}

/// What stands under `key: |`, without its indentation.
fn blocks(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut inside = None;
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        if let Some(outer) = inside {
            if indent > outer {
                found.last_mut().unwrap().push_str(&format!("{line}\n"));
                continue;
            }
            inside = None;
        }
        if line.ends_with(": |") {
            inside = Some(indent);
            found.push(String::new());
        }
    }
    found
}
