// What a client observed of the tools of the demo endpoint, as one line of JSON.
import { readFileSync } from "node:fs";

export function version(name) {
  const file = new URL(`../node_modules/${name}/package.json`, import.meta.url);
  return `${name} ${JSON.parse(readFileSync(file, "utf8")).version}`;
}

// List, call, follow a stream, fail; `client` is connected.
export async function observe(client, name, callTool) {
  const progress = [];
  const text = (result) => result.content[0].text;
  const listed = (await client.listTools()).tools.map((tool) => tool.name);
  const sum = (await callTool("demo_add", { a: 2, b: 3 })).structuredContent;
  const picture = (await callTool("demo_picture", { colour: "#3366cc" })).content[0].type;
  const counted = await callTool("demo_countdown", { start: 3 }, (step) => progress.push(step.message));
  const stream = counted.structuredContent.items;
  const tool_error = text(await callTool("demo_divide", { a: 1, b: 0 }));
  const argument_error = text(await callTool("demo_add", { a: 2 }));
  await client.close();
  console.log(JSON.stringify({ client: name, listed, sum, picture, stream, progress, tool_error, argument_error }));
}
