// node listen.mjs tcp://127.0.0.1:5557 : one line of JSON for each new estimate. See daemon/PROTOCOL.md.
import { Subscriber } from "zeromq";

const socket = new Subscriber({ linger: 0 });
socket.subscribe("estimate/");
socket.connect(process.argv[2] ?? "tcp://127.0.0.1:5557");
const last = {}; // topic -> [boot, seq]

for await (const [topic, payload] of socket) {
  const message = JSON.parse(payload);
  const [boot, seq] = last[topic] ?? [];
  if (!message.v.startsWith("1.") || (boot === message.boot && message.seq <= seq)) continue;
  last[topic] = [message.boot, message.seq];
  console.log(JSON.stringify(message));
}
