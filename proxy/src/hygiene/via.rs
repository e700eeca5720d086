//! `Via` and `Max-Forwards`: how many hands a request has been through (RFC 9110 §7.6.2, §7.6.3).
use http::header::{HeaderMap, HeaderName, HeaderValue, MAX_FORWARDS, VIA};
use http::{Method, Version};

use super::hop::BadFields;

/// The name we go by in `Via`.
const PSEUDONYM: &[u8] = b"outrigger";

/// Adds our entry behind those that are there. `version` is the one the message was received with.
pub fn add(headers: &mut HeaderMap, version: Version) {
    let entry = match version {
        Version::HTTP_10 => "1.0 outrigger",
        Version::HTTP_2 => "2 outrigger",
        Version::HTTP_3 => "3 outrigger",
        _ => "1.1 outrigger",
    };
    headers.append(VIA, HeaderValue::from_static(entry));
}

/// How many sidecars of ours the message has passed. A handful is normal (each service on the way may have
/// two); many are a loop, and the caller draws the line.
pub fn own_entries(headers: &HeaderMap) -> usize {
    let entries = headers.get_all(VIA).iter().flat_map(|value| value.as_bytes().split(|&byte| byte == b','));
    entries.filter(|entry| is_ours(entry)).count()
}

/// What is to be done with a request that may limit its own journey.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Onward {
    /// Forward it.
    Forward,
    /// It ends here: answer it ourselves.
    Answer,
}

/// Counts down `Max-Forwards` on TRACE and OPTIONS; on other methods the field is left alone.
pub fn count_down(method: &Method, headers: &mut HeaderMap) -> Result<Onward, BadFields> {
    if !(*method == Method::TRACE || *method == Method::OPTIONS) {
        return Ok(Onward::Forward);
    }
    let mut values = headers.get_all(MAX_FORWARDS).iter();
    let left = match (values.next(), values.next()) {
        (None, _) => return Ok(Onward::Forward),
        (Some(value), None) => parse(value).ok_or(BadFields::MaxForwards)?,
        (Some(_), Some(_)) => return Err(BadFields::MaxForwards),
    };
    let Some(next) = left.checked_sub(1) else { return Ok(Onward::Answer) };
    let name: HeaderName = MAX_FORWARDS;
    headers.insert(name, HeaderValue::from(next));
    Ok(Onward::Forward)
}

fn is_ours(entry: &[u8]) -> bool {
    let mut words = entry.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty());
    words.nth(1).is_some_and(|name| name.eq_ignore_ascii_case(PSEUDONYM))
}

/// A number; one too large to count down from is as good as the largest.
fn parse(value: &HeaderValue) -> Option<u32> {
    let digits = value.as_bytes();
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u32, |sum, digit| {
        let digit = digit.is_ascii_digit().then(|| u32::from(digit - b'0'))?;
        Some(sum.saturating_mul(10).saturating_add(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds_an_entry_and_finds_it_again() {
        let mut headers = HeaderMap::new();
        assert_eq!(own_entries(&headers), 0);
        headers.insert(VIA, HeaderValue::from_static("1.1 outriggers, 1.0  Outrigger (x), HTTP/2 a"));
        add(&mut headers, Version::HTTP_11);
        add(&mut headers, Version::HTTP_2);
        assert_eq!(own_entries(&headers), 3);
        assert_eq!(headers.get_all(VIA).iter().count(), 3);
    }

    #[test]
    fn counts_down_and_ends_at_zero() {
        let mut headers = HeaderMap::new();
        assert_eq!(count_down(&Method::TRACE, &mut headers), Ok(Onward::Forward));
        headers.insert(MAX_FORWARDS, HeaderValue::from_static("1"));
        assert_eq!(count_down(&Method::GET, &mut headers), Ok(Onward::Forward));
        assert_eq!(headers[MAX_FORWARDS], "1");
        assert_eq!(count_down(&Method::OPTIONS, &mut headers), Ok(Onward::Forward));
        assert_eq!(headers[MAX_FORWARDS], "0");
        assert_eq!(count_down(&Method::OPTIONS, &mut headers), Ok(Onward::Answer));
    }

    #[test]
    fn refuses_what_is_not_one_number() {
        for bad in ["", "-1", "+1", "1,2", "x"] {
            let mut headers = HeaderMap::new();
            headers.insert(MAX_FORWARDS, HeaderValue::from_static(bad));
            assert_eq!(count_down(&Method::TRACE, &mut headers), Err(BadFields::MaxForwards), "{bad}");
        }
        let mut headers = HeaderMap::new();
        headers.append(MAX_FORWARDS, HeaderValue::from_static("3"));
        headers.append(MAX_FORWARDS, HeaderValue::from_static("3"));
        assert_eq!(count_down(&Method::TRACE, &mut headers), Err(BadFields::MaxForwards));
    }
}
