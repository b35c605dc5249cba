//! Our ports beside two servers of the reference, 3.9.5: they elect us, they elect each other, and we follow.
//!
//! The jars come from `tests/install.sh`; without them there is nothing to show.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use quorum::{PeerState, Sid, Views};

use super::server::{Disk, Server};
use super::{free_ports, now, sleep, views};

/// How long a virtual machine may take on a busy one.
const PATIENCE: Duration = Duration::from_mins(2);
/// A tick of all servers.
const TICK: Duration = Duration::from_millis(500);

/// A server of the reference.
struct Java {
    child: Child,
    dir: tempfile::TempDir,
    client_port: u16,
    /// What it says that it is; empty while it does not serve.
    mode: Arc<Mutex<String>>,
}

impl Java {
    fn start(myid: i64, views: &Views) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        fs::create_dir(&data).unwrap();
        fs::write(data.join("myid"), format!("{myid}\n")).unwrap();
        let client_port = free_ports(1)[0];
        let mut config = format!(
            "tickTime={}\ninitLimit=40\nsyncLimit=10\ndataDir={}\nclientPort={client_port}\n\
             clientPortAddress=127.0.0.1\nadmin.enableServer=false\n4lw.commands.whitelist=*\n",
            TICK.as_millis(),
            data.display(),
        );
        for member in views.committed().members() {
            config.push_str(&format!("server.{}={member}\n", member.sid));
        }
        fs::write(dir.path().join("zoo.cfg"), config).unwrap();
        let log = File::create(dir.path().join("server.log")).unwrap();
        let child = Command::new(tests_dir().join("reference/server"))
            .arg(dir.path().join("zoo.cfg"))
            .current_dir(dir.path())
            .env("JVMFLAGS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xmx256m")
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mode = Arc::new(Mutex::new(String::new()));
        let told = Arc::downgrade(&mode);
        std::thread::spawn(move || {
            while let Some(mode) = told.upgrade() {
                *mode.lock().unwrap() = ask_mode(client_port).unwrap_or_default();
                drop(mode);
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        Self { child, dir, client_port, mode }
    }

    fn mode(&self) -> String {
        self.mode.lock().unwrap().clone()
    }

    fn log(&self) -> String {
        let log = fs::read(self.dir.path().join("server.log")).unwrap();
        String::from_utf8_lossy(&log[log.len().saturating_sub(3_000)..]).into_owned()
    }
}

impl Drop for Java {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn tests_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests")
}

/// The mode that `srvr` tells.
fn ask_mode(port: u16) -> std::io::Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"srvr")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let mode = answer.lines().find_map(|it| it.strip_prefix("Mode: "));
    Ok(mode.unwrap_or_default().into())
}

/// Turns of our server until `done`.
fn turn_until(ours: &mut Server, javas: &[&Java], what: &str, done: impl Fn(&Server) -> bool) {
    let late = now() + PATIENCE;
    while !done(ours) {
        let now = now();
        let logs = || javas.iter().map(|it| it.log()).collect::<Vec<_>>().join("\n----\n");
        assert!(now < late, "{what}: {:?}\n{}", ours.core.peer().state(), logs());
        ours.turn(now);
        sleep(&[ours.votes.fd(), ours.learners.fd()], ours.next_deadline());
    }
}

#[test]
fn servers_of_the_reference_follow_us_and_then_we_follow_them() {
    let jars = tests_dir().join("cache/reference");
    assert!(jars.is_dir(), "the reference is not there; tests/install.sh fetches it");
    let views = views(3);
    let port = views.committed().member(Sid(3)).unwrap().quorum_addresses().next().unwrap().port;
    let mut ours = Server::start_with(3, &views, port, Disk::default(), TICK);
    let (one, two) = (Java::start(1, &views), Java::start(2, &views));
    turn_until(&mut ours, &[&one, &two], "both follow us", |it| {
        it.leads() && one.mode() == "follower" && two.mode() == "follower"
    });

    // They elect each other.
    let disk = ours.core.disk.clone();
    drop(ours);
    let late = now() + PATIENCE;
    while two.mode() != "leader" || one.mode() != "follower" {
        assert!(now() < late, "they elect each other: {}\n----\n{}", one.log(), two.log());
        std::thread::sleep(Duration::from_millis(20));
    }

    // We come back, and have what a client writes: its session.
    let mut ours = Server::start_with(3, &views, port, disk, TICK);
    ours.core.reads_java = true;
    turn_until(&mut ours, &[&one, &two], "we follow", |it| {
        it.core.serves && it.core.peer().state() == PeerState::Following { leader: Sid(2) }
    });
    let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, two.client_port)).unwrap();
    let mut hello = vec![0; 4 + 45];
    hello[3] = 45;
    // A timeout of 10 s; a password of 16 zeros.
    hello[4 + 12..][..4].copy_from_slice(&10_000_i32.to_be_bytes());
    hello[4 + 24..][..4].copy_from_slice(&16_i32.to_be_bytes());
    client.write_all(&hello).unwrap();
    turn_until(&mut ours, &[&one, &two], "its session is here", |it| {
        it.core.applied.iter().any(|(_, txn)| !txn.is_empty())
    });
}
