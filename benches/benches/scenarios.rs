//! Wall time of every scenario: `cargo bench -p outrigger-benches [-- NAME…]`.
//!
//! Medians of short batches, with the fastest beside them: on a busy machine the two differ, and then neither
//! is to be trusted. Run as a test it runs each scenario once.

use std::io::Write as _;
use std::time::Duration;

use outrigger_benches::scenarios::{self, Run};
use outrigger_filters::clock::{Clock as _, SystemClock};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Long against a look at the clock, short against the scheduler's turns.
const BATCH: Duration = Duration::from_millis(2);
const BATCHES: usize = 101;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let is_bench = arguments.iter().any(|argument| argument == "--bench");
    let wanted: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let mut out = std::io::stdout().lock();
    writeln!(out, "{:16} {:>10} {:>10} {:>10}", "ns a run", "median", "fastest", "may take")?;
    for scenario in scenarios::ALL {
        if !wanted.is_empty() && !wanted.iter().any(|name| scenario.name.contains(name.as_str())) {
            continue;
        }
        let mut run = (scenario.prepare)()?;
        if !is_bench {
            run();
            continue;
        }
        let (median, fastest) = measure(&mut run);
        let bound = scenario.nanoseconds.map_or_else(String::new, |bound| bound.to_string());
        writeln!(out, "{:16} {median:10.1} {fastest:10.1} {bound:>10}  {}", scenario.name, scenario.what)?;
        out.flush()?;
    }
    Ok(())
}

fn measure(run: &mut Run) -> (f64, f64) {
    let clock = SystemClock::start();
    let mut timed = |times: u32| {
        let begun = clock.now();
        (0..times).for_each(|_| run());
        clock.now().since(begun)
    };
    let mut times = 1;
    while timed(times) < BATCH {
        times *= 2;
    }
    let mut batches: Vec<f64> =
        (0..BATCHES).map(|_| timed(times).as_secs_f64() * 1e9 / f64::from(times)).collect();
    batches.sort_by(f64::total_cmp);
    let at = |index: usize| batches.get(index).copied().unwrap_or(f64::NAN);
    (at(BATCHES / 2), at(0))
}
