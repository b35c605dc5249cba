//! Accepting connections.

use std::cell::RefCell;
use std::fs::File;
use std::os::fd::{FromRawFd as _, IntoRawFd as _};
use std::rc::Rc;
use std::time::Duration;

use futures_lite::future;
use glommio::GlommioError;
use glommio::net::{AcceptedTcpStream, TcpListener};
use tracing::{debug, warn};

use super::Driver;
use crate::shard::Tree;

/// How long accepting rests after the kernel refused for want of something.
const REST: Duration = Duration::from_millis(50);

/// Accepts for ever; each connection gets its task.
pub(super) async fn accept_all<T: Tree + 'static>(
    driver: Rc<RefCell<Driver<T>>>,
    listener: std::net::TcpListener,
) {
    let listener = adopt(listener);
    let mut reserve = Reserve::new();
    loop {
        match listener.shared_accept().await {
            Ok(accepted) => open(&driver, accepted),
            Err(error) if is_out_of_files(&error) => {
                warn!("no file descriptor is left for a connection: closing it");
                reserve.shed_one(&listener).await;
            }
            // The client has gone before it was accepted, or memory is short.
            Err(error) => {
                debug!("accept: {error}");
                glommio::timer::sleep(REST).await;
            }
        }
    }
}

fn open<T: Tree + 'static>(driver: &Rc<RefCell<Driver<T>>>, accepted: AcceptedTcpStream) {
    let peer = accepted.peer_addr();
    let stream = accepted.bind_to_executor();
    // A client that has gone already has no address; dropping the stream closes it.
    let Ok(peer) = peer else { return };
    let Some(conn) = driver.borrow_mut().open(stream, peer) else { return };
    let driver = Rc::clone(driver);
    glommio::spawn_local(async move {
        future::poll_fn(|cx| driver.borrow_mut().poll_connection(cx, conn)).await;
    })
    .detach();
}

fn is_out_of_files(error: &GlommioError<()>) -> bool {
    let GlommioError::IoError(error) = error else { return false };
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

/// A file descriptor kept back, so that a connection can be told that there is none for it.
struct Reserve {
    file: Option<File>,
}

impl Reserve {
    fn new() -> Self {
        Self { file: File::open("/dev/null").ok() }
    }

    /// Accepts one connection with the descriptor that was kept back and closes it.
    async fn shed_one(&mut self, listener: &TcpListener) {
        if self.file.take().is_none() {
            glommio::timer::sleep(REST).await;
        } else if let Ok(accepted) = listener.shared_accept().await {
            drop(accepted.bind_to_executor());
        }
        self.file = File::open("/dev/null").ok();
    }
}

/// Hands a listening socket to the executor.
#[expect(
    unsafe_code,
    reason = "glommio takes a socket that it has not bound itself only as a number"
)]
fn adopt(listener: std::net::TcpListener) -> TcpListener {
    let fd = listener.into_raw_fd();
    // SAFETY: the line above gave the descriptor up, so that its new owner is the only one.
    unsafe { TcpListener::from_raw_fd(fd) }
}
