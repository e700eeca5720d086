//! HTTP/2 from clients: many streams, bodies both ways, cookies, and what only HTTP/1.1 has.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use bytes::Bytes;
use http::Request;
use support::app::app;
use support::client::{ask_h2, empty, fed, full, h2, request, tcp};
use support::run::{becomes_true, run, soon};
use support::sidecar::Sidecar;

mod support;

async fn before(address: std::net::SocketAddr) -> Sidecar {
    Sidecar::before(format_args!("http://{address}")).await
}

#[test]
fn answers_many_streams_at_once() {
    run(async {
        let app = app();
        let sidecar = before(app.address()).await;
        let client = h2(tcp(sidecar.inbound).await).await;
        let mut asked = tokio::task::JoinSet::new();
        for n in 0..60 {
            let mut client = client.clone();
            asked.spawn(async move {
                let body = format!("body {n}");
                let ask = request("POST", "/echo").body(full(body.clone())).unwrap();
                assert_eq!(ask_h2(&mut client, ask).await.json()["body"], body);
            });
        }
        asked.join_all().await;
        assert_eq!(app.requests(), 60);
    });
}

#[test]
fn a_slow_stream_does_not_hold_up_the_others() {
    run(async {
        let app = app();
        let sidecar = before(app.address()).await;
        let mut client = h2(tcp(sidecar.inbound).await).await;
        let hanging = client.send_request(request("GET", "/hang").body(empty()).unwrap());
        let quick = ask_h2(&mut client, request("GET", "/16k").body(empty()).unwrap()).await;
        assert_eq!((quick.status, quick.body.len()), (200, 16 * 1024));
        drop(hanging);
        becomes_true("the hanging one is recorded as cancelled", || {
            sidecar.access_log().iter().any(|line| line["outcome"] == "client_cancelled")
        })
        .await;
        assert_eq!(ask_h2(&mut client, request("GET", "/").body(empty()).unwrap()).await.status, 200);
    });
}

#[test]
fn joins_the_crumbs_of_a_cookie_for_http_1() {
    run(async {
        let app = app();
        let sidecar = before(app.address()).await;
        let mut client = h2(tcp(sidecar.inbound).await).await;
        let ask =
            request("GET", "/echo").header("cookie", "a=1").header("cookie", "b=2").header("cookie", "c=3");
        let seen = ask_h2(&mut client, ask.body(empty()).unwrap()).await.json();
        let cookies: Vec<_> =
            seen["headers"].as_array().unwrap().iter().filter(|field| field[0] == "cookie").collect();
        assert_eq!(cookies, [&serde_json::json!(["cookie", "a=1; b=2; c=3"])]);
    });
}

#[test]
fn answers_head_and_statuses_without_a_body() {
    run(async {
        let app = app();
        let sidecar = before(app.address()).await;
        let mut client = h2(tcp(sidecar.inbound).await).await;
        let answer = ask_h2(&mut client, request("HEAD", "/bytes/1234").body(empty()).unwrap()).await;
        assert_eq!(
            (answer.status, answer.field("content-length"), answer.body.len()),
            (200, Some("1234"), 0)
        );
        for status in [204, 304] {
            let path = format!("/status/{status}");
            let answer = ask_h2(&mut client, request("GET", &path).body(empty()).unwrap()).await;
            assert_eq!((answer.status, answer.body.len()), (status, 0));
        }
        assert_eq!(ask_h2(&mut client, request("GET", "/early").body(empty()).unwrap()).await.status, 200);
        assert_eq!(app.connections(), 1);
    });
}

#[test]
fn says_nothing_of_http_1_connections_to_http_2_clients() {
    run(async {
        let app = app();
        let sidecar = before(app.address()).await;
        let mut client = h2(tcp(sidecar.inbound).await).await;
        let answer = ask_h2(&mut client, request("GET", "/close").body(empty()).unwrap()).await;
        assert_eq!((answer.status, answer.field("connection")), (200, None));
        // Nor in our own answers.
        let refused = Request::get("http://app.test/a%2fb").body(empty()).unwrap();
        let answer = ask_h2(&mut client, refused).await;
        assert_eq!((answer.status, answer.field("connection")), (400, None));
        assert_eq!(ask_h2(&mut client, request("GET", "/").body(empty()).unwrap()).await.status, 200);
    });
}

#[test]
fn shows_an_early_answer_to_a_stream_that_is_still_sending() {
    run(async {
        let app = app();
        let sidecar = before(app.address()).await;
        let mut client = h2(tcp(sidecar.inbound).await).await;
        let (mut sender, body) = fed();
        let feed = tokio::spawn(async move {
            while sender.send_data(Bytes::from_static(&[b'x'; 16 * 1024])).await.is_ok() {}
        });
        let answer = ask_h2(&mut client, request("POST", "/status/413").body(body).unwrap()).await;
        assert_eq!(answer.status, 413);
        soon("the sender is told to stop", feed).await.unwrap();
        assert_eq!(ask_h2(&mut client, request("GET", "/").body(empty()).unwrap()).await.status, 200);
    });
}

#[test]
fn refuses_connect_and_odd_hosts() {
    run(async {
        let app = app();
        let sidecar = before(app.address()).await;
        let mut client = h2(tcp(sidecar.inbound).await).await;
        let connect = Request::connect("shop.test:443").body(empty()).unwrap();
        assert_eq!(ask_h2(&mut client, connect).await.status, 405);
        let two = request("GET", "/").header("host", "other.test").body(empty()).unwrap();
        assert_eq!(ask_h2(&mut client, two).await.status, 400);
        let user = Request::get("http://user@app.test/").body(empty()).unwrap();
        assert_eq!(ask_h2(&mut client, user).await.status, 400);
        assert_eq!(app.requests(), 0);
    });
}

#[test]
fn breaks_the_stream_when_the_answer_breaks_off() {
    run(async {
        use http_body_util::BodyExt;
        let app = app();
        let sidecar = before(app.address()).await;
        let mut client = h2(tcp(sidecar.inbound).await).await;
        let response = client.send_request(request("GET", "/truncate").body(empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), 200);
        assert!(soon("the broken body", response.into_body().collect()).await.is_err());
        assert_eq!(ask_h2(&mut client, request("GET", "/").body(empty()).unwrap()).await.status, 200);
    });
}
