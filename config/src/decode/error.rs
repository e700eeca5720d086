//! What serde says, in the words of the document.

use std::fmt;

use serde::de::{Expected, Unexpected};

use crate::codes::{self, Code};
use crate::node::{NodeId, Span, quoted};
use crate::suggest;

/// An error on its way from a value to the nearest place that can do without it.
#[derive(Debug)]
pub(super) struct Error {
    pub(super) code: Code,
    pub(super) message: String,
    pub(super) hint: Option<String>,
    /// The value it lies in: the innermost that was being read.
    pub(super) at: Option<NodeId>,
    /// Its place, where that is not the value's.
    pub(super) span: Option<Span>,
    /// The word that was not known.
    pub(super) word: Option<String>,
    /// It is among the problems, and its value pruned.
    pub(super) recorded: bool,
}

impl Error {
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None, at: None, span: None, word: None, recorded: false }
    }

    pub(super) fn hint(self, hint: Option<String>) -> Self {
        Self { hint, ..self }
    }

    /// Lies in this value, unless it is known to lie in one further in.
    pub(super) fn within(mut self, id: NodeId) -> Self {
        self.at.get_or_insert(id);
        self
    }

    pub(super) fn placed(mut self, span: Span) -> Self {
        self.span.get_or_insert(span);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl serde::de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(codes::BAD_VALUE, message.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(codes::WRONG_TYPE, format!("expected {expected}, found {}", shown(found)))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(codes::BAD_VALUE, format!("expected {}, found {}", in_words(expected), shown(found)))
    }

    fn unknown_variant(word: &str, expected: &'static [&'static str]) -> Self {
        let message = format!("{} is not one of {}", quoted(word), suggest::list(expected));
        let mut error = Self::new(codes::UNKNOWN_VALUE, message)
            .hint(suggest::did_you_mean(word, expected.iter().copied()));
        error.word = Some(word.to_owned());
        error
    }

    fn unknown_field(key: &str, expected: &'static [&'static str]) -> Self {
        let message = format!("unknown key {}; known here: {}", quoted(key), suggest::list(expected));
        Self::new(codes::UNKNOWN_KEY, message).hint(suggest::did_you_mean(key, expected.iter().copied()))
    }

    fn missing_field(key: &'static str) -> Self {
        Self::new(codes::MISSING_KEY, format!("`{key}` is missing"))
    }

    fn duplicate_field(key: &'static str) -> Self {
        Self::new(codes::DUPLICATE_KEY, format!("`{key}` is given twice"))
    }
}

/// Rust's names of numbers are not the reader's.
fn in_words(expected: &dyn Expected) -> String {
    match expected.to_string().as_str() {
        "u8" => "a whole number from 0 to 255".to_owned(),
        "u16" => "a whole number from 0 to 65535".to_owned(),
        "u32" | "u64" | "usize" => "a whole number of at least 0".to_owned(),
        name if name.starts_with("a nonzero ") => "a whole number of at least 1".to_owned(),
        name => name.to_owned(),
    }
}

fn shown(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Str(text) => quoted(text),
        Unexpected::Bool(value) => format!("`{value}`"),
        Unexpected::Unsigned(value) => format!("`{value}`"),
        Unexpected::Signed(value) => format!("`{value}`"),
        Unexpected::Float(value) => format!("`{value}`"),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "a mapping".to_owned(),
        Unexpected::Unit | Unexpected::Option => "nothing".to_owned(),
        other => other.to_string(),
    }
}
