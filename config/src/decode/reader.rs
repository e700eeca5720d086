//! A serde deserializer over a value of the tree.

use serde::de::value::StrDeserializer;
use serde::de::{self, Visitor};
use serde::forward_to_deserialize_any;

use super::Context;
use super::access::{Entries, Items, Split, Variant};
use super::error::Error;
use super::shapes::SPLIT;
use crate::codes;
use crate::node::{Key, Node, Plain, Value};
use crate::{not_built, suggest};

/// The keys of a mapping that are being read.
#[derive(Clone, Copy)]
pub(super) enum View {
    /// All of them.
    All,
    /// These: what the filters read of a block.
    Only(&'static [&'static str]),
    /// All but these: what is left of it.
    Except(&'static [&'static str]),
}

/// Reads one value.
#[derive(Clone, Copy)]
pub(super) struct Reader<'c, 't> {
    pub(super) ctx: &'c Context<'t>,
    pub(super) node: &'t Node,
    pub(super) view: View,
}

impl<'c, 't> Reader<'c, 't> {
    /// The entries in view that are not pruned.
    fn entries(&self, wanted: impl Fn(&str) -> bool) -> Vec<&'t (Key, Node)> {
        self.node
            .entries()
            .iter()
            .filter(|(key, node)| self.in_view(&key.text) && wanted(&key.text) && !self.ctx.is_pruned(node))
            .collect()
    }

    fn in_view(&self, key: &str) -> bool {
        match self.view {
            View::All => true,
            View::Only(keys) => keys.contains(&key),
            View::Except(keys) => !keys.contains(&key),
        }
    }

    /// Reports and prunes the keys that neither the block nor the filters read.
    fn refuse_unknown(&self, block: &'static str, fields: &'static [&'static str]) {
        if matches!(self.view, View::Only(_)) {
            return;
        }
        for (key, node) in self.entries(|key| !fields.contains(&key)) {
            if self.ctx.is_full() {
                return;
            }
            let filters = if let View::Except(keys) = self.view { keys } else { &[] };
            let known: Vec<&str> = fields.iter().chain(filters).copied().collect();
            let path = self.ctx.index.path(node.id);
            self.ctx.report(not_built::key(block, key).unwrap_or_else(|| unknown(key, &known)).path(path));
            self.ctx.prune(node);
        }
    }

    fn expected(&self, what: &str) -> Error {
        let code = if self.node.is_blank() { codes::NO_VALUE } else { codes::WRONG_TYPE };
        let hint = self.node.is_blank().then(|| "write a value, or remove the key".to_owned());
        Error::new(code, format!("expected {what}, found {}", self.node.describe())).hint(hint)
    }

    fn any<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.node.value {
            Value::List(items) => visitor.visit_seq(Items::new(self.ctx, items)),
            Value::Map(_) => visitor.visit_map(Entries::new(self.ctx, self.entries(|_| true))),
            Value::Scalar { text, .. } => match self.node.plain() {
                Some(Plain::Bool(value)) => visitor.visit_bool(value),
                Some(Plain::Int(value)) => match u64::try_from(value) {
                    Ok(value) => visitor.visit_u64(value),
                    Err(_) => visitor.visit_i64(value),
                },
                Some(Plain::Float(value)) => visitor.visit_f64(value),
                Some(Plain::Null) => Err(self.expected("a value")),
                _ => visitor.visit_borrowed_str(text),
            },
        }
    }

    /// Text as written, whatever it looks like; a list or a mapping is the visitor's to refuse.
    fn text<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.node.value {
            Value::Scalar { text, .. } if !self.node.is_blank() => visitor.visit_borrowed_str(text),
            Value::Scalar { .. } => Err(self.expected("a value")),
            _ => self.any(visitor),
        }
    }

    fn number<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.node.plain() {
            Some(Plain::Int(_)) => self.any(visitor),
            Some(Plain::Text(text)) if text.parse::<f64>().is_ok() => {
                Err(self.expected("a whole number without quotes"))
            }
            _ => Err(self.expected("a whole number")),
        }
    }

    fn variant<V: Visitor<'t>>(
        self,
        name: &'static str,
        words: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let known = |error: Error| match error.word.as_deref().and_then(|word| not_built::word(name, word)) {
            Some(message) => Error { code: codes::NOT_BUILT, message, hint: None, ..error },
            None => error,
        };
        match &self.node.value {
            Value::Scalar { text, .. } if !self.node.is_blank() => {
                visitor.visit_enum(StrDeserializer::new(text)).map_err(known)
            }
            Value::Map(entries) => match entries.as_slice() {
                [(key, node)] => visitor.visit_enum(Variant { ctx: self.ctx, key, node }).map_err(known),
                _ => Err(self.expected(&format!("one of {} and its value", suggest::list(words)))),
            },
            _ => Err(self.expected(&format!("one of {}", suggest::list(words)))),
        }
    }

    fn block<V: Visitor<'t>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        if name == SPLIT {
            return visitor.visit_seq(Split::new(self, fields));
        }
        let Value::Map(_) = &self.node.value else { return Err(self.expected("a mapping")) };
        self.refuse_unknown(name, fields);
        visitor.visit_map(Entries::new(self.ctx, self.entries(|key| fields.contains(&key))))
    }
}

