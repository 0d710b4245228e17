// Makes the replica set and the application's user what they are declared to be. Safe to run any number of times.
const hosts = process.env.MEMBERS.split(",");
const members = hosts.map((host, id) => ({ _id: id, host }));
const admin = db.getSiblingDB("admin");

function configuration() {
  try {
    return rs.conf();
  } catch (err) {
    // 94: not yet initialized. Anything else is for the Job to fail on, and to try again.
    if (err.code !== 94) throw err;
    return null;
  }
}

const current = configuration();
if (current === null) {
  rs.initiate({ _id: process.env.REPLICA_SET, members });
} else if (current.members.map((m) => m.host).join() !== hosts.join()) {
  // One change at a time is all that a reconfiguration may hold.
  for (let count = current.members.length + 1; count <= hosts.length; count++) {
    const next = rs.conf();
    rs.reconfig({ ...next, version: next.version + 1, members: members.slice(0, count) });
  }
}

for (let tries = 0; !db.hello().isWritablePrimary; tries++) {
  if (tries === 60) throw new Error("this member did not become the primary within a minute");
  sleep(1000);
}

const user = {
  pwd: process.env.APP_PASSWORD,
  roles: [{ role: "readWrite", db: process.env.APP_DATABASE }],
};
if (admin.getUser(process.env.APP_USER) === null) {
  admin.createUser({ user: process.env.APP_USER, ...user });
} else {
  admin.updateUser(process.env.APP_USER, user);
}
