// The client of the TypeScript SDK 1.x.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { observe, version } from "./observation.mjs";

const [command, ...args] = process.argv.slice(2);
const client = new Client({ name: "sdk1", version: "1" });
await client.connect(new StdioClientTransport({ command, args }));
await observe(client, version("@modelcontextprotocol/sdk"), (tool, input, onprogress) =>
  client.callTool({ name: tool, arguments: input }, undefined, { onprogress }));
