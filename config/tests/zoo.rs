//! A zoo of bad documents. Each has its exact report beside it, none panics, none is taken.
//!
//! `UPDATE_GOLDEN=1 cargo test -p outrigger-config --test zoo` writes the reports anew; read the difference.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "what tests share is a test")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use outrigger_config::{Diagnostics, LoadError, Severity, Source, codes, parse, validate};

fn zoo() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/zoo");
    let mut found: Vec<PathBuf> = dir.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.is_dir() || path.extension().is_some_and(|extension| extension == "yaml"));
    found.sort();
    found
}

fn report(path: &Path) -> Diagnostics {
    match validate(path) {
        Err(LoadError::Invalid(problems)) => problems,
        Err(error) => panic!("{}: {error}", path.display()),
        Ok(_) => panic!("{} is taken", path.display()),
    }
}

fn written(problems: &Diagnostics) -> String {
    let mut out = String::new();
    for problem in &problems.problems {
        let file = Path::new(&problem.file).file_name().unwrap().to_str().unwrap();
        let dir = format!("{}/tests/zoo/", env!("CARGO_MANIFEST_DIR"));
        let (severity, code, message) = (problem.severity.name(), problem.code, &problem.message);
        writeln!(out, "{file}:{}:{}: {severity}[{code}]: {message}", problem.line, problem.column).unwrap();
        if !problem.path.is_empty() {
            writeln!(out, "    at: {}", problem.path).unwrap();
        }
        if let Some(hint) = &problem.hint {
            writeln!(out, "    hint: {hint}").unwrap();
        }
        out = out.replace(&dir, "");
    }
    out
}

#[test]
fn every_bad_document_is_refused_with_its_report() {
    let mut wrong = Vec::new();
    let zoo = zoo();
    assert!(zoo.len() >= 110, "{}", zoo.len());
    for path in zoo {
        if validate(&path).is_ok() {
            wrong.push(format!("{} is taken", path.display()));
            continue;
        }
        let problems = report(&path);
        assert!(problems.has_errors(), "{}", path.display());
        let found = written(&problems);
        let golden = path.with_extension("expected");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&golden, &found).unwrap();
        } else if std::fs::read_to_string(&golden).unwrap_or_default() != found {
            wrong.push(format!("{}\n{found}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_problem_has_a_place_in_its_text() {
    for path in zoo().into_iter().filter(|path| path.is_file()) {
        let bytes = std::fs::read(&path).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        for problem in report(&path).problems {
            let lines = text.lines().count().max(1) + 1;
            assert!(problem.line >= 1 && problem.column >= 1, "{}", path.display());
            assert!(problem.line as usize <= lines, "{}: {}", path.display(), problem.message);
            assert!(codes::ALL.contains(&problem.code));
        }
    }
}

#[test]
fn every_report_can_be_rendered_for_everyone() {
    for path in zoo() {
        let problems = report(&path);
        let plain = problems.to_human(false);
        assert!(!plain.contains('\u{1b}') && !plain.contains('\u{202e}'), "{}", path.display());
        assert!(problems.to_human(true).contains("\u{1b}[1;3"));
        assert_eq!(problems.to_json()["problems"].as_array().unwrap().len(), problems.problems.len());
        assert_eq!(
            problems.to_sarif()["runs"][0]["results"].as_array().unwrap().len(),
            problems.problems.len()
        );
    }
}

fn refusal(text: String) -> Diagnostics {
    parse(vec![Source { name: "made.yaml".into(), text, ..Source::default() }]).unwrap_err()
}

#[test]
fn refuses_a_document_beyond_four_mebibytes() {
    let problems = refusal(format!("version: 1\n#{}\n", "x".repeat(4 << 20)));
    assert_eq!(problems.problems[0].code, codes::TOO_LARGE);
}

#[test]
fn refuses_a_document_of_too_many_values() {
    let problems = refusal(format!("version: 1\nservice: [{}]\n", "a,".repeat(600_000)));
    assert_eq!(problems.problems[0].code, codes::TOO_MANY_VALUES);
}

#[test]
fn refuses_more_regular_expressions_than_memory_allows() {
    let mut text = "version: 1\ninbound:\n  routes:\n".to_owned();
    for index in 0..4100 {
        writeln!(text, "    - {{ name: r{index}, match: {{ path_regex: '/{index}' }} }}").unwrap();
    }
    let problems = refusal(text);
    assert_eq!(problems.problems.len(), 1);
    assert_eq!((problems.problems[0].code, problems.problems[0].line), (codes::REGEX, 4100));
}

/// What is compared with everything before it is bounded, so that no document takes minutes.
#[test]
fn refuses_lists_that_would_take_for_ever_to_check() {
    for (key, item) in [("methods", "M"), ("hosts", "h.x"), ("headers", "x-"), ("query", "q")] {
        let fields = matches!(key, "headers" | "query");
        let (open, close, value) = if fields { ("{", "}", ": v") } else { ("[", "]", "") };
        let mut list = String::new();
        for index in 0..100_000 {
            write!(list, "{item}{index}{value}, ").unwrap();
        }
        let matches = format!("{{ {key}: {open}{list}{close} }}");
        let problems =
            refusal(format!("version: 1\ninbound: {{ routes: [{{ name: a, match: {matches} }}] }}\n"));
        assert_eq!((problems.problems.len(), problems.problems[0].code), (1, codes::RANGE), "{key}");
    }
}

#[test]
fn refuses_lists_of_filters_that_would_take_for_ever_to_check() {
    let mut key = String::new();
    for index in 0..100_000 {
        write!(key, "{{ header: x-{index} }}, ").unwrap();
    }
    let limit = format!("{{ name: l, rate: 1/s, key: [{key}] }}");
    let problems = refusal(format!("version: 1\ninbound: {{ defaults: {{ rate_limits: [{limit}] }} }}\n"));
    assert_eq!((problems.problems.len(), problems.problems[0].code), (1, codes::RANGE));
    assert_eq!(problems.problems[0].path, "inbound.defaults.rate_limits[0].key");
}

#[test]
fn stops_after_a_hundred_problems_and_says_so() {
    let mut text = "version: 1\ninbound:\n  routes:\n".to_owned();
    for index in 0..10_000 {
        writeln!(text, "    - {{ name: r{index}, timeouts: {{ total: {index} }} }}").unwrap();
    }
    let problems = refusal(text).problems;
    assert_eq!(problems.len(), 101);
    assert_eq!(problems[100].code, codes::TOO_MANY_PROBLEMS);
    assert!(problems.iter().all(|problem| problem.severity == Severity::Error));
}
