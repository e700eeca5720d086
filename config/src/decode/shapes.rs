//! The shapes of the document that serde's derive does not give: lists and named entries that survive a bad
//! item, and blocks whose keys are shared with the filters.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use crate::node::NodeId;
use crate::schema;
use outrigger_filters::policies::{RoutePolicies, UpstreamPolicies};
use outrigger_filters::policy::Invalid;

/// Name of the struct by which a [`Written`] asks its deserializer for two views of one mapping.
pub(super) const SPLIT: &str = "$written";

/// A type that names the keys it reads of a block.
pub(crate) trait Policies {
    /// The keys.
    const KEYS: &'static [&'static str];

    /// What can be read and cannot be meant.
    fn invalid(&self) -> Vec<Invalid>;
}

impl Policies for RoutePolicies {
    const KEYS: &'static [&'static str] = Self::KEYS;

    fn invalid(&self) -> Vec<Invalid> {
        self.validate()
    }
}

impl Policies for UpstreamPolicies {
    const KEYS: &'static [&'static str] = Self::KEYS;

    fn invalid(&self) -> Vec<Invalid> {
        self.validate()
    }
}

/// A block `T` in which filters `P` have their keys too.
#[derive(Clone, Debug)]
pub(crate) struct Written<T, P> {
    /// Which value of the tree it is.
    pub(crate) id: NodeId,
    /// The keys of the block.
    pub(crate) block: T,
    /// The keys of the filters.
    pub(crate) policies: P,
}

impl<'de, T: Deserialize<'de>, P: Deserialize<'de> + Policies> Deserialize<'de> for Written<T, P> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_struct(SPLIT, P::KEYS, WrittenVisitor(PhantomData))
    }
}

struct WrittenVisitor<T, P>(PhantomData<(T, P)>);

impl<'de, T: Deserialize<'de>, P: Deserialize<'de>> Visitor<'de> for WrittenVisitor<T, P> {
    type Value = Written<T, P>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let id = seq.next_element()?;
        // Both are read before either error is passed on.
        let block = seq.next_element();
        let policies = seq.next_element();
        match (id, block?, policies?) {
            (Some(id), Some(block), Some(policies)) => Ok(Written { id, block, policies }),
            _ => Err(A::Error::custom("only read from a document")),
        }
    }
}

impl<T: JsonSchema, P: JsonSchema> JsonSchema for Written<T, P> {
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        schema::merged(T::json_schema(generator), P::json_schema(generator))
    }
}

/// A list of which bad items are reported and left out.
#[derive(Clone, Debug)]
pub(crate) struct Each<T>(pub(crate) Vec<T>);

impl<T> Default for Each<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Each<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(EachVisitor(PhantomData))
    }
}

struct EachVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for EachVisitor<T> {
    type Value = Each<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        loop {
            match seq.next_element() {
                Ok(Some(item)) => items.push(item),
                Ok(None) => return Ok(Each(items)),
                // Recorded, and something in the item is pruned: the next call reads what is left of it.
                Err(_) => {}
            }
        }
    }
}

impl<T: JsonSchema> JsonSchema for Each<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        Vec::<T>::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Vec::<T>::json_schema(generator)
    }
}

/// Named entries in the order of the text, of which bad ones are reported and left out.
#[derive(Clone, Debug)]
pub(crate) struct Named<T>(pub(crate) Vec<(String, T)>);

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(NamedVisitor(PhantomData))
    }
}

struct NamedVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for NamedVisitor<T> {
    type Value = Named<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping of names")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(name) = map.next_key()? {
            // As for lists: a bad value is recorded, and its key comes again until it reads or is gone.
            if let Ok(value) = map.next_value() {
                entries.push((name, value));
            }
        }
        Ok(Named(entries))
    }
}

impl<T: JsonSchema> JsonSchema for Named<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Named_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = BTreeMap::<String, T>::json_schema(generator);
        schema.insert("propertyNames".to_owned(), serde_json::json!({ "pattern": schema::NAME }));
        schema
    }
}
