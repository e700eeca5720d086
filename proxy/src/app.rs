//! The process: builds the parts, hands each only what it needs, waits for signals, drains.
//!
//! Threads: this one carries the listeners, the admin server, DNS and the policy; each worker has its own. What
//! may block (reading and compiling a policy) runs on the runtime's blocking threads.

mod certificates;
mod collect;
mod protection;
mod readiness;
mod view;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use outrigger_config::sidecar::{Admin, Sidecar};
use outrigger_config::{Diagnostics, LoadError};
use outrigger_filters::clock::{Clock, SystemClock};
use outrigger_filters::state::StateStore;
use tokio::runtime::{Builder, LocalOptions};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::admin;
use crate::hygiene::network::{Network, Trust};
use crate::policy::apply::Applier;
use crate::policy::watch::Watch;
use crate::server::accept::{Acceptor, Command, Handle, work};
use crate::server::connection::Door;
use crate::server::listener;
use crate::server::tls::ServerTls;
use crate::snapshot::{Live, Resources, Snapshot};
use crate::telemetry::{Direction, Telemetry, log};
use crate::upstream::cluster::Clusters;
use crate::upstream::dns::Names;
use crate::worker::{Shared, Worker};

/// Connections on their way to one worker.
const QUEUE: usize = 1024;
/// Descriptors for listeners, files, the runtimes and the admin server.
const RESERVED_FILES: u64 = 128;
/// Meters nobody uses and keys that are full again are let go this often.
const SWEEP: Duration = Duration::from_secs(10);

/// What the command line says.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `sidecar.yaml`.
    pub config: Option<PathBuf>,
    /// Beats `policy.file`.
    pub policy: Option<PathBuf>,
    /// Beats `inbound.app`.
    pub app: Option<String>,
}

/// Why the process did not start.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("{}", .0.to_human(false).trim_end())]
    Document(Diagnostics),
    #[error("{0}")]
    Other(String),
}

/// Runs the sidecar until it is told to stop.
#[must_use]
pub fn run(options: &Options) -> ExitCode {
    match start(options) {
        Ok(code) => code,
        Err(refused) => {
            log::flush(Duration::from_millis(500));
            let _ = std::io::Write::write_all(
                &mut std::io::stderr(),
                format!("outrigger: {refused}\n").as_bytes(),
            );
            ExitCode::from(1)
        }
    }
}

fn start(options: &Options) -> Result<ExitCode, Refused> {
    let mut config = sidecar(options)?;
    config.workers = config.workers.max(1);
    let app = match &options.app {
        Some(app) => outrigger_config::app(app).map_err(Refused::Document)?,
        None => None,
    };
    let _ = log::init(log::Style::Logfmt);
    bound_connections(&mut config);
    let runtime =
        Builder::new_current_thread().enable_all().build().map_err(other("cannot start a runtime"))?;
    let shared = share(config, app, runtime.handle().clone())?;
    let code = runtime.block_on(serve(shared));
    runtime.shutdown_timeout(Duration::from_millis(100));
    log::flush(Duration::from_secs(1));
    code
}

fn sidecar(options: &Options) -> Result<Sidecar, Refused> {
    let mut config = match &options.config {
        Some(path) => outrigger_config::sidecar::load(path).map_err(|error| match error {
            LoadError::Invalid(diagnostics) => Refused::Document(diagnostics),
            unreadable => Refused::Other(unreadable.to_string()),
        })?,
        None => Sidecar::default(),
    };
    if let Some(policy) = &options.policy {
        config.policy_file = Some(policy.clone());
    }
    if config.policy_file.is_none() && options.app.is_none() {
        let hint = "nothing to serve: name a policy with --policy (or policy.file), or the app with --app";
        return Err(Refused::Other(hint.to_owned()));
    }
    Ok(config)
}

fn share(
    config: Sidecar,
    app: Option<outrigger_config::plan::Upstream>,
    handle: tokio::runtime::Handle,
) -> Result<Arc<Shared>, Refused> {
    let service = config.service.clone().unwrap_or_else(|| "app".to_owned());
    let telemetry = Telemetry::new(config.workers, &service, &config.access_log)
        .map_err(other("cannot open the access log"))?;
    let store = StateStore::new(config.workers);
    let max_in_flight = u64::try_from(config.limits.max_connections).unwrap_or(u64::MAX);
    let resources = Resources { telemetry, store, clusters: Clusters::default(), app, max_in_flight };
    let nothing = outrigger_config::builtin(None).map_err(Refused::Document)?;
    let nothing = Snapshot::compile(&nothing.plan, 0, &resources)
        .map_err(|found| Refused::Other(found.into_iter().map(|(_, message)| message).collect()))?;
    let networks = config.trusted_peers.iter().map(|peer| Network::new(peer.address, peer.prefix)).collect();
    Ok(Arc::new(Shared {
        clock: SystemClock::start(),
        trust: Trust::new(networks),
        resources,
        live: Live::new(nothing),
        lineage: Arc::default(),
        names: Names::new(handle).map_err(other("cannot read the resolver configuration"))?,
        self_token: format!("self-{:032x}", crate::hygiene::random::Random::from_os().next_u128()),
        connections: AtomicUsize::new(0),
        serving: AtomicUsize::new(0),
        draining: AtomicBool::new(false),
        config,
    }))
}

