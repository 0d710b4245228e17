// Makes the replica set and the application's user what they are declared to be. Safe to run any number of times.
const hosts = process.env.MEMBERS.split(",");
const members = hosts.map((host, id) => ({ _id: id, host }));
const admin = db.getSiblingDB("admin");
const alreadyInitialized = 23;

try {
  rs.initiate({ _id: process.env.REPLICA_SET, members });
} catch (err) {
  if (err.code !== alreadyInitialized) throw err;
  // Members that were declared since: one change at a time is all that a reconfiguration may hold.
  for (let count = rs.conf().members.length + 1; count <= hosts.length; count++) {
    const current = rs.conf();
    rs.reconfig({ ...current, version: current.version + 1, members: members.slice(0, count) });
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
