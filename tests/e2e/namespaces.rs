//! Machines of their own, as far as the network goes: a namespace for each server, and the harness's own, joined by a switch that can fail.
//!
//! Needs root, iproute2 and /dev/net/tun. A machine's card is the other side of a TAP device of the switch's; it leaves nothing to the hardware.

use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, ensure};

use crate::switch::{Switch, hardware_address};

/// How many this process has built.
static BUILT: AtomicU32 = AtomicU32::new(0);

/// Some machines. Gone with this.
pub(crate) struct Namespaces {
    names: Vec<String>,
    /// The second and third number of every address.
    subnet: [u8; 2],
    /// None until they are joined.
    switch: Option<Switch>,
    /// Addresses that machines were given beside their first ones.
    given: AtomicU8,
}

/// The last number of the first address that a machine may be given, and how many there are.
const FIRST_GIVEN: u8 = 50;
const GIVEN_MAX: u8 = 200;

/// Where iproute2 looks for files that are to be in /etc of a namespace.
const OWN_FILES: &str = "/etc/netns";

impl Namespaces {
    /// Makes so many machines.
    pub(crate) fn build(count: usize) -> anyhow::Result<Self> {
        // The first to make one mounts the folder of all: two at once may fail.
        static ONE: Mutex<()> = Mutex::new(());
        let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        // Several harnesses on one machine have networks of their own, and so have several trials of one.
        let (process, trial) = (std::process::id(), BUILT.fetch_add(1, Ordering::Relaxed));
        let own = format!("{process}{}", char::from(b'a' + (trial % 26) as u8));
        let subnet = [100 + (trial % 100) as u8, 1 + (process % 250) as u8];
        let names = (1..=count).map(|it| format!("rk{own}-{it}")).collect();
        let mut made = Self { names, subnet, switch: None, given: AtomicU8::new(0) };
        let mut taps = Vec::new();
        for (number, name) in made.names.iter().enumerate() {
            let (device, address) = (format!("rkt{own}-{number}"), made.address(number));
            ip(&format!("netns add {name}"))?;
            taps.push(tap(&device)?);
            ip(&format!("link set {device} netns {name} name eth0"))?;
            raise(&format!("-n {name}"), "eth0", address, number)?;
            ip(&format!("-n {name} link set lo up"))?;
        }
        let device = format!("rkt{own}-h");
        taps.push(tap(&device)?);
        // Its route is narrower than any of a trial with the same numbers in another process.
        raise("-4", &device, made.address(count), count)?;
        made.switch = Some(Switch::start(taps)?);
        Ok(made)
    }

    /// The name of a machine.
    pub(crate) fn name(&self, number: usize) -> &str {
        &self.names[number]
    }

    /// Where a machine is.
    pub(crate) fn address(&self, number: usize) -> Ipv4Addr {
        Ipv4Addr::new(10, self.subnet[0], self.subnet[1], number as u8 + 1)
    }

    /// The number that the harness, where clients are, has as a machine.
    pub(crate) fn harness(&self) -> usize {
        self.names.len()
    }

    /// An address that no machine has had yet, and which this one has from now on beside its first.
    pub(crate) fn give_address(&self, number: usize) -> anyhow::Result<Ipv4Addr> {
        let given = self.given.fetch_add(1, Ordering::Relaxed);
        ensure!(given < GIVEN_MAX, "{given} addresses were given, and there are no more");
        let address = Ipv4Addr::new(10, self.subnet[0], self.subnet[1], FIRST_GIVEN + given);
        ip(&format!("-n {} addr add {address}/24 dev eth0", self.names[number]))?;
        Ok(address)
    }

    /// A machine has this address no more: what is sent there is lost without a word.
    pub(crate) fn take_address(&self, number: usize, address: Ipv4Addr) -> anyhow::Result<()> {
        ip(&format!("-n {} addr del {address}/24 dev eth0", self.names[number]))
    }

    /// From now on names mean this on a machine. The first time is to be before a process starts there.
    pub(crate) fn name_hosts(
        &self,
        number: usize,
        hosts: &[(String, Ipv4Addr)],
    ) -> anyhow::Result<()> {
        let dir = Path::new(OWN_FILES).join(&self.names[number]);
        fs::create_dir_all(&dir)?;
        let lines = hosts.iter().map(|(name, address)| format!("{address} {name}\n"));
        // The same file, for it is mounted where processes look for it.
        let text = format!("127.0.0.1 localhost\n{}", lines.collect::<String>());
        Ok(fs::write(dir.join("hosts"), text)?)
    }

    /// What joins them.
    pub(crate) fn switch(&self) -> &Switch {
        self.switch.as_ref().expect("it was started")
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        // The devices go with their files.
        self.switch = None;
        for name in &self.names {
            // What was not made cannot be removed.
            drop(ip(&format!("netns del {name}")));
            drop(fs::remove_dir_all(Path::new(OWN_FILES).join(name)));
        }
    }
}

/// Gives a card its addresses, and lets it work.
fn raise(place: &str, device: &str, address: Ipv4Addr, number: usize) -> anyhow::Result<()> {
    let hardware = hardware_address(number).map(|it| format!("{it:02x}")).join(":");
    ip(&format!("{place} link set {device} address {hardware}"))?;
    ip(&format!("{place} addr add {address}/24 dev {device}"))?;
    ip(&format!("{place} link set {device} up"))
}

/// A TAP device, which lives as long as the file.
fn tap(name: &str) -> anyhow::Result<File> {
    const PATH: &str = "/dev/net/tun";
    /// `struct ifreq`: a name, and flags; as long as the kernel's.
    #[repr(C)]
    struct Request {
        name: [u8; 16],
        flags: u16,
        rest: [u8; 22],
    }
    let file = File::options().read(true).write(true).open(PATH).context(PATH)?;
    let mut request = Request { name: [0; 16], flags: IFF_TAP | IFF_NO_PI, rest: [0; 22] };
    request.name[..name.len()].copy_from_slice(name.as_bytes());
    // SAFETY: TUNSETIFF takes a `struct ifreq`, which `Request` is, writes the name there, and keeps nothing of it.
    let set = unsafe { rustix::ioctl::Updater::<TUNSETIFF, Request>::new(&mut request) };
    // SAFETY: the file is the device that the request is for.
    unsafe { rustix::ioctl::ioctl(&file, set) }.with_context(|| format!("the device {name}"))?;
    let flags = rustix::fs::fcntl_getfl(&file)?;
    rustix::fs::fcntl_setfl(&file, flags | rustix::fs::OFlags::NONBLOCK)?;
    Ok(file)
}

/// Of `linux/if_tun.h`: the request that makes a device, one of frames, with no header of the kernel's before them.
const TUNSETIFF: rustix::ioctl::Opcode = rustix::ioctl::opcode::write::<i32>(b'T', 202);
const IFF_TAP: u16 = 2;
const IFF_NO_PI: u16 = 0x1000;

fn ip(words: &str) -> anyhow::Result<()> {
    let output = Command::new("ip").args(words.split(' ')).output();
    let output = output.context("iproute2 is not installed")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ip {words}: {said}");
    Ok(())
}
