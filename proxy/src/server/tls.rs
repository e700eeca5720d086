//! TLS of the inbound listener: ALPN, optional client certificates, files taken anew when they change.

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use outrigger_config::sidecar::TlsServer;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::server::WebPkiClientVerifier;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::upstream::tls::{certificates, private_key, roots};

/// The certificate in use.
#[derive(Debug)]
pub(crate) struct ServerTls {
    spec: TlsServer,
    config: ArcSwap<ServerConfig>,
}

impl ServerTls {
    /// Reads the files of `spec`.
    ///
    /// # Errors
    /// A file that cannot be read, or a certificate and key that do not belong together.
    pub(crate) fn load(spec: &TlsServer) -> Result<Arc<Self>, String> {
        Ok(Arc::new(Self { spec: spec.clone(), config: ArcSwap::from(server_config(spec)?) }))
    }

    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        self.config.load_full()
    }

    /// Every file this depends on.
    pub(crate) fn files(&self) -> Vec<&Path> {
        let ca = self.spec.client_ca.as_deref();
        [self.spec.cert.as_path(), self.spec.key.as_path()].into_iter().chain(ca).collect()
    }

    /// Reads the files again. On an error what was read before stays in use. Sessions of before are not resumed,
    /// so a changed client CA holds for everyone.
    ///
    /// # Errors
    /// As [`ServerTls::load`].
    pub(crate) fn reload(&self) -> Result<(), String> {
        self.config.store(server_config(&self.spec)?);
        Ok(())
    }

    /// When the certificate ends, in seconds since the Unix epoch.
    pub(crate) fn expires(&self) -> Option<i64> {
        let chain = certificates(&self.spec.cert).ok()?;
        let (_, leaf) = X509Certificate::from_der(chain.first()?).ok()?;
        Some(leaf.validity().not_after.timestamp())
    }
}

fn server_config(spec: &TlsServer) -> Result<Arc<ServerConfig>, String> {
    let (chain, key) = (certificates(&spec.cert)?, private_key(&spec.key)?);
    let builder = ServerConfig::builder();
    let builder = match &spec.client_ca {
        None => builder.with_no_client_auth(),
        Some(ca) => {
            let verifier = WebPkiClientVerifier::builder(Arc::new(roots(Some(ca))?));
            let verifier = if spec.client_optional { verifier.allow_unauthenticated() } else { verifier };
            let verifier = verifier.build().map_err(|error| format!("{}: {error}", ca.display()))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder
        .with_single_cert(chain, key)
        .map_err(|error| format!("{} and {}: {error}", spec.cert.display(), spec.key.display()))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The SPIFFE id of a client's certificate: the one URI in its subject alternative names (SPIFFE X.509-SVID §2).
/// None if there is none, or several.
pub(crate) fn spiffe_id(chain: Option<&[CertificateDer<'_>]>) -> Option<String> {
    let (_, leaf) = X509Certificate::from_der(chain?.first()?).ok()?;
    let names = leaf.subject_alternative_name().ok()??;
    let mut uris = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    });
    match (uris.next(), uris.next()) {
        (Some(uri), None) if uri.starts_with("spiffe://") && !uri.contains('\0') => Some(uri.to_owned()),
        _ => None,
    }
}
