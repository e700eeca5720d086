//! TLS towards upstreams: always verified, files taken anew when they change.

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use outrigger_config::plan::{Protocol, TlsClient};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, RootCertStore};

/// How to speak TLS to one upstream.
#[derive(Debug)]
pub(crate) struct ClientTls {
    spec: TlsClient,
    protocol: Protocol,
    pub(crate) server_name: ServerName<'static>,
    config: ArcSwap<ClientConfig>,
}

impl ClientTls {
    /// Reads the files of `spec`.
    ///
    /// # Errors
    /// A file that cannot be read or used, or a server name that is none.
    pub(crate) fn load(
        spec: &TlsClient,
        protocol: Protocol,
        default_name: Option<String>,
    ) -> Result<Arc<Self>, String> {
        let name = spec.server_name.clone().or(default_name);
        let name = name.ok_or("tls needs `server_name` here: a socket path is no name to verify")?;
        let server_name = ServerName::try_from(name.clone())
            .map_err(|_| format!("`{name}` is not a host name or IP address that a certificate can carry"))?;
        let config = ArcSwap::from(client_config(spec, protocol)?);
        Ok(Arc::new(Self { spec: spec.clone(), protocol, server_name, config }))
    }

    pub(crate) fn connector(&self) -> tokio_rustls::TlsConnector {
        tokio_rustls::TlsConnector::from(self.config.load_full())
    }

    /// Every file this depends on.
    pub(crate) fn files(&self) -> Vec<&Path> {
        let identity = self.spec.identity.iter().flat_map(|(cert, key)| [cert.as_path(), key.as_path()]);
        self.spec.ca.as_deref().into_iter().chain(identity).collect()
    }

    /// Reads the files again. On an error what was read before stays in use.
    ///
    /// # Errors
    /// As [`ClientTls::load`].
    pub(crate) fn reload(&self) -> Result<(), String> {
        self.config.store(client_config(&self.spec, self.protocol)?);
        Ok(())
    }
}

fn client_config(spec: &TlsClient, protocol: Protocol) -> Result<Arc<ClientConfig>, String> {
    let builder = ClientConfig::builder().with_root_certificates(roots(spec.ca.as_deref())?);
    let mut config = match &spec.identity {
        Some((cert, key)) => builder
            .with_client_auth_cert(certificates(cert)?, private_key(key)?)
            .map_err(|error| format!("{} and {}: {error}", cert.display(), key.display()))?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = match protocol {
        Protocol::Http1 => vec![b"http/1.1".to_vec()],
        Protocol::H2 => vec![b"h2".to_vec()],
        Protocol::Auto => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
    };
    Ok(Arc::new(config))
}

/// The roots in `ca`, or the machine's.
pub(crate) fn roots(ca: Option<&Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let found = match ca {
        Some(ca) => certificates(ca)?,
        None => rustls_native_certs::load_native_certs().certs,
    };
    let (added, _) = roots.add_parsable_certificates(found);
    match (added, ca) {
        (0, Some(ca)) => Err(format!("{}: no usable root certificate in it", ca.display())),
        (0, None) => Err("this machine has no root certificates; name yours with `ca`".to_owned()),
        _ => Ok(roots),
    }
}

/// All certificates of a PEM file.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let found = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = found.map_err(|error| format!("{}: {error}", path.display()))?;
    if found.is_empty() {
        return Err(format!("{}: no PEM certificate in it", path.display()));
    }
    Ok(found)
}

/// The private key of a PEM file.
pub(crate) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| format!("{}: {error}", path.display()))
}
