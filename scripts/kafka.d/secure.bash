# Owns what `scripts/kafka start --secure` adds to a node: its certificates, its users, its listeners, and what clients need.
# Sourced by scripts/kafka, whose words (`say`, `fail`) it uses.

# What each listener of the node at port $1 is called, its address, and who may come: as `start --secure` prints it.
secure_listeners() {
  cat <<EOT
plaintext: localhost:$1
sasl_ssl: localhost:$(($1 + 2))
ssl: localhost:$(($1 + 3))
wrong_host: localhost:$(($1 + 4))
EOT
}

# A word that nobody guesses, of letters and digits.
secret() { LC_ALL=C tr -dc 'A-Za-z0-9' < <(head -c 4096 /dev/urandom) | head -c 24; }

# Makes a key and a certificate of it that the node's authority signs: folder, name, subject, days, other names.
certificate() {
  local folder=$1 name=$2 subject=$3 days=$4 names=$5
  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$folder/$name.key"
  openssl req -new -key "$folder/$name.key" -subj "$subject" -out "$folder/$name.csr"
  {
    echo 'basicConstraints=critical,CA:FALSE'
    echo 'extendedKeyUsage=serverAuth,clientAuth'
    if [[ -n $names ]]; then echo "subjectAltName=$names"; fi
  } >"$folder/$name.ext"
  openssl x509 -req -sha256 -in "$folder/$name.csr" -CA "$folder/ca.pem" -CAkey "$folder/ca.key" \
    -set_serial "0x$(head -c 8 /dev/urandom | od -An -tx1 | tr -d ' \n')" -days "$days" -extfile "$folder/$name.ext" -out "$folder/$name.pem"
  # Kafka reads a key and its certificate from one file.
  cat "$folder/$name.key" "$folder/$name.pem" >"$folder/$name.both.pem"
  rm "$folder/$name.csr" "$folder/$name.ext"
}

# The authority, a certificate for the broker, one for a broker elsewhere, one for a client, and one that has run out.
certificates() {
  local keys=$1
  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$keys/ca.key"
  # The name of a section in a file of its own: what a system's openssl.cnf says differs.
  printf '[req]\ndistinguished_name=dn\nx509_extensions=ca\n[dn]\n[ca]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n' >"$keys/ca.cnf"
  openssl req -x509 -new -sha256 -key "$keys/ca.key" -days 3650 -subj "/CN=foodstream authority" -config "$keys/ca.cnf" -out "$keys/ca.pem"
  rm "$keys/ca.cnf"
  certificate "$keys" broker "/CN=localhost" 3650 'DNS:localhost,IP:127.0.0.1,IP:::1'
  certificate "$keys" elsewhere "/CN=elsewhere.example" 3650 'DNS:elsewhere.example'
  certificate "$keys" client "/CN=foodstream-client" 3650 ''
  certificate "$keys" expired "/CN=foodstream-expired" 0 ''
}