/// A worker that nobody sends anything.
#[cfg(test)]
pub(crate) fn idle_worker(handle: tokio::runtime::Handle) -> std::rc::Rc<Worker> {
    let access_log = outrigger_config::sidecar::AccessLog {
        sink: outrigger_config::sidecar::LogSink::Off,
        ok_sample_millionths: 0,
    };
    let shared = share(Sidecar { access_log, ..Sidecar::default() }, None, handle).unwrap();
    Worker::new(&shared, shared.resources.telemetry.worker().unwrap())
}

async fn serve(shared: Arc<Shared>) -> Result<ExitCode, Refused> {
    let config = &shared.config;
    let bind =
        |name, address| listener::bind(address).map_err(move |error| cannot_listen(name, &address, &error));
    let inbound = bind("inbound", config.inbound.address)?;
    let outbound = bind("outbound", config.outbound.address)?;
    let door = admin::Bound::bind(&config.admin).map_err(|error| match &config.admin {
        Admin::Tcp(address) => cannot_listen("admin", address, &error),
        Admin::Unix(path) => cannot_listen("admin", &path.display(), &error),
    })?;
    let tls = config.inbound.tls.as_ref().map(ServerTls::load).transpose().map_err(Refused::Other)?;
    announce(&inbound, &outbound, &door);

    let workers: Arc<[Handle]> = start_workers(&shared)?.into();
    let acceptor = Acceptor { shared: Arc::clone(&shared), workers: Arc::clone(&workers) };
    let applier = Applier::new(&shared, acceptor.clone());
    let file = config.policy_file.clone();
    // Before the first look, so that no change falls between the two.
    let watch = file.as_deref().map(Watch::new);
    let booting = {
        let (applier, file) = (Arc::clone(&applier), file.clone());
        tokio::task::spawn_blocking(move || applier.boot(file.as_deref()))
    };
    booting.await.map_err(other("the policy could not be loaded"))?.map_err(Refused::Other)?;

    let addresses = [inbound.local_addr().ok().filter(|_| tls.is_none()), outbound.local_addr().ok()];
    tokio::spawn(acceptor.clone().run(inbound, Door::Inbound, tls.clone()));
    tokio::spawn(acceptor.run(outbound, Door::Outbound, None));
    let ready = readiness::watch(&shared, addresses.into_iter().flatten().collect());
    let view = view::View { shared: Arc::clone(&shared), applier: Arc::clone(&applier), workers, ready };
    let view = Arc::new(view);
    let telemetry = shared.resources.telemetry.clone();
    telemetry.register(Arc::new(collect::Collector { shared: Arc::clone(&shared) }));
    tokio::spawn(admin::serve(door, telemetry, Arc::clone(&view) as Arc<dyn admin::AdminView>));
    tokio::spawn(sweep(Arc::clone(&shared)));
    tokio::spawn(protection::watch(Arc::clone(&shared)));
    tokio::spawn(certificates::follow(Arc::clone(&shared), tls));
    tokio::spawn(follow(applier, watch.zip(file)));
    wait(&view).await
}

fn announce(inbound: &std::net::TcpListener, outbound: &std::net::TcpListener, door: &admin::Bound) {
    let address = |listener: &std::net::TcpListener| match listener.local_addr() {
        Ok(address) => address.to_string(),
        Err(error) => error.to_string(),
    };
    let admin = door.tcp().map_or_else(|| "socket".to_owned(), |address| address.to_string());
    log::info(
        "listening",
        &[
            ("version", &env!("CARGO_PKG_VERSION")),
            ("inbound", &address(inbound)),
            ("outbound", &address(outbound)),
            ("admin", &admin),
        ],
    );
}

/// Starts the worker threads. They end with the process.
fn start_workers(shared: &Arc<Shared>) -> Result<Vec<Handle>, Refused> {
    (0..shared.config.workers)
        .map(|index| {
            let (commands, receiver) = mpsc::channel(QUEUE);
            let telemetry = shared.resources.telemetry.worker();
            let telemetry =
                telemetry.ok_or_else(|| Refused::Other("no telemetry left for a worker".to_owned()))?;
            let runtime = Builder::new_current_thread();
            let (shared, mut runtime) = (Arc::clone(shared), runtime);
            std::thread::Builder::new()
                .name(format!("worker-{index}"))
                .spawn(move || match runtime.enable_all().build_local(LocalOptions::default()) {
                    Ok(runtime) => {
                        runtime.block_on(async { work(Worker::new(&shared, telemetry), receiver).await })
                    }
                    Err(error) => log::error("a worker could not start", &[("error", &error)]),
                })
                .map_err(other("cannot start a thread"))?;
            Ok(Handle { commands, load: Arc::default() })
        })
        .collect()
}

