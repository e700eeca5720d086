//! SARIF 2.1.0: the log format of static analysis (OASIS, 2020).

use serde_json::{Value, json};

use crate::codes::Code;
use crate::diagnostics::{Diagnostics, Problem};

/// One run with the rules that were broken.
pub(super) fn render(diagnostics: &Diagnostics) -> Value {
    let mut rules: Vec<Code> = diagnostics.problems.iter().map(|problem| problem.code).collect();
    rules.sort_unstable();
    rules.dedup();
    let result = |problem: &Problem| {
        let text = match &problem.hint {
            Some(hint) => format!("{} ({hint})", problem.message),
            None => problem.message.clone(),
        };
        json!({
            "ruleId": problem.code.name(),
            "ruleIndex": rules.iter().position(|rule| *rule == problem.code),
            "level": problem.severity.name(),
            "message": { "text": text },
            "locations": [{
                "physicalLocation": {
                    "artifactLocation": { "uri": problem.file.replace('\\', "/").replace(' ', "%20") },
                    "region": { "startLine": problem.line, "startColumn": problem.column },
                },
                "logicalLocations": [{ "fullyQualifiedName": problem.path }],
            }],
        })
    };
    let rule = |code: &Code| json!({ "id": code.name(), "shortDescription": { "text": code.about() } });
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "columnKind": "unicodeCodePoints",
            "tool": { "driver": {
                "name": "outrigger",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules.iter().map(rule).collect::<Vec<_>>(),
            } },
            "results": diagnostics.problems.iter().map(result).collect::<Vec<_>>(),
        }],
    })
}
