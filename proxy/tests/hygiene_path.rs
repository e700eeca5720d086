//! Every spelling of a path that something behind us could take for another path is refused, and what is
//! accepted is its own normal form.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]
use outrigger_proxy::hygiene::path::{Ambiguous as A, check};
use proptest::prelude::*;

const MAX: usize = 8192;

#[test]
fn refuses_every_way_to_spell_another_path() {
    for (path, why) in [
        ("/%61dmin", A::NeedlessEscape),
        ("/admi%6E", A::NeedlessEscape),
        ("/a%2dmin", A::NeedlessEscape),
        ("/%7Ea", A::NeedlessEscape),
        ("/%2561dmin", A::DoubleEscape),
        ("/%252e%252e/admin", A::DoubleEscape),
        ("/x/..%252fadmin", A::DoubleEscape),
        ("/%25u002e", A::DoubleEscape),
        ("/%25%32%65", A::NeedlessEscape),
        ("/./admin", A::DotSegment),
        ("/x/../admin", A::DotSegment),
        ("/../admin", A::DotSegment),
        ("/admin/.", A::DotSegment),
        ("/admin/..", A::DotSegment),
        ("/x/..?y", A::DotSegment),
        ("/.", A::DotSegment),
        ("/..", A::DotSegment),
        ("/.;/admin", A::DotSegment),
        ("/..;/admin", A::DotSegment),
        ("/x/..;a=b/admin", A::DotSegment),
        ("/x;/../admin", A::DotSegment),
        ("/x/..;", A::DotSegment),
        ("/x/..%3b/admin", A::DotSegment),
        ("/x/..%20/admin", A::DotSegment),
        ("/x/%20../admin", A::DotSegment),
        ("/x/.%20./admin", A::DotSegment),
        ("/x/%2e%2e/admin", A::NeedlessEscape),
        ("/x/.%2e/admin", A::NeedlessEscape),
        ("/x/%2E/admin", A::NeedlessEscape),
        ("/x/..%2fadmin", A::EscapedSeparator),
        ("/x/..%5cadmin", A::EscapedSeparator),
        ("/admin%2f", A::EscapedSeparator),
        ("/admin%2F..", A::EscapedSeparator),
        ("/admin%5C", A::EscapedSeparator),
        ("\\admin", A::NotAbsolute),
        ("/x\\..\\admin", A::Byte),
        ("//admin", A::EmptySegment),
        ("///admin", A::EmptySegment),
        ("/admin//", A::EmptySegment),
        ("/x//admin", A::EmptySegment),
        ("/admin;/;x/y", A::EmptySegment),
        ("/;/admin", A::EmptySegment),
        ("/;", A::EmptySegment),
        ("/%3b/admin", A::EmptySegment),
        ("/%20/admin", A::EmptySegment),
        ("/admin/%20", A::EmptySegment),
        ("/%c2%a0/admin", A::EmptySegment),
        ("/x/..%e3%80%80/admin", A::DotSegment),
        ("/%20;/admin", A::EmptySegment),
        ("/admin%00", A::EscapedControl),
        ("/admin%0a", A::EscapedControl),
        ("/admin%0D%0aX", A::EscapedControl),
        ("/admin%09", A::EscapedControl),
        ("/admin%7f", A::EscapedControl),
        ("/admin%c2%85", A::EscapedControl),
        ("/admin#x", A::Byte),
        ("/admin%3f", A::EscapedDelimiter),
        ("/admin%23", A::EscapedDelimiter),
        ("/a%dmin", A::BadEscape),
        ("/a%gmin", A::BadEscape),
        ("/a%", A::BadEscape),
        ("/a%4", A::BadEscape),
        ("/a%4?1", A::BadEscape),
        ("/a%4/1", A::BadEscape),
        ("/a%u002e", A::BadEscape),
        ("/a%+1", A::BadEscape),
        ("/%c0%ae/admin", A::NotUtf8),
        ("/%c0%af", A::NotUtf8),
        ("/%e0%80%ae", A::NotUtf8),
        ("/%e0%80%af", A::NotUtf8),
        ("/%f0%80%80%ae", A::NotUtf8),
        ("/%ed%a0%80", A::NotUtf8),
        ("/%f4%90%80%80", A::NotUtf8),
        ("/%ff", A::NotUtf8),
        ("/%80", A::NotUtf8),
        ("/%e4%bd", A::NotUtf8),
        ("/%e4%bda", A::NotUtf8),
        ("/%e4%b", A::BadEscape),
        ("/x%ef%bc%8fadmin", A::Confusable),
        ("/%ef%bc%8e%ef%bc%8e/admin", A::Confusable),
        ("/x%ef%bc%bcadmin", A::Confusable),
        ("/%e2%80%a5/admin", A::Confusable),
        ("/x%e2%88%95admin", A::Confusable),
        ("/admin x", A::Byte),
        ("/admin\tx", A::Byte),
        ("/admin\0", A::Byte),
        ("/\u{e9}", A::Byte),
        ("/\u{ff0f}", A::Byte),
        ("/<x>", A::Byte),
        ("/a|b", A::Byte),
        ("/?a b", A::Byte),
        ("/?a#b", A::Byte),
        ("/?a\0", A::Byte),
        ("/?\u{e9}", A::Byte),
        ("/a%20?a#b", A::Byte),
        ("http://evil/admin", A::NotAbsolute),
        ("?/admin", A::NotAbsolute),
        ("", A::NotAbsolute),
        ("admin", A::NotAbsolute),
        ("**", A::NotAbsolute),
        ("*?", A::NotAbsolute),
    ] {
        assert_eq!(check(path, MAX), Err(why), "{path:?}");
    }
}

