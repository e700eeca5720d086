//! How long the caller will wait for its answer: `grpc-timeout`, `x-request-timeout-ms`,
//! `x-envoy-expected-rq-timeout-ms`.
//!
//! They are believed from anyone, since they can only shorten what is allowed; of several the shortest counts. What
//! cannot be read is as good as absent.
//!
//! Source of `grpc-timeout`: gRPC over HTTP/2, Requests: at most eight digits and a unit, `H M S m u n`.
use std::time::Duration;

use http::header::HeaderMap;

/// The field that says it in milliseconds.
pub const X_REQUEST_TIMEOUT_MS: &str = "x-request-timeout-ms";
const ENVOY: &str = "x-envoy-expected-rq-timeout-ms";
const GRPC: &str = "grpc-timeout";

/// What a gRPC timeout may have for digits.
const GRPC_MAX: u64 = 99_999_999;

/// How long the caller waits, if it says so.
pub fn asked(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get_all(name).iter().map(|value| value.as_bytes());
    let millis = text(X_REQUEST_TIMEOUT_MS).chain(text(ENVOY)).filter_map(|text| number(text, 18));
    millis.map(Duration::from_millis).chain(text(GRPC).filter_map(grpc)).min()
}

/// Removes what the caller said: what goes on is said anew.
pub fn strip(headers: &mut HeaderMap) {
    for name in [X_REQUEST_TIMEOUT_MS, ENVOY, GRPC] {
        headers.remove(name);
    }
}

/// What is left after the way to the next hop and back: a millisecond and a hundredth less.
#[must_use]
pub fn reduced(left: Duration) -> Duration {
    left.saturating_sub(Duration::from_millis(1)).saturating_sub(left / 100)
}

/// Writes whole milliseconds, at least one: none would mean that it is too late.
pub fn write_millis(out: &mut Vec<u8>, left: Duration) {
    write_number(out, millis(left));
}

/// Writes the value of a `grpc-timeout`.
pub fn write_grpc(out: &mut Vec<u8>, left: Duration) {
    let millis = millis(left);
    let (value, unit) =
        if millis <= GRPC_MAX { (millis, b'm') } else { (left.as_secs().min(GRPC_MAX), b'S') };
    write_number(out, value);
    out.push(unit);
}

fn millis(left: Duration) -> u64 {
    u64::try_from(left.as_millis()).unwrap_or(u64::MAX).max(1)
}

/// Decimal digits. This is written on every request, and formatting it costs several times as much.
fn write_number(out: &mut Vec<u8>, number: u64) {
    let (mut digits, mut left) = ([b'0'; 20], number);
    let mut first = digits.len();
    for (at, digit) in digits.iter_mut().enumerate().rev() {
        // The remainder of a division by ten.
        *digit = b'0' + (left % 10) as u8;
        (left, first) = (left / 10, at);
        if left == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(first..).unwrap_or_default());
}

fn grpc(text: &[u8]) -> Option<Duration> {
    let (unit, digits) = text.split_last()?;
    let value = number(digits, 8)?;
    Some(match unit {
        b'H' => Duration::from_secs(value.saturating_mul(3600)),
        b'M' => Duration::from_secs(value.saturating_mul(60)),
        b'S' => Duration::from_secs(value),
        b'm' => Duration::from_millis(value),
        b'u' => Duration::from_micros(value),
        b'n' => Duration::from_nanos(value),
        _ => return None,
    })
}

fn number(digits: &[u8], longest: usize) -> Option<u64> {
    if digits.is_empty() || digits.len() > longest || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(fields: &[(&'static str, &'static str)]) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        asked(&headers)
    }

    #[test]
    fn reads_each_field_and_takes_the_shortest() {
        let millis = |count| Some(Duration::from_millis(count));
        assert_eq!(asks(&[]), None);
        assert_eq!(asks(&[(X_REQUEST_TIMEOUT_MS, "250")]), millis(250));
        assert_eq!(asks(&[(ENVOY, "250"), (X_REQUEST_TIMEOUT_MS, "300")]), millis(250));
        assert_eq!(asks(&[(GRPC, "2S"), (X_REQUEST_TIMEOUT_MS, "3000")]), millis(2000));
        assert_eq!(asks(&[(X_REQUEST_TIMEOUT_MS, "0")]), millis(0));
        for (text, length) in [("1H", 3_600_000), ("1M", 60_000), ("99999999m", 99_999_999), ("5000u", 5)] {
            assert_eq!(asks(&[(GRPC, text)]), millis(length), "{text}");
        }
        assert_eq!(asks(&[(GRPC, "7n")]), Some(Duration::from_nanos(7)));
    }

    #[test]
    fn what_cannot_be_read_is_as_good_as_absent() {
        for bad in ["", "-1", "1.5", "1s", "0x10", "1234567890123456789", "１"] {
            let mut headers = HeaderMap::new();
            let value = http::HeaderValue::from_bytes(bad.as_bytes()).unwrap();
            headers.insert(X_REQUEST_TIMEOUT_MS, value);
            assert_eq!(asked(&headers), None, "{bad}");
        }
        for bad in ["", "S", "1", "1s", "123456789S", "-1S", "1 S"] {
            assert_eq!(asks(&[(GRPC, bad)]), None, "{bad}");
        }
    }

    #[test]
    fn writes_what_it_reads() {
        for left in [1, 9, 10, 250, 15_000, 99_999_999, 100_000_000] {
            let left = Duration::from_millis(left);
            let (mut millis, mut grpc) = (Vec::new(), Vec::new());
            write_millis(&mut millis, left);
            write_grpc(&mut grpc, left);
            let read = |name: &'static str, value: &[u8]| {
                let value = http::HeaderValue::from_bytes(value).unwrap();
                asked(&HeaderMap::from_iter([(http::HeaderName::from_static(name), value)]))
            };
            assert_eq!(read(X_REQUEST_TIMEOUT_MS, &millis), Some(left));
            assert_eq!(read(GRPC, &grpc), Some(left));
        }
    }

    #[test]
    fn leaves_the_next_hop_less() {
        assert_eq!(reduced(Duration::from_millis(1000)), Duration::from_millis(989));
        assert_eq!(reduced(Duration::from_micros(500)), Duration::ZERO);
    }
}
