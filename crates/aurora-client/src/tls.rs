//! Protected connections.

use std::fmt::Display;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::world::{Connection, World};

/// Name a file of certificates to trust in place of the system's, or a directory of such files, as
/// they do for the original. The first that is set counts.
pub const CERTIFICATES_VARIABLES: [&str; 2] = ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"];

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
    let set = |name| world.variable(name).filter(|file| !file.is_empty()).map(|file| (name, file));
    let named = CERTIFICATES_VARIABLES.into_iter().find_map(set);
    match &named {
        Some((variable, place)) => {
            let cannot = |file: &Path, error: &dyn Display| {
                let file = file.display();
                format!("cannot read the certificates of {variable}, {file}: {error}")
            };
            let place = Path::new(place);
            for file in files(place).map_err(|error| cannot(place, &error))? {
                let certificates =
                    CertificateDer::pem_file_iter(&file).map_err(|error| cannot(&file, &error))?;
                for certificate in certificates {
                    let certificate = certificate.map_err(|error| cannot(&file, &error))?;
                    roots.add(certificate).map_err(|error| cannot(&file, &error))?;
                }
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
             of them with {}{}",
            CERTIFICATES_VARIABLES[0],
            named.map(|(name, place)| format!(" (now {name} is {place})")).unwrap_or_default()
        ));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("cannot start a protected connection: {error}"))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// The files of certificates that are meant by the name of one, or of a directory. In a directory
/// those count that are named by the certificate's hash and a number, as in `5ed36f99.0`.
fn files(place: &Path) -> io::Result<Vec<PathBuf>> {
    if !place.is_dir() {
        return Ok(vec![place.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in place.read_dir()? {
        let name = entry?.file_name();
        let is_hashed =
            name.to_str().and_then(|name| name.split_once('.')).is_some_and(|(hash, n)| {
                hash.len() == 8
                    && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
                    && !n.is_empty()
                    && n.bytes().all(|byte| byte.is_ascii_digit())
            });
        if is_hashed {
            files.push(place.join(name));
        }
    }
    files.sort();
    Ok(files)
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
