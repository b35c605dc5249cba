//! TLS of the ports between servers: the stores are read at the start, and again when their files change.
//!
//! ZooKeeper: `X509Util.enableCertFileReloading`, `FileChangeWatcher`. Files are looked at once a second, through links, so that a file that is
//! replaced, or a link that comes to mean another, is seen as one that is written.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use net::port::Security;
use net::tls::{Tls, TlsError};

use crate::config::SecurityConfig;

/// From one look to the next.
const LOOK: Duration = Duration::from_secs(1);

/// Reads the stores, if there is TLS, and has them read again if that is wanted.
///
/// # Errors
/// [`TlsError`].
pub(super) fn security(config: &SecurityConfig) -> Result<Security, TlsError> {
    let Some(settings) = config.tls() else { return Ok(Security::default()) };
    let names = settings.names;
    // Before they are read: what changes from here on is seen.
    let watched = config.reload.then(|| {
        let files = [&settings.key_store.location, &settings.trust_store.location];
        files.map(|it| Mark::of(it))
    });
    let tls = Arc::new(Tls::open(settings)?);
    tracing::info!(
        calls_tls = config.ssl_quorum,
        incoming = ?config.incoming(),
        names_of_servers = names.servers,
        names_of_clients = names.clients,
        "TLS between servers"
    );
    if let Some(marks) = watched {
        let tls = Arc::downgrade(&tls);
        let watch = move || watch(&tls, marks);
        let started = std::thread::Builder::new().name("certificates".into()).spawn(watch);
        if let Err(error) = started {
            tracing::error!("sslQuorumReloadCertFiles: no thread watches the files: {error}");
        }
    }
    Ok(Security {
        tls: Some(tls),
        calls_tls: config.ssl_quorum,
        incoming: config.incoming(),
        detection_timeout: config.detection_timeout(),
    })
}

/// By which a file that has changed is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark(Option<[i64; 4]>);

impl Mark {
    fn of(file: &Path) -> Self {
        let data = std::fs::metadata(file).ok();
        Self(data.map(|it| [it.mtime(), it.mtime_nsec(), it.len() as i64, it.ino() as i64]))
    }
}

/// Reads the stores again when one of them has changed, as long as anybody uses them.
fn watch(tls: &Weak<Tls>, marks: [Mark; 2]) {
    let mut seen = marks;
    loop {
        #[expect(
            clippy::disallowed_methods,
            reason = "a thread of its own, which waits for files"
        )]
        std::thread::sleep(LOOK);
        let Some(tls) = tls.upgrade() else { return };
        let marks = tls.files().map(Mark::of);
        // A file that is away is about to come back.
        if marks == seen || marks.contains(&Mark(None)) {
            continue;
        }
        seen = marks;
        match tls.reload() {
            Ok(()) => tracing::info!("the stores of TLS between servers were read again"),
            // Half of it may be written: then it changes once more.
            Err(error) => {
                tracing::warn!("the stores of TLS have changed, and the old ones stay: {error}");
            }
        }
    }
}
