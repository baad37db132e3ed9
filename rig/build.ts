import { spawnSync } from "node:child_process";
import { chmod, copyFile, cp, mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { buildFilter } from "../scripts/build-filter.ts";
import { fetchEnvoy } from "../scripts/fetch-envoy.ts";
import { fetchNats } from "../scripts/fetch-nats.ts";

const ROOT = join(import.meta.dirname, "..");
const CONTEXT = join(ROOT, "build", "rig");
/** Of the checkout; tests, because the load and its checks are those of the fault tests. */
const FOLDERS = ["common", "control", "demo", "envoy", "rig", "scripts", "test", "models/committed"];
/** Dependencies of development, which nothing in an image runs; Node itself is copied as one binary. */
const LEFT_OUT =
  /\/node_modules\/(node|@biomejs|@bufbuild\/(buf|protoc).*|assemblyscript.*|binaryen|prettier|typescript|@typescript|\.bin)(\/|$)/;

/** Fills the build context and builds the image `ballast-rig`: `npx node rig/build.ts`. */
await rm(CONTEXT, { recursive: true, force: true });
await mkdir(join(CONTEXT, "bin"), { recursive: true });
for (const folder of FOLDERS) await cp(join(ROOT, folder), join(CONTEXT, folder), { recursive: true });
await cp(join(ROOT, "node_modules"), join(CONTEXT, "node_modules"), {
  recursive: true,
  filter: (source) => !LEFT_OUT.test(source),
});
await copyFile(join(ROOT, "package.json"), join(CONTEXT, "package.json"));
const binaries = {
  node: join(ROOT, "node_modules", "node", "bin", "node"),
  envoy: await fetchEnvoy(),
  "nats-server": await fetchNats(),
};
for (const [name, path] of Object.entries(binaries)) {
  await copyFile(path, join(CONTEXT, "bin", name));
  await chmod(join(CONTEXT, "bin", name), 0o755);
}
await copyFile(await buildFilter(), join(CONTEXT, "ballast.wasm"));
const base = process.env.BASE_IMAGE;
const args = ["build", "-f", join(CONTEXT, "rig", "Dockerfile"), "-t", "ballast-rig", CONTEXT];
if (base !== undefined && base !== "") args.splice(1, 0, "--build-arg", `BASE_IMAGE=${base}`);
const { status } = spawnSync("docker", args, { stdio: "inherit" });
process.exitCode = status ?? 1;
