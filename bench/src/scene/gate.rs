//! Sessions that come and go: opened and closed again and again, and all coming back at once.

use anyhow::{Error, Result, bail};
use jute::{AclList, CreateRequest, Field, Op};

use crate::connection::{Asked, Connection, Incoming, Ticket};
use crate::crowd::{Actor, Crowd};
use crate::meter::Meter;
use crate::requests::Root;

/// The znodes that scenes stand on.
#[derive(Debug)]
pub(crate) struct RootsReady;

impl RootsReady {
    /// Creates the root and its parents.
    ///
    /// # Errors
    /// A create fails with anything but NodeExists.
    pub(crate) fn make(crowd: &mut Crowd, root: &Root) -> Result<()> {
        let path = &root.0;
        let ends = path.match_indices('/').skip(1).map(|(at, _)| at).chain([path.len()]);
        let all: Vec<&str> = ends.map(|end| &path[..end]).collect();
        crowd.send_all(1, all.len() as u64, 16, |number, connection| {
            let (path, data) = (Some(all[number as usize].as_bytes()), Some(&b""[..]));
            connection.request(Asked::default(), Op::Create, |out| {
                CreateRequest { path, data, acl: AclList::open(), flags: 0 }.write(out);
            });
        })
    }
}

/// Rows of the meter.
const OPEN: usize = 0;
const CLOSE: usize = 1;
const BACK: usize = 0;
const EVERYBODY: usize = 1;

/// Opens and closes on every place.
struct Churn {
    meter: Meter,
    /// When each place began to connect; places to begin anew.
    since: Vec<u64>,
    again: Vec<usize>,
    refused: bool,
}

pub(super) fn churn(crowd: &mut Crowd, meter: Meter, stop: u64) -> Result<Meter> {
    let places = crowd.len();
    let mut scene = Churn {
        meter,
        since: vec![crate::clock::now(); places],
        again: (0..places).collect(),
        refused: false,
    };
    crowd.run(&mut scene, stop)?;
    // Those that are half open are left to the server.
    Ok(scene.meter)
}

impl Actor for Churn {
    fn incoming(&mut self, at: usize, now: u64, what: Incoming<'_>, connection: &mut Connection) {
        match what {
            Incoming::Connected => {
                self.meter.reply(now, self.since[at], OPEN, 0);
                let asked = Asked { due: now, ..Asked::default() };
                connection.request(asked, Op::CloseSession, |_| {});
            }
            Incoming::Reply(reply) => {
                self.meter.reply(now, reply.asked.due, CLOSE, reply.err);
                self.again.push(at);
            }
            Incoming::Refused => self.refused = true,
            Incoming::Event => {}
        }
    }

    fn turn(&mut self, now: u64, crowd: &mut Crowd) -> Result<()> {
        if self.refused {
            bail!("the server refused a new session");
        }
        while let Some(at) = self.again.pop() {
            self.since[at] = now;
            crowd.connect(at, Ticket::NEW)?;
        }
        Ok(())
    }

    fn ended(&mut self, at: usize, _: u64, error: Error) -> Result<()> {
        // The server closes behind its reply; before the reply it must not.
        if self.again.contains(&at) { Ok(()) } else { Err(error) }
    }
}

/// Breaks all connections, and brings all sessions back.
struct Storm {
    meter: Meter,
    broken_at: Option<u64>,
    /// Places whose session is not back yet.
    away: usize,
    lost: Vec<usize>,
    /// Places whose connection was refused or broken before it was open.
    retry: Vec<usize>,
}

/// How many connect at the same time.
const AT_ONCE: usize = 512;

pub(super) fn storm(crowd: &mut Crowd, meter: Meter, stop: u64) -> Result<Meter> {
    let mut scene = Storm { meter, broken_at: None, away: 0, lost: Vec::new(), retry: Vec::new() };
    crowd.run(&mut scene, stop)?;
    Ok(scene.meter)
}

impl Actor for Storm {
    fn incoming(&mut self, at: usize, now: u64, what: Incoming<'_>, _: &mut Connection) {
        let due = self.broken_at.unwrap_or(now);
        match what {
            Incoming::Connected => self.meter.reply(now, due, BACK, 0),
            Incoming::Refused => {
                self.meter.reply(now, due, BACK, jute::Code::SessionExpired.number());
                self.lost.push(at);
            }
            Incoming::Reply(_) | Incoming::Event => return,
        }
        self.away = self.away.saturating_sub(1);
        if self.away == 0 {
            self.meter.reply(now, due, EVERYBODY, 0);
        }
    }

    fn turn(&mut self, now: u64, crowd: &mut Crowd) -> Result<()> {
        while let Some(at) = self.lost.pop() {
            crowd.connect(at, Ticket::NEW)?;
        }
        if self.away == 0 && (0..crowd.len()).all(|at| crowd.at(at).is_open()) {
            self.broken_at = Some(now);
            self.away = crowd.len();
            self.retry = (0..crowd.len()).rev().collect();
        }
        let connecting = self.away.saturating_sub(self.retry.len());
        for _ in connecting..AT_ONCE {
            let Some(at) = self.retry.pop() else { break };
            let ticket = crowd.at(at).ticket;
            crowd.connect(at, ticket)?;
        }
        Ok(())
    }

    fn ended(&mut self, at: usize, _: u64, _: Error) -> Result<()> {
        // A refused session is closed behind its answer, a connection that was cut short is made again.
        if !self.lost.contains(&at) {
            self.retry.push(at);
        }
        Ok(())
    }
}
