//! What the guard says about where the connection stands, and what it holds back around an upgrade.
use outrigger_proxy::hygiene::Malformed;
use outrigger_proxy::hygiene::guard::{Guard, HeadLimits, Inspected, Verdict};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const UPGRADE: &[u8] = b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";

fn guard() -> Guard {
    Guard::new(HeadLimits::default())
}

fn go_on(release: usize) -> Inspected {
    Inspected { release, verdict: Verdict::Continue }
}

/// (between messages, in a head, in a body)
fn stands(guard: &Guard) -> (bool, bool, bool) {
    (guard.between_messages(), guard.in_head(), guard.in_body())
}

#[test]
fn holds_what_follows_an_upgrade_until_it_is_answered() {
    let input = [UPGRADE, b"\x81\x05hello"].concat();
    let mut guard = guard();
    assert_eq!(guard.inspect(&input), go_on(UPGRADE.len()));
    assert!(guard.holding_for_upgrade());
    assert_eq!(guard.inspect(&input[UPGRADE.len()..]), go_on(0));
    guard.tunnel();
    assert_eq!(guard.inspect(&input[UPGRADE.len()..]), go_on(7));
    assert_eq!(guard.inspect(b"\r\n\0anything"), go_on(11));
}

#[test]
fn judges_what_was_held_as_a_request_when_the_upgrade_is_refused() {
    let mut guard = guard();
    assert_eq!(guard.inspect(&[UPGRADE, GET].concat()), go_on(UPGRADE.len()));
    assert_eq!(guard.heads_verified(), 1);
    guard.resume();
    assert_eq!(guard.inspect(GET), go_on(GET.len()));
    assert_eq!(guard.heads_verified(), 2);

    assert_eq!(guard.inspect(UPGRADE), go_on(UPGRADE.len()));
    guard.resume();
    let smuggled = guard.inspect(b"\x81\x05hello\r\n");
    assert_eq!(smuggled, Inspected { release: 0, verdict: Verdict::Malformed(Malformed::Method) });
}

#[test]
fn opens_no_tunnel_that_nobody_asked_for() {
    let mut guard = guard();
    guard.tunnel();
    assert_eq!(guard.inspect(b"anything\n").verdict, Verdict::Malformed(Malformed::BareLf));
    guard.tunnel();
    guard.resume();
    assert_eq!(guard.inspect(GET).release, 0);
}

#[test]
fn reads_on_behind_an_offer_that_is_never_taken_up() {
    let mut guard = guard();
    let post = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nContent-Length: 5\r\n\r\nhello";
    let input = [post, GET].concat();
    assert_eq!(guard.inspect(&input), go_on(input.len()));
    assert!(!guard.holding_for_upgrade());
    guard.inspect(b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c , WebSocket\r\n\r\n");
    assert!(guard.holding_for_upgrade());
}

#[test]
fn holds_what_follows_connect() {
    let mut guard = guard();
    let head = b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n";
    assert_eq!(guard.inspect(&[&head[..], b"\x16\x03\x01"].concat()), go_on(head.len()));
    assert!(guard.holding_for_upgrade());
}

#[test]
fn knows_where_the_connection_stands() {
    let mut guard = guard();
    let (idle, head, body) = ((true, false, false), (false, true, false), (false, false, true));
    assert_eq!(stands(&guard), idle);
    guard.inspect(b"\r\n");
    assert_eq!(stands(&guard), idle, "an empty line is nothing yet");
    guard.inspect(b"\r\nP");
    assert_eq!(stands(&guard), head);
    guard.inspect(b"\r\nPOST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nab");
    assert_eq!(stands(&guard), body);
    guard.inspect(b"c");
    assert_eq!(stands(&guard), idle);
    guard.inspect(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (bytes, released) in [(&b"1"[..], 0), (b"1\r\n", 3), (b"a\r", 1), (b"\r\n0\r\n", 5), (b"t: v\r\n", 0)]
    {
        assert_eq!(guard.inspect(bytes), go_on(released));
        assert_eq!(stands(&guard), body, "{}", bytes.escape_ascii());
    }
    assert_eq!(guard.inspect(b"t: v\r\n\r\n"), go_on(8));
    assert_eq!(stands(&guard), idle);
    guard.inspect(UPGRADE);
    assert_eq!(stands(&guard), (false, false, false));
}

#[test]
fn says_whether_a_continue_is_awaited() {
    let mut guard = guard();
    guard.inspect(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n");
    assert!(guard.expects_continue());
    guard.inspect(b"x");
    guard.inspect(b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n");
    assert!(!guard.expects_continue());
}

#[test]
fn passes_on_pipelined_requests_at_once() {
    let mut guard = guard();
    let many = GET.repeat(50);
    assert_eq!(guard.inspect(&many), go_on(many.len()));
    assert_eq!(guard.heads_verified(), 50);
}

#[test]
fn passes_on_a_body_of_any_length_without_looking() {
    let mut guard = guard();
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", i64::MAX);
    guard.inspect(head.as_bytes());
    let body = vec![b'\n'; 100_000];
    for _ in 0..10 {
        assert_eq!(guard.inspect(&body), go_on(body.len()));
    }
    assert!(guard.in_body());
}
