//! Binding the admin address before anything is served, so that a port or path in use is known at start.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use outrigger_config::sidecar::Admin;

/// A bound admin address.
#[derive(Debug)]
pub struct Bound {
    pub(super) listener: Listener,
}

#[derive(Debug)]
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, Remove),
}

impl Bound {
    /// Binds.
    ///
    /// # Errors
    /// The address is in use, not ours, or not loopback: what listens here needs no credentials, so it must not
    /// be reachable from elsewhere.
    pub fn bind(admin: &Admin) -> io::Result<Self> {
        let listener = match admin {
            Admin::Tcp(address) => {
                if !address.ip().to_canonical().is_loopback() {
                    let text = format!("admin address {address} is not loopback");
                    return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
                }
                let listener = TcpListener::bind(address)?;
                listener.set_nonblocking(true)?;
                Listener::Tcp(listener)
            }
            Admin::Unix(path) => {
                let listener = bind_unix(path)?;
                listener.set_nonblocking(true)?;
                Listener::Unix(listener, Remove(path.clone()))
            }
        };
        Ok(Self { listener })
    }

    /// The TCP address, with the port that was given out if 0 was asked for.
    #[must_use]
    pub fn tcp(&self) -> Option<SocketAddr> {
        match &self.listener {
            Listener::Tcp(listener) => listener.local_addr().ok(),
            Listener::Unix(..) => None,
        }
    }
}

/// Binds beside the path, sets the mode and renames: at no moment is there a socket others may connect to, and
/// one that a dead process left behind is replaced.
fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    if UnixStream::connect(path).is_ok() {
        return Err(io::ErrorKind::AddrInUse.into());
    }
    match fs::symlink_metadata(path) {
        Ok(found) if !std::os::unix::fs::FileTypeExt::is_socket(&found.file_type()) => {
            let text = format!("{} exists and is not a socket", path.display());
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
        }
        _ => {}
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}", std::process::id()));
    let beside = PathBuf::from(beside);
    let _ = fs::remove_file(&beside);
    let listener = UnixListener::bind(&beside)?;
    let moved = fs::set_permissions(&beside, fs::Permissions::from_mode(0o600))
        .and_then(|()| fs::rename(&beside, path));
    if let Err(error) = moved {
        let _ = fs::remove_file(&beside);
        return Err(error);
    }
    Ok(listener)
}

/// Removes the socket's path when the server ends.
#[derive(Debug)]
pub(super) struct Remove(PathBuf);

impl Drop for Remove {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_others_could_reach() {
        let bound = Bound::bind(&Admin::Tcp("0.0.0.0:0".parse().unwrap()));
        assert_eq!(bound.unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn a_socket_is_for_its_owner_alone_and_replaces_a_dead_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admin.sock");
        drop(UnixListener::bind(&path).unwrap()); // leaves its path behind
        let bound = Bound::bind(&Admin::Unix(path.clone())).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let second = Bound::bind(&Admin::Unix(path.clone()));
        assert_eq!(second.unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(bound);
        assert!(!path.exists());
    }

    #[test]
    fn leaves_alone_what_is_not_a_socket() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("precious");
        fs::write(&path, "data").unwrap();
        assert!(Bound::bind(&Admin::Unix(path.clone())).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"data");
    }
}
