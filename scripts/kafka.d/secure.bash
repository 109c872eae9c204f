# TLS, SASL and ACLs of `scripts/kafka start --secure`: certificates, users, listeners and client files.
# Sourced by scripts/kafka. Uses its function `fail`.

# Prints name and address of each listener of the node at port $1; tests read these lines.
secure_listeners() {
  cat <<EOT
plaintext: localhost:$1
sasl_ssl: localhost:$(($1 + 2))
ssl: localhost:$(($1 + 3))
wrong_host: localhost:$(($1 + 4))
EOT
}

# Prints a random password of 24 letters and digits.
random_password() { LC_ALL=C tr -dc 'A-Za-z0-9' < <(head -c 4096 /dev/urandom) | head -c 24; }

# Creates a key and a certificate signed by the node's certificate authority. Arguments: directory, file name, subject,
# days of validity, subject alternative names.
certificate() {
  local dir=$1 name=$2 subject=$3 days=$4 names=$5
  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$dir/$name.key"
  openssl req -new -key "$dir/$name.key" -subj "$subject" -out "$dir/$name.csr"
  {
    echo 'basicConstraints=critical,CA:FALSE'
    echo 'extendedKeyUsage=serverAuth,clientAuth'
    if [[ -n $names ]]; then echo "subjectAltName=$names"; fi
  } >"$dir/$name.ext"
  openssl x509 -req -sha256 -in "$dir/$name.csr" -CA "$dir/ca.pem" -CAkey "$dir/ca.key" \
    -set_serial "0x$(head -c 8 /dev/urandom | od -An -tx1 | tr -d ' \n')" -days "$days" -extfile "$dir/$name.ext" -out "$dir/$name.pem"
  # Kafka needs key and certificate in one file.
  cat "$dir/$name.key" "$dir/$name.pem" >"$dir/$name.both.pem"
  rm "$dir/$name.csr" "$dir/$name.ext"
}

# Creates the certificate authority, and certificates for the broker, another host, a client, and an expired one.
certificates() {
  local keys=$1
  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$keys/ca.key"
  # With a configuration file, because the openssl.cnf of systems differ.
  printf '[req]\ndistinguished_name=dn\nx509_extensions=ca\n[dn]\n[ca]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n' >"$keys/ca.cnf"
  openssl req -x509 -new -sha256 -key "$keys/ca.key" -days 3650 -subj "/CN=foodstream authority" -config "$keys/ca.cnf" -out "$keys/ca.pem"
  rm "$keys/ca.cnf"
  certificate "$keys" broker "/CN=localhost" 3650 'DNS:localhost,IP:127.0.0.1,IP:::1'
  certificate "$keys" elsewhere "/CN=elsewhere.example" 3650 'DNS:elsewhere.example'
  certificate "$keys" client "/CN=foodstream-client" 3650 ''
  certificate "$keys" expired "/CN=foodstream-expired" 0 ''
}

# Creates keys and passwords of the node in directory $1, if it has none.
secure_prepare() {
  local node=$1
  [[ -f $node/secure/complete ]] && return
  command -v openssl >/dev/null || fail "openssl not found, which creates the certificates. Debian: apt-get install openssl"
  rm -rf "$node/secure"
  mkdir -p "$node/secure/keys"
  chmod 700 "$node/secure"
  if ! certificates "$node/secure/keys" >"$node/secure/openssl.log" 2>&1; then
    tail -n 20 "$node/secure/openssl.log" >&2
    fail "openssl could not create the certificates; its output is above"
  fi
  random_password >"$node/secure/admin"
  random_password >"$node/secure/foodstream"
  chmod 600 "$node/secure"/keys/* "$node/secure/admin" "$node/secure/foodstream"
  touch "$node/secure/complete"
}

# Prints the arguments of kafka-storage format that create the users.
secure_users() {
  local node=$1 user
  for user in admin foodstream; do
    echo "--add-scram"
    echo "SCRAM-SHA-512=[name=\"$user\",password=\"$(cat "$node/secure/$user")\"]"
  done
}

# Prints the settings of a secure node, which follow those of server.properties.
#
# Only User:admin has permissions without ACLs. The controller's listener requires a login too: without one, the
# controller would have to trust User:ANONYMOUS, and that is also the user of all clients of the plaintext listener.
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
# ACLs are checked for each request, so a change applies to the next one; clients need not authenticate again.
connections.max.reauth.ms=0
EOT
}

# Writes stdin to file $1, which only its owner can read.
write_private() { (umask 077 && cat >"$1.new") && mv "$1.new" "$1"; }

# Writes the client files: certificates, properties files for librdkafka, and one for Kafka's own tools in Java's names.
secure_clients() {
  local node=$1 port=$2 keys=$1/secure/keys clients=$1/clients user name
  mkdir -p "$clients"
  chmod 700 "$clients"
  for name in ca.pem client.pem client.key expired.pem expired.key; do write_private "$clients/$name" <"$keys/$name"; done
  secure_listeners "$port" | write_private "$clients/listeners"
  for user in admin foodstream; do
    write_private "$clients/$user.properties" <<EOT
bootstrap.servers=localhost:$((port + 2))
security.protocol=sasl_ssl
ssl.ca.location=$clients/ca.pem
sasl.mechanism=SCRAM-SHA-512
sasl.username=$user
sasl.password=$(cat "$node/secure/$user")
EOT
  done
  sed 's/^sasl.mechanism=.*/sasl.mechanism=PLAIN/' "$clients/foodstream.properties" | write_private "$clients/plain.properties"
  sed "s/^bootstrap.servers=.*/bootstrap.servers=localhost:$((port + 4))/" "$clients/foodstream.properties" | write_private "$clients/wrong-host.properties"
  for name in client expired; do
    write_private "$clients/mutual-$name.properties" <<EOT
bootstrap.servers=localhost:$((port + 3))
security.protocol=ssl
ssl.ca.location=$clients/ca.pem
ssl.certificate.location=$clients/$name.pem
ssl.key.location=$clients/$name.key
EOT
  done
  write_private "$clients/admin.java.properties" <<EOT
bootstrap.servers=localhost:$((port + 2))
security.protocol=SASL_SSL
ssl.truststore.type=PEM
ssl.truststore.location=$clients/ca.pem
sasl.mechanism=SCRAM-SHA-512
sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username="admin" password="$(cat "$node/secure/admin")";
EOT
}
