//! Starts, good and bad: what is served when the policy is missing, broken or deadly, and what is said when
//! nothing can be.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use tokio::net::TcpListener;

use super::again;
use super::support::app::{ByHand, app};
use super::support::raw::Raw;
use super::support::run::{eventually, run};
use super::support::sidecar::{Setup, Sidecar};
use super::watching::{generation, get, metric, policy, policy_until};

const SHORT: &str = "policy: { file: policy.yaml, probation: 200ms }";
const LONG: &str = "policy: { file: policy.yaml, probation: 1h }";

fn one(app: SocketAddr) -> String {
    format!("version: 1\nservice: one\ninbound: {{ app: \"http://{app}\" }}\n")
}

fn two(app: SocketAddr) -> String {
    one(app).replace("service: one", "service: two")
}

/// A sidecar with another `policy:` line than the usual one.
async fn start(policy: String, line: &str) -> Sidecar {
    let setup = Setup::new(policy);
    let dir = setup.dir().to_owned();
    let mut sidecar = setup.spawn();
    again::crash(&mut sidecar);
    let _ = std::fs::remove_dir_all(dir.join("state"));
    let text = std::fs::read_to_string(dir.join("sidecar.yaml")).unwrap();
    std::fs::write(dir.join("sidecar.yaml"), text.replace("policy: { file: policy.yaml }", line)).unwrap();
    again::start(&mut sidecar, &[]).await;
    sidecar
}

async fn becomes_last_good(sidecar: &Sidecar, generation: f64) {
    eventually("last good", async || {
        let good = metric(sidecar, "outrigger_policy_generation", &[("state", "last_good")]).await;
        (good == generation).then_some(())
    })
    .await;
}

#[test]
fn boots_the_last_good_policy_when_the_file_is_bad_or_missing() {
    run(async {
        let app = app();
        let mut sidecar = start(one(app.address()), SHORT).await;
        becomes_last_good(&sidecar, 1.0).await;
        for bad in [Some("version: 1\nnonsense: 1\n"), Some(""), None] {
            match bad {
                Some(text) => std::fs::write(sidecar.policy(), text).unwrap(),
                None => std::fs::remove_file(sidecar.policy()).unwrap(),
            }
            again::crash(&mut sidecar);
            again::start(&mut sidecar, &[]).await;
            let shown = policy(&sidecar).await;
            assert_eq!(shown["source"], "last_good", "{bad:?}: {shown}");
            assert!(shown["document"].to_string().contains("one"), "{shown}");
            assert!(!shown["rejected"].is_null(), "{bad:?}: nobody would know: {shown}");
            assert_eq!(metric(&sidecar, "outrigger_policy_source", &[("source", "last_good")]).await, 1.0);
            assert_eq!(get(&sidecar, "/").await.status, 200);
        }
        // A good file takes over without a restart, the same one or another.
        std::fs::write(sidecar.policy(), one(app.address())).unwrap();
        policy_until(&sidecar, "the file again", |shown| {
            shown["source"] == "file" && shown["rejected"].is_null()
        })
        .await;
        assert_eq!(metric(&sidecar, "outrigger_policy_source", &[("source", "file")]).await, 1.0);
        std::fs::write(sidecar.policy(), two(app.address())).unwrap();
        generation(&sidecar, 2).await;
    });
}

#[test]
fn a_policy_in_probation_is_not_last_good_yet() {
    run(async {
        let app = app();
        let mut sidecar = start(one(app.address()), SHORT).await;
        becomes_last_good(&sidecar, 1.0).await;
        again::stop(&mut sidecar).await;
        let config = sidecar.dir().join("sidecar.yaml");
        let text = std::fs::read_to_string(&config).unwrap().replace("probation: 200ms", "probation: 1h");
        std::fs::write(&config, text).unwrap();
        std::fs::write(sidecar.policy(), two(app.address())).unwrap();
        again::start(&mut sidecar, &[]).await;
        assert!(policy(&sidecar).await["document"].to_string().contains("two"));
        std::fs::write(sidecar.policy(), "broken").unwrap();
        again::crash(&mut sidecar);
        again::start(&mut sidecar, &[]).await;
        let shown = policy(&sidecar).await;
        assert_eq!(shown["source"], "last_good");
        assert!(shown["document"].to_string().contains("one"), "{shown}");
    });
}

