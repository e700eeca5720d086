//! Lists, mappings and variants, item by item.

use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeSeed, IntoDeserializer as _};

use super::Context;
use super::error::Error;
use super::reader::{Reader, View};
use crate::codes;
use crate::node::{Key, Node};

/// The items of a list that are not pruned. An item that fails is recorded, something in it pruned, and it is
/// given again: [`super::Each`] asks until it reads or is gone; every other reader stops at the error.
pub(super) struct Items<'c, 't> {
    ctx: &'c Context<'t>,
    rest: &'t [Node],
}

impl<'c, 't> Items<'c, 't> {
    pub(super) const fn new(ctx: &'c Context<'t>, items: &'t [Node]) -> Self {
        Self { ctx, rest: items }
    }
}

impl<'t> de::SeqAccess<'t> for Items<'_, 't> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'t>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        while let Some((node, rest)) = self.rest.split_first() {
            if self.ctx.is_full() {
                return Ok(None);
            }
            if self.ctx.is_pruned(node) {
                self.rest = rest;
                continue;
            }
            return match seed.deserialize(Reader { ctx: self.ctx, node, view: View::All }) {
                Ok(value) => {
                    self.rest = rest;
                    Ok(Some(value))
                }
                Err(error) => Err(self.ctx.recorded(node, error)),
            };
        }
        Ok(None)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }
}

/// The entries of a mapping. A value that fails is recorded, and its key given again while it is not gone.
pub(super) struct Entries<'c, 't> {
    ctx: &'c Context<'t>,
    rest: std::vec::IntoIter<&'t (Key, Node)>,
    current: Option<&'t (Key, Node)>,
    failed: Option<&'t (Key, Node)>,
}

impl<'c, 't> Entries<'c, 't> {
    pub(super) fn new(ctx: &'c Context<'t>, entries: Vec<&'t (Key, Node)>) -> Self {
        Self { ctx, rest: entries.into_iter(), current: None, failed: None }
    }
}

impl<'t> de::MapAccess<'t> for Entries<'_, 't> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'t>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let again = self.failed.take().filter(|(_, node)| !self.ctx.is_pruned(node) && !self.ctx.is_full());
        self.current = again.or_else(|| self.rest.next());
        let Some((key, node)) = self.current else { return Ok(None) };
        seed.deserialize(StrDeserializer::new(&key.text))
            .map(Some)
            .map_err(|error: Error| error.placed(key.span).within(node.id))
    }

    fn next_value_seed<V: DeserializeSeed<'t>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let Some((_, node)) = self.current else {
            return Err(Error::new(codes::WRONG_TYPE, "a value without a key"));
        };
        seed.deserialize(Reader { ctx: self.ctx, node, view: View::All }).map_err(|error| {
            self.failed = self.current;
            self.ctx.recorded(node, error)
        })
    }
}

/// `{ header: x-tenant }`: a variant with its value.
pub(super) struct Variant<'c, 't> {
    pub(super) ctx: &'c Context<'t>,
    pub(super) key: &'t Key,
    pub(super) node: &'t Node,
}

impl<'c, 't> de::EnumAccess<'t> for Variant<'c, 't> {
    type Error = Error;
    type Variant = Reader<'c, 't>;

    fn variant_seed<V: DeserializeSeed<'t>>(self, seed: V) -> Result<(V::Value, Self::Variant), Error> {
        let word = StrDeserializer::<Error>::new(&self.key.text);
        let variant = seed.deserialize(word).map_err(|error| error.placed(self.key.span))?;
        Ok((variant, Reader { ctx: self.ctx, node: self.node, view: View::All }))
    }
}

impl<'t> de::VariantAccess<'t> for Reader<'_, 't> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Err(Error::new(codes::WRONG_TYPE, "this word takes no value; write it alone").within(self.node.id))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'t>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(self).map_err(|error| error.within(self.node.id))
    }

    fn tuple_variant<V: de::Visitor<'t>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        de::Deserializer::deserialize_seq(self, visitor)
    }

    fn struct_variant<V: de::Visitor<'t>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        de::Deserializer::deserialize_struct(self, "", fields, visitor)
    }
}

/// One mapping read three times: its identity, the block's keys, the filters' keys. An error in one reading
/// is recorded and the other still made, so that both report.
pub(super) struct Split<'c, 't> {
    reader: Reader<'c, 't>,
    keys: &'static [&'static str],
    step: usize,
}

impl<'c, 't> Split<'c, 't> {
    pub(super) const fn new(reader: Reader<'c, 't>, keys: &'static [&'static str]) -> Self {
        Self { reader, keys, step: 0 }
    }
}

impl<'t> de::SeqAccess<'t> for Split<'_, 't> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'t>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let Reader { ctx, node, .. } = self.reader;
        self.step += 1;
        let view = match self.step {
            1 => return seed.deserialize(node.id.into_deserializer()).map(Some),
            2 => View::Except(self.keys),
            3 => View::Only(self.keys),
            _ => return Ok(None),
        };
        seed.deserialize(Reader { view, ..self.reader }).map(Some).map_err(|error| ctx.recorded(node, error))
    }
}
