//! The operators' door of the running program.

use std::os::unix::fs::PermissionsExt;

use super::again;
use super::support::app::app;
use super::support::raw::Raw;
use super::support::run::{becomes_true, run};
use super::support::sidecar::{Setup, Sidecar};
use super::watching::{admin, get};

async fn start() -> (outrigger_load_tests::upstream::Upstream, Sidecar) {
    let app = app();
    let policy = format!(
        "version: 1\ninbound: {{ app: \"http://{0}\" }}\ndependencies:\n  dep:\n    hosts: [dep.test]\n    \
         endpoints: [{{ address: \"{0}\" }}, {{ address: \"127.0.0.1:1\" }}]\n",
        app.address()
    );
    let sidecar = Sidecar::start(policy).await;
    (app, sidecar)
}

#[test]
fn answers_on_every_path_and_explains_what_it_does_not() {
    run(async {
        let (_app, sidecar) = start().await;
        for path in [
            "/",
            "/healthz",
            "/readyz",
            "/metrics",
            "/policy",
            "/dependencies",
            "/decisions",
            "/decisions?limit=1",
        ] {
            let answer = admin(&sidecar, "GET", path, "", "").await;
            assert_eq!(answer.status, 200, "{path}");
            assert!(!answer.body.is_empty(), "{path}");
            let head = admin(&sidecar, "HEAD", path, "", "").await;
            assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
            for method in ["POST", "PUT", "DELETE", "PATCH"] {
                let answer = admin(&sidecar, method, path, "", "").await;
                assert_eq!(
                    (answer.status, answer.field("allow")),
                    (405, Some("GET, HEAD")),
                    "{method} {path}"
                );
            }
        }
        for (path, allowed) in [("/drain", "POST, DELETE"), ("/log", "POST")] {
            let answer = admin(&sidecar, "GET", path, "", "").await;
            assert_eq!((answer.status, answer.field("allow")), (405, Some(allowed)), "a GET changes nothing");
        }
        for path in ["/nowhere", "/policy/", "/metrics/x", "//policy"] {
            assert_eq!(admin(&sidecar, "GET", path, "", "").await.status, 404, "{path}");
        }
        assert_eq!(admin(&sidecar, "GET", "/decisions?limit=x", "", "").await.status, 400);
        assert_eq!(sidecar.admin_get("/readyz").await.unwrap().status, 200, "nothing of it began a drain");
    });
}

#[test]
fn lets_no_web_page_use_an_operators_browser() {
    run(async {
        let (_app, sidecar) = start().await;
        let ask = async |host: &str, method: &str, path: &str, fields: &str| {
            let request =
                format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 0\r\n{fields}\r\n");
            Raw::connect(sidecar.admin).await.ask(request).await.status
        };
        assert_eq!(ask("evil.example", "GET", "/policy", "").await, 403);
        assert_eq!(ask("127.0.0.1.evil.example", "GET", "/policy", "").await, 403);
        assert_eq!(ask("localhost", "POST", "/drain", "origin: http://evil.example\r\n").await, 403);
        assert_eq!(ask("localhost", "POST", "/drain", "origin: null\r\n").await, 403);
        assert_eq!(ask("localhost", "GET", "/policy", "").await, 200);
        assert_eq!(ask("127.0.0.1:1", "GET", "/policy", "").await, 200);
        assert_eq!(sidecar.admin_get("/readyz").await.unwrap().status, 200);
    });
}

#[test]
fn a_socket_is_for_its_owner_alone() {
    run(async {
        let app = app();
        let mut sidecar =
            Setup::new(format!("version: 1\ninbound: {{ app: \"http://{}\" }}\n", app.address())).spawn();
        again::crash(&mut sidecar);
        let (config, socket) = (sidecar.dir().join("sidecar.yaml"), sidecar.dir().join("admin.sock"));
        let text = std::fs::read_to_string(&config).unwrap();
        let line = text.lines().find(|line| line.starts_with("admin:")).unwrap();
        std::fs::write(&config, text.replace(line, "admin: { address: \"unix:admin.sock\" }")).unwrap();
        again::launch(&mut sidecar, &[]);
        becomes_true("the socket is there", || socket.exists()).await;
        assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
        let mut raw = Raw::over(tokio::net::UnixStream::connect(&socket).await.unwrap());
        // Any host: a browser does not come here.
        let answer = raw.ask("GET /policy HTTP/1.1\r\nhost: anything\r\n\r\n").await;
        assert_eq!((answer.status, answer.json()["service"].as_str()), (200, Some("test")));
        assert_eq!(get(&sidecar, "/").await.status, 200);
        // Killed, it leaves the socket behind, which does not keep it from starting.
        again::crash(&mut sidecar);
        assert!(socket.exists());
        again::launch(&mut sidecar, &[]);
        let mut log = || sidecar.log().contains("policy applied");
        becomes_true("it serves again", &mut log).await;
        let mut raw = Raw::over(tokio::net::UnixStream::connect(&socket).await.unwrap());
        assert_eq!(raw.get("/healthz").await.status, 200);
    });
}

