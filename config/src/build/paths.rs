//! Paths that a request can have. The parser refuses ambiguous targets before routing, so a route for one of
//! them would wait for ever; see RFC 3986 for the characters.

use super::Build;
use crate::codes;
use crate::index::Spot;
use crate::node::quoted;

impl Build<'_, '_> {
    pub(super) fn check_path(&self, spot: Spot<'_>, path: &str) {
        if let Err((why, hint)) = check(path) {
            self.error(spot, codes::PATH, format!("{} can never match: {why}", quoted(path)), hint);
        }
    }
}

type Verdict = Result<(), (&'static str, &'static str)>;

fn check(path: &str) -> Verdict {
    if !path.starts_with('/') {
        return Err(("a path begins with `/`", ""));
    }
    if path.len() > 8192 {
        return Err(("it has more than 8 KiB", ""));
    }
    path.chars().try_for_each(check_character)?;
    check_escapes(path.as_bytes())?;
    if path.contains("//") {
        return Err(("requests with an empty segment (`//`) are refused", "remove one `/`"));
    }
    path.split('/').try_for_each(check_segment)
}

fn check_character(character: char) -> Verdict {
    match character {
        '?' => Err(("a path ends before the `?`", "match parameters with `query`")),
        '#' => Err(("fragments are not sent", "remove the `#` and what follows")),
        '\\' => Err(("requests with a backslash are refused", "")),
        ' ' | '"' | '<' | '>' | '^' | '`' | '{' | '|' | '}' => Err((
            "it has a character that is sent percent-encoded",
            "write it so, `%20` for a space; for a pattern use `path_regex`",
        )),
        _ if character.is_ascii_graphic() => Ok(()),
        _ => Err(("it has a character that is sent percent-encoded", "write it so: `%C3%A9` for `é`")),
    }
}

fn check_escapes(path: &[u8]) -> Verdict {
    for (index, _) in path.iter().enumerate().filter(|(_, byte)| **byte == b'%') {
        let digits = path.get(index + 1..index + 3).and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        match byte.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            None => return Err(("`%` is not followed by two hexadecimal digits", "a percent sign is `%25`")),
            Some(b'/' | b'\\') => {
                return Err(("requests with an encoded slash or backslash are refused", ""));
            }
            Some(0..=31 | 127) => return Err(("requests with encoded control characters are refused", "")),
            Some(_) => {}
        }
    }
    Ok(())
}

/// `.` and `..` are refused in every spelling, with parameters or without.
fn check_segment(segment: &str) -> Verdict {
    let plain = segment.to_ascii_lowercase().replace("%2e", ".");
    match plain.split(';').next() {
        Some("." | "..") => {
            Err(("requests with `.` or `..` segments are refused", "write the path they lead to"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_a_request_can_have() {
        for path in
            ["/", "/v1/orders", "/v1/orders/", "/a;b=c", "/caf%C3%A9", "/~x/@me/$1,2!*'()+:=&", "/a.b/..c"]
        {
            assert_eq!(check(path), Ok(()), "{path}");
        }
    }

    #[test]
    fn refuses_what_the_parser_refuses() {
        for path in [
            "",
            "v1",
            "*",
            "//",
            "/a//b",
            "/.",
            "/a/../b",
            "/%2e%2E/b",
            "/..;x/b",
            "/a%2Fb",
            "/a%5cb",
            "/a%00",
            "/a%0d",
            "/a%zz",
            "/a%2",
            "/a%+1",
            "/a b",
            "/é",
            "/a?b",
            "/a#b",
            "/a\\b",
            "/{id}",
            "/a\u{7f}",
        ] {
            assert!(check(path).is_err(), "{path}");
        }
    }
}