# Everything of a secure node that is made once: keys, passwords.
secure_prepare() {
  local node=$1
  [[ -f $node/secure/complete ]] && return
  command -v openssl >/dev/null || fail "no openssl to make certificates with. Debian: apt-get install openssl"
  rm -rf "$node/secure"
  mkdir -p "$node/secure/keys"
  chmod 700 "$node/secure"
  if ! certificates "$node/secure/keys" >"$node/secure/openssl.log" 2>&1; then
    tail -n 20 "$node/secure/openssl.log" >&2
    fail "openssl could not make the certificates; its words are above"
  fi
  secret >"$node/secure/admin"
  secret >"$node/secure/foodstream"
  chmod 600 "$node/secure"/keys/* "$node/secure/admin" "$node/secure/foodstream"
  touch "$node/secure/complete"
}

# The users that the node knows from its first start on: arguments of kafka-storage format.
secure_users() {
  local node=$1 user
  for user in admin foodstream; do
    echo "--add-scram"
    echo "SCRAM-SHA-512=[name=\"$user\",password=\"$(cat "$node/secure/$user")\"]"
  done
}

# The broker's settings, behind those that every node has.
#
# Nobody has a right unless an ACL says so, but for User:admin. The controller's listener asks for a login too: otherwise
# whoever speaks plaintext would be the same nobody that the controller trusts.
secure_settings() {
  local node=$1 port=$2 keys=$1/secure/keys admin foodstream listener
  admin=$(cat "$node/secure/admin")
  foodstream=$(cat "$node/secure/foodstream")
  cat <<EOT

listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$((port + 1)),SASL_SSL://127.0.0.1:$((port + 2)),SSL://127.0.0.1:$((port + 3)),WRONG://127.0.0.1:$((port + 4))
advertised.listeners=PLAINTEXT://localhost:$port,SASL_SSL://localhost:$((port + 2)),SSL://localhost:$((port + 3)),WRONG://localhost:$((port + 4))
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:SASL_PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL,WRONG:SASL_SSL
inter.broker.listener.name=SASL_SSL
sasl.mechanism.inter.broker.protocol=SCRAM-SHA-512
sasl.mechanism.controller.protocol=PLAIN
sasl.enabled.mechanisms=SCRAM-SHA-512,PLAIN
listener.name.controller.sasl.enabled.mechanisms=PLAIN
listener.name.controller.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required username="admin" password="$admin" user_admin="$admin";
EOT
  for listener in sasl_ssl wrong; do
    cat <<EOT
listener.name.$listener.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username="admin" password="$admin";
listener.name.$listener.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_admin="$admin" user_foodstream="$foodstream";
EOT
  done
  cat <<EOT
ssl.keystore.type=PEM
ssl.keystore.location=$keys/broker.both.pem
ssl.truststore.type=PEM
ssl.truststore.location=$keys/ca.pem
listener.name.wrong.ssl.keystore.type=PEM
listener.name.wrong.ssl.keystore.location=$keys/elsewhere.both.pem
listener.name.ssl.ssl.client.auth=required
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=false
super.users=User:admin
# What a client may do is decided anew for each request: a right that was given or taken holds from the next one on.
connections.max.reauth.ms=0
EOT
}

# Writes a file that only its owner may read: its lines come on stdin.
private() { (umask 077 && cat >"$1.new") && mv "$1.new" "$1"; }

# What clients need: certificates, and properties files in librdkafka's spelling; one in Java's, for Kafka's own tools.
secure_clients() {
  local node=$1 port=$2 keys=$1/secure/keys clients=$1/clients user name
  mkdir -p "$clients"
  chmod 700 "$clients"
  for name in ca.pem client.pem client.key expired.pem expired.key; do private "$clients/$name" <"$keys/$name"; done
  secure_listeners "$port" | private "$clients/listeners"
  for user in admin foodstream; do
    private "$clients/$user.properties" <<EOT
bootstrap.servers=localhost:$((port + 2))
security.protocol=sasl_ssl
ssl.ca.location=$clients/ca.pem
sasl.mechanism=SCRAM-SHA-512
sasl.username=$user
sasl.password=$(cat "$node/secure/$user")
EOT
  done
  sed 's/^sasl.mechanism=.*/sasl.mechanism=PLAIN/' "$clients/foodstream.properties" | private "$clients/plain.properties"
  sed "s/^bootstrap.servers=.*/bootstrap.servers=localhost:$((port + 4))/" "$clients/foodstream.properties" | private "$clients/wrong-host.properties"
  for name in client expired; do
    private "$clients/mutual-$name.properties" <<EOT
bootstrap.servers=localhost:$((port + 3))
security.protocol=ssl
ssl.ca.location=$clients/ca.pem
ssl.certificate.location=$clients/$name.pem
ssl.key.location=$clients/$name.key
EOT
  done
  private "$clients/admin.java.properties" <<EOT
bootstrap.servers=localhost:$((port + 2))
security.protocol=SASL_SSL
ssl.truststore.type=PEM
ssl.truststore.location=$clients/ca.pem
sasl.mechanism=SCRAM-SHA-512
sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username="admin" password="$(cat "$node/secure/admin")";
EOT
}
