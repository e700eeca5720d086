//! From quantity to text, and the same text through serde and JSON Schema.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::parse::{SIZE_UNITS, TIME_UNITS};
use super::{Percent, Rate, Size, Timespan};

impl fmt::Display for Timespan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        if nanos == 0 {
            return f.write_str("0s");
        }
        write_in_largest(f, nanos, &TIME_UNITS)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0B");
        }
        write_in_largest(f, u128::from(self.0), &SIZE_UNITS)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let span = Timespan(self.per).to_string();
        // `100/1s` is written `100/s`; `100/10s` stays.
        let short = span.strip_prefix('1').filter(|rest| rest.starts_with(|c: char| c.is_alphabetic()));
        write!(f, "{}/{}", self.count, short.unwrap_or(&span))
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.millionths / 10_000, self.millionths % 10_000);
        if rest == 0 {
            return write!(f, "{whole}%");
        }
        let rest = format!("{rest:04}");
        write!(f, "{whole}.{}%", rest.trim_end_matches('0'))
    }
}

/// In the first unit that divides the value; the last unit of each table is 1.
fn write_in_largest(f: &mut fmt::Formatter<'_>, value: u128, units: &[(&str, u128)]) -> fmt::Result {
    for (name, scale) in units {
        if value.is_multiple_of(*scale) {
            return write!(f, "{}{name}", value / scale);
        }
    }
    write!(f, "{value}")
}

/// Reads a string; answers a bare number with the advice to add a unit.
struct Text<T> {
    example: &'static str,
    marker: std::marker::PhantomData<T>,
}

impl<T: std::str::FromStr<Err = super::UnitError>> Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a quantity with its unit, such as {}", self.example)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        Err(self.bare(number))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        Err(self.bare(number))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<T, E> {
        Err(self.bare(number))
    }
}

impl<T> Text<T> {
    fn bare<E: Error>(&self, number: impl fmt::Display) -> E {
        E::custom(format_args!("`{number}`: a number needs a unit, such as {}", self.example))
    }
}

macro_rules! as_text {
    ($kind:ty, $name:literal, $example:literal, $pattern:literal, $about:literal, $examples:expr) => {
        impl Serialize for $kind {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $kind {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                // `any`, not `str`: a number must reach the visitor to be answered well.
                deserializer.deserialize_any(Text { example: $example, marker: std::marker::PhantomData })
            }
        }

        impl JsonSchema for $kind {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn schema_id() -> Cow<'static, str> {
                concat!(module_path!(), "::", $name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "type": "string",
                    "description": $about,
                    "pattern": $pattern,
                    "examples": $examples,
                })
            }
        }
    };
}

as_text!(
    Timespan,
    "Timespan",
    "300ms",
    r"^[0-9]{1,20}(\.[0-9]{1,9})?(ns|us|ms|s|m|h|d)$",
    "A span of time with its unit.",
    ["300ms", "5s", "28d"]
);
as_text!(
    Size,
    "Size",
    "16KiB",
    r"^[0-9]{1,20}(\.[0-9]{1,9})?(B|KiB|MiB|GiB|kB|MB|GB)$",
    "An amount of bytes with its unit.",
    ["512B", "16KiB", "8MiB"]
);
as_text!(
    Rate,
    "Rate",
    "100/s",
    r"^[0-9]{1,20}/([0-9]{1,20}(\.[0-9]{1,9})?)?(ns|us|ms|s|m|h|d)$",
    "How many in a span of time.",
    ["100/s", "5000/m", "3/10s"]
);
as_text!(Percent, "Percent", "50%", r"^[0-9]{1,3}(\.[0-9]{1,4})?%$", "A share of a whole.", ["50%", "0.1%"]);
