//! `x-request-id`: a name for one request that a person can quote.
//!
//! A trusted peer's id is kept if it is fit to be logged; otherwise a UUID version 7 (RFC 9562 §5.7) is made
//! from the wall time and random bits, so that ids sort by time. Cost: one allocation for the field's value.
use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::class;
use super::hex;
use super::random::Random;

/// The field's name.
pub static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest id that is kept.
const MAX: usize = 128;

/// What a request is called.
#[derive(Clone, Debug)]
pub enum RequestId {
    /// By us.
    Made([u8; 36]),
    /// By a trusted peer.
    Kept(HeaderValue),
}

impl RequestId {
    /// The id a request came with, if there is exactly one, the peer is trusted and it is at most 128 visible
    /// ASCII characters; else a new one. Allocates nothing.
    pub fn of(headers: &HeaderMap, trusted: bool, unix_millis: u64, random: &mut Random) -> Self {
        match trusted.then(|| accept(headers)).flatten() {
            Some(kept) => Self::Kept(kept.clone()),
            None => Self::Made(generate(unix_millis, random)),
        }
    }

    /// Its characters.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Made(text) => text,
            Self::Kept(value) => value.as_bytes(),
        }
    }

    /// The field's value.
    pub fn to_value(&self) -> HeaderValue {
        match self {
            Self::Made(text) => HeaderValue::from_bytes(text).unwrap_or(HeaderValue::from_static("")),
            Self::Kept(value) => value.clone(),
        }
    }

    /// Sets it on the request that goes on, unless it came with it.
    pub fn set(&self, headers: &mut HeaderMap) {
        if let Self::Made(_) = self {
            headers.insert(&X_REQUEST_ID, self.to_value());
        }
    }
}

/// The id a request came with, if it is fit to be kept.
pub fn accept(headers: &HeaderMap) -> Option<&HeaderValue> {
    let mut values = headers.get_all(&X_REQUEST_ID).iter();
    let only = values.next().filter(|_| values.next().is_none())?;
    (matches!(only.len(), 1..=MAX) && class::all(only.as_bytes(), class::VISIBLE)).then_some(only)
}

/// A UUID version 7: 48 bits of milliseconds since 1970, 74 random bits.
pub fn generate(unix_millis: u64, random: &mut Random) -> [u8; 36] {
    let random = random.next_u128();
    let time = u128::from(unix_millis & 0xffff_ffff_ffff) << 80;
    let low = random & 0x0000_0000_0000_0fff_3fff_ffff_ffff_ffff;
    let bits = time | 0x7000_8000_0000_0000_0000 | low;
    let mut digits = [0; 32];
    hex::write(&bits.to_be_bytes(), &mut digits);
    let mut text = [b'-'; 36];
    let mut rest = &digits[..];
    for group in [0..8, 9..13, 14..18, 19..23, 24..36] {
        if let (Some(place), Some((next, after))) =
            (text.get_mut(group.clone()), rest.split_at_checked(group.len()))
        {
            place.copy_from_slice(next);
            rest = after;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_version_7_uuids_that_sort_by_time() {
        let mut random = Random::from_seed([1, 2, 3, 4]);
        let first = generate(0x0123_4567_89ab, &mut random);
        let text = String::from_utf8(first.to_vec()).unwrap();
        assert!(text.starts_with("01234567-89ab-7"), "{text}");
        assert!(matches!(text.as_bytes()[19], b'8' | b'9' | b'a' | b'b'), "{text}");
        assert_eq!(text.len(), 36);
        assert!(text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit()));
        let later = generate(0x0123_4567_89ac, &mut random);
        assert!(&later[..] > text.as_bytes());
    }

    #[test]
    fn sets_the_version_and_variant_whatever_the_random_bits() {
        for seed in 1..500 {
            let id = generate(u64::MAX, &mut Random::from_seed([seed, 0, seed << 40, 7]));
            let text = std::str::from_utf8(&id).unwrap();
            assert!(text.starts_with("ffffffff-ffff-7"), "{text}");
            assert!(matches!(text.as_bytes()[19], b'8' | b'9' | b'a' | b'b'), "{text}");
        }
    }

    #[test]
    fn keeps_a_sane_id_of_a_trusted_peer_only() {
        let mut random = Random::from_seed([1, 2, 3, 4]);
        let mut ensured = |value: &'static str, trusted| {
            let mut headers = HeaderMap::new();
            headers.insert(&X_REQUEST_ID, HeaderValue::from_bytes(value.as_bytes()).unwrap());
            let id = RequestId::of(&headers, trusted, 1, &mut random);
            id.set(&mut headers);
            assert_eq!(headers[&X_REQUEST_ID], id.to_value());
            id.as_bytes() == value.as_bytes()
        };
        assert!(ensured("abc-123", true));
        assert!(!ensured("abc-123", false));
        assert!(!ensured("a b", true));
        assert!(!ensured("", true));
        assert!(!ensured("\u{e9}", true));
        assert!(!ensured(Box::leak("a".repeat(129).into_boxed_str()), true));
    }

    #[test]
    fn replaces_an_id_that_stands_there_twice() {
        let mut headers = HeaderMap::new();
        headers.append(&X_REQUEST_ID, HeaderValue::from_static("a"));
        headers.append(&X_REQUEST_ID, HeaderValue::from_static("b"));
        let id = RequestId::of(&headers, true, 1, &mut Random::from_os());
        id.set(&mut headers);
        assert_eq!(headers.get_all(&X_REQUEST_ID).iter().collect::<Vec<_>>(), [&id.to_value()]);
    }
}
