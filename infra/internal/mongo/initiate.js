// Makes the replica set and the users what they are declared to be. Safe to run any number of times.
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

const declare = (name, pwd, roles) => {
  if (admin.getUser(name) === null) {
    admin.createUser({ user: name, pwd, roles });
  } else {
    admin.updateUser(name, { pwd, roles });
  }
};
declare(process.env.APP_USER, process.env.APP_PASSWORD, [{ role: "readWrite", db: process.env.APP_DATABASE }]);

// The dumps' own user reads the purchases, and writes only where a drill restores them.
if (process.env.BACKUP_PASSWORD) {
  declare(process.env.BACKUP_USER, process.env.BACKUP_PASSWORD, [
    { role: "read", db: process.env.APP_DATABASE },
    { role: "readWrite", db: process.env.SCRATCH_DATABASE },
  ]);
} else if (admin.getUser(process.env.BACKUP_USER) !== null) {
  admin.dropUser(process.env.BACKUP_USER);
}
