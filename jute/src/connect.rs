//! The handshake: the first record on a connection and its answer, which have no headers.

use alloc::vec::Vec;

use crate::{DecodeError, Field, Reader, SessionId, Zxid};

/// Bytes of a session's password.
pub const PASSWORD_LEN: usize = 16;

/// The first record that a client sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectRequest<'a> {
    /// Ignored; 0.
    pub protocol_version: i32,
    /// The last zxid that the client has seen.
    pub last_zxid_seen: Zxid,
    /// The wanted session timeout, milliseconds.
    pub timeout_ms: i32,
    /// The session to go on with; 0 for a new one.
    pub session: SessionId,
    /// The session's password; null and any length are possible.
    pub password: Option<&'a [u8]>,
    /// Whether a read-only server will do. `None` if the client is of a generation that does not send it (before 3.4):
    /// the response then leaves it out too.
    pub read_only: Option<bool>,
}

impl<'a> Field<'a> for ConnectRequest<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self {
            protocol_version: reader.i32()?,
            last_zxid_seen: Zxid::read(reader)?,
            timeout_ms: reader.i32()?,
            session: SessionId::read(reader)?,
            password: reader.bytes()?,
            read_only: if reader.is_empty() { None } else { Some(reader.bool()?) },
        })
    }
    fn write(&self, out: &mut Vec<u8>) {
        self.protocol_version.write(out);
        self.last_zxid_seen.write(out);
        self.timeout_ms.write(out);
        self.session.write(out);
        self.password.write(out);
        if let Some(read_only) = self.read_only {
            read_only.write(out);
        }
    }
}
impl<'a> crate::Record<'a> for ConnectRequest<'a> {}

/// The answer to a [`ConnectRequest`]. A refusal has timeout 0, session 0 and a password of zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectResponse<'a> {
    /// Always 0.
    pub protocol_version: i32,
    /// The negotiated session timeout, milliseconds; 0 if refused.
    pub timeout_ms: i32,
    /// The session; 0 if refused.
    pub session: SessionId,
    /// Its password.
    pub password: Option<&'a [u8]>,
    /// Whether this server is read-only; `None` leaves it out, as old clients want it.
    pub read_only: Option<bool>,
}

impl<'a> Field<'a> for ConnectResponse<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self {
            protocol_version: reader.i32()?,
            timeout_ms: reader.i32()?,
            session: SessionId::read(reader)?,
            password: reader.bytes()?,
            read_only: if reader.is_empty() { None } else { Some(reader.bool()?) },
        })
    }
    fn write(&self, out: &mut Vec<u8>) {
        self.protocol_version.write(out);
        self.timeout_ms.write(out);
        self.session.write(out);
        self.password.write(out);
        if let Some(read_only) = self.read_only {
            read_only.write(out);
        }
    }
}
impl<'a> crate::Record<'a> for ConnectResponse<'a> {}

/// The password of a session: the first bytes of `java.util.Random` seeded with the session id and a constant.
///
/// The same on every server of every version, so that a session can move between them. It is no secret to anybody
/// who knows the session id. Source: `ZooKeeperServer.generatePasswd`.
pub fn password(session: SessionId) -> [u8; PASSWORD_LEN] {
    const SUPER_SECRET: u64 = 0xB341_5C00;
    const MULTIPLIER: u64 = 0x5_DEEC_E66D;
    const MASK: u64 = (1 << 48) - 1;
    let mut seed = ((session.0 as u64 ^ SUPER_SECRET) ^ MULTIPLIER) & MASK;
    let mut password = [0; PASSWORD_LEN];
    for chunk in password.chunks_exact_mut(4) {
        seed = seed.wrapping_mul(MULTIPLIER).wrapping_add(0xB) & MASK;
        let int = (seed >> 16) as u32;
        for (idx, byte) in chunk.iter_mut().enumerate() {
            *byte = (int >> (8 * idx)) as u8;
        }
    }
    password
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::{ConnectRequest, password};
    use crate::{Field, Record, SessionId, Zxid};

    #[test]
    fn passwords_are_those_of_java_util_random() {
        let vectors: [(i64, u128); 3] = [
            (0x1, 0x054c_c74a_3732_7db2_15e7_02e2_0c73_f005),
            (0x0100_0000_0000_0000, 0xf22a_cd4a_97e6_9d6d_20a4_9bb6_38ea_db38),
            (0x0100_0012_3456_789a, 0x0f6f_c61a_ae1a_b782_3aad_7dad_4a2e_cd8e),
        ];
        for (session, expected) in vectors {
            assert_eq!(u128::from_be_bytes(password(SessionId(session))), expected, "{session:#x}");
        }
    }

    #[test]
    fn a_connect_request_without_the_last_byte_is_an_old_clients() {
        let request = ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: Zxid(5),
            timeout_ms: 4_000,
            session: SessionId::NONE,
            password: Some(&[0; 16]),
            read_only: Some(false),
        };
        let mut bytes = Vec::new();
        request.write(&mut bytes);
        assert_eq!(bytes.len(), 45);
        assert_eq!(ConnectRequest::decode(&bytes), Ok(request));
        let old = ConnectRequest::decode(&bytes[..44]).unwrap();
        assert_eq!(old, ConnectRequest { read_only: None, ..request });
    }
}
