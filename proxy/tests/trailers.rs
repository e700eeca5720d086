//! Trailers, both ways, between every pair of protocols that can carry them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use http::HeaderMap;
use support::app::app;
use support::client::{ask_h2, empty, fed, h2, request, tcp};
use support::raw::Raw;
use support::run::run;
use support::sidecar::Sidecar;

mod support;

#[test]
fn brings_trailers_of_an_answer_to_a_client_of_http_1_that_wants_them() {
    run(async {
        let app = app();
        for scheme in ["http", "h2c"] {
            let sidecar = Sidecar::before(format_args!("{scheme}://{}", app.address())).await;
            let mut client = Raw::connect(sidecar.inbound).await;
            let answer = client
                .ask("GET /trailers HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: te\r\n\r\n")
                .await;
            assert_eq!(
                (answer.text(), answer.field("trailer")),
                ("see the trailer\n", Some("x-checksum")),
                "{scheme}"
            );
            assert_eq!(answer.trailers.get("x-checksum").unwrap(), "c0ffee", "{scheme}");
            // Without `TE: trailers` the client may not know what to do with them; the answer is whole anyway.
            let answer = client.get("/trailers").await;
            assert_eq!((answer.text(), answer.trailers.len()), ("see the trailer\n", 0), "{scheme}");
        }
    });
}

#[test]
fn brings_trailers_of_an_answer_to_a_client_of_http_2() {
    run(async {
        let app = app();
        for scheme in ["http", "h2c"] {
            let sidecar = Sidecar::before(format_args!("{scheme}://{}", app.address())).await;
            let mut client = h2(tcp(sidecar.inbound).await).await;
            let ask = request("GET", "/trailers").header("te", "trailers").body(empty()).unwrap();
            let answer = ask_h2(&mut client, ask).await;
            assert_eq!(&answer.body[..], b"see the trailer\n");
            assert_eq!(answer.trailers.get("x-checksum").unwrap(), "c0ffee", "{scheme}");
        }
    });
}

#[test]
fn takes_trailers_of_a_request_to_the_app() {
    run(async {
        let app = app();
        for scheme in ["http", "h2c"] {
            let sidecar = Sidecar::before(format_args!("{scheme}://{}", app.address())).await;
            let mut client = Raw::connect(sidecar.inbound).await;
            let chunked = "POST /echo HTTP/1.1\r\nhost: a\r\ntrailer: x-sum\r\ntransfer-encoding: chunked\r\n\r\n\
                           3\r\nabc\r\n0\r\nx-sum: 6\r\n\r\n";
            let seen = client.ask(chunked).await.json();
            assert_eq!(
                (&seen["body"], &seen["trailers"]),
                (&"abc".into(), &serde_json::json!([["x-sum", "6"]])),
                "h1 to {scheme}"
            );

            let mut client = h2(tcp(sidecar.inbound).await).await;
            let (mut sender, body) = fed();
            let ask = request("POST", "/echo").header("trailer", "x-sum").body(body).unwrap();
            let feed = async {
                sender.send_data("abc".into()).await.unwrap();
                let mut trailers = HeaderMap::new();
                trailers.insert("x-sum", "6".parse().unwrap());
                sender.send_trailers(trailers).await.unwrap();
            };
            let (answer, ()) = tokio::join!(ask_h2(&mut client, ask), feed);
            let seen = answer.json();
            assert_eq!(
                (&seen["body"], &seen["trailers"]),
                (&"abc".into(), &serde_json::json!([["x-sum", "6"]])),
                "h2 to {scheme}"
            );
        }
    });
}

#[test]
fn refuses_trailers_that_would_change_the_request() {
    run(async {
        let app = app();
        let sidecar = Sidecar::before(format_args!("http://{}", app.address())).await;
        let mut client = Raw::connect(sidecar.inbound).await;
        let chunked = "POST /echo HTTP/1.1\r\nhost: a\r\ntrailer: authorization\r\ntransfer-encoding: chunked\r\n\r\n\
                       3\r\nabc\r\n0\r\nauthorization: root\r\n\r\n";
        assert_eq!(client.ask(chunked).await.status, 400);
        client.until_end().await;
    });
}
