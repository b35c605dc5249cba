//! `ringkeeper inspect` on the directory of a server that writes, takes snapshots and recycles its segments all the while. Ours only.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use libtest_mimic::Trial;

use crate::ensemble::trial;
use crate::process::PATIENCE;
use crate::server::{Kind, Server, binary};
use crate::wire::{Body, Client, op};

/// Segments of 1 MiB and a snapshot every thousand transactions: some of each in a second.
const CONFIG: &str = "snapCount=1000\npreAllocSize=1024\nautopurge.snapRetainCount=3\n";

/// How long the server is written to at least.
const LOAD: Duration = Duration::from_secs(8);

/// Requests on their way at once.
const IN_FLIGHT: usize = 16;

/// The test.
pub(crate) fn trials() -> Vec<Trial> {
    let trial = trial("looking_at_a_server_that_writes_and_recycles", look_meanwhile);
    vec![trial.with_ignored_flag(Kind::chosen() == Kind::Reference)]
}

fn look_meanwhile() -> anyhow::Result<()> {
    let server = Server::start(CONFIG)?;
    let (address, data) = (server.address(), server.dir().join("data"));
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let writer = scope.spawn(|| write(address, &over));
        let (mut looks, mut firsts, begin) = (0, Vec::new(), Instant::now());
        let mut looked = Ok(());
        // Until enough was recycled, however fast that is.
        let is_enough = |looks, firsts: &[String]| 3 < looks && 3 < firsts.len();
        while looked.is_ok() && !writer.is_finished() && begin.elapsed() < PATIENCE {
            if LOAD < begin.elapsed() && is_enough(looks, &firsts) {
                break;
            }
            looked = look(&data, &mut firsts);
            firsts.dedup();
            looks += 1;
        }
        over.store(true, Relaxed);
        let written = writer.join().expect("the writer does not panic")?;
        looked?;
        println!("{looks} looks, {} oldest segments, {written} writes", firsts.len());
        ensure!(is_enough(looks, &firsts), "{looks} looks at {firsts:?}: nothing was recycled");
        anyhow::Ok(())
    })
    .with_context(|| server.log())?;
    ensure!(!server.log().contains("failed"), "it was disturbed\n{}", server.log());
    Ok(())
}

/// One look in each way; `firsts` gets the oldest segment.
fn look(data: &Path, firsts: &mut Vec<String>) -> anyhow::Result<()> {
    let verified = shown(data, &["verify"])?;
    ensure!(!verified.contains("damaged"), "{verified}");
    let first = verified.lines().find(|it| it.starts_with("segment "));
    firsts.extend(first.and_then(|it| it.split("first_zxid=").nth(1)).map(str::to_owned));
    let transactions = shown(data, &["transactions"])?;
    let mut last = 0;
    for line in transactions.lines() {
        let zxid = line.split("zxid=0x").nth(1).and_then(|it| it.split(' ').next());
        let zxid = u64::from_str_radix(zxid.context("a line has a zxid")?, 16)?;
        ensure!(last < zxid, "{zxid:#x} after {last:#x}");
        last = zxid;
    }
    if verified.contains("snapshot ") {
        let znodes = shown(data, &["znodes", "--json"])?;
        for path in ["/", "/zookeeper/quota", "/looked0"] {
            ensure!(znodes.contains(&format!("\"path\":\"{path}\"")), "no {path}\n{znodes}");
        }
    }
    Ok(())
}

fn shown(data: &Path, args: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(binary()).arg("inspect").arg(data).args(args).output()?;
    let said = String::from_utf8(output.stdout)?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "inspect {args:?}: {}\n{errors}\n{said}", output.status);
    Ok(said)
}

/// Writes until it is over; how often.
fn write(address: SocketAddr, over: &AtomicBool) -> anyhow::Result<u64> {
    let mut client = Client::connect(address)?;
    for number in 0..IN_FLIGHT {
        let create = Body::default().create(&format!("/looked{number}"), b"", 0);
        ensure!(client.ask(op::CREATE, &create)?.err == 0, "create");
    }
    let mut count = 0;
    while !over.load(Relaxed) {
        for number in 0..IN_FLIGHT {
            let path = format!("/looked{number}");
            let set = Body::default().buffer(path.as_bytes()).buffer(&[b'x'; 500]).int(-1);
            client.put(op::SET_DATA, &set);
        }
        client.flush()?;
        for _ in 0..IN_FLIGHT {
            ensure!(client.reply()?.err == 0, "set");
            count += 1;
        }
    }
    Ok(count)
}
