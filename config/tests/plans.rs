//! What documents mean.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "what tests share is a test")]

use std::fmt::Write as _;
use std::time::Duration;

use outrigger_config::plan::{
    Address, Dependency, Discovery, HostMatch, PathMatch, Plan, Protocol, Route, Timeouts,
};
use outrigger_config::{Diagnostics, Policy, Severity, Source, app, builtin, parse};
use outrigger_filters::policy::Mode;
use outrigger_filters::retries::{self, Condition};
use outrigger_filters::unit::{Percent, Timespan};

fn read(text: &str) -> Result<Policy, Diagnostics> {
    parse(vec![Source { name: "policy.yaml".into(), text: text.into(), ..Source::default() }])
}

fn plan(text: &str) -> Plan {
    read(text).unwrap_or_else(|problems| panic!("{problems}")).plan
}

fn names(routes: &[Route]) -> Vec<&str> {
    routes.iter().map(|route| route.name.as_str()).collect()
}

#[test]
fn the_most_specific_route_comes_first_wherever_it_stands() {
    let plan = plan(
        r#"
version: 1
inbound:
  routes:
    - { name: any-get, match: { methods: [GET] } }
    - { name: regex, match: { path_regex: "/v1/.*" } }
    - { name: longer-regex, match: { path_regex: "/v1/orders.*" } }
    - { name: short-prefix, match: { path_prefix: /v1 } }
    - { name: long-prefix, match: { path_prefix: /v1/orders } }
    - { name: exact, match: { path: /v1/orders } }
    - { name: exact-post, match: { path: /v1/orders, methods: [POST] } }
    - { name: exact-header, match: { path: /v1/orders, headers: { a: b } } }
    - { name: exact-post-header, match: { path: /v1/orders, methods: [POST], headers: { a: b } } }
    - { name: exact-query, match: { path: /v1/orders, query: { a: b } } }
    - { name: suffix, match: { hosts: ["*.example"] } }
    - { name: longer-suffix, match: { hosts: ["*.shop.example"] } }
    - { name: host, match: { hosts: [a.example] } }
    - { name: host-and-suffix, match: { hosts: [b.example, "*.example"], path: /x } }
"#,
    );
    assert_eq!(
        names(&plan.inbound.routes),
        [
            "host",
            "longer-suffix",
            "host-and-suffix",
            "suffix",
            "exact-post-header",
            "exact-post",
            "exact-header",
            "exact-query",
            "exact",
            "long-prefix",
            "short-prefix",
            "longer-regex",
            "regex",
            "any-get",
            "default",
        ]
    );
}

#[test]
fn routes_that_rank_the_same_keep_the_order_of_the_file() {
    let plan = plan(
        "version: 1\ninbound:\n  routes:\n    - { name: b, match: { path: /b } }\n    - { name: a, match: { path: /a } }\n",
    );
    assert_eq!(names(&plan.inbound.routes), ["b", "a", "default"]);
}

#[test]
fn a_default_route_of_ones_own_replaces_the_built_in_one() {
    let plan = plan(
        "version: 1\ninbound:\n  routes:\n    - { name: default, timeouts: { total: 2s } }\n    - { name: a, match: { path: /a } }\n",
    );
    assert_eq!(names(&plan.inbound.routes), ["a", "default"]);
    assert_eq!(plan.inbound.routes[1].timeouts.total, Duration::from_secs(2));
}

