//! Whatever a document says, reading it ends in a policy or in problems.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "what tests share is a test")]

use std::path::Path;

use outrigger_config::plan::Plan;
use outrigger_config::{Source, kind_of, parse, sidecar};
use proptest::prelude::*;

fn examples() -> Vec<String> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let files = dir.read_dir().unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    let mut texts: Vec<String> = files.map(|path| std::fs::read_to_string(path).unwrap()).collect();
    texts.sort();
    texts
}

/// Reads it as everything it could be; a policy must survive being written down and read again.
fn survives(text: String) {
    let source = Source { name: "made.yaml".into(), text, ..Source::default() };
    let _ = kind_of(&source.text);
    match sidecar::parse(&source) {
        Ok(_) => {}
        Err(problems) => assert!(problems.has_errors() && !problems.to_human(true).is_empty()),
    }
    match parse(vec![source]) {
        Ok(policy) => {
            let text = policy.document.to_string();
            let again = parse(vec![Source { name: "effective".into(), text, ..Source::default() }]);
            assert_eq!(again.map(|again| in_order(again.plan)), Ok(in_order(policy.plan)));
        }
        Err(problems) => assert!(problems.has_errors() && !problems.to_human(false).is_empty()),
    }
}

/// In which order dependencies are written does not matter, and JSON objects have none.
fn in_order(mut plan: Plan) -> Plan {
    plan.dependencies.sort_by(|a, b| a.name.cmp(&b.name));
    plan
}

/// Words that mean something to the language or to YAML.
const WORDS: &[&str] = &[
    "version",
    "inbound",
    "routes",
    "default",
    "match",
    "path_regex",
    "rate_limits",
    "dependencies",
    "null",
    "~",
    "{}",
    "[]",
    "- ",
    ": ",
    "\n",
    "  ",
    "\t",
    "*a",
    "&a",
    "<<",
    "---",
    "...",
    "!!str",
    "'",
    "\"",
    "|",
    ">",
    "#",
    "0s",
    "-1",
    "%",
    "é",
    "\u{202e}",
    "\0",
    "[[[[[[",
    "{{{{{{",
    "? ",
    "1e999",
    "unix:",
    "*.",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_truncated_example_never_panics(which in 0_usize..100, at in 0.0_f64..1.0) {
        let texts = examples();
        let text = &texts[which % texts.len()];
        let end = (0..=(text.len() as f64 * at) as usize).rev().find(|end| text.is_char_boundary(*end)).unwrap();
        survives(text[..end].to_owned());
    }

    #[test]
    fn a_mutated_example_never_panics(
        which in 0_usize..100,
        edits in prop::collection::vec((0.0_f64..1.0, 0_usize..12, prop::sample::select(WORDS)), 1..6),
    ) {
        let texts = examples();
        let mut text: Vec<char> = texts[which % texts.len()].chars().collect();
        for (at, removed, word) in edits {
            let at = (text.len() as f64 * at) as usize;
            let end = (at + removed).min(text.len());
            text.splice(at..end, word.chars());
        }
        survives(text.into_iter().collect());
    }

    #[test]
    fn an_example_with_a_line_gone_or_doubled_never_panics(which in 0_usize..100, line in 0_usize..200, twice: bool) {
        let texts = examples();
        let mut lines: Vec<&str> = texts[which % texts.len()].lines().collect();
        let line = line % lines.len();
        if twice {
            lines.insert(line, lines[line]);
        } else {
            lines.remove(line);
        }
        survives(lines.join("\n"));
    }

    #[test]
    fn any_text_never_panics(text in "\\PC{0,200}") {
        survives(text);
    }
}