#[test]
fn takes_every_path_that_can_be_read_one_way_only() {
    for path in [
        "/",
        "*",
        "/admin",
        "/admin/",
        "/ADMIN",
        "/admin.",
        "/admin..",
        "/admin%20",
        "/admin;a=b",
        "/admin;a=../b",
        "/admin?",
        "/admin??",
        "/?/../%2f%00%zz;//\\",
        "/.well-known/x",
        "/..a",
        "/...",
        "/a.b/c..d",
        "/a/b.tar.gz",
        "/%E4%BD%A0%E5%A5%BD",
        "/%ef%bc%88%ef%bc%89",
        "/%f0%9f%9a%80",
        "/100%25",
        "/100%25?x",
        "/a%20b%2Bc",
        "/a:b@c!$&'()*+,=~_-",
        "/a%3Ab",
        "/%5B1%5D",
        "/x%3ba",
        "/v1/orders/42/lines/7?expand=items&x[]={1}|2",
    ] {
        assert_eq!(check(path, MAX), Ok(()), "{path:?}");
    }
}

#[test]
fn bounds_the_length_of_path_and_query_together() {
    let path = format!("/{}?{}", "a".repeat(50), "b".repeat(48));
    assert_eq!(path.len(), 100);
    assert_eq!(check(&path, 100), Ok(()));
    assert_eq!(check(&path, 99), Err(A::TooLong));
}

/// A generous server: decodes again and again, takes `\` for `/`, cuts parameters, trims, resolves dots.
/// Returns the segments it would act on, with nothing dropped silently.
fn as_a_generous_server_reads(path: &str) -> String {
    let mut decoded = path.as_bytes().to_vec();
    loop {
        let next = decode_once(&decoded);
        if next == decoded {
            break;
        }
        decoded = next;
    }
    let text = String::from_utf8_lossy(&decoded).replace('\\', "/");
    let text = text.split(['?', '#', '\0']).next().unwrap_or_default();
    let mut out: Vec<&str> = Vec::new();
    let segments: Vec<&str> = text.split('/').skip(1).collect();
    for (index, segment) in segments.iter().enumerate() {
        match segment.split(';').next().unwrap_or_default().trim() {
            ".." => drop(out.pop()),
            "." => {}
            "" if index + 1 != segments.len() && segment.trim().is_empty() == segment.is_empty() => {}
            name => out.push(name),
        }
    }
    format!("/{}", out.join("/"))
}

fn decode_once(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = bytes;
    while let [first, after @ ..] = rest {
        let pair = after.get(..2).filter(|pair| *first == b'%' && pair.iter().all(u8::is_ascii_hexdigit));
        match pair.and_then(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).ok()) {
            Some(byte) => {
                out.push(byte);
                rest = after.get(2..).unwrap();
            }
            None => {
                out.push(*first);
                rest = after;
            }
        }
    }
    out
}

/// The path with parameters cut and escapes decoded once, and nothing else done to it.
fn as_written(path: &str) -> String {
    let decoded: Vec<String> = path
        .split('/')
        .skip(1)
        .map(|segment| {
            let name = decode_once(segment.as_bytes());
            String::from_utf8_lossy(&name).split(';').next().unwrap_or_default().trim().to_owned()
        })
        .collect();
    format!("/{}", decoded.join("/"))
}

/// Paths out of the pieces attacks are made of.
fn tricky() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "/",
        "/",
        "/",
        "a",
        "b",
        "admin",
        ".",
        "..",
        ";",
        ";x=1",
        "%2e",
        "%2E",
        "%2f",
        "%5c",
        "%25",
        "%252e",
        "%20",
        "%3b",
        "%c0",
        "%ae",
        "%61",
        "%e4%bd%a0",
        "%00",
        "%",
        "\\",
        "#",
        "%ef%bc%8f",
        "~",
        "%3a",
        "2e",
        "2f",
    ]);
    prop::collection::vec(piece, 0..10).prop_map(|pieces| format!("/{}", pieces.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_generous_server_finds_in_an_accepted_path_what_is_written_there(path in tricky()) {
        if check(&path, MAX).is_ok() {
            prop_assert_eq!(as_a_generous_server_reads(&path), as_written(&path), "{}", path);
        }
    }

    #[test]
    fn the_quick_way_and_the_slow_way_agree(path in "/[ab./]{0,12}") {
        // A segment with an escape, put first, sends the rest the slow way.
        let slow = format!("/a%20{path}");
        prop_assert_eq!(check(&path, MAX), check(&slow, MAX));
    }

    #[test]
    fn never_panics_on_any_text(path in any::<String>()) {
        let _ = check(&path, MAX);
        let _ = check(&format!("/{path}"), MAX);
    }
}
