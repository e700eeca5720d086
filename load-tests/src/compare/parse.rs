//! What wrk and h2load print, as numbers.

use anyhow::{Context, bail};

/// One run of a load generator.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Load {
    pub(crate) requests: u64,
    pub(crate) seconds: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    /// Answers that were not 2xx or 3xx, and exchanges that failed.
    pub(crate) errors: u64,
}

/// Reads the output of `wrk --latency`.
pub(crate) fn wrk(output: &str) -> anyhow::Result<Load> {
    let mut load = Load::default();
    for line in output.lines().map(str::trim) {
        let mut words = line.split_ascii_whitespace();
        match (words.next(), words.next()) {
            (Some("50%"), Some(time)) => load.p50_us = micros(time)?,
            (Some("99%"), Some(time)) => load.p99_us = micros(time)?,
            (Some("Socket"), Some("errors:")) => load.errors += numbers(line).sum::<u64>(),
            (Some("Non-2xx"), _) => load.errors += numbers(line).last().unwrap_or(0),
            (Some(count), Some("requests")) => {
                load.requests = count.parse().context("wrk's count of requests")?;
                let time = line.split_ascii_whitespace().nth(3).unwrap_or_default();
                load.seconds = micros(time.trim_end_matches(','))? / 1e6;
            }
            _ => {}
        }
    }
    if load.requests == 0 {
        bail!("no request came back:\n{output}");
    }
    Ok(load)
}

/// Reads the summary of h2load and its log: start, status and microseconds of each request.
pub(crate) fn h2load(output: &str, log: &str, seconds: f64) -> anyhow::Result<Load> {
    let line = output.lines().find(|line| line.starts_with("requests:"));
    let line = line.with_context(|| format!("h2load printed no summary:\n{output}"))?;
    // requests: N total, N started, N done, N succeeded, N failed, N errored, N timeout
    let counts: Vec<u64> = numbers(line).collect();
    let [_, _, _, succeeded, failed, errored, timeout] = counts.try_into().map_or([0; 7], |counts| counts);
    if succeeded == 0 {
        bail!("no request came back:\n{output}");
    }
    let mut times: Vec<f64> = log
        .lines()
        .filter_map(|line| line.split('\t').nth(2))
        .filter_map(|time| time.trim().parse().ok())
        .collect();
    times.sort_by(f64::total_cmp);
    let at = |hundredths: usize| times.get(times.len() * hundredths / 100).copied().unwrap_or(0.0);
    let errors = failed + errored + timeout;
    Ok(Load { requests: succeeded, seconds, p50_us: at(50), p99_us: at(99), errors })
}

/// A time as wrk writes it: `635.00us`, `1.37ms`, `4.00s`, `1.00m`.
fn micros(time: &str) -> anyhow::Result<f64> {
    let unit = time.find(|letter: char| letter.is_ascii_alphabetic()).unwrap_or(time.len());
    let (number, unit) = time.split_at(unit);
    let factor = match unit {
        "us" => 1.0,
        "ms" => 1e3,
        "s" => 1e6,
        "m" => 6e7,
        _ => bail!("`{time}` is not a time"),
    };
    Ok(number.parse::<f64>().with_context(|| format!("`{time}` is not a time"))? * factor)
}

fn numbers(line: &str) -> impl Iterator<Item = u64> {
    line.split(|letter: char| !letter.is_ascii_alphanumeric()).filter_map(|word| word.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRK: &str = "Running 4s test @ http://127.0.0.1:8001/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   842.33us  201.11us   8.02ms   93.22%
    Req/Sec    75.93k     3.02k   79.50k    87.50%
  Latency Distribution
     50%  811.00us
     75%  865.00us
     90%    0.95ms
     99%    1.53ms
  302461 requests in 4.00s, 56.54MB read
Requests/sec:  75593.12
Transfer/sec:     14.13MB
";

    #[test]
    fn reads_what_wrk_prints() {
        let load = wrk(WRK).unwrap();
        assert_eq!((load.requests, load.errors), (302_461, 0));
        assert!((load.seconds - 4.0).abs() < 1e-9);
        assert!((load.p50_us - 811.0).abs() < 1e-9 && (load.p99_us - 1530.0).abs() < 1e-9);
    }

    #[test]
    fn counts_what_wrk_calls_errors() {
        let output = format!(
            "{WRK}  Socket errors: connect 1, read 2, write 3, timeout 4\n  Non-2xx or 3xx responses: 100\n"
        );
        assert_eq!(wrk(&output).unwrap().errors, 110);
    }

    #[test]
    fn a_run_without_answers_is_an_error() {
        assert!(wrk("unable to connect to 127.0.0.1:1 Connection refused\n").is_err());
        assert!(
            h2load(
                "requests: 0 total, 0 started, 0 done, 0 succeeded, 0 failed, 0 errored, 0 timeout",
                "",
                1.0
            )
            .is_err()
        );
    }

    #[test]
    fn reads_what_h2load_prints_and_logs() {
        let output = "finished in 4.00s, 50.00 req/s, 1MB/s\n\
                      requests: 210 total, 210 started, 206 done, 200 succeeded, 3 failed, 2 errored, 1 timeout\n\
                      status codes: 200 2xx, 0 3xx, 0 4xx, 6 5xx\n";
        let log: String = (0..100).map(|n| format!("1700000000\t200\t{n}\n")).collect();
        let load = h2load(output, &log, 4.0).unwrap();
        assert_eq!((load.requests, load.errors), (200, 6));
        assert!((load.p50_us - 50.0).abs() < 1e-9 && (load.p99_us - 99.0).abs() < 1e-9);
    }
}
