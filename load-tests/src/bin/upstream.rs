//! `upstream`: the scriptable server as a program. `--help` lists the options; the scripts are in the library.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;
use clap::Parser;
use outrigger_load_tests::upstream::{Config, Tls, Upstream};

/// A scriptable upstream: the path of a request says what the answer does.
#[derive(Parser)]
struct Options {
    /// Address to listen on; the one taken is the first line printed.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Serve a Unix domain socket as well.
    #[arg(long, value_name = "PATH")]
    unix: Option<PathBuf>,
    /// Sent back in `x-upstream`.
    #[arg(long, default_value = "upstream")]
    name: String,
    /// Serve TLS on --listen with this PEM certificate and key.
    #[arg(long, num_args = 2, value_names = ["CERT", "KEY"])]
    tls: Option<Vec<PathBuf>>,
    /// Canned answers only (`/`, `/16k`), at the least CPU possible.
    #[arg(long, conflicts_with_all = ["tls", "unix"])]
    fixed: bool,
}

fn main() -> anyhow::Result<()> {
    let Options { listen, unix, name, tls, fixed } = Options::parse();
    let tls = match tls.as_deref() {
        Some([cert, key]) => Some(Tls { cert: cert.clone(), key: key.clone() }),
        _ => None,
    };
    let upstream = Upstream::start(Config { listen, unix, name, tls, fixed })
        .with_context(|| format!("cannot serve on {listen}"))?;
    println!("listening on {}", upstream.address());
    upstream.join();
    Ok(())
}
