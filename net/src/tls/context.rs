//! What a server shows and whom it trusts: from settings and stores to the two sides of connections.
//!
//! ZooKeeper: `X509Util.createSSLContextAndOptions`, `SSLContextAndOptions`.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::NoServerSessionStorage;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, Error, ServerConfig, SupportedProtocolVersion};

use super::TlsError;
use super::store::{KeyStore, StoreFile};
use super::verify::Trust;

/// Which versions of TLS are spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocols {
    /// TLSv1.2.
    V12,
    /// TLSv1.3.
    V13,
    /// Both.
    #[default]
    Both,
}

impl Protocols {
    fn versions(self) -> &'static [&'static SupportedProtocolVersion] {
        match self {
            Self::V12 => &VERSIONS[1..],
            Self::V13 => &VERSIONS[..1],
            Self::Both => &VERSIONS,
        }
    }
}

static VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];

/// Whether who connects has to show a certificate. Source: `clientAuth`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAuth {
    /// It is not asked for one.
    None,
    /// It is asked, and may have none; one that it shows has to be good.
    Want,
    /// It has to.
    #[default]
    Need,
}

/// Whose names are compared with their certificates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NameChecks {
    /// Of those that we connect to. Source: `hostnameVerification`.
    pub servers: bool,
    /// Of those that connect to us. Source: `clientHostnameVerification`.
    pub clients: bool,
}

/// The cipher suites that there are, by Java's names and `rustls`'.
pub const SUITES: [&str; 9] = [
    "TLS_AES_256_GCM_SHA384",
    "TLS_AES_128_GCM_SHA256",
    "TLS_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
];

/// What the keys say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// How the keys' names begin, for messages: `ssl.quorum.`.
    pub prefix: &'static str,
    /// The key that is shown.
    pub key_store: StoreFile,
    /// Who is trusted.
    pub trust_store: StoreFile,
    /// Which versions.
    pub protocols: Protocols,
    /// Of [`SUITES`]; empty: all.
    pub suites: Vec<String>,
    /// Whether who connects shows a certificate.
    pub client_auth: ClientAuth,
    /// Whose names are compared.
    pub names: NameChecks,
}

/// The two sides of connections, as the stores are now.
#[derive(Debug)]
pub(super) struct Sides {
    pub(super) client: Arc<ClientConfig>,
    pub(super) server: Arc<ServerConfig>,
}

/// TLS of one kind of port; may be shared by threads.
#[derive(Debug)]
pub struct Tls {
    settings: TlsSettings,
    sides: Mutex<Arc<Sides>>,
}

impl Tls {
    /// Reads the stores.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn open(settings: TlsSettings) -> Result<Self, TlsError> {
        let sides = Mutex::new(Arc::new(settings.sides()?));
        Ok(Self { settings, sides })
    }

    /// Reads the stores again; new connections go by what is in them.
    ///
    /// # Errors
    /// [`TlsError`]: then everything stays as it was.
    pub fn reload(&self) -> Result<(), TlsError> {
        let sides = Arc::new(self.settings.sides()?);
        *self.sides.lock().unwrap_or_else(PoisonError::into_inner) = sides;
        Ok(())
    }

    /// The files of the stores.
    pub fn files(&self) -> [&Path; 2] {
        [&self.settings.key_store.location, &self.settings.trust_store.location]
    }

    pub(super) fn names(&self) -> NameChecks {
        self.settings.names
    }

    pub(super) fn sides(&self) -> Arc<Sides> {
        Arc::clone(&self.sides.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl TlsSettings {
    fn sides(&self) -> Result<Sides, TlsError> {
        let (key_name, trust_name) = (self.name("keyStore"), self.name("trustStore"));
        let KeyStore { key, chain } = self.key_store.key_store(&key_name)?;
        let trusted = self.trust_store.trust_store(&trust_name)?;
        let provider = Arc::new(self.provider());
        let rules = |error| TlsError::Rules { prefix: self.prefix, error };
        let unusable = |name: &str, file: &StoreFile, what, error: Error| TlsError::Unusable {
            key: format!("{name}.location"),
            file: file.location.clone(),
            what,
            error: error.into(),
        };
        let no_key = |error| unusable(&key_name, &self.key_store, "key", error);
        let no_trust = |error| unusable(&trust_name, &self.trust_store, "certificates", error);
        let trust = Trust::new(trusted, Arc::clone(&provider)).map(Arc::new).map_err(no_trust)?;
        let of_clients = trust.of_clients(self.client_auth).map_err(no_trust)?;
        let versions = self.protocols.versions();
        let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)
            .map_err(rules)?
            .dangerous() // only in that names are compared later
            .with_custom_certificate_verifier(trust)
            .with_client_auth_cert(chain.clone(), key.clone_key());
        let server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .map_err(rules)?
            .with_client_cert_verifier(of_clients)
            .with_single_cert(chain, key);
        let (mut client, mut server) = (client.map_err(no_key)?, server.map_err(no_key)?);
        client.resumption = Resumption::disabled();
        client.enable_sni = false;
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        Ok(Sides { client: client.into(), server: server.into() })
    }

    fn name(&self, store: &str) -> String {
        format!("{}{store}", self.prefix)
    }

    fn provider(&self) -> CryptoProvider {
        let mut provider = ring::default_provider();
        if !self.suites.is_empty() {
            // In the order of the keys, as the reference offers them.
            let all = std::mem::take(&mut provider.cipher_suites);
            let named = |name: &String| {
                let ours = name.replacen("TLS_AES", "TLS13_AES", 1);
                let ours = ours.replacen("TLS_CHACHA", "TLS13_CHACHA", 1);
                all.iter().find(|it| it.suite().as_str() == Some(&*ours)).copied()
            };
            provider.cipher_suites = self.suites.iter().filter_map(named).collect();
        }
        provider
    }
}

/// The reason in words that an operator can act on.
pub(super) fn reason(error: &Error) -> String {
    use rustls::CertificateError as Bad;
    match error {
        Error::InvalidCertificate(Bad::UnknownIssuer) => {
            "its certificate is issued by nobody in the trust store".into()
        }
        Error::InvalidCertificate(Bad::Expired | Bad::ExpiredContext { .. }) => {
            "its certificate has expired".into()
        }
        Error::InvalidCertificate(Bad::NotValidYet | Bad::NotValidYetContext { .. }) => {
            "its certificate is not valid yet".into()
        }
        Error::NoCertificatesPresented => "it shows no certificate".into(),
        Error::AlertReceived(alert) => format!("it refuses ours: {alert:?}"),
        other => other.to_string(),
    }
}
