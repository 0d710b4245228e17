# Starts one member. Two things have to happen before the image's own entrypoint takes over.
set -eu

# mongod refuses a key file that anyone but its owner can read, and a mounted Secret is readable by the pod's group.
install -m 0400 /etc/mongodb/keyfile /tmp/keyfile

# Only the first member creates the root user. The others start empty and copy it when they join; a user of their own
# would be data, and a member with data of its own can't join.
if [ "${POD_INDEX}" != 0 ]; then
  unset MONGO_INITDB_ROOT_USERNAME MONGO_INITDB_ROOT_PASSWORD
fi

exec docker-entrypoint.sh mongod --bind_ip_all --replSet "${REPLICA_SET}" --keyFile /tmp/keyfile \
  --wiredTigerCacheSizeGB "${CACHE_GB}"