/// Looks at the policy again whenever its file changes or SIGHUP comes, which must not end a process without one.
async fn follow(applier: Arc<Applier>, mut source: Option<(Watch, PathBuf)>) {
    let Ok(mut hangups) = signal(SignalKind::hangup()) else { return };
    loop {
        let changed = async {
            match &mut source {
                Some((watch, _)) => watch.changed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = changed => {}
            _ = hangups.recv() => {
                log::info("SIGHUP: looking at the policy and reopening the access log", &[]);
                applier.shared.resources.telemetry.access_log().reopen();
            }
        }
        let Some((_, file)) = &source else { continue };
        let (applier, file) = (Arc::clone(&applier), file.clone());
        let _ = tokio::task::spawn_blocking(move || applier.reload(&file)).await;
    }
}

async fn sweep(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        shared.resources.store.sweep(shared.clock.now());
    }
}

/// Until a signal; then drains. A second signal ends it at once.
async fn wait(view: &view::View) -> Result<ExitCode, Refused> {
    let mut terminate = signal(SignalKind::terminate()).map_err(other("cannot listen for signals"))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(other("cannot listen for signals"))?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    let limit = view.shared.config.limits.drain;
    log::info("draining", &[("at_most_ms", &limit.as_millis())]);
    admin::AdminView::start_drain(view);
    tokio::select! {
        () = idle(view) => log::info("drained", &[]),
        () = tokio::time::sleep(limit) => log::warn("drain ended with requests in flight", &[("in_flight", &in_flight(&view.shared))]),
        _ = terminate.recv() => log::warn("second signal: stopping at once", &[]),
        _ = interrupt.recv() => log::warn("second signal: stopping at once", &[]),
    }
    view.applier.stopped();
    view.shared.resources.telemetry.access_log().flush(Duration::from_secs(1));
    Ok(ExitCode::SUCCESS)
}

/// Returns once nothing is in flight and has not been for a moment, and what was answered has been sent: a
/// connection that has served ends only when its last byte is written.
async fn idle(view: &view::View) {
    let mut quiet = 0;
    for tick in 0_u64.. {
        if quiet >= 5 {
            return;
        }
        // Again now and then: a worker whose queue was full has not heard of it.
        if tick.is_multiple_of(16) {
            view.wake_workers();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        let busy = in_flight(&view.shared) > 0 || view.shared.serving.load(Ordering::Relaxed) > 0;
        quiet = if busy { 0 } else { quiet + 1 };
    }
}

fn in_flight(shared: &Shared) -> u64 {
    let telemetry = &shared.resources.telemetry;
    telemetry.in_flight(Direction::Inbound).saturating_add(telemetry.in_flight(Direction::Outbound))
}

/// Descriptors: a proxied connection needs two. Of what the system allows, half is for accepted connections, so
/// that dialling, the admin server and files never want for one.
fn bound_connections(config: &mut Sidecar) {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current < limit.maximum {
        limit.current = limit.maximum;
        let _ = setrlimit(Resource::Nofile, limit);
    }
    let Some(allowed) = getrlimit(Resource::Nofile).current else { return };
    let most = usize::try_from(allowed.saturating_sub(RESERVED_FILES) / 2).unwrap_or(usize::MAX).max(1);
    if config.limits.max_connections > most {
        log::warn(
            "limits.max_connections lowered to half of the open files allowed; raise `ulimit -Hn`",
            &[("asked", &config.limits.max_connections), ("allowed", &most), ("open_files", &allowed)],
        );
        config.limits.max_connections = most;
    }
}

fn cannot_listen(name: &str, address: &dyn std::fmt::Display, error: &std::io::Error) -> Refused {
    Refused::Other(format!("cannot listen on {address} ({name}): {error}"))
}

fn other<E: std::fmt::Display>(what: &'static str) -> impl FnOnce(E) -> Refused {
    move |error| Refused::Other(format!("{what}: {error}"))
}

impl view::View {
    fn wake_workers(&self) {
        for worker in &*self.workers {
            let _ = worker.commands.try_send(Command::Wake);
        }
    }

    fn set_draining(&self, draining: bool) {
        self.shared.draining.store(draining, Ordering::SeqCst);
        if draining {
            self.wake_workers();
        }
    }
}
