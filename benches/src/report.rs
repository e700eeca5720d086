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

/// Generic parameters can be longer than a screen.
fn shortened(name: &str) -> String {
    const LIMIT: usize = 160;
    match name.char_indices().nth(LIMIT) {
        Some((at, _)) => format!("{}…", name.get(..at).unwrap_or(name)),
        None => name.to_owned(),
    }
}
