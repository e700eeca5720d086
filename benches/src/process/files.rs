//! The configurations: one worker, no logs, kept-alive connections on both sides, limits that never bite.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::Mode;

const RATE: u32 = 10_000_000;

/// Writes ours, and says where.
pub(super) fn outrigger(
    mode: Mode,
    inbound: SocketAddr,
    [outbound, admin]: [SocketAddr; 2],
    upstream: SocketAddr,
    dir: &Path,
) -> std::io::Result<PathBuf> {
    let limits = match mode {
        Mode::Bare => String::new(),
        Mode::Limits => format!(
            "
      rate_limits:
        - {{ name: global, rate: {RATE}/s, burst: {RATE} }}
        - {{ name: per-client, rate: {RATE}/s, burst: {RATE}, key: [client_ip] }}"
        ),
    };
    std::fs::write(
        dir.join("policy.yaml"),
        format!(
            "version: 1
service: bench
inbound:
  app: http://{upstream}
  routes:
    - name: all
      match: {{ path_prefix: / }}{limits}
"
        ),
    )?;
    let file = dir.join("sidecar.yaml");
    std::fs::write(
        &file,
        format!(
            "service: bench
workers: 1
listeners:
  inbound: {{ address: \"{inbound}\" }}
  outbound: {{ address: \"{outbound}\" }}
admin: {{ address: \"{admin}\" }}
policy: {{ file: policy.yaml }}
state_dir: \"{}\"
telemetry: {{ access_log: {{ path: \"off\" }} }}
trusted_peers: [127.0.0.0/8]
",
            dir.join("state").display()
        ),
    )?;
    Ok(file)
}

/// Writes nginx's, and says where.
pub(super) fn nginx(
    mode: Mode,
    listen: SocketAddr,
    upstream: SocketAddr,
    dir: &Path,
) -> std::io::Result<PathBuf> {
    let (zones, limits) = match mode {
        Mode::Bare => (String::new(), ""),
        Mode::Limits => (
            format!(
                "limit_req_zone $binary_remote_addr zone=rate:10m rate={RATE}r/s;
  limit_conn_zone $server_name zone=connections:10m;"
            ),
            "limit_req zone=rate burst=100000 nodelay; limit_conn connections 10000;",
        ),
    };
    let file = dir.join("nginx.conf");
    let dir = dir.display();
    std::fs::write(
        &file,
        format!(
            "daemon off;
master_process off;
pid {dir}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path {dir}/body;
  proxy_temp_path {dir}/proxy;
  fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi;
  scgi_temp_path {dir}/scgi;
  {zones}
  upstream app {{ server {upstream} max_fails=3; keepalive 256; keepalive_requests 1000000000; }}
  server {{
    listen {listen};
    {limits}
    location / {{
      proxy_pass http://app;
      proxy_http_version 1.1;
      proxy_set_header Connection \"\";
      proxy_set_header Host $host;
    }}
  }}
}}
"
        ),
    )?;
    Ok(file)
}
