use http::{HeaderMap, HeaderValue, Method};

use super::*;

fn request<'a>(headers: &'a HeaderMap, query: Option<&'a str>, ip: &str) -> RequestView<'a> {
    RequestView { query, ..RequestView::get("/", headers, ip.parse().unwrap()) }
}

fn key(parts: &[KeyPart]) -> Key {
    Key::compile(parts, RandomState::new()).unwrap()
}

fn tenant(value: &[u8]) -> HeaderMap {
    HeaderMap::from_iter([(HeaderName::from_static("x-tenant"), HeaderValue::from_bytes(value).unwrap())])
}

#[test]
fn a_missing_part_is_a_value_of_its_own() {
    let key = key(&[KeyPart::Header("X-Tenant".into())]);
    let hash = |headers: &HeaderMap| key.hash(&request(headers, None, "::1"));
    assert_eq!(hash(&HeaderMap::new()), hash(&HeaderMap::new()));
    assert_ne!(hash(&HeaderMap::new()), hash(&tenant(b"")));
    assert_ne!(hash(&tenant(b"a")), hash(&tenant(b"b")));
    assert_eq!(hash(&tenant(b"\xff")), hash(&tenant(b"\xff")));
}

#[test]
fn parts_do_not_run_into_each_other() {
    let key = key(&[KeyPart::Query("a".into()), KeyPart::Query("b".into())]);
    let hash = |query: &str| key.hash(&request(&HeaderMap::new(), Some(query), "::1"));
    assert_ne!(hash("a=xy&b=z"), hash("a=x&b=yz"));
    assert_ne!(hash("a=x"), hash("b=x"));
    assert_ne!(hash("a=x&b="), hash("a=x"));
}

#[test]
fn one_ipv6_network_is_one_caller_and_mapped_ipv4_is_ipv4() {
    let key = key(&[KeyPart::ClientIp]);
    let hash = |ip| key.hash(&request(&HeaderMap::new(), None, ip));
    assert_eq!(hash("2001:db8:1:2::1"), hash("2001:db8:1:2:ffff::9"));
    assert_ne!(hash("2001:db8:1:2::1"), hash("2001:db8:1:3::1"));
    assert_eq!(hash("10.0.0.1"), hash("::ffff:10.0.0.1"));
    assert_ne!(hash("10.0.0.1"), hash("10.0.0.2"));
    assert_ne!(hash("0.0.0.0"), hash("::"));
}

#[test]
fn spellings_of_one_query_value_are_one_key() {
    let key = key(&[KeyPart::Query("user id".into())]);
    let hash = |query: &str| key.hash(&request(&HeaderMap::new(), Some(query), "::1"));
    assert_eq!(hash("user+id=a%62c"), hash("x=1&&user%20id=abc&user+id=other"));
    assert_eq!(hash("user+id=%zz%4"), hash("user+id=%25zz%254"));
    assert_ne!(hash("user+id=abc"), hash("user+id=abd"));
    let long = "v".repeat(200);
    assert_ne!(hash(&format!("user+id={long}")), hash(&format!("user+id={long}v")));
    assert_eq!(hash("user+id"), hash("user+id="));
}

#[test]
fn every_part_reads_what_it_names() {
    let headers = tenant(b"t");
    let base = request(&headers, None, "10.0.0.1");
    let params = [("id", "7")];
    let others: [(KeyPart, RequestView<'_>); 4] = [
        (KeyPart::SpiffeId, RequestView { spiffe_id: Some("spiffe://a/b"), ..base }),
        (KeyPart::Method, RequestView { method: &Method::POST, ..base }),
        (KeyPart::Route, RequestView { route: "other", ..base }),
        (KeyPart::PathParam("id".into()), RequestView { path_params: &params, ..base }),
    ];
    for (part, other) in &others {
        let key = key(std::slice::from_ref(part));
        for (index, (_, view)) in others.iter().enumerate() {
            let reads_it = others[index].0 == *part;
            assert_eq!(key.hash(&base) != key.hash(view), reads_it, "{part:?} of {other:?}");
        }
    }
}

#[test]
fn other_processes_hash_otherwise() {
    let headers = tenant(b"a");
    let hash = || key(&[KeyPart::Header("x-tenant".into())]).hash(&request(&headers, None, "::1"));
    assert_ne!(hash(), hash());
}
