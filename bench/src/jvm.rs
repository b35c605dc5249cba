//! What a JVM says of its heap, asked with the JDK's own `jcmd`.

use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::server::Kind;

/// Bytes that are alive on the heap of the reference behind a forced full collection; none for other servers.
///
/// # Errors
/// `jcmd` is not there, or says something else than it used to.
pub(crate) fn live_heap(kind: Kind, pid: u32) -> Result<Option<u64>> {
    if kind != Kind::Reference {
        return Ok(None);
    }
    jcmd(pid, "GC.run")?;
    let said = jcmd(pid, "GC.heap_info")?;
    used(&said).map(Some).with_context(|| format!("no heap in what jcmd says: {said}"))
}

fn jcmd(pid: u32, what: &str) -> Result<String> {
    let output = Command::new("jcmd")
        .args([&pid.to_string(), what])
        .output()
        .context("jcmd is needed (a JDK, not a JRE)")?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "jcmd {what} fails: {said}");
    Ok(said)
}

/// The first `used <n>K` of heap_info: that of the whole heap, as G1 and the serial collector print it.
fn used(said: &str) -> Option<u64> {
    let (_, rest) = said.split_once(" used ")?;
    let (number, _) = rest.split_once('K')?;
    Some(number.trim().parse::<u64>().ok()? << 10)
}

#[cfg(test)]
mod tests {
    use super::used;

    #[test]
    fn the_first_figure_is_the_whole_heap() {
        let said = "42:\n garbage-first heap   total 262144K, used 1234K [0x1, 0x2)\n  region size 1024K, 2 young (2048K)\n Metaspace       used 9024K, committed 9216K\n";
        assert_eq!(used(said), Some(1234 << 10));
        assert_eq!(used("no such thing"), None);
    }
}
