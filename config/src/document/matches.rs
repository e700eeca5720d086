//! A match as written.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};

/// Which requests. All conditions must hold; a condition that is absent always holds.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Match {
    /// Any of these methods.
    pub(crate) methods: Option<Vec<String>>,
    /// This path.
    pub(crate) path: Option<String>,
    /// This path and everything below it, by whole segments.
    pub(crate) path_prefix: Option<String>,
    /// A regular expression for the whole path; named captures are the path's parameters.
    pub(crate) path_regex: Option<String>,
    /// Any of these hosts: `shop.example` or `*.shop.example`.
    pub(crate) hosts: Option<Vec<String>>,
    /// All of these headers.
    pub(crate) headers: Option<Fields>,
    /// All of these query parameters.
    pub(crate) query: Option<Fields>,
}

/// Conditions by name of the header or query parameter.
pub(crate) type Fields = BTreeMap<String, FieldValue>;

/// What a header or query parameter must be: a text, `{ regex: … }` or `{ present: true }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FieldValue {
    /// Exactly this.
    Exact(String),
    /// The whole value matches.
    Regex(String),
    /// There is one (or, which is refused later, there is none).
    Present(bool),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Condition {
    regex: Option<String>,
    present: Option<bool>,
}

impl<'de> Deserialize<'de> for FieldValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(FieldVisitor)
    }
}

struct FieldVisitor;

impl<'de> Visitor<'de> for FieldVisitor {
    type Value = FieldValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, `{ regex: … }` or `{ present: true }`")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<FieldValue, E> {
        Ok(FieldValue::Exact(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<FieldValue, A::Error> {
        let Condition { regex, present } = Condition::deserialize(MapAccessDeserializer::new(map))?;
        match (regex, present) {
            (Some(pattern), None) => Ok(FieldValue::Regex(pattern)),
            (None, Some(present)) => Ok(FieldValue::Present(present)),
            _ => Err(A::Error::custom("a condition is either `{ regex: … }` or `{ present: true }`")),
        }
    }
}

impl JsonSchema for FieldValue {
    fn schema_name() -> Cow<'static, str> {
        "FieldValue".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let only = |key: &str, value: serde_json::Value| {
            serde_json::json!({
                "type": "object", "properties": { key: value }, "required": [key], "additionalProperties": false,
            })
        };
        json_schema!({
            "description": "A text, `{ regex: … }` for the whole value, or `{ present: true }`.",
            "anyOf": [
                { "type": "string" },
                only("regex", serde_json::json!({ "type": "string" })),
                only("present", serde_json::json!({ "const": true })),
            ],
        })
    }
}
