//! The four forms of a request target (RFC 9112 §3.2), by syntax only.
//!
//! What the path *means* is judged by [`super::path`], for HTTP/2 as well; this is about bytes that may not
//! stand in a request line at all.
use super::{Malformed, class, host};

/// The authority inside an absolute-form target: offsets into the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Absolute {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) secure: bool,
}

/// Checks the target of a request with this method; an absolute-form target's authority is returned.
#[inline]
pub(super) fn check(method: &[u8], target: &[u8]) -> Result<Option<Absolute>, Malformed> {
    if method == b"CONNECT" {
        let valid = host::is_valid(target) && host::has_port(target);
        return if valid { Ok(None) } else { Err(Malformed::Target) };
    }
    match target {
        [b'/', ..] => path_and_query(target).map(|()| None),
        b"*" if method == b"OPTIONS" => Ok(None),
        _ => absolute(target).map(Some),
    }
}

fn absolute(target: &[u8]) -> Result<Absolute, Malformed> {
    let colon = memchr::memchr(b':', target).ok_or(Malformed::Target)?;
    let (scheme, rest) = target.split_at_checked(colon).ok_or(Malformed::Target)?;
    let secure = scheme.eq_ignore_ascii_case(b"https");
    if !secure && !scheme.eq_ignore_ascii_case(b"http") {
        return Err(Malformed::Target);
    }
    let rest = rest.strip_prefix(b"://").ok_or(Malformed::Target)?;
    let length = memchr::memchr2(b'/', b'?', rest).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(length).ok_or(Malformed::Target)?;
    if !host::is_valid(authority) {
        return Err(Malformed::Target);
    }
    path_and_query(path)?;
    let start = target.len() - rest.len();
    Ok(Absolute { start, end: start + length, secure })
}

fn path_and_query(bytes: &[u8]) -> Result<(), Malformed> {
    let valid = match bytes.get(class::span(bytes, class::PATH)..) {
        None | Some([]) => true,
        Some([b'?', query @ ..]) => class::all(query, class::QUERY),
        Some(_) => false,
    };
    if valid { Ok(()) } else { Err(Malformed::Target) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_authority_of_an_absolute_target() {
        let target = b"HTTPS://a.example:8443/x?y";
        let found = check(b"GET", target).unwrap().unwrap();
        assert_eq!(&target[found.start..found.end], b"a.example:8443");
        assert!(found.secure);
        assert!(check(b"GET", b"http://a?x").unwrap().is_some());
    }

    #[test]
    fn ties_the_other_forms_to_their_methods() {
        assert!(check(b"OPTIONS", b"*").is_ok());
        assert!(check(b"GET", b"*").is_err());
        assert!(check(b"CONNECT", b"a:443").is_ok());
        assert!(check(b"CONNECT", b"a").is_err());
        assert!(check(b"CONNECT", b"/a").is_err());
        assert!(check(b"GET", b"a:443").is_err());
    }

    #[test]
    fn refuses_bytes_that_have_no_place_in_a_target() {
        for bad in [
            "/a#b",
            "/a\\b",
            "/a<b",
            "/a\"b",
            "/a{b}",
            "/a?b<c",
            "/a?b#c",
            "\\a",
            "a",
            "?/a",
            "ftp://a/",
            "http:/a",
            "http:///a",
            "http://u@a/",
            "//",
            "/a\u{e9}",
        ] {
            let verdict = check(b"GET", bad.as_bytes());
            assert_eq!(verdict.is_err(), bad != "//", "{bad}");
        }
        assert!(check(b"GET", b"/a?b[]={c}|\\^`").is_ok());
    }
}
