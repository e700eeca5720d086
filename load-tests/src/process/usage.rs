//! What a process and its descendants use, from `/proc`.
//!
//! CPU time is the scheduler's own count in nanoseconds (`schedstat`, summed over threads); the ticks in `stat`
//! are too coarse for runs of a few seconds. Threads that ended take their share with them: the proxies compared
//! here keep theirs.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::Context;

/// CPU time, user and system, that a process and all its living descendants have used.
///
/// # Errors
/// When the process is gone, or the kernel keeps no such count.
pub fn cpu_time(pid: u32) -> anyhow::Result<Duration> {
    let mut total = Duration::ZERO;
    for pid in family(pid) {
        for thread in fs::read_dir(format!("/proc/{pid}/task")).with_context(|| format!("process {pid}"))? {
            let stat = fs::read_to_string(thread?.path().join("schedstat"))?;
            let nanos = stat.split(' ').next().and_then(|field| field.parse().ok());
            total += Duration::from_nanos(nanos.context("schedstat is not as expected")?);
        }
    }
    Ok(total)
}

/// Resident memory of a process in KiB, descendants not included.
///
/// # Errors
/// When the process is gone.
pub fn resident_kib(pid: u32) -> anyhow::Result<u64> {
    let status =
        fs::read_to_string(format!("/proc/{pid}/status")).with_context(|| format!("process {pid}"))?;
    resident(&status).context("no VmRSS")
}

fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}

/// The process and its living descendants.
fn family(root: u32) -> Vec<u32> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        if let Some(parent) = parent(&stat) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut family = vec![root];
    let mut next = 0;
    while let Some(pid) = family.get(next) {
        family.extend(children.remove(pid).unwrap_or_default());
        next += 1;
    }
    family
}

/// The parent in a line of `/proc/PID/stat`; the name before it may hold spaces and parentheses.
fn parent(stat: &str) -> Option<u32> {
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_parent_behind_an_awkward_name() {
        assert_eq!(parent("42 (a) (b c) S 7 42 42 0"), Some(7));
        assert_eq!(parent(""), None);
    }

    #[test]
    fn reads_resident_memory() {
        assert_eq!(resident("VmPeak:\t 9 kB\nVmRSS:\t    1234 kB\n"), Some(1234));
        assert!(resident_kib(std::process::id()).unwrap() > 100);
    }

    #[test]
    fn cpu_time_grows_with_work() {
        let before = cpu_time(std::process::id()).unwrap();
        let mut sum = 0_u64;
        for n in 0..5_000_000_u64 {
            sum = std::hint::black_box(sum ^ n);
        }
        assert!(cpu_time(std::process::id()).unwrap() > before);
    }
}
