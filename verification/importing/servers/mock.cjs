const { readFileSync } = require("fs");
const path = require("path");
const root = process.argv[2], file = process.argv[3], port = Number(process.argv[4]);
const at = (name) => require(path.join(root, name));
const { Server } = at("@open-rpc/server-js");
const { parseOpenRPCDocument } = at("@open-rpc/schema-utils-js");
parseOpenRPCDocument(JSON.parse(readFileSync(file, "utf8"))).then((openrpcDocument) => {
  const transportConfigs = [{ type: "WebSocketTransport", options: { port, middleware: [] } }];
  const server = new Server({ openrpcDocument, transportConfigs, methodMapping: { mockMode: true } });
  return server.start().then(() => console.log("READY"));
}).catch((error) => { console.error(String(error)); process.exit(1); });
