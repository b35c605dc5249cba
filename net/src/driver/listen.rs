//! Listening sockets: made by the program before the shards start, one per shard and address.

use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// A port cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {error}")]
pub struct ListenError {
    /// Where.
    pub address: SocketAddr,
    /// Why.
    pub error: std::io::Error,
}

/// What [`listen`] sets.
#[derive(Clone, Copy, Debug)]
pub struct ListenSettings {
    /// Connections that wait to be accepted. Source: `clientPortListenBacklog`.
    pub backlog: i32,
    /// Whether the kernel asks silent clients whether they live. Source: `zookeeper.tcpKeepAlive`.
    pub keep_alive: KeepAlive,
    /// Whether others may listen on the same port: the other shards of the same server.
    pub sharing: Sharing,
}

/// Whether the kernel probes silent clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepAlive {
    /// It does.
    On,
    /// It does not: sessions end by their own timeout.
    Off,
}

/// Whether a port is shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Only this socket: fails if anybody has the port. Two servers must never share a port by accident.
    Alone,
    /// With every other shared socket of this user.
    Shared,
}

/// Listens on `address`.
///
/// Accepted sockets take over TCP_NODELAY and the keep-alive from the listening one, so that accepting needs no further call.
/// To start a server: listen alone, close that, then listen shared once per shard.
///
/// # Errors
/// [`ListenError`] if the port is taken or not allowed.
pub fn listen(address: SocketAddr, settings: ListenSettings) -> Result<TcpListener, ListenError> {
    open(address, settings).map_err(|error| ListenError { address, error })
}

fn open(address: SocketAddr, settings: ListenSettings) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // As Java's wildcard does, the IPv6 one takes IPv4 too.
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(settings.sharing == Sharing::Shared)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_keepalive(settings.keep_alive == KeepAlive::On)?;
    socket.bind(&address.into())?;
    socket.listen(settings.backlog)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::{KeepAlive, ListenSettings, Sharing, listen};

    const ALONE: ListenSettings =
        ListenSettings { backlog: 16, keep_alive: KeepAlive::Off, sharing: Sharing::Alone };
    const SHARED: ListenSettings = ListenSettings { sharing: Sharing::Shared, ..ALONE };

    #[test]
    fn shards_share_a_port_and_strangers_do_not() {
        let first = listen(([127, 0, 0, 1], 0).into(), SHARED).unwrap();
        let address = first.local_addr().unwrap();
        let second = listen(address, SHARED).unwrap();
        assert_eq!(second.local_addr().unwrap(), address);
        assert!(listen(address, ALONE).is_err());
    }

    #[test]
    fn the_kernel_probes_silent_peers_if_it_is_told_to() {
        for keep_alive in [KeepAlive::Off, KeepAlive::On] {
            let settings = ListenSettings { keep_alive, ..ALONE };
            let ear = listen(([127, 0, 0, 1], 0).into(), settings).unwrap();
            let _caller = std::net::TcpStream::connect(ear.local_addr().unwrap()).unwrap();
            // What is accepted has it of the one that listens.
            let (accepted, _) = ear.accept().unwrap();
            let probes = socket2::SockRef::from(&accepted).keepalive().unwrap();
            assert_eq!(probes, keep_alive == KeepAlive::On);
        }
    }
}
