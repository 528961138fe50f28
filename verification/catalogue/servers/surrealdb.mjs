// The RPC protocol of SurrealDB over WebSockets, in its JSON format, in front of the engine that npm has.
import { createRequire } from "node:module";
import { NodeEngine } from "@surrealdb/node";
import { StringRecordId, Surreal } from "surrealdb";
import { WebSocketServer } from "ws";

const version = createRequire(import.meta.url)("./node_modules/@surrealdb/node/package.json").surreal;
let engine;
const database = new Surreal({ engines: { mem: (context) => (engine = new NodeEngine(context)) } });
await database.connect("mem://");
await engine.send({
  method: "query",
  params: [`DEFINE USER ${process.env.NAME} ON ROOT PASSWORD '${process.env.PASSWORD}' ROLES OWNER`],
});

// In the JSON format, the server reads a string such as "person:ada" as the record of this name.
const RECORD = /^[A-Za-z_]\w*:[\w⟨⟩-]+$/;
const read = (data) =>
  JSON.parse(data, (_, value) => (typeof value === "string" && RECORD.test(value) ? new StringRecordId(value) : value));

async function forward(socket, id) {
  for await (const { queryId, action, recordId, value } of engine.liveQuery(id)) {
    socket.send(JSON.stringify({ result: { id: queryId, action, record: recordId, result: value } }));
  }
}

async function answer(socket, { id, method, params }) {
  try {
    const result = await engine.send({ method, params });
    if (method === "live") forward(socket, result);
    socket.send(JSON.stringify({ id, result: method === "version" ? `surrealdb-${version}` : result ?? null }));
  } catch (failed) {
    socket.send(JSON.stringify({ id, error: { code: failed.code ?? -32000, message: failed.message } }));
  }
}

const server = new WebSocketServer({
  host: "127.0.0.1",
  port: Number(process.env.PORT),
  handleProtocols: (offered) => (offered.has("json") ? "json" : false),
});
server.on("connection", (socket) => socket.on("message", (data) => answer(socket, read(data))));
