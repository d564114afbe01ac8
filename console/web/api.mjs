// Writes src/lib/schema.d.ts, the types of the API, from openapi.json, which is what weir answers at
// /api/v1/openapi.json as far as the page asks it. With an address, takes openapi.json from there first:
//   node api.mjs http://127.0.0.1:7400
// With --check behind it, only compares the two.
import { readFile, writeFile } from "node:fs/promises";
import openapiTS, { astToString } from "openapi-typescript";

const [address, check] = process.argv.slice(2);
if (address) {
  const answer = await fetch(new URL("/api/v1/openapi.json", address));
  if (!answer.ok) throw new Error(`${address}: ${answer.status}`);
  const { paths } = await answer.json();
  // What clients of other systems ask for is not the page's; errors are the same everywhere.
  const kept = Object.entries(paths).filter(([path]) => /^\/(api\/v1|prometheus\/api\/v1|auth)\//.test(path));
  const lines = kept.sort(([a], [b]) => (a < b ? -1 : 1)).flatMap(([path, methods]) => {
    const operations = Object.entries(methods).map(([method, { summary, parameters, responses }]) => {
      const operation = { summary, parameters, responses: { 200: responses["200"] } };
      return `  ${JSON.stringify(method)}: ${JSON.stringify(operation)}`;
    });
    return ` ${JSON.stringify(path)}: {\n${operations.join(",\n")}\n }`;
  });
  const info = JSON.stringify({ title: "weir", version: "1" });
  const text = `{"openapi": "3.1.0", "info": ${info}, "paths": {\n${lines.join(",\n")}\n}}\n`;
  if (check) {
    const known = (await readFile("openapi.json", "utf8")).split("\n");
    const other = text.split("\n").find((line, at) => line !== known[at]);
    if (other !== undefined) throw new Error(`openapi.json is not what weir serves: run npm run api -- ADDRESS\n${other}`);
    process.exit(0);
  }
  await writeFile("openapi.json", text);
}
const ast = await openapiTS(JSON.parse(await readFile("openapi.json", "utf8")));
await writeFile("src/lib/schema.d.ts", astToString(ast));
