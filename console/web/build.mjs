// Builds src/ into dist/, which the weir binary embeds, or into the folder that OUT names. With --serve: rebuilds at every change and serves the page on
// 127.0.0.1:7499, with everything else asked of the weir that WEIR_URL names (127.0.0.1:7400).
import { createServer, request } from "node:http";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, extname, join } from "node:path";
import { context } from "esbuild";

const serves = process.argv.includes("--serve");
const dist = process.env.OUT ?? new URL("dist", import.meta.url).pathname;

/** index.html names the hashed files, so that they may be cached for ever. */
const index = {
  name: "index",
  setup(build) {
    build.onEnd(async (result) => {
      if (result.errors.length) return;
      const html = await readFile("src/index.html", "utf8");
      const names = Object.entries(result.metafile.outputs);
      const entry = names.find(([, output]) => output.entryPoint === "src/main.tsx");
      const [script, { cssBundle }] = entry;
      const href = (name) => `/assets/${basename(name)}`;
      const preload = names
        .filter(([name]) => entry[1].imports.some((part) => part.path === name && part.kind === "import-statement"))
        .map(([name]) => `<link rel="modulepreload" href="${href(name)}">`);
      await writeFile(
        join(dist, "index.html"),
        html
          .replace("<!-- style -->", `<link rel="stylesheet" href="${href(cssBundle)}">`)
          .replace("<!-- script -->", [...preload.sort(), `<script type="module" src="${href(script)}"></script>`].join("\n")),
      );
    });
  },
};

await rm(dist, { recursive: true, force: true });
await mkdir(join(dist, "assets"), { recursive: true });
const build = await context({
  entryPoints: ["src/main.tsx"],
  outdir: join(dist, "assets"),
  entryNames: "[name]-[hash]",
  chunkNames: "[name]-[hash]",
  assetNames: "[name]-[hash]",
  bundle: true,
  splitting: true,
  format: "esm",
  target: "es2022",
  minify: true,
  metafile: true,
  legalComments: "none",
  jsx: "automatic",
  jsxImportSource: "preact",
  loader: { ".svg": "file" },
  publicPath: "/assets",
  plugins: [index],
  logLevel: "info",
});
if (serves) {
  await build.watch();
  serve();
} else {
  await build.rebuild();
  await build.dispose();
}

function serve() {
  const types = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };
  const weir = new URL(process.env.WEIR_URL ?? "http://127.0.0.1:7400");
  const port = Number(process.env.PORT ?? 7499);
  createServer(async (asked, answer) => {
    const { pathname } = new URL(asked.url, "http://console");
    const first = pathname.split("/")[1];
    if (["api", "prometheus", "alertmanager", "auth", "readyz", "healthz"].includes(first) && pathname !== "/auth/callback") {
      const headers = { ...asked.headers, host: weir.host };
      delete headers.origin;
      const passed = request(new URL(asked.url, weir), { method: asked.method, headers }, (got) => {
        answer.writeHead(got.statusCode, got.headers);
        got.pipe(answer);
      });
      passed.on("error", (error) => answer.writeHead(502).end(String(error)));
      answer.on("close", () => passed.destroy());
      asked.pipe(passed);
      return;
    }
    const file = first === "assets" ? pathname.slice(1) : "index.html";
    const bytes = await readFile(join(dist, file)).catch(() => null);
    if (!bytes) return answer.writeHead(404).end();
    // The policy of the binary, so that what it would refuse is seen here.
    const policy =
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
    answer.writeHead(200, { "content-type": types[extname(file)] ?? "application/octet-stream", "content-security-policy": policy });
    answer.end(bytes);
  }).listen(port, "127.0.0.1", () => console.log(`console on http://127.0.0.1:${port}, weir at ${weir.origin}`));
}
