//! The constants: what each kind of request is answered.
//!
//! Only what a client must have to go on comes from the request: the path that create and sync give back.

use jute::{
    AclList, ConnectRequest, ConnectResponse, Field as _, Op, Reader, Record as _, SessionId, Stat,
};

/// Bytes of data of every znode.
const DATA_LEN: i32 = 100;

/// One of every znode, with no children.
const STAT: Stat = Stat {
    czxid: 1,
    mzxid: 1,
    ctime: 0,
    mtime: 0,
    version: 0,
    cversion: 0,
    aversion: 0,
    ephemeral_owner: 0,
    data_length: DATA_LEN,
    num_children: 0,
    pzxid: 1,
};

/// Makes answers.
#[derive(Debug)]
pub(super) struct Answers {
    /// 100 bytes of data, and the stat: what getData is answered.
    data: Vec<u8>,
}

impl Answers {
    pub(super) fn new() -> Self {
        let mut data = Vec::new();
        (&[b'x'; DATA_LEN as usize][..]).write(&mut data);
        STAT.write(&mut data);
        Self { data }
    }

    /// Appends the record behind the reply's header to `out`; `body` is the one behind the request's.
    pub(super) fn body(&self, op: i32, body: &[u8], out: &mut Vec<u8>) {
        let stat = &self.data[4 + DATA_LEN as usize..];
        let path =
            || body.get(..4 + Reader::new(body).bytes().ok().flatten().map_or(0, <[_]>::len));
        match Op::from_number(op) {
            Some(Op::GetData) => out.extend_from_slice(&self.data),
            Some(Op::Exists | Op::SetData | Op::SetAcl) => out.extend_from_slice(stat),
            Some(Op::Create | Op::Sync) => out.extend_from_slice(path().unwrap_or_default()),
            Some(Op::Create2 | Op::CreateContainer | Op::CreateTtl) => {
                out.extend_from_slice(path().unwrap_or_default());
                out.extend_from_slice(stat);
            }
            Some(Op::GetChildren2) => {
                out.extend_from_slice(&[0; 4]);
                out.extend_from_slice(stat);
            }
            Some(Op::GetAcl) => {
                AclList::open().write(out);
                out.extend_from_slice(stat);
            }
            Some(Op::GetChildren | Op::GetEphemerals | Op::GetAllChildrenNumber | Op::WhoAmI) => {
                out.extend_from_slice(&[0; 4]);
            }
            // The header that ends the list of results: there are none.
            Some(Op::Multi | Op::MultiRead) => {
                out.extend_from_slice(&[255, 255, 255, 255, 1, 255, 255, 255, 255]);
            }
            Some(_) | None => {}
        }
    }

    /// The answer to a handshake, without its length: a session with this number, which gets the timeout that it asks for.
    ///
    /// # Errors
    /// It is none.
    pub(super) fn handshake(
        frame: &[u8],
        session: SessionId,
    ) -> Result<Vec<u8>, jute::DecodeError> {
        let asked = ConnectRequest::decode(frame)?;
        let session = if asked.session == SessionId::NONE { session } else { asked.session };
        let password = jute::password(session);
        let response = ConnectResponse {
            protocol_version: 0,
            timeout_ms: asked.timeout_ms.max(1),
            session,
            password: Some(&password),
            read_only: asked.read_only.map(|_| false),
        };
        let mut out = Vec::new();
        response.encode(&mut out);
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use jute::{Op, Reader, Record as _, Stat};

    use super::Answers;

    #[test]
    fn create_gives_the_path_back_and_a_cut_request_nothing() {
        let mut out = Vec::new();
        let answers = Answers::new();
        answers.body(Op::Create.number(), b"\0\0\0\x02/aand more", &mut out);
        assert_eq!(out, b"\0\0\0\x02/a");
        for cut in [&b""[..], b"\0\0", b"\0\0\0\x09/a", b"\xff\xff\xff\xff"] {
            out.clear();
            answers.body(Op::Create.number(), cut, &mut out);
            assert!(out.len() <= cut.len(), "{cut:?}");
        }
    }

    #[test]
    fn the_answer_to_a_read_is_data_and_a_stat_that_fits_it() {
        let mut out = Vec::new();
        Answers::new().body(Op::GetData.number(), b"", &mut out);
        let mut reader = Reader::new(&out);
        let data = reader.bytes().unwrap().unwrap();
        let stat = Stat::decode(&out[4 + data.len()..]).unwrap();
        assert_eq!(stat.data_length as usize, data.len());
    }
}
