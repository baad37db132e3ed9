/**
 * Generates control/xds/proto/*_pb.js and *_pb.d.ts from the .proto files beside them (buf + protoc-gen-es, both from npm).
 * `target=js+dts`, because the enums of generated TypeScript cannot be run by type stripping. The result is committed.
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const protoDir = "control/xds/proto";
const template = {
  version: "v2",
  plugins: [
    {
      local: ["node", "node_modules/@bufbuild/protoc-gen-es/bin/protoc-gen-es"],
      out: protoDir,
      opt: ["target=js+dts", "import_extension=js"],
      // One run of the plugin for all files; the default starts it once per folder.
      strategy: "all",
    },
  ],
};

const run = spawnSync("node_modules/.bin/buf", ["generate", protoDir, "--template", JSON.stringify(template)], {
  cwd: root,
  stdio: "inherit",
  env: { ...process.env, PATH: `${root}/node_modules/.bin:${process.env.PATH ?? ""}` },
});
if (run.error !== undefined) throw run.error;
process.exitCode = run.status ?? 1;
