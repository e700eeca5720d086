//! JSON Schema 2020-12 of the policy language, from the types that read it.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;

use crate::document::Document;

/// What names look like.
pub(crate) const NAME: &str = "^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$";

/// The schema of `policy.yaml`.
#[must_use]
pub fn schema() -> Value {
    let mut generator = SchemaGenerator::default();
    let mut schema = Document::json_schema(&mut generator);
    schema.insert("$schema".to_owned(), "https://json-schema.org/draft/2020-12/schema".into());
    let definitions = generator.take_definitions(true);
    schema.insert("$defs".to_owned(), definitions.into_iter().collect());
    sorted(schema.to_value())
}

/// The block's schema with the keys of the filters among its own.
pub(crate) fn merged(mut block: Schema, policies: Schema) -> Schema {
    let filters = policies.to_value();
    for part in ["properties", "required"] {
        match (block.get_mut(part), filters.get(part)) {
            (Some(Value::Object(own)), Some(Value::Object(more))) => own.extend(more.clone()),
            (Some(Value::Array(own)), Some(Value::Array(more))) => own.extend(more.iter().cloned()),
            (None, Some(more)) => drop(block.insert(part.to_owned(), more.clone())),
            _ => {}
        }
    }
    block
}

/// Keys in order, so that the committed file does not depend on how serde_json keeps maps.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(entries.into_iter().collect())
        }
        Value::Array(items) => items.into_iter().map(sorted).collect(),
        other => other,
    }
}
