// The client of the TypeScript SDK 2.x; the mode is "legacy" or "auto".
import { Client } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { observe, version } from "./observation.mjs";

const [mode, command, ...args] = process.argv.slice(2);
const client = new Client({ name: "sdk2", version: "2" }, { versionNegotiation: { mode } });
await client.connect(new StdioClientTransport({ command, args }));
await observe(client, version("@modelcontextprotocol/client"), (tool, input, onprogress) =>
  client.callTool({ name: tool, arguments: input }, { onprogress }));