#[test]
fn a_block_of_a_route_replaces_its_parents_whole() {
    let plan = plan(
        r"
version: 1
inbound:
  defaults:
    timeouts: { total: 5s, body_idle: 2s }
    rate_limits: [{ name: shared, rate: 1/s }]
  routes:
    - { name: own, match: { path: /a }, timeouts: { connect: 2s }, rate_limits: [{ name: mine, rate: 2/s }] }
    - { name: none, match: { path: /b }, rate_limits: [] }
    - { name: inherits, match: { path: /c } }
",
    );
    let [own, none, inherits, default] = plan.inbound.routes.as_slice() else { panic!("four routes") };
    assert_eq!(own.timeouts, Timeouts { connect: Duration::from_secs(2), ..Timeouts::default() });
    assert_eq!(own.policies.rate_limits[0].name, "mine");
    assert!(none.policies.rate_limits.is_empty());
    for route in [inherits, default] {
        assert_eq!(route.policies.rate_limits[0].name, "shared");
        assert_eq!(route.timeouts.total, Duration::from_secs(5));
        assert_eq!(route.timeouts.first_byte, Duration::from_secs(5), "as long as total");
        assert_eq!(route.timeouts.body_idle, Duration::from_secs(2));
    }
}

#[test]
fn the_default_connect_timeout_is_never_longer_than_total() {
    let plan = plan("version: 1\ninbound: { defaults: { timeouts: { total: 300ms } } }\n");
    assert_eq!(plan.inbound.routes[0].timeouts.connect, Duration::from_millis(300));
}

#[test]
fn routes_of_a_dependency_inherit_its_timeouts_and_not_its_limits() {
    let plan = plan(
        r"
version: 1
dependencies:
  d:
    hosts: [D.Internal, '*.d.internal']
    endpoints: [{ address: 10.0.0.1:80 }, { address: 'unix:run/d.sock' }]
    timeouts: { total: 2s, keepalive: 9s }
    rate_limits: [{ name: calls, rate: 1/s }]
    routes: [{ name: r, match: { path_prefix: /r/ } }]
",
    );
    let d = &plan.dependencies[0];
    assert_eq!(d.hosts, [HostMatch::Exact("d.internal".into()), HostMatch::Suffix(".d.internal".into())]);
    assert_eq!(d.upstream.keepalive, Duration::from_secs(9));
    assert_eq!(d.policies.rate_limits.len(), 1);
    assert_eq!(names(&d.routes), ["r", "default"]);
    assert_eq!(d.routes[0].matches.path, PathMatch::Prefix("/r".into()));
    assert!(d.routes.iter().all(|route| route.policies.rate_limits.is_empty()));
    assert!(d.routes.iter().all(|route| route.timeouts.total == Duration::from_secs(2)));
}

#[test]
fn an_app_is_reached_as_its_address_says() {
    let read = |text| app(text).unwrap().unwrap();
    let at = |text: &str| Discovery::Fixed(vec![Address::Tcp(text.parse().unwrap())]);
    assert_eq!(read("http://127.0.0.1:8080/").discovery, at("127.0.0.1:8080"));
    assert_eq!(read("http://[::1]").discovery, at("[::1]:80"));
    assert_eq!(read("h2c://127.0.0.1:1").protocol, Protocol::H2);
    assert_eq!(
        read("unix:/run/app.sock").discovery,
        Discovery::Fixed(vec![Address::Unix("/run/app.sock".into())])
    );
    let dns = read("https://App.Internal");
    assert_eq!(dns.protocol, Protocol::Auto);
    assert_eq!(dns.tls.unwrap().server_name.as_deref(), Some("app.internal"));
    let every = Duration::from_secs(5);
    assert_eq!(dns.discovery, Discovery::Dns { host: "app.internal".into(), port: 443, every });
    assert!(matches!(read("http://localhost:80").discovery, Discovery::Dns { .. }));
    assert!(app("ftp://x").is_err());
}

#[test]
fn without_a_policy_there_is_one() {
    let policy = builtin(None).unwrap();
    assert_eq!(names(&policy.plan.inbound.routes), ["default"]);
    assert_eq!(policy.plan.inbound.app, None);
}

#[test]
fn the_hash_is_of_what_a_policy_means() {
    let a = read("version: 1\ninbound: { app: 'http://127.0.0.1:1' } # so\n").unwrap();
    let b = read("inbound:\n  app: http://127.0.0.1:1\n  routes: [{ name: default }]\nversion: 1\n").unwrap();
    let c = read("version: 1\ninbound: { app: 'http://127.0.0.1:2' }\n").unwrap();
    assert_eq!(a.hash, b.hash);
    assert_ne!(a.hash, c.hash);
    assert_eq!(a.hash.len(), 64);
}

