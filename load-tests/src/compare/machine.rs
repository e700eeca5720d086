//! Where and with what a comparison ran: numbers without it say nothing.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::peer::{Contender, Peer};

/// Date, processor, kernel and the versions of the contenders.
pub(crate) fn describe(contenders: &[Contender], cores: usize) -> Value {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let versions: serde_json::Map<String, Value> =
        contenders.iter().map(|contender| (contender.peer.to_string(), version(contender).into())).collect();
    json!({
        "date": first_line(Command::new("date").args(["-u", "+%Y-%m-%d"])),
        "processor": model.map(|(_, model)| model),
        "cores": cores,
        "kernel": kernel.trim(),
        "versions": versions,
    })
}

fn version(contender: &Contender) -> String {
    let flag = match contender.peer {
        Peer::Nginx | Peer::Haproxy => "-v",
        Peer::Envoy | Peer::Outrigger | Peer::Pingora => "--version",
    };
    first_line(Command::new(&contender.program).arg(flag))
}

/// The first line with something on it, of stdout or stderr; nginx uses the latter.
fn first_line(command: &mut Command) -> String {
    let Ok(output) = command.stdin(Stdio::null()).output() else {
        return "unknown".to_owned();
    };
    let text =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("unknown").to_owned()
}
