//! Protected connections.

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::world::{Connection, World};

/// Names a file of certificates to trust in place of the system's, as it does for the original.
pub const CERTIFICATES_VARIABLE: &str = "REQUESTS_CA_BUNDLE";

/// Whom to trust, read when it is first needed.
#[derive(Default)]
pub struct Tls(Option<Arc<ClientConfig>>);

impl Tls {
    /// Protects a connection to a host, whose certificate must be one that is trusted.
    ///
    /// # Errors
    /// There are no certificates to trust, or the host has no name that could be in one: a sentence.
    /// What the host says shows when the connection is used.
    pub fn wrap(
        &mut self,
        world: &dyn World,
        host: &str,
        connection: Box<dyn Connection>,
    ) -> Result<Box<dyn Connection>, String> {
        let config = match &self.0 {
            Some(config) => config.clone(),
            None => self.0.insert(Arc::new(config(world)?)).clone(),
        };
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| format!("{host:?} is no name of a host: {error}"))?;
        let session = ClientConnection::new(config, name)
            .map_err(|error| format!("cannot start a protected connection: {error}"))?;
        Ok(Box::new(Protected(StreamOwned::new(session, connection))))
    }
}

fn config(world: &dyn World) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    match world.variable(CERTIFICATES_VARIABLE).filter(|file| !file.is_empty()) {
        Some(file) => {
            let cannot = |error: &dyn std::fmt::Display| {
                format!("cannot read the certificates of {CERTIFICATES_VARIABLE}, {file}: {error}")
            };
            let certificates =
                CertificateDer::pem_file_iter(Path::new(&file)).map_err(|error| cannot(&error))?;
            for certificate in certificates {
                let certificate = certificate.map_err(|error| cannot(&error))?;
                roots.add(certificate).map_err(|error| cannot(&error))?;
            }
        }
        None => {
            // Those that cannot be understood are not trusted; nobody needs all of them.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if roots.is_empty() {
        return Err(format!(
            "there are no certificates to trust: install the package ca-certificates, or name a file \
             of them with {CERTIFICATES_VARIABLE}"
        ));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("cannot start a protected connection: {error}"))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

struct Protected(StreamOwned<ClientConnection, Box<dyn Connection>>);

impl Read for Protected {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Protected {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Connection for Protected {
    fn is_open(&mut self) -> bool {
        self.0.sock.is_open()
    }
}

#[cfg(test)]
mod tests;