#[test]
fn refuses_an_address_that_others_could_reach() {
    run(async {
        let mut sidecar = Setup::new("version: 1\n").spawn();
        again::crash(&mut sidecar);
        let config = sidecar.dir().join("sidecar.yaml");
        let text = std::fs::read_to_string(&config).unwrap();
        let line = text.lines().find(|line| line.starts_with("admin:")).unwrap();
        std::fs::write(&config, text.replace(line, "admin: { address: \"0.0.0.0:15999\" }")).unwrap();
        again::launch(&mut sidecar, &[]);
        assert_eq!(again::ended(&mut sidecar).await.code(), Some(1));
        assert!(sidecar.log().contains("admin.address"), "{}", sidecar.log());
    });
}

#[test]
fn the_log_level_changes_while_it_runs() {
    run(async {
        let (_app, sidecar) = start().await;
        let answer = admin(&sidecar, "POST", "/log", "", "{\"level\":\"error\"}").await;
        assert_eq!((answer.status, answer.json()["level"].as_str()), (200, Some("error")));
        admin(&sidecar, "POST", "/drain", "", "").await;
        admin(&sidecar, "DELETE", "/drain", "", "").await;
        assert!(!sidecar.log().contains("drain begun"));
        assert_eq!(admin(&sidecar, "POST", "/log?level=info", "", "").await.status, 200);
        admin(&sidecar, "POST", "/drain", "", "").await;
        becomes_true("it says so again", || sidecar.log().contains("drain begun")).await;
        for bad in ["{\"level\":\"loud\"}", "{}", "not json", ""] {
            assert_eq!(admin(&sidecar, "POST", "/log", "", bad).await.status, 400, "{bad}");
        }
        let large = "x".repeat(70_000);
        assert_eq!(admin(&sidecar, "POST", "/log", "", &large).await.status, 413);
    });
}

#[test]
fn shows_the_newest_decisions_first() {
    run(async {
        let (_app, sidecar) = start().await;
        for path in ["/", "/status/404", "/status/503", "/x/../y"] {
            get(&sidecar, path).await;
        }
        let all = sidecar.admin_get("/decisions").await.unwrap().json();
        let outcomes: Vec<&str> =
            all.as_array().unwrap().iter().map(|one| one["outcome"].as_str().unwrap()).collect();
        assert_eq!(outcomes, ["http_request_error", "upstream_5xx", "client_error", "ok"]);
        let one = &all[3];
        for key in [
            "schema",
            "ts",
            "dir",
            "service",
            "route",
            "method",
            "proto",
            "status",
            "outcome",
            "origin",
            "gen",
            "attempts",
            "t",
            "bytes_in",
            "bytes_out",
            "request_id",
        ] {
            assert!(!one[key].is_null(), "{key} is missing in {one}");
        }
        assert_eq!(
            (one["dir"].as_str(), one["status"].as_u64(), one["gen"].as_u64()),
            (Some("inbound"), Some(200), Some(1))
        );
        let limited = sidecar.admin_get("/decisions?limit=2").await.unwrap().json();
        assert_eq!(limited.as_array().unwrap().len(), 2);
    });
}

#[test]
fn shows_how_dependencies_fare() {
    run(async {
        let (app, sidecar) = start().await;
        let mut raw = Raw::connect(sidecar.outbound).await;
        assert_eq!(raw.ask("GET / HTTP/1.1\r\nhost: dep.test\r\n\r\n").await.status, 200);
        raw.send("GET /hang HTTP/1.1\r\nhost: dep.test\r\n\r\n").await;
        becomes_true("it hangs", || app.count("/hang") == 1).await;
        let shown = sidecar.admin_get("/dependencies").await.unwrap().json();
        let dep = &shown["dependencies"][0];
        assert_eq!((dep["name"].as_str(), dep["in_flight"].as_u64()), (Some("dep"), Some(1)), "{shown}");
        let good = dep["endpoints"]
            .as_array()
            .unwrap()
            .iter()
            .find(|one| one["address"] == app.address().to_string());
        assert_eq!(
            (good.unwrap()["in_flight"].as_u64(), good.unwrap()["connections"].as_u64()),
            (Some(1), Some(1)),
            "{shown}"
        );
        drop(raw);
        super::support::run::eventually("it is let go", async || {
            let shown = sidecar.admin_get("/dependencies").await?.json();
            (shown["dependencies"][0]["in_flight"] == 0).then_some(())
        })
        .await;
    });
}

#[test]
fn shows_the_policy_with_where_it_came_from() {
    run(async {
        let (_app, sidecar) = start().await;
        let shown = sidecar.admin_get("/policy").await.unwrap().json();
        for key in ["service", "generation", "hash", "source", "age_seconds", "document"] {
            assert!(!shown[key].is_null(), "{key} is missing in {shown}");
        }
        assert_eq!((shown["source"].as_str(), shown["generation"].as_u64()), (Some("file"), Some(1)));
        assert!(shown.as_object().unwrap().contains_key("rejected") && shown["rejected"].is_null());
        assert_eq!(shown["hash"].as_str().unwrap().len(), 64);
    });
}
