// node listen.mjs tcp://127.0.0.1:5557 : one line of JSON for each new estimate. See daemon/PROTOCOL.md.
// Of a daemon with keys: node listen.mjs tcp://studio:5557 laptop.secret studio.public
import { readFileSync } from "node:fs";
import { Subscriber } from "zeromq";

const [endpoint = "tcp://127.0.0.1:5557", own, server] = process.argv.slice(2);
const key = (file, name) => readFileSync(file, "utf8").match(new RegExp(`${name}-key = "(.{40})"`))[1];

const socket = new Subscriber({ linger: 0 });
if (own) {
  socket.curvePublicKey = key(own, "public");
  socket.curveSecretKey = key(own, "secret");
  socket.curveServerKey = key(server, "public");
}
socket.subscribe("estimate/");
socket.connect(endpoint);
const last = {}; // topic -> [boot, seq]

for await (const [topic, payload] of socket) {
  const message = JSON.parse(payload);
  const [boot, seq] = last[topic] ?? [];
  if (!message.v.startsWith("1.") || (boot === message.boot && message.seq <= seq)) continue;
  last[topic] = [message.boot, message.seq];
  console.log(JSON.stringify(message));
}
