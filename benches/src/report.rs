//! What is printed, and where files go.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;

use crate::callgrind::Cost;
use crate::process::Measured;

/// Says on standard error what is being done: it may take a while.
pub fn progress(what: &str) {
    // Nobody to tell is no failure.
    let _ = writeln!(std::io::stderr(), "… {what}");
}

/// The target directory this program was built into; else the one we are in.
#[must_use]
pub fn target_dir() -> PathBuf {
    let exe = std::env::current_exe().ok();
    let target =
        exe.as_deref().and_then(|exe| exe.ancestors().find(|dir| dir.join("CACHEDIR.TAG").is_file()));
    target.map_or_else(|| PathBuf::from("."), PathBuf::from)
}

/// The dearest functions: by their own instructions, then with what they call, then by allocations.
#[must_use]
pub fn dearest(measured: &Measured, count: usize) -> String {
    let mut text = String::new();
    let per = |value: u64| measured.per_request(value);
    let mut section = |title: &str, key: fn(&Cost) -> u64, count: usize| {
        let mut functions: Vec<_> =
            measured.profile.functions.iter().filter(|(_, cost)| key(cost) > 0).collect();
        functions.sort_by_key(|(name, cost)| (std::cmp::Reverse(key(cost)), *name));
        let _ = writeln!(text, "  {title:>12}     calls  function");
        for (name, cost) in functions.into_iter().take(count) {
            let _ = writeln!(text, "  {:12.1} {:9.2}  {}", per(key(cost)), per(cost.calls), shortened(name));
        }
    };
    section("own", |cost| cost.own, count);
    section("with callees", |cost| cost.inclusive, 2 * count);
    section("allocations", |cost| cost.allocations, count);
    text
}

/// Who calls the functions whose name contains `pattern`, how often and at what cost: the way to who allocates
/// (`rust_alloc`), who looks at the clock (`clock_gettime`), who copies (`memcpy`).
#[must_use]
pub fn callers(measured: &Measured, pattern: &str) -> String {
    let edges = measured.profile.edges.iter().filter(|((caller, callee), edge)| {
        // A call counts where the matching part is entered; now and then is not each request.
        callee.contains(pattern) && !caller.contains(pattern) && measured.per_request(edge.calls) >= 0.05
    });
    let mut edges: Vec<_> = edges.collect();
    edges.sort_by_key(|(names, edge)| (std::cmp::Reverse(edge.instructions), *names));
    let mut text = format!("  instructions     calls  callers of {pattern}\n");
    for ((caller, callee), edge) in edges {
        let per = |value: u64| measured.per_request(value);
        let (cost, calls) = (per(edge.instructions), per(edge.calls));
        let _ = writeln!(text, "  {cost:12.1} {calls:9.2}  {} → {}", shortened(caller), shortened(callee));
    }
    text
}

/// Generic parameters can be longer than a screen.
fn shortened(name: &str) -> String {
    const LIMIT: usize = 120;
    match name.char_indices().nth(LIMIT) {
        Some((at, _)) => format!("{}…", name.get(..at).unwrap_or(name)),
        None => name.to_owned(),
    }
}
