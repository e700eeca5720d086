//! `scenario NAME N`: runs one scenario so many times. For `gate`, which has callgrind count its instructions.

use anyhow::Context;
use outrigger_benches::scenarios;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(name), Some(times)) = (arguments.next(), arguments.next()) else {
        anyhow::bail!("usage: scenario NAME N; names: {}", names().join(" "))
    };
    let times: u64 = times.parse().with_context(|| format!("`{times}` is not a number"))?;
    let scenario = scenarios::find(&name).with_context(|| format!("no scenario `{name}`"))?;
    let mut run = (scenario.prepare)()?;
    (0..times).for_each(|_| run());
    Ok(())
}

fn names() -> Vec<&'static str> {
    scenarios::ALL.iter().map(|scenario| scenario.name).collect()
}
