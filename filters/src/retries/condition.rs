//! Upon what to retry: words, and status codes as numbers or text.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};
use serde::ser::{Serialize, Serializer};

/// One thing upon which to retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Condition {
    /// Nothing was sent: no name, no connection, no TLS, or a next hop that says so.
    ConnectFailure,
    /// The connection was closed or reset before the head of the answer.
    Reset,
    /// The attempt took too long.
    PerTryTimeout,
    /// This status: 429 or a 5xx.
    Status(u16),
}

/// What is named when a word is not known.
const WORDS: &[&str] = &["connect_failure", "reset", "per_try_timeout", "429", "500", "502", "503", "504"];
const STATUSES: &str = "429 or a status from 500 to 599";

impl Condition {
    const fn of_status(status: u64) -> Option<Self> {
        match status {
            429 | 500..=599 => Some(Self::Status(status as u16)),
            _ => None,
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConnectFailure => f.write_str("connect_failure"),
            Self::Reset => f.write_str("reset"),
            Self::PerTryTimeout => f.write_str("per_try_timeout"),
            Self::Status(status) => write!(f, "{status}"),
        }
    }
}

impl Serialize for Condition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Condition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Words)
    }
}

struct Words;

impl Visitor<'_> for Words {
    type Value = Condition;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("connect_failure, reset, per_try_timeout or a status code")
    }

    fn visit_u64<E: Error>(self, status: u64) -> Result<Condition, E> {
        Condition::of_status(status).ok_or_else(|| E::invalid_value(Unexpected::Unsigned(status), &STATUSES))
    }

    fn visit_i64<E: Error>(self, status: i64) -> Result<Condition, E> {
        match u64::try_from(status) {
            Ok(status) => self.visit_u64(status),
            Err(_) => Err(E::invalid_value(Unexpected::Signed(status), &STATUSES)),
        }
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<Condition, E> {
        match word {
            "connect_failure" => Ok(Condition::ConnectFailure),
            "reset" => Ok(Condition::Reset),
            "per_try_timeout" => Ok(Condition::PerTryTimeout),
            digits if digits.len() == 3 && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                let status = digits.parse().ok().and_then(Condition::of_status);
                status.ok_or_else(|| E::invalid_value(Unexpected::Str(digits), &STATUSES))
            }
            other => Err(E::unknown_variant(other, WORDS)),
        }
    }
}

impl JsonSchema for Condition {
    fn schema_name() -> Cow<'static, str> {
        "RetryCondition".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Upon what to retry.",
            "anyOf": [
                { "enum": ["connect_failure", "reset", "per_try_timeout", "429", 429] },
                { "type": "string", "pattern": "^5[0-9]{2}$" },
                { "type": "integer", "minimum": 500, "maximum": 599 },
            ],
            "examples": ["connect_failure", "503", 503],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Condition, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_status_may_be_a_number_or_text() {
        for text in ["503", "\"503\""] {
            assert_eq!(read(text), Ok(Condition::Status(503)));
        }
        assert_eq!(read("429"), Ok(Condition::Status(429)));
        assert_eq!(read("\"599\""), Ok(Condition::Status(599)));
    }

    #[test]
    fn what_no_retry_can_help_is_refused() {
        for text in ["404", "\"404\"", "200", "600", "-1", "\"050\""] {
            assert!(read(text).unwrap_err().contains(STATUSES), "{text}");
        }
        for text in ["\"5xx\"", "\"gateway-error\"", "\"\"", "\"5033\""] {
            assert!(read(text).unwrap_err().contains("unknown variant"), "{text}");
        }
        assert!(read("true").is_err() && read("[503]").is_err() && read("503.5").is_err());
    }

    #[test]
    fn reads_what_it_writes() {
        let status = [429, 500, 503, 599].map(Condition::Status);
        for condition in
            [Condition::ConnectFailure, Condition::Reset, Condition::PerTryTimeout].iter().chain(&status)
        {
            let text = serde_json::to_string(condition).unwrap();
            assert_eq!(read(&text).as_ref(), Ok(condition), "{text}");
        }
    }
}
