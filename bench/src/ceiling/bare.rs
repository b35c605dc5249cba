//! A constant server on bare epoll: read, find the frames, append the answers, send. No machine, no rings, no limits.
//!
//! With a [`Force`] the answers of a turn wait until its requests are on the disk. Level-triggered; one read for each event.

use std::net::TcpListener;
use std::os::fd::OwnedFd;

use anyhow::{Context as _, Result};
use jute::SessionId;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SocketFlags, accept_with, recv};

use super::answer::Answers;
use super::client::Client;
use super::force::Force;

/// The marks of what is no client.
const LISTENER: u64 = u64::MAX;
const DISK: u64 = u64::MAX - 1;

/// The server.
pub(super) struct Bare {
    epoll: OwnedFd,
    listener: TcpListener,
    answers: Answers,
    force: Option<Force>,
    /// By slot; the slot of one that has gone is used again.
    clients: Vec<Option<Client>>,
    free: Vec<usize>,
    session: SessionId,
    /// Clients that have answers in the batch that fills, and in the one that is being written.
    filling: Vec<usize>,
    writing: Vec<usize>,
}

impl Bare {
    /// Listens.
    ///
    /// # Errors
    /// What the system says if it gives no epoll.
    pub(super) fn new(listener: TcpListener, force: Option<Force>) -> Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        listener.set_nonblocking(true)?;
        epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
        if let Some(force) = &force {
            epoll::add(&epoll, force, EventData::new_u64(DISK), EventFlags::IN)?;
        }
        Ok(Self {
            epoll,
            listener,
            answers: Answers::new(),
            force,
            clients: Vec::new(),
            free: Vec::new(),
            session: SessionId(0x0100_0000_0000_0000),
            filling: Vec::new(),
            writing: Vec::new(),
        })
    }

    /// Serves until the process is killed.
    ///
    /// # Errors
    /// What the system says of the epoll or the disk.
    pub(super) fn run(mut self) -> Result<()> {
        let mut events: Vec<Event> = Vec::with_capacity(512);
        let mut scratch = vec![0; 128 << 10];
        loop {
            events.clear();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno).context("epoll"),
            }
            for event in &events {
                match event.data.u64() {
                    LISTENER => self.accept()?,
                    DISK => {}
                    slot => self.serve(slot as usize, &mut scratch)?,
                }
            }
            self.turn_disk()?;
        }
    }

    fn accept(&mut self) -> Result<()> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        while let Ok(socket) = accept_with(&self.listener, flags) {
            let slot = self.free.pop().unwrap_or(self.clients.len());
            if slot == self.clients.len() {
                self.clients.push(None);
            }
            epoll::add(&self.epoll, &socket, EventData::new_u64(slot as u64), EventFlags::IN)?;
            self.clients[slot] = Some(Client::new(socket));
        }
        Ok(())
    }

    /// Reads once, and sends what need not wait.
    fn serve(&mut self, slot: usize, scratch: &mut [u8]) -> Result<()> {
        // Told of again when there is room.
        let full = self.force.as_ref().is_some_and(Force::is_full);
        let Some(Some(client)) = self.clients.get_mut(slot) else { return Ok(()) };
        let read = if full {
            Err(Errno::AGAIN)
        } else {
            recv(&client.socket, &mut *scratch, RecvFlags::empty())
        };
        let kept = match read {
            Ok((0, _)) => false,
            Ok((len, _)) => {
                let waits = client.waits();
                self.session = self.session.next();
                let bytes = &scratch[..len];
                let kept = client.received(bytes, &self.answers, self.force.as_mut(), self.session);
                if !waits && client.waits() {
                    self.filling.push(slot);
                }
                kept
            }
            Err(Errno::AGAIN | Errno::INTR) => true,
            Err(_) => false,
        };
        if kept {
            return self.send(slot);
        }
        self.end(slot);
        Ok(())
    }

    /// Forgets a client; dropping its socket closes it.
    fn end(&mut self, slot: usize) {
        self.clients[slot] = None;
        self.filling.retain(|it| *it != slot);
        self.writing.retain(|it| *it != slot);
        self.free.push(slot);
    }

    /// Sends what may be sent; ends the connection if it has said good-bye, or is broken.
    fn send(&mut self, slot: usize) -> Result<()> {
        let Some(Some(client)) = self.clients.get_mut(slot) else { return Ok(()) };
        let before = client.is_blocked;
        let kept = client.send();
        if !kept {
            self.end(slot);
            return Ok(());
        }
        if before != client.is_blocked {
            let more = if client.is_blocked { EventFlags::OUT } else { EventFlags::empty() };
            let data = EventData::new_u64(slot as u64);
            epoll::modify(&self.epoll, &client.socket, data, EventFlags::IN | more)?;
        }
        Ok(())
    }

    /// Begins and ends writes; answers when they have ended.
    fn turn_disk(&mut self) -> Result<()> {
        let Some(force) = &mut self.force else { return Ok(()) };
        let mut done = Vec::new();
        if force.ended()? {
            done = std::mem::take(&mut self.writing);
            for slot in &done {
                if let Some(client) = &mut self.clients[*slot] {
                    client.written();
                }
            }
        }
        if force.begin()? {
            std::mem::swap(&mut self.writing, &mut self.filling);
            for slot in &self.writing {
                if let Some(client) = &mut self.clients[*slot] {
                    client.begun();
                }
            }
        }
        for slot in done {
            self.send(slot)?;
        }
        Ok(())
    }
}
