//! Machines of their own, as far as the network goes: a namespace for each server, joined by a bridge, between which packets can be lost.
//!
//! Needs root and iproute2. Absent here: what depends on ports or takes time, which needs parts of the kernel that not every one has.

use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, ensure};

/// How many this process has built.
static BUILT: AtomicU32 = AtomicU32::new(0);

/// Some machines. Gone with this.
pub(crate) struct Namespaces {
    names: Vec<String>,
    bridge: String,
    /// The second and third number of every address.
    subnet: [u8; 2],
}

impl Namespaces {
    /// Makes so many machines.
    pub(crate) fn build(count: usize) -> anyhow::Result<Self> {
        // Several harnesses on one machine have networks of their own, and so have several trials of one.
        let (process, trial) = (std::process::id(), BUILT.fetch_add(1, Ordering::Relaxed));
        let own = format!("{process}{}", char::from(b'a' + (trial % 26) as u8));
        let subnet = [100 + (trial % 100) as u8, 1 + (process % 250) as u8];
        let names = (1..=count).map(|it| format!("rk{own}-{it}")).collect();
        let made = Self { names, bridge: format!("rkb{own}"), subnet };
        ip(&format!("link add {} type bridge", made.bridge))?;
        ip(&format!("addr add {}/24 dev {}", made.at(254), made.bridge))?;
        ip(&format!("link set {} up", made.bridge))?;
        for (number, name) in made.names.iter().enumerate() {
            let (outer, address) = (format!("rkv{own}-{number}"), made.address(number));
            ip(&format!("netns add {name}"))?;
            ip(&format!("link add {outer} type veth peer name eth0 netns {name}"))?;
            ip(&format!("link set {outer} master {} up", made.bridge))?;
            ip(&format!("-n {name} addr add {address}/24 dev eth0"))?;
            ip(&format!("-n {name} link set eth0 up"))?;
            ip(&format!("-n {name} link set lo up"))?;
        }
        Ok(made)
    }

    /// The name of a machine.
    pub(crate) fn name(&self, number: usize) -> &str {
        &self.names[number]
    }

    /// Where a machine is.
    pub(crate) fn address(&self, number: usize) -> Ipv4Addr {
        self.at(number as u8 + 1)
    }

    fn at(&self, last: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, self.subnet[0], self.subnet[1], last)
    }

    /// From now on nothing of what one machine sends reaches the other.
    pub(crate) fn lose(&self, from: usize, to: usize) -> anyhow::Result<()> {
        ip(&format!("-n {} route add blackhole {}", self.names[from], self.address(to)))
    }

    /// From now on it does again.
    pub(crate) fn deliver(&self, from: usize, to: usize) -> anyhow::Result<()> {
        ip(&format!("-n {} route del blackhole {}", self.names[from], self.address(to)))
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        // What was not made cannot be removed; the pairs of devices go with their machines.
        for name in &self.names {
            drop(ip(&format!("netns del {name}")));
        }
        drop(ip(&format!("link del {}", self.bridge)));
    }
}

fn ip(words: &str) -> anyhow::Result<()> {
    let output = Command::new("ip").args(words.split(' ')).output();
    let output = output.context("iproute2 is not installed")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ip {words}: {said}");
    Ok(())
}
