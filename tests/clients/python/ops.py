"""Every request that kazoo can make, its answers, its stats and its refusals."""

import time

from kazoo import exceptions as err
from kazoo.protocol.serialization import Create
from kazoo.security import ACL, CREATOR_ALL_ACL, Id, OPEN_ACL_UNSAFE, READ_ACL_UNSAFE, make_acl, make_digest_acl

from harness import PATIENCE, close_client, equal, eventually, judge, open_client, refused


@judge
def every_op(hosts):
    """create to sync: results, stats that move as they should, refusals."""
    zk = open_client(hosts)
    creates(zk)
    reads(zk)
    writes(zk)
    deletes(zk)
    refuses_bad_requests(zk)
    equal(zk.sync("/"), "/", "sync's answer")
    equal(zk.sync("/nowhere"), "/nowhere", "sync's answer for a path that is not there")
    refused(err.ReconfigDisabledError, zk.reconfig, joining=None, leaving="1", new_members=None)
    close_client(zk)


def creates(zk):
    equal(zk.create("/c", b"one"), "/c", "the created path")
    path, stat = zk.create("/c/two", b"22", include_data=True)
    equal((path, stat.version, stat.cversion, stat.aversion), ("/c/two", 0, 0, 0), "create2's path and versions")
    equal((stat.dataLength, stat.numChildren, stat.ephemeralOwner), (2, 0, 0), "create2's sizes and owner")
    equal(stat.czxid, stat.mzxid, "mzxid of a new znode")
    equal(stat.czxid, stat.pzxid, "pzxid of a new znode")
    equal(stat.ctime, stat.mtime, "mtime of a new znode")
    assert abs(stat.created - time.time()) < 60, f"ctime {stat.ctime} is not the wall clock"
    equal(zk.create("/c/s-", sequence=True), "/c/s-0000000001", "the first sequential name after one creation")
    equal(zk.create("/c/", sequence=True), "/c/0000000002", "a sequential name that is all digits")
    zk.delete("/c/s-0000000001")
    equal(zk.create("/c/s-", sequence=True), "/c/s-0000000003", "the counter after a deletion")
    path, stat = zk.create("/c/e", ephemeral=True, include_data=True)
    equal(stat.ephemeralOwner, zk.client_id[0], "the ephemeral's owner")
    equal(zk.create("/c/es-", ephemeral=True, sequence=True), "/c/es-0000000005", "the ephemeral sequential name")
    refused(err.NoChildrenForEphemeralsError, zk.create, "/c/e/child")
    refused(err.NodeExistsError, zk.create, "/c")
    refused(err.NoNodeError, zk.create, "/not/there")
    equal(zk.create("/deep/er/still", makepath=True), "/deep/er/still", "create with makepath")
    zk.ensure_path("/deep/as/well")
    equal(zk.create("/c/ünïcødé-名", b"\x00\xff"), "/c/ünïcødé-名", "a path beyond ASCII")
    equal(zk.get("/c/ünïcødé-名")[0], b"\x00\xff", "its data")


def reads(zk):
    data, stat = zk.get("/c")
    equal(data, b"one", "getData")
    equal(stat.numChildren, 6, "numChildren")
    equal(stat.cversion, 8, "cversion after seven creations and a deletion")
    equal(stat.pzxid, zk.exists("/c/ünïcødé-名").czxid, "pzxid is the last child's creation")
    names = ["0000000002", "e", "es-0000000005", "s-0000000003", "two", "ünïcødé-名"]
    equal(sorted(zk.get_children("/c")), names, "getChildren")
    children, with_stat = zk.get_children("/c", include_data=True)
    equal((sorted(children), with_stat), (names, stat), "getChildren2")
    equal(zk.exists("/c"), stat, "exists")
    equal(zk.exists("/nowhere"), None, "exists of nothing")
    refused(err.NoNodeError, zk.get, "/nowhere")
    refused(err.NoNodeError, zk.get_children, "/nowhere")
    refused(err.NoNodeError, zk.get_acls, "/nowhere")
    assert "zookeeper" in zk.get_children("/"), "the root lists zookeeper"
    equal(sorted(zk.get_children("/zookeeper")), ["config", "quota"], "children of /zookeeper")
    root = zk.exists("/zookeeper")
    equal((root.czxid, root.cversion), (0, -2), "czxid and cversion of /zookeeper")


def writes(zk):
    before = zk.exists("/c")
    stat = zk.set("/c", b"three")
    equal((stat.version, stat.dataLength, stat.czxid), (1, 5, before.czxid), "setData's stat")
    assert before.mzxid < stat.mzxid and before.mtime <= stat.mtime, "setData moves mzxid and mtime"
    equal(zk.get("/c"), (b"three", stat), "getData after setData")
    equal(zk.set("/c", b"", version=1).version, 2, "setData at the right version")
    refused(err.BadVersionError, zk.set, "/c", b"x", version=1)
    refused(err.NoNodeError, zk.set, "/nowhere", b"x")
    equal(zk.get("/c")[0], b"", "empty data")
    big = bytes(range(256)) * 3900
    zk.set("/c", big)
    equal(zk.get("/c")[0], big, "a value of nearly a mebibyte")
    many = [zk.set_async("/c/two", str(i).encode()) for i in range(500)]
    equal([m.get(10).version for m in many], list(range(1, 501)), "versions of 500 writes in flight")
    equal(zk.get("/c/two")[0], b"499", "the last of 500 writes in flight")


