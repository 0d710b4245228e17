# Asks the member at port $1 of this host for hello, and succeeds where it may serve: as the primary, as a secondary, or
# before the replica set is initiated, because the Job that initiates it waits for ready members. A member that still
# copies the data (STARTUP2), recovers or rolls back fails. Hello needs no user.
#
# The bytes are written by hand because mongosh would start a JavaScript runtime of 100 MiB, within the member's memory
# limit, every ten seconds.
set -eu

exec 3<>"/dev/tcp/127.0.0.1/$1"

# A message (OP_MSG, 2013) of 52 bytes, and in it the document {hello: 1, $db: "admin"} of 31.
printf '\x34\0\0\0\1\0\0\0\0\0\0\0\xdd\7\0\0\0\0\0\0\0\x1f\0\0\0\x10hello\0\1\0\0\0\x02$db\0\6\0\0\0admin\0\0' >&3

# The answer begins with its length. A boolean in it is its name, a zero byte (here: a new line) and its value.
length=$(head -c 4 <&3 | od -A n -t u4)
answer=$(head -c $((length - 4)) <&3 | tr '\0\1' '\n+')
for field in isWritablePrimary secondary isreplicaset; do
  if [[ "${answer}" == *$'\b'"${field}"$'\n+'* ]]; then exit 0; fi
done
echo "this member is neither primary nor secondary: it copies the data, recovers or rolls back"
exit 1
