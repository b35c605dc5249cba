//! getACL and whoAmI.

use alloc::vec::Vec;

use jute::{AclList, Code, Field as _, Perms};

use super::{Read, Stop};
use crate::arena::Torn;
use crate::auth::mask_acl;

impl<'a> Read<'_, '_, 'a> {
    /// Appends the list and the stat. Who may read but not administer does not see the hashes of digest ids.
    pub(super) fn acl(&self, path: Option<&'a [u8]>, out: &mut Vec<u8>) -> Result<(), Stop<'a>> {
        let (_, znode) = self.find(path)?;
        self.check(znode, Perms::READ.or(Perms::ADMIN), out)?;
        let acl = self.view.acl(znode)?;
        match self.check(znode, Perms::ADMIN, out) {
            Ok(()) => self.view.encode_acl(acl, out)?,
            Err(Stop::Code(Code::NoAuth)) => {
                let mut whole = Vec::new();
                self.view.encode_acl(acl, &mut whole)?;
                mask_acl(AclList::decode(&whole).map_err(|_| Torn)?, out);
            }
            Err(stop) => return Err(stop),
        }
        self.view.encode_stat(znode, out)?;
        Ok(())
    }

    /// Appends scheme and user of each id.
    pub(super) fn who_am_i(&self, out: &mut Vec<u8>) {
        let infos = self.request.auth.client_infos(&self.rules.auth);
        let start = out.len();
        0_i32.write(out);
        let mut count = 0_i32;
        for (scheme, user) in infos {
            scheme.write(out);
            user.write(out);
            count += 1;
        }
        out[start..start + 4].copy_from_slice(&count.to_be_bytes());
    }
}