def deletes(zk):
    refused(err.NotEmptyError, zk.delete, "/c")
    refused(err.BadVersionError, zk.delete, "/c/two", version=3)
    zk.delete("/c/two", version=500)
    refused(err.NoNodeError, zk.delete, "/c/two")
    zk.delete("/deep", recursive=True)
    equal(zk.exists("/deep"), None, "a tree deleted recursively")


def refuses_bad_requests(zk):
    # kazoo normalises some of these itself, so they go out below its checks
    for path in ["/c/", "/c/.", "/c/..", "/c/\x01", "/c/\x7f", "/c/\ue000", "/c/\ufff0"]:
        unchecked_create(zk, path, err.BadArgumentsError)
    for path in ["/c//x", "/c/../x"]:
        unchecked_create(zk, path, err.NoNodeError)
    refused(err.BadArgumentsError, zk.delete, "/zookeeper")
    refused(err.BadArgumentsError, zk.delete, "/zookeeper/quota")
    refused(err.BadArgumentsError, zk.delete, "/")


def unchecked_create(zk, path, error):
    result = zk.handler.async_result()
    zk._call(Create(path, b"", OPEN_ACL_UNSAFE, 0), result)
    try:
        refused(error, result.get, timeout=PATIENCE)
    except AssertionError as failure:
        raise AssertionError(f"create of {path!r}: {failure}") from failure


@judge
def acls_and_auth(hosts):
    """Digest, ip, world and auth entries; what each permission opens and closes; masking; the super user."""
    zk, other, root = open_client(hosts), open_client(hosts), open_client(hosts)
    zk.add_auth("digest", "ann:secret")
    zk.create("/a", b"mine", acl=CREATOR_ALL_ACL)
    ann = make_digest_acl("ann", "secret", all=True)
    acls, stat = zk.get_acls("/a")
    equal((acls, stat.aversion), ([ann], 0), "the creator's ACL")
    for refusal in [
        (other.get, "/a"), (other.set, "/a", b""), (other.get_children, "/a"), (other.exists, "/a"),
        (other.create, "/a/b"), (other.get_acls, "/a"), (other.set_acls, "/a", OPEN_ACL_UNSAFE),
    ]:
        refused(err.NoAuthError, *refusal)
    root.add_auth("digest", "super:judge")
    equal(root.get("/a")[0], b"mine", "what the super user reads")
    masks(zk, other)
    permissions(zk, other)
    aversions(zk)
    refused(err.InvalidACLError, zk.create, "/bad", acl=[ACL(31, Id("nosuch", "x"))])
    refused(err.InvalidACLError, zk.create, "/bad", acl=[ACL(31, Id("digest", "no-colon"))])
    refused(err.InvalidACLError, zk.create, "/bad", acl=[ACL(31, Id("ip", "no-address"))])
    refused(err.InvalidACLError, other.create, "/bad", acl=CREATOR_ALL_ACL)
    zk.create("/ip", acl=[make_acl("ip", "127.0.0.1/8", all=True)])
    equal(other.get("/ip")[0], b"", "what an address opens")
    zk.create("/far", acl=[make_acl("ip", "10.0.0.1", all=True)])
    refused(err.NoAuthError, zk.get, "/far")
    other.add_auth("digest", "ann:secret")
    equal(other.get("/a")[0], b"mine", "what is read once authenticated")
    for client in (zk, root):
        close_client(client)
    refused(err.AuthFailedError, other.add_auth, "nosuchscheme", "x")
    other.stop()


def masks(zk, other):
    zk.create("/masked", acl=[make_digest_acl("ann", "secret", all=True)] + READ_ACL_UNSAFE)
    acls, _ = other.get_acls("/masked")
    equal(acls, [ACL(31, Id("digest", "ann:x"))] + READ_ACL_UNSAFE, "getACL without ADMIN masks the digest")
    equal(zk.get_acls("/masked")[0][0].id.id, make_digest_acl("ann", "secret", all=True).id.id, "with ADMIN")


def permissions(zk, other):
    for name, allowed in [("read", "get"), ("write", "set"), ("create", "create"), ("delete", "delete"), ("admin", "set_acls")]:
        path = f"/perm-{name}"
        zk.create(path)
        zk.create(path + "/child")
        zk.set_acls(path, [make_acl("world", "anyone", **{name: True}), make_digest_acl("ann", "secret", all=True)])
        calls = {
            "get": (other.get, path), "set": (other.set, path, b"x"), "create": (other.create, path + "/new"),
            "delete": (other.delete, path + "/child"), "set_acls": (other.set_acls, path, OPEN_ACL_UNSAFE),
        }
        for call in [it for it in calls if it != allowed]:
            refused(err.NoAuthError, *calls[call])
        calls[allowed][0](*calls[allowed][1:])