#[test]
fn a_torn_copy_is_no_copy() {
    run(async {
        let app = app();
        let mut sidecar = start(one(app.address()), SHORT).await;
        becomes_last_good(&sidecar, 1.0).await;
        again::crash(&mut sidecar);
        let copy = sidecar.dir().join("state/policy/last_good.json");
        let whole = std::fs::read(&copy).unwrap();
        std::fs::write(&copy, &whole[..whole.len() / 2]).unwrap();
        std::fs::write(sidecar.policy(), "broken").unwrap();
        // The candidate is the same policy, and the process lived on with it.
        again::start(&mut sidecar, &[]).await;
        assert_eq!(policy(&sidecar).await["source"], "candidate");
    });
}

#[test]
fn a_candidate_that_the_process_died_of_is_not_tried_again() {
    run(async {
        let app = app();
        let mut sidecar = start(one(app.address()), LONG).await;
        std::fs::write(sidecar.policy(), "broken").unwrap();
        again::crash(&mut sidecar);
        again::launch(&mut sidecar, &[]);
        assert_eq!(again::ended(&mut sidecar).await.code(), Some(1));
        let log = sidecar.log();
        assert!(log.contains("candidate policy not used"), "{log}");
        assert!(log.contains("policy.yaml:1:1"), "{log}");
    });
}

#[test]
fn a_candidate_is_booted_after_a_stop_that_was_asked_for() {
    run(async {
        let app = app();
        let mut sidecar = start(one(app.address()), LONG).await;
        std::fs::write(sidecar.policy(), "broken").unwrap();
        again::stop(&mut sidecar).await;
        again::start(&mut sidecar, &[]).await;
        let shown = policy(&sidecar).await;
        assert_eq!(
            (shown["source"].as_str(), shown["rejected"].is_null()),
            (Some("candidate"), false),
            "{shown}"
        );
        assert_eq!(get(&sidecar, "/").await.status, 200);
        // Again on trial: a crash now counts.
        again::crash(&mut sidecar);
        again::launch(&mut sidecar, &[]);
        assert_eq!(again::ended(&mut sidecar).await.code(), Some(1));
    });
}

#[test]
fn a_candidate_that_serves_becomes_last_good() {
    run(async {
        let app = app();
        let mut sidecar = start(one(app.address()), LONG).await;
        again::stop(&mut sidecar).await;
        std::fs::write(sidecar.policy(), "broken").unwrap();
        let config = sidecar.dir().join("sidecar.yaml");
        let text = std::fs::read_to_string(&config).unwrap().replace("probation: 1h", "probation: 100ms");
        std::fs::write(&config, text).unwrap();
        again::start(&mut sidecar, &[]).await;
        assert_eq!(policy(&sidecar).await["source"], "candidate");
        becomes_last_good(&sidecar, 1.0).await;
    });
}

#[test]
fn an_unwritable_state_directory_is_said_and_serves_all_the_same() {
    run(async {
        let app = app();
        let setup = Setup::new(one(app.address())).file("state", "a file where a directory should be");
        let sidecar = setup.start().await;
        assert_eq!(get(&sidecar, "/").await.status, 200);
        assert!(sidecar.log().contains("cannot keep a copy of the policy"), "{}", sidecar.log());
    });
}

#[test]
fn serves_the_app_of_the_command_line_with_nothing_else() {
    run(async {
        let app = app();
        // The ports of the defaults may be taken here, so a configuration names others, and no policy.
        let mut sidecar = Setup::new(one(app.address())).spawn();
        again::crash(&mut sidecar);
        let config = sidecar.dir().join("sidecar.yaml");
        let text = std::fs::read_to_string(&config).unwrap().replace("policy: { file: policy.yaml }\n", "");
        std::fs::write(&config, text).unwrap();
        std::fs::remove_file(sidecar.policy()).unwrap();
        again::start(&mut sidecar, &["--app", &format!("http://{}", app.address())]).await;
        assert_eq!(policy(&sidecar).await["source"], "builtin");
        assert_eq!(get(&sidecar, "/").await.status, 200);
        // SIGHUP has nothing to look at and does no harm.
        sidecar.signal("HUP");
        eventually("it was heard", async || sidecar.log().contains("SIGHUP").then_some(())).await;
        assert_eq!(get(&sidecar, "/").await.status, 200);
        again::stop(&mut sidecar).await;
    });
}

