//! What the kernel knows about this process, under the names every Prometheus client uses. Read from `/proc`;
//! where there is none (or it is hidden), the metrics are absent rather than zero.

use std::fs;

use super::exposition::Exposition;

/// Clock ticks a second in `/proc/*/stat`: `USER_HZ`, which Linux keeps at 100 on every architecture we build for.
const TICKS: f64 = 100.0;

/// Adds `process_*`.
pub(super) fn collect(out: &mut Exposition) {
    if let Some(bytes) = fs::read_to_string("/proc/self/status").ok().as_deref().and_then(resident) {
        out.gauge("process_resident_memory_bytes", "Resident memory size in bytes.", &[], bytes as f64);
    }
    if let Some(stat) = fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(parse_stat) {
        let help = "Total user and system CPU time spent in seconds.";
        out.counter_f64("process_cpu_seconds_total", help, &[], stat.cpu_ticks as f64 / TICKS);
        if let Some(boot) = fs::read_to_string("/proc/stat").ok().as_deref().and_then(boot_time) {
            let start = boot as f64 + stat.start_ticks as f64 / TICKS;
            let help = "Start time of the process since the Unix epoch in seconds.";
            out.gauge("process_start_time_seconds", help, &[], start);
        }
    }
    if let Ok(entries) = fs::read_dir("/proc/self/fd") {
        // One of them is the directory being read.
        let open = entries.count().saturating_sub(1);
        out.gauge("process_open_fds", "Number of open file descriptors.", &[], open as f64);
    }
}

fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1_024)
}

#[derive(Debug, PartialEq, Eq)]
struct Stat {
    cpu_ticks: u64,
    start_ticks: u64,
}

/// The second field is the command's name in parentheses and may hold anything, so counting starts after the last
/// one. Then `utime` and `stime` are the 12th and 13th field and `starttime` is the 20th (proc_pid_stat(5)).
fn parse_stat(stat: &str) -> Option<Stat> {
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let number = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok());
    Some(Stat { cpu_ticks: number(11)?.checked_add(number(12)?)?, start_ticks: number(19)? })
}

fn boot_time(stat: &str) -> Option<u64> {
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_name_cannot_shift_the_fields() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4 5 6 7 8 21 32 0 0 20 0 3 0 987 1 2";
        assert_eq!(parse_stat(stat), Some(Stat { cpu_ticks: 53, start_ticks: 987 }));
        assert_eq!(parse_stat("7 (x) S 1"), None);
    }

    #[test]
    fn memory_and_boot_time_are_read() {
        assert_eq!(resident("Name:\tx\nVmRSS:\t   1204 kB\n"), Some(1_232_896));
        assert_eq!(boot_time("cpu 1 2\nbtime 1700000000\n"), Some(1_700_000_000));
    }
}