def aversions(zk):
    stat = zk.set_acls("/a", OPEN_ACL_UNSAFE, version=0)
    equal((stat.aversion, stat.version), (1, 0), "setACL's versions")
    refused(err.BadVersionError, zk.set_acls, "/a", OPEN_ACL_UNSAFE, version=0)
    refused(err.NoNodeError, zk.set_acls, "/nowhere", OPEN_ACL_UNSAFE)
    equal(zk.set_acls("/a", CREATOR_ALL_ACL).aversion, 2, "aversion after a second setACL")


@judge
def transactions(hosts):
    """multi: all or nothing, results per op, one zxid for all, the codes around a failure."""
    zk = open_client(hosts)
    txn = zk.transaction()
    txn.create("/t", b"0")
    txn.create("/t/e", b"e", ephemeral=True)
    txn.create("/t/s-", sequence=True)
    txn.set_data("/t", b"1")
    txn.check("/t", 1)
    results = txn.commit()
    equal(results[:3], ["/t", "/t/e", "/t/s-0000000001"], "paths that a transaction created")
    equal((results[3].version, results[4]), (1, True), "setData and check in it")
    stats = [zk.exists(path) for path in ("/t", "/t/e", "/t/s-0000000001")]
    equal({stat.czxid for stat in stats} | {stats[0].mzxid, stats[0].pzxid}, {stats[0].czxid}, "zxids of one transaction")
    equal(stats[1].ephemeralOwner, zk.client_id[0], "owner of an ephemeral made in a transaction")

    txn = zk.transaction()
    txn.set_data("/t", b"2")
    txn.delete("/t/e")
    txn.check("/t", 7)
    txn.create("/t/never")
    codes = [type(result) for result in txn.commit()]
    want = [err.RolledBackError, err.RolledBackError, err.BadVersionError, err.RuntimeInconsistency]
    equal(codes, want, "results of a failed transaction")
    equal((zk.get("/t")[0], zk.exists("/t/never")), (b"1", None), "the tree after it")
    assert zk.exists("/t/e"), "a deletion in a failed transaction was undone"

    for error, op, args in [
        (err.NoNodeError, "delete", ("/x",)), (err.NotEmptyError, "delete", ("/t",)), (err.NodeExistsError, "create", ("/t",)),
        (err.NoNodeError, "set_data", ("/x", b"")), (err.NoNodeError, "check", ("/x", 0)), (err.BadVersionError, "delete", ("/t/e", 9)),
    ]:
        txn = zk.transaction()
        getattr(txn, op)(*args)
        equal([type(it) for it in txn.commit()], [error], f"{op}{args} alone in a transaction")
    equal(zk.transaction().commit(), [], "an empty transaction")
    with zk.transaction() as txn:
        txn.delete("/t/e", version=0)
        txn.delete("/t/s-0000000001")
        txn.delete("/t")
    equal(zk.exists("/t"), None, "a tree removed by a transaction")
    close_client(zk)


@judge
def four_letter_words(hosts):
    """The words that kazoo sends itself, and what the tools around it read from the answers."""
    zk = open_client(hosts)
    equal(zk.command(b"ruok"), "imok", "ruok")
    assert zk.server_version() >= (3, 9), f"server_version: {zk.server_version()}"
    equal(zk.command(b"isro").strip(), "rw", "isro")
    zk.create("/flw", ephemeral=True)
    zk.get("/flw", watch=lambda event: None)
    # kazoo reads at most 8 KiB of an answer: the last line may be cut
    mntr = dict(line.split("\t", 1) for line in zk.command(b"mntr").splitlines() if "\t" in line)
    equal(mntr["zk_server_state"], "standalone", "mntr's server state")
    equal((mntr["zk_ephemerals_count"], mntr["zk_watch_count"], mntr["zk_num_alive_connections"]), ("1", "1", "2"), "mntr's counts")
    srvr = dict(line.split(": ", 1) for line in zk.command(b"srvr").splitlines() if ": " in line)
    equal(srvr["Mode"], "standalone", "srvr's mode")
    equal(int(srvr["Zxid"], 16), zk.exists("/flw").czxid, "srvr's zxid")
    session = f"0x{zk.client_id[0]:x}"
    assert session in zk.command(b"cons"), "cons names the session"
    eventually("dump names the session", lambda: session in zk.command(b"dump") and "/flw" in zk.command(b"dump"))
    assert "/flw" in zk.command(b"wchp") and session in zk.command(b"wchc"), "wchp and wchc name the watch"
    for word, start in [(b"conf", "clientPort="), (b"envi", "Environment:"), (b"stat", "Zookeeper version"), (b"wchs", "1 connections watching 1 paths")]:
        assert zk.command(word).startswith(start), f"{word} answers {zk.command(word)[:60]!r}, expected {start!r}"
    close_client(zk)