#[test]
fn what_is_doubtful_is_taken_with_a_warning() {
    let policy =
        read("version: 1\ninbound: { defaults: { timeouts: { total: 1s, first_byte: 2s } } }\n").unwrap();
    assert_eq!(policy.warnings.problems.len(), 1);
    assert_eq!(policy.warnings.problems[0].severity, Severity::Warning);
    assert!(!policy.warnings.has_errors());
}

#[test]
fn people_see_the_line_and_the_place() {
    let problems = read(
        "version: 1\ninbound:\n  routes:\n    - { name: a, match: { query: { q: 订单 } }, matchs: {} }\n",
    )
    .unwrap_err();
    let expected = "\
error[E0202]: unknown key `matchs`
 --> policy.yaml:4:47
  |
4 |     - { name: a, match: { query: { q: 订单 } }, matchs: {} }
  |                                                 ^^^^^^
  = at: inbound.routes[0].matchs
  = hint: did you mean `match`?

1 error
";
    assert_eq!(problems.to_human(false), expected);
}

#[test]
fn ten_thousand_routes_are_read_in_one_document() {
    let mut text =
        "version: 1\ninbound:\n  defaults: { rate_limits: [{ name: all, rate: 1/s }] }\n  routes:\n"
            .to_owned();
    for index in 0..10_000 {
        let own =
            "rate_limits: [{ name: a, rate: 100/s, key: [{ header: x-tenant }] }], timeouts: { total: 3s }";
        writeln!(
            text,
            "    - {{ name: r{index}, match: {{ methods: [GET], path: /v1/things/{index} }}, {own} }}"
        )
        .unwrap();
    }
    let plan = plan(&text);
    assert_eq!(plan.inbound.routes.len(), 10_001);
}

#[test]
fn a_breaker_is_its_dependencys_unless_a_route_has_its_own() {
    let plan = plan(
        r"
version: 1
dependencies:
  d:
    hosts: [d.internal]
    endpoints: [{ address: 10.0.0.1:80 }]
    timeouts: { total: 4s }
    circuit_breaker: { min_requests: 7 }
    routes:
      - { name: own, match: { path: /a }, timeouts: { total: 10s }, circuit_breaker: {} }
      - { name: none, match: { path: /b }, circuit_breaker: { mode: disabled } }
      - { name: shares, match: { path: /c }, timeouts: { total: 10s } }
",
    );
    let dependency = &plan.dependencies[0];
    let shared = dependency.circuit_breaker.as_ref().unwrap();
    assert_eq!((shared.min_requests, shared.slow_threshold), (7, Some(Timespan::from_secs(2))));
    let [own, none, shares, default] = dependency.routes.as_slice() else { panic!("four routes") };
    let own = own.circuit_breaker.as_ref().unwrap();
    assert_eq!((own.min_requests, own.slow_threshold), (20, Some(Timespan::from_secs(5))), "replaced whole");
    assert_eq!(none.circuit_breaker.as_ref().unwrap().mode, Mode::Disabled);
    assert_eq!((&shares.circuit_breaker, &default.circuit_breaker), (&None, &None));
}

#[test]
fn routes_to_the_app_inherit_a_breaker_each_with_half_of_its_own_total() {
    let plan = plan(
        r"
version: 1
inbound:
  defaults:
    timeouts: { total: 4s }
    circuit_breaker: { probes: 1 }
  routes:
    - { name: slow, match: { path: /a }, timeouts: { total: 300s } }
    - { name: own, match: { path: /b }, circuit_breaker: { slow_threshold: 1s } }
",
    );
    let breakers = plan.inbound.routes.iter().map(|route| route.circuit_breaker.as_ref().unwrap());
    let seen: Vec<_> = breakers.map(|spec| (spec.probes, spec.slow_threshold.unwrap().to_string())).collect();
    let expected = [(1, "1m"), (3, "1s"), (1, "2s")].map(|(probes, text)| (probes, text.to_owned()));
    assert_eq!(seen, expected);
}