#[test]
fn the_app_of_the_command_line_is_served_even_if_the_policy_is_broken() {
    run(async {
        let app = app();
        let mut sidecar = Setup::new("broken").spawn();
        again::ended(&mut sidecar).await;
        again::start(&mut sidecar, &["--app", &format!("http://{}", app.address())]).await;
        let shown = policy(&sidecar).await;
        assert_eq!(
            (shown["source"].as_str(), shown["rejected"].is_null()),
            (Some("builtin"), false),
            "{shown}"
        );
        assert_eq!(get(&sidecar, "/").await.status, 200);
    });
}

fn fails(args: &[&str]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_outrigger")).args(args).current_dir(&dir).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    said
}

#[test]
fn says_what_is_missing_when_there_is_nothing_to_serve() {
    let said = fails(&["proxy"]);
    assert!(
        said.contains("nothing to serve") && said.contains("--policy") && said.contains("--app"),
        "{said}"
    );
    let said = fails(&["proxy", "--app", "htp://x"]);
    assert!(said.contains("error[E"), "{said}");
    let said = fails(&["proxy", "--config", "nowhere.yaml"]);
    assert!(said.contains("nowhere.yaml"), "{said}");
}

#[test]
fn says_which_address_is_taken_and_by_which_listener_it_is_wanted() {
    run(async {
        let app = app();
        for (which, key) in [("inbound", "inbound"), ("outbound", "outbound"), ("admin", "admin")] {
            let mut sidecar = Sidecar::start(one(app.address())).await;
            let address = match which {
                "inbound" => sidecar.inbound,
                "outbound" => sidecar.outbound,
                _ => sidecar.admin,
            };
            again::crash(&mut sidecar);
            let _taken = TcpListener::bind(address).await.unwrap();
            again::launch(&mut sidecar, &[]);
            assert_eq!(again::ended(&mut sidecar).await.code(), Some(1));
            let log = sidecar.log();
            let said = format!("cannot listen on {address} ({key})");
            assert!(log.contains(&said) && log.contains("in use"), "{log}");
        }
    });
}

#[test]
fn refuses_to_start_with_a_policy_it_cannot_serve() {
    run(async {
        let mut sidecar = Setup::new("version: 1\ninbound:\n  app: http://127.0.0.1:1\n  apps: 2\n").spawn();
        assert_eq!(again::ended(&mut sidecar).await.code(), Some(1));
        assert!(sidecar.log().contains("policy.yaml:4:3"), "{}", sidecar.log());
    });
}

#[test]
fn is_ready_only_once_the_app_answers_where_the_policy_says() {
    run(async {
        let upstream = ByHand::listen().await;
        let policy =
            format!("version: 1\ninbound: {{ app: \"http://{}\", readiness: /up }}\n", upstream.address());
        let mut sidecar = Setup::new(policy).spawn();
        for (status, ready) in [(500, 503), (200, 200)] {
            let mut raw = upstream.accept().await;
            assert!(raw.request_head().await.starts_with("GET /up "));
            raw.send(format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")).await;
            eventually("its word on being ready", async || {
                let answer = sidecar.admin_get("/readyz").await?;
                (answer.status == ready).then_some(())
            })
            .await;
        }
        let answer = sidecar.admin_get("/readyz").await.unwrap().json();
        assert_eq!(answer["conditions"]["app"], true, "{answer}");
        again::stop(&mut sidecar).await;
    });
}

#[test]
fn works_without_rights_to_anything_but_its_directory() {
    run(async {
        let app = app();
        let setup = Setup::new(one(app.address()));
        let state = setup.dir().join("state");
        std::fs::create_dir(&state).unwrap();
        std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o700)).unwrap();
        let sidecar = setup.start().await;
        let copy = state.join("policy/candidate.json");
        eventually("the copy", async || copy.exists().then_some(())).await;
        let mut raw = Raw::connect(sidecar.inbound).await;
        assert_eq!(raw.get("/").await.status, 200);
    });
}
