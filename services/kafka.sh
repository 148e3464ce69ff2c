# Apache Kafka as one KRaft node. Sourced by `services`, which has the functions used here.

kafka_ports() { port 0 "${PLENUM_KAFKA_PORT:-}" 9092; port 1 "${PLENUM_KAFKA_PORT:+$((PLENUM_KAFKA_PORT + 1))}" $((PORTS[0] + 1)); }
kafka_fetch() { java_17 >/dev/null && jars kafka; }

kafka_start() {
  local java lib=$JARS/lib; java=$(java_17)
  sed -e "s|@PORT@|${PORTS[0]}|g" -e "s|@CONTROLLER_PORT@|${PORTS[1]}|g" -e "s|@DATA@|$DATA|g" \
    "$HERE/kafka.properties.in" > "$DATA/kafka.properties"
  if [ ! -f "$DATA/log/meta.properties" ]; then
    "$java" -Xmx256m -cp "$lib/*" "-Dlog4j2.configurationFile=$HERE/kafka-log4j2.properties" kafka.tools.StorageTool \
      format -t cGxlbnVtLWxvY2FsLWtmaw -c "$DATA/kafka.properties" --ignore-formatted > "$DIR/kafka.log" 2>&1 || return 1
  fi
  launch kafka "$DATA" "$java" -Xms256m "-Xmx${PLENUM_KAFKA_HEAP:-512m}" -XX:+UseG1GC -XX:MaxGCPauseMillis=20 \
    ${PLENUM_KAFKA_JVM:-} -XX:+ExitOnOutOfMemoryError -Djava.awt.headless=true -Djava.net.preferIPv4Stack=true \
    "-Dlog4j2.configurationFile=$HERE/kafka-log4j2.properties" -cp "$lib/*" kafka.Kafka "$DATA/kafka.properties"
}

kafka_ready() {            # Metadata v1 for no topic: ready = the node lists itself as a live broker
  (
    exec 3<>"/dev/tcp/127.0.0.1/$1" || exit 1
    printf "$(be32 20)$(be16 3)$(be16 1)$(be32 7)$(be16 6)health$(be32 0)" >&3 || exit 1
    n=$(bytes 4); [ ${#n} -eq 8 ] || exit 1
    b=$(bytes $(( 16#$n ))); [ "${b:0:8}" = 00000007 ] && [ $(( 16#${b:8:8} )) -ge 1 ]
  ) 2>/dev/null
}

# ---- what both JVM servers use: Java, jars, and the bytes of a protocol by bash alone ----------------
java_17() {
  local j v
  for j in "${PLENUM_JAVA:-}" "${JAVA_HOME:+$JAVA_HOME/bin/java}" "$(type -P java)" \
           $(update-alternatives --list java 2>/dev/null); do
    [ -n "$j" ] && [ -x "$j" ] || continue
    v=$("$j" -XshowSettings:properties -version 2>&1 | sed -n 's/^ *java.specification.version = //p')
    [ "$v" = 17 ] && { echo "$j"; return 0; }
  done
  err "no Java 17 found (PLENUM_JAVA, JAVA_HOME, PATH); on Debian: apt-get install openjdk-17-jre-headless"
  return 1
}

jars() {                   # jars NAME: sets JARS to a folder with lib/*.jar, filled once for each pom-NAME.xml
  local name=$1 tmp t0
  JARS=$CACHE/jars/$name-$(sha256sum < "$HERE/pom-$name.xml" | cut -c1-12)
  [ -d "$JARS" ] && return 0
  need mvn maven || return 1
  mkdir -p "$CACHE/jars"
  exec 8>"$CACHE/jars/.lock"; flock 8                   # one mvn at a time: its repository has no lock
  if [ ! -d "$JARS" ]; then
    t0=$(now); tmp=$JARS.part; rm -rf -- "$tmp"; mkdir -p "$tmp"
    cp "$HERE/pom-$name.xml" "$tmp/pom.xml"
    if ! mvn -B -q -f "$tmp/pom.xml" dependency:copy-dependencies -DincludeScope=runtime \
          -DoutputDirectory="$tmp/lib" > "$tmp/mvn.log" 2>&1 7>&- 8>&-; then
      err "$name: mvn could not bring the jars:"; tail -20 "$tmp/mvn.log" >&2; return 1
    fi
    mv "$tmp" "$JARS"
    say "$name: jars fetched in $(secs $(( $(now) - t0 ))) ($(du -sm "$JARS/lib" | cut -f1) MiB)"
  fi
  exec 8>&-
}

be16() { printf '\\x%02x\\x%02x' $(( $1 >> 8 & 255 )) $(( $1 & 255 )); }
be32() { printf '\\x%02x\\x%02x\\x%02x\\x%02x' $(( $1 >> 24 & 255 )) $(( $1 >> 16 & 255 )) $(( $1 >> 8 & 255 )) $(( $1 & 255 )); }
bytes() { timeout 5 head -c "$1" <&3 | od -An -v -tx1 | tr -d ' \n'; }                       # N bytes as hex
