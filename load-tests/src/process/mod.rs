//! Programs we start, under control: none outlives the one who started it, and what they use is measured.

mod child;
mod signal;
mod usage;

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

pub use self::child::Running;
pub(crate) use self::child::output_to;
pub use self::signal::until_told;
pub use self::usage::{cpu_time, resident_kib};

/// A loopback port that is free: one below those that the system hands out by itself, and at random, so that
/// neither a connection nor another test takes it before it is listened on. No port is given twice: who asks for
/// three wants three.
///
/// # Errors
/// When none can be bound.
pub fn free_port() -> io::Result<u16> {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..100 {
        let draw = u16::try_from(RandomState::new().hash_one(()) % 16_000).unwrap_or_default();
        let port = 12_000_u16.saturating_add(draw);
        if !GIVEN.lock().unwrap_or_else(PoisonError::into_inner).insert(port) {
            continue;
        }
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(_) => return Ok(port),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// `wanted` on loopback if it is free, else a free port.
///
/// # Errors
/// When none can be bound.
pub fn this_port_or_free(wanted: u16) -> io::Result<SocketAddr> {
    let port = match TcpListener::bind((Ipv4Addr::LOCALHOST, wanted)) {
        Ok(_) => wanted,
        Err(_) => free_port()?,
    };
    Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
}

/// Where a program of that name is, by `PATH`.
#[must_use]
pub fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}

/// The sidecar's program: the one given, else `outrigger` beside the program that asks.
#[must_use]
pub fn outrigger(given: Option<&Path>) -> Option<PathBuf> {
    let beside = || std::env::current_exe().ok().map(|exe| exe.with_file_name("outrigger"));
    given.map(Path::to_path_buf).or_else(beside).filter(|file| file.is_file())
}

/// Raises the limit on open files to what the system allows, and says what that is.
///
/// # Errors
/// When the system refuses.
pub fn raise_open_files() -> io::Result<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    Ok(maximum.unwrap_or(u64::MAX))
}

/// Keeps the calling thread, and whatever it starts from now on, on these cores.
///
/// # Errors
/// When none of them exists or is ours to use.
pub fn pin_to(cores: Range<usize>) -> io::Result<()> {
    let mut set = rustix::thread::CpuSet::new();
    cores.for_each(|core| set.set(core));
    Ok(rustix::thread::sched_setaffinity(None, &set)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_given_twice() {
        let ports: Vec<u16> = (0..500).map(|_| free_port().unwrap()).collect();
        assert_eq!(BTreeSet::from_iter(&ports).len(), ports.len());
    }
}