#[test]
fn a_slow_threshold_that_no_call_reaches_is_doubtful() {
    let text = "version: 1\ndependencies: { d: { hosts: [d.x], endpoints: [{ address: 10.0.0.1:80 }], timeouts: { total: 1s }, circuit_breaker: { slow_threshold: 2s } } }\n";
    let warnings = read(text).unwrap().warnings.problems;
    assert_eq!((warnings.len(), warnings[0].severity), (1, Severity::Warning));
    assert_eq!(warnings[0].path, "dependencies.d.circuit_breaker.slow_threshold");
}

const CALLS: &str = "
version: 1
dependencies:
  d:
    hosts: [d.internal]
    endpoints: [{ address: 10.0.0.1:80 }]
";

fn calls(more: &str) -> Plan {
    plan(&format!("{CALLS}{more}"))
}

#[test]
fn retries_of_a_route_replace_those_of_its_dependency_whole() {
    let plan = calls(
        r#"    retries: { attempts: 5, when: [504, "502", reset], replay: 1KiB }
    routes:
      - { name: own, match: { path: /own }, retries: { attempts: 2 } }
      - { name: other, match: { path: /other } }
"#,
    );
    let retries = |route: usize| plan.dependencies[0].routes[route].retries.clone().unwrap();
    assert_eq!(names(&plan.dependencies[0].routes), ["own", "other", "default"]);
    assert_eq!(retries(0), retries::Spec { attempts: 2, ..retries::Spec::default() });
    assert_eq!((retries(1).attempts, retries(1).replay.0), (5, 1024), "inherited");
    assert_eq!(retries(1), retries(2));
    let when = [Condition::Reset, Condition::Status(502), Condition::Status(504)];
    assert_eq!(retries(1).when, when, "in one order, however written");
    assert!(calls("").dependencies[0].routes[0].retries.is_none(), "none unless written");
}

#[test]
fn what_is_written_for_one_route_is_not_the_others() {
    let policy = read(&format!(
        "{CALLS}    routes:\n      - {{ name: default, retries: {{}} }}\n      - {{ name: a, match: {{ path: /a }} }}\n"
    ));
    let policy = policy.unwrap_or_else(|problems| panic!("{problems}"));
    let with: Vec<bool> =
        policy.plan.dependencies[0].routes.iter().map(|route| route.retries.is_some()).collect();
    assert_eq!(with, [false, true]);
    let text = serde_json::to_string(&policy.document).unwrap();
    assert_eq!(plan(&text), policy.plan, "nor in the effective document");
}

#[test]
fn every_dependency_is_isolated_also_where_nothing_is_written() {
    let isolation = calls("").dependencies[0].isolation.clone();
    assert_eq!(
        (isolation.max_in_flight.get(), isolation.max_queue, isolation.mode),
        (256, 64, Mode::Enforce)
    );
    assert_eq!(isolation.max_connecting.unwrap().get(), 16);
    let few = calls("    isolation: { max_connections_per_endpoint: 4, max_share: 10% }\n");
    let Dependency { isolation, upstream, .. } = &few.dependencies[0];
    assert_eq!((isolation.max_connecting.unwrap().get(), isolation.max_share), (4, Percent::whole(10)));
    assert_eq!((upstream.max_connections_per_endpoint, upstream.max_connecting), (4, 4));
}

#[test]
fn a_dependency_of_which_every_call_can_be_repeated_is_doubted() {
    let policy = read(&format!("{CALLS}    retries: {{ idempotent: true }}\n")).unwrap();
    let warning = &policy.warnings.problems[0];
    assert_eq!((warning.severity, warning.line), (Severity::Warning, 7));
    let route = "    routes: [{ name: r, match: { path: /r }, retries: { idempotent: true } }]\n";
    assert!(read(&format!("{CALLS}{route}")).unwrap().warnings.is_empty());
}
