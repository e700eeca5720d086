//! A claim of the bearer token, for use as a key.
//!
//! **Nothing is verified**: neither signature nor expiry (RFC 7519). Whoever forges a token chooses a key, as with
//! any header. Use it where something before us verifies tokens, or where choosing a key gains nothing.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use serde_json::Value;

/// Tokens are a kilobyte; a longer payload is not worth parsing for a key.
const LONGEST_PAYLOAD: usize = 8 * 1024;

/// The text of a top-level claim. Numbers and the rest are taken as their JSON text.
pub(super) fn of(headers: &HeaderMap, name: &str) -> Option<String> {
    let credentials = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = credentials.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let payload = token.trim().split('.').nth(1)?;
    let mut claims: Value = serde_json::from_slice(&decode(payload)?).ok()?;
    match claims.get_mut(name)?.take() {
        Value::String(text) => Some(text),
        Value::Null => None,
        other => Some(other.to_string()),
    }
}

/// Base64 in the URL alphabet without padding (RFC 4648, 5; RFC 7515, 2).
fn decode(text: &str) -> Option<Vec<u8>> {
    if text.len() > LONGEST_PAYLOAD || text.len() % 4 == 1 {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    let (mut bits, mut held) = (0u32, 0u32);
    for letter in text.bytes() {
        bits = bits << 6 | u32::from(sextet(letter)?);
        held = held.wrapping_add(6);
        if held >= 8 {
            held = held.wrapping_sub(8);
            bytes.push((bits >> held) as u8);
        }
    }
    Some(bytes)
}

const fn sextet(letter: u8) -> Option<u8> {
    match letter {
        b'A'..=b'Z' => Some(letter.wrapping_sub(b'A')),
        b'a'..=b'z' => Some(letter.wrapping_sub(b'a').wrapping_add(26)),
        b'0'..=b'9' => Some(letter.wrapping_sub(b'0').wrapping_add(52)),
        b'-' => Some(62),
        b'_' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())])
    }

    // {"sub":"tenant-7","n":42,"none":null,"x":"ü?>"}
    const TOKEN: &str = "e30.eyJzdWIiOiJ0ZW5hbnQtNyIsIm4iOjQyLCJub25lIjpudWxsLCJ4Ijoiw7w_PiJ9.sig";

    #[test]
    fn reads_text_and_numbers() {
        let headers = bearer(&format!("bearer {TOKEN}"));
        assert_eq!(of(&headers, "sub").as_deref(), Some("tenant-7"));
        assert_eq!(of(&headers, "n").as_deref(), Some("42"));
        assert_eq!(of(&headers, "x").as_deref(), Some("ü?>"));
    }

    #[test]
    fn what_is_no_token_has_no_claims() {
        for value in
            ["Basic abc", "Bearer", "Bearer a.b", "Bearer a.e3.c", "Bearer a.!!!!.c", "Bearer a.YWJj.c"]
        {
            assert_eq!(of(&bearer(value), "sub"), None, "{value}");
        }
        assert_eq!(of(&bearer(&format!("Bearer {TOKEN}")), "none"), None);
        assert_eq!(of(&bearer(&format!("Bearer a.{}.c", "e30g".repeat(3000))), "sub"), None);
        assert_eq!(of(&HeaderMap::new(), "sub"), None);
    }
}