fn unknown(key: &Key, known: &[&str]) -> crate::diagnostics::Problem {
    let message = format!("unknown key {}", crate::node::quoted(&key.text));
    let hint = suggest::did_you_mean(&key.text, known.iter().copied())
        .unwrap_or_else(|| format!("known here: {}", suggest::list(known)));
    crate::diagnostics::Problem::new(codes::UNKNOWN_KEY, key.span, message).hint(hint)
}

/// The innermost value an error lies in is the one that was being read when it came up.
macro_rules! read {
    ($($method:ident($($arg:ident: $kind:ty),*) => $how:ident;)*) => {
        $(fn $method<V: Visitor<'t>>(self $(, $arg: $kind)*, visitor: V) -> Result<V::Value, Error> {
            self.$how($($arg,)* visitor).map_err(|error| error.within(self.node.id))
        })*
    };
}

impl<'t> de::Deserializer<'t> for Reader<'_, 't> {
    type Error = Error;

    read! {
        deserialize_any() => any;
        deserialize_str() => text;
        deserialize_string() => text;
        deserialize_char() => text;
        deserialize_identifier() => text;
        deserialize_u8() => number;
        deserialize_u16() => number;
        deserialize_u32() => number;
        deserialize_u64() => number;
        deserialize_i8() => number;
        deserialize_i16() => number;
        deserialize_i32() => number;
        deserialize_i64() => number;
        deserialize_struct(name: &'static str, fields: &'static [&'static str]) => block;
        deserialize_enum(name: &'static str, words: &'static [&'static str]) => variant;
    }

    fn deserialize_bool<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.node.plain() {
            Some(Plain::Bool(value)) => visitor.visit_bool(value),
            _ => Err(self.expected("`true` or `false`")),
        }
        .map_err(|error| error.within(self.node.id))
    }

    fn deserialize_seq<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.node.value {
            Value::List(items) => visitor.visit_seq(Items::new(self.ctx, items)),
            _ => Err(self.expected("a list")),
        }
        .map_err(|error| error.within(self.node.id))
    }

    fn deserialize_map<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.node.value {
            Value::Map(_) => visitor.visit_map(Entries::new(self.ctx, self.entries(|_| true))),
            _ => Err(self.expected("a mapping")),
        }
        .map_err(|error| error.within(self.node.id))
    }

    fn deserialize_option<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.node.is_blank() {
            return Err(self.expected("a value").within(self.node.id));
        }
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'t>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self).map_err(|error| error.within(self.node.id))
    }

    fn deserialize_ignored_any<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
    <V: Visitor<'t>> i128 u128 f32 f64 bytes byte_buf unit unit_struct tuple tuple_struct }
}

/// Reads `keys` from the first of several mappings that has each.
#[derive(Clone, Copy)]
pub(super) struct Layers<'c, 'n, 't> {
    pub(super) ctx: &'c Context<'t>,
    pub(super) nodes: &'n [&'t Node],
    pub(super) keys: &'static [&'static str],
}

impl<'t> de::Deserializer<'t> for Layers<'_, '_, 't> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Error> {
        let entry = |key: &&str| self.nodes.iter().find_map(|node| node.entry(key));
        let entries = self.keys.iter().filter_map(entry).filter(|(_, node)| !self.ctx.is_pruned(node));
        visitor.visit_map(Entries::new(self.ctx, entries.collect()))
    }

    forward_to_deserialize_any! {
        <V: Visitor<'t>>
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}
