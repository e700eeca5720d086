//! Any bytes are a policy that can be written down and read again, or problems that can be shown.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outrigger_config::{Source, kind_of, parse, sidecar};

fuzz_target!(|text: &str| {
    let source = Source { name: "fuzz.yaml".into(), text: text.to_owned(), ..Source::default() };
    let _ = kind_of(text);
    if let Err(problems) = sidecar::parse(&source) {
        assert!(problems.has_errors());
    }
    match parse(vec![source]) {
        Ok(policy) => {
            let text = policy.document.to_string();
            let again = parse(vec![Source { name: "effective".into(), text, ..Source::default() }]);
            assert_eq!(again.map(|again| again.plan), Ok(policy.plan));
        }
        Err(problems) => {
            assert!(problems.has_errors());
            let _ = (problems.to_human(true), problems.to_json(), problems.to_sarif());
        }
    }
});
