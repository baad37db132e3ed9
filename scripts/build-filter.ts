import { spawn } from "node:child_process";
import { mkdir, readdir, rename, rm, stat } from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = path.resolve(import.meta.dirname, "..");
const TRANSFORM = path.join(ROOT, "filter", "ascii-transform.mjs");
const COMPILER = createRequire(import.meta.url).resolve("assemblyscript/package.json");
const OUTPUT = path.join(ROOT, "build", "filter", "ballast.wasm");

/**
 * Compiles filter/assembly into the released module and returns its path. Compiles only when a source, the compiler's
 * configuration or this file is newer than the module. Throws with the compiler's text when it does not compile.
 */
export async function buildFilter(): Promise<string> {
  const sources = await newestSource();
  if (sources < (await modifiedMs(OUTPUT))) return OUTPUT;
  // Beside the module and moved into place when whole: two builds at a time, or one that is killed, leave no half a file.
  const folder = path.join(path.dirname(OUTPUT), `tmp-${process.pid}`);
  await mkdir(folder, { recursive: true });
  try {
    await compile(path.join(folder, "ballast.wasm"));
    await optimize(path.join(folder, "ballast.wasm"));
    await rename(path.join(folder, "ballast.wasm"), OUTPUT);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  return OUTPUT;
}

async function newestSource(): Promise<number> {
  const folder = path.join(ROOT, "filter", "assembly");
  const files = (await readdir(folder)).filter((name) => name.endsWith(".ts")).map((name) => path.join(folder, name));
  files.push(path.join(ROOT, "asconfig.json"), TRANSFORM, fileURLToPath(import.meta.url));
  return Math.max(...(await Promise.all(files.map(modifiedMs))));
}

async function modifiedMs(file: string): Promise<number> {
  try {
    return (await stat(file)).mtimeMs;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return 0;
    throw error;
  }
}

async function compile(output: string): Promise<void> {
  const asc = path.join(path.dirname(COMPILER), "bin", "asc.js");
  // The compiler looks for a transform from its own folder, so its path must be absolute, which asconfig.json cannot say.
  await run([asc, "--config", "asconfig.json", "--target", "release", "--outFile", output, "--transform", TRANSFORM]);
}

/**
 * Optimizes for size what the compiler left alone: the request path spends 1 % of its time in the module's own code and the
 * rest in Envoy (docs/decisions/0003). Passes over the whole, with a low limit for what is copied into several callers, make
 * it 2 % smaller than the compiler's own optimizer does. Binaryen comes with the compiler.
 */
async function optimize(file: string): Promise<void> {
  const binaryen = path.dirname(createRequire(COMPILER).resolve("binaryen"));
  const wasmOpt = path.join(binaryen, "bin", "wasm-opt");
  await run([
    wasmOpt,
    file,
    ...FEATURES,
    "-tnh",
    "--always-inline-max-function-size",
    "3",
    ...PASSES,
    "--output",
    file,
  ]);
}
/** The last ones share constants and locals within each function: 80 bytes, in an order that was found by trying. */
const PASSES =
  "generate-global-effects Oz generate-global-effects Oz const-hoisting merge-locals coalesce-locals signature-pruning reorder-functions vacuum reorder-locals"
    .split(" ")
    .map((pass) => (pass === "Oz" ? "-Oz" : `--${pass}`));
/** What the compiler enables by itself; all of it is in every V8 that Envoy 1.37 and later were built with. */
const FEATURES = ["mutable-globals", "sign-ext", "nontrapping-float-to-int", "bulk-memory"].map(
  (name) => `--enable-${name}`,
);

async function run(args: readonly string[]): Promise<void> {
  const child = spawn(process.execPath, args, { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"] });
  let text = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (bytes: Buffer) => (text += bytes.toString()));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", resolve);
  });
  if (code !== 0) throw new Error(`filter/assembly does not compile:\n${text}`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const file = await buildFilter();
  process.stdout.write(`${path.relative(process.cwd(), file)}: ${(await stat(file)).size} bytes\n`);
}
