//! The tree a document is read into: every key and value with the place it was written at.
//!
//! Scalars keep their text as written. What a plain `5` means (a number, or the name "5") is decided by the
//! field that reads it, so `name: 1.10` stays `1.10` and `no` is never `false`.

/// Identity of a value within one load, over all its files; given in the order of the text.
pub(crate) type NodeId = u32;

/// Where something stands. Lines and columns count from 1, columns in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    /// Which of the sources.
    pub(crate) file: u16,
    pub(crate) line: u32,
    pub(crate) column: u32,
    /// Characters to underline; at least 1.
    pub(crate) width: u32,
}

/// A value and its place.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) id: NodeId,
    pub(crate) span: Span,
    pub(crate) value: Value,
}

/// A key of a mapping and its place.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) text: String,
    pub(crate) span: Span,
}

/// What was written.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// Text; `plain` if it stood without quotes.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    /// In the order of the text; no key twice.
    Map(Vec<(Key, Node)>),
}

/// What a scalar is by the core schema of YAML 1.2, when the reader leaves it open.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Plain<'n> {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(&'n str),
}

impl Node {
    /// The entries, if this is a mapping.
    pub(crate) fn entries(&self) -> &[(Key, Self)] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The entry with this key, if this is a mapping that has it.
    pub(crate) fn entry(&self, key: &str) -> Option<&(Key, Self)> {
        self.entries().iter().find(|(own, _)| own.text == key)
    }

    /// The items, if this is a list.
    pub(crate) fn items(&self) -> &[Self] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// Everything directly below.
    pub(crate) fn children(&self) -> Box<dyn Iterator<Item = &Self> + '_> {
        Box::new(self.items().iter().chain(self.entries().iter().map(|(_, node)| node)))
    }

    /// What the scalar is by the core schema; `None` for lists and mappings.
    pub(crate) fn plain(&self) -> Option<Plain<'_>> {
        let Value::Scalar { text, plain } = &self.value else { return None };
        Some(if *plain { resolve(text) } else { Plain::Text(text) })
    }

    /// Whether this is written as nothing: `key:` or `key: null`.
    pub(crate) fn is_blank(&self) -> bool {
        self.plain() == Some(Plain::Null)
    }

    /// What stands here, for messages.
    pub(crate) fn describe(&self) -> String {
        match &self.value {
            Value::Scalar { .. } if self.is_blank() => "nothing".to_owned(),
            Value::Scalar { text, .. } => quoted(text),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a mapping".to_owned(),
        }
    }
}

/// Text from a document as messages show it: in backticks, escaped, cut at 60 characters.
pub(crate) fn quoted(text: &str) -> String {
    const SHOWN: usize = 60;
    let mut shown: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    format!("`{}`", shown.replace("\\\"", "\"").replace("\\'", "'"))
}

fn resolve(text: &str) -> Plain<'_> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Plain::Null,
        "true" | "True" | "TRUE" => return Plain::Bool(true),
        "false" | "False" | "FALSE" => return Plain::Bool(false),
        _ => {}
    }
    if let Ok(value) = text.parse() {
        return Plain::Int(value);
    }
    match text.parse() {
        Ok(value) if text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) => {
            Plain::Float(value)
        }
        _ => Plain::Text(text),
    }
}
