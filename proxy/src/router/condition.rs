//! The conditions of a route besides host and path.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, Method};
use outrigger_config::plan::{FieldMatch, Match, ValueMatch};
use regex::Regex;

use super::{Target, anchored};

/// Method, headers and query parameters, ready to compare.
#[derive(Debug)]
pub(super) struct Condition {
    /// None: any.
    methods: Option<Box<[Method]>>,
    headers: Box<[(HeaderName, Value)]>,
    query: Box<[(Box<str>, Value)]>,
}

#[derive(Debug)]
enum Value {
    Exact(Box<str>),
    Regex(Regex),
    Present,
}

impl Condition {
    pub(super) fn new(entry: &Match) -> Result<Self, Box<regex::Error>> {
        let methods: Box<[Method]> =
            entry.methods.iter().filter_map(|method| Method::from_bytes(method.as_bytes()).ok()).collect();
        let headers = entry.headers.iter().filter_map(|field| {
            let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
            Some(Value::new(field).map(|value| (name, value)))
        });
        let query = entry.query.iter().map(|field| Ok((field.name.as_str().into(), Value::new(field)?)));
        Ok(Self {
            methods: (!entry.methods.is_empty()).then_some(methods),
            headers: headers.collect::<Result<_, _>>()?,
            query: query.collect::<Result<_, Box<regex::Error>>>()?,
        })
    }

    pub(super) fn holds(&self, target: &Target<'_>) -> bool {
        self.methods.as_ref().is_none_or(|methods| methods.contains(target.method))
            && self.headers.iter().all(|(name, value)| value.holds_in(target.headers, name))
            && self.query.iter().all(|(name, value)| {
                parameters(target.query.unwrap_or_default())
                    .any(|(key, found)| key == **name && value.holds(&found))
            })
    }
}

impl Value {
    fn new(field: &FieldMatch) -> Result<Self, Box<regex::Error>> {
        Ok(match &field.value {
            ValueMatch::Exact(text) => Self::Exact(text.as_str().into()),
            ValueMatch::Regex(pattern) => Self::Regex(anchored(pattern)?),
            ValueMatch::Present => Self::Present,
        })
    }

    fn holds_in(&self, headers: &HeaderMap, name: &HeaderName) -> bool {
        headers.get_all(name).iter().any(|value| match value.to_str() {
            Ok(text) => self.holds(text),
            Err(_) => matches!(self, Self::Present),
        })
    }

    fn holds(&self, text: &str) -> bool {
        match self {
            Self::Exact(expected) => **expected == *text,
            Self::Regex(regex) => regex.is_match(text),
            Self::Present => true,
        }
    }
}

/// The pairs of a query, decoded as `application/x-www-form-urlencoded` (WHATWG URL §5.1).
fn parameters(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(key), decode(value))
    })
}

fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let mut ahead = rest.clone();
                match (ahead.next().and_then(hex), ahead.next().and_then(hex)) {
                    (Some(high), Some(low)) => {
                        bytes.push(high << 4 | low);
                        rest = ahead;
                    }
                    _ => bytes.push(b'%'),
                }
            }
            byte => bytes.push(byte),
        }
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}
