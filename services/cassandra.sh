# Apache Cassandra 5 as one node. Sourced by `services`, after kafka.sh, which has Java, jars and bytes.

cassandra_ports() { port 0 "${PLENUM_CASSANDRA_PORT:-}" 9042; port 1 "${PLENUM_CASSANDRA_STORAGE_PORT:-}" 7000; }
cassandra_fetch() { java_17 >/dev/null && jars cassandra; }

cassandra_start() {
  local java lib=$JARS/lib sync options; java=$(java_17)
  case ${PLENUM_CASSANDRA_SYNC:-batch} in
    batch)    sync='commitlog_sync: batch' ;;
    periodic) sync='commitlog_sync: periodic\ncommitlog_sync_period: 1000ms' ;;
    group)    sync='commitlog_sync: group\ncommitlog_sync_group_window: 10ms' ;;
    *) echo "PLENUM_CASSANDRA_SYNC is batch, periodic or group" > "$DIR/cassandra.log"; return 1 ;;
  esac
  sed -e "s|@PORT@|${PORTS[0]}|g" -e "s|@STORAGE_PORT@|${PORTS[1]}|g" -e "s|@DATA@|$DATA|g" -e "s|@SYNC_LINES@|$sync|g" \
    "$HERE/cassandra.yaml.in" > "$DATA/cassandra.yaml"
  mapfile -t options < <(grep -v -e '^#' -e '^$' "$HERE/cassandra-jvm.options")
  launch cassandra "$DATA" "$java" "${options[@]}" -Xms512m "-Xmx${PLENUM_CASSANDRA_HEAP:-1536m}" \
    -XX:MaxDirectMemorySize=1g ${PLENUM_CASSANDRA_JVM:-} "-javaagent:$(ls "$lib"/jamm-*.jar)" \
    "-Dcassandra.storagedir=$DATA" "-Dcassandra.logdir=$DIR" "-Djava.io.tmpdir=$DATA/tmp" "-Djna.tmpdir=$DATA/tmp" \
    "-Dcassandra.config=file://$DATA/cassandra.yaml" "-Dlogback.configurationFile=file://$HERE/cassandra-logback.xml" \
    -cp "$lib/*" org.apache.cassandra.service.CassandraDaemon
}

# CQL v4 on descriptor 3.
cql_send() { printf "\\x04\\x00\\x00\\x00\\x$(printf %02x "$1")$(be32 "$2")" >&3; }        # opcode, body length
cql_answer() {             # cql_answer OPCODE: prints the body (hex) of the next frame if it is of that kind
  local head; head=$(bytes 9); [ ${#head} -eq 18 ] && [ "${head:8:2}" = "$1" ] && bytes $(( 16#${head:10:8} ))
}
cassandra_ready() {        # ready = a query is answered with rows
  (
    query='SELECT release_version FROM system.local'
    exec 3<>"/dev/tcp/127.0.0.1/$1" || exit 1
    cql_send 1 22 && printf "$(be16 1)$(be16 11)CQL_VERSION$(be16 5)3.0.0" >&3 && cql_answer 02 || exit 1
    cql_send 7 $(( ${#query} + 7 )) && printf "$(be32 ${#query})$query$(be16 1)\\x00" >&3
    rows=$(cql_answer 08) && [ "${rows:0:8}" = 00000002 ]
  ) >/dev/null 2>&1
}
