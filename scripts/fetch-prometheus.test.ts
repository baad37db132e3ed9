import assert from "node:assert/strict";
import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fetchPrometheus, findPrometheus } from "./fetch-prometheus.ts";

const installed = await findPrometheus({ cacheDir: "/nowhere" });

describe("a Prometheus for the tests", () => {
  let folder: string;
  const tool = async (name: string, text: string): Promise<string> => {
    const path = join(folder, name);
    await mkdir(join(path, ".."), { recursive: true });
    await writeFile(path, `#!/bin/sh\n${text}\n`);
    await chmod(path, 0o755);
    return path;
  };
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "ballast-prometheus-fetch-"));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  test("that is named is used, and one that cannot be run is refused instead of replaced", async () => {
    const path = await tool("own", "exit 0");
    assert.equal(await fetchPrometheus({ env: { BALLAST_PROMETHEUS: path } }), path);
    const env = { BALLAST_PROMETHEUS: join(folder, "none") };
    assert.equal(await findPrometheus({ env }), null);
    await assert.rejects(fetchPrometheus({ env }), { code: "PROMETHEUS_MISSING" });
  });

  test("that cannot be downloaded, or does not run here, is PROMETHEUS_MISSING with the tool's words, and leaves nothing", {
    skip: installed !== null && "one is installed",
  }, async () => {
    const env = { PATH: `${join(folder, "bin")}:${process.env.PATH}` };
    const cacheDir = join(folder, "cache");
    await tool("bin/apt-get", "echo 'E: no route to the mirror' >&2; exit 100");
    await assert.rejects(fetchPrometheus({ cacheDir, env }), /PROMETHEUS_MISSING: apt-get ended with 100: .*no route/);
    await tool("bin/apt-get", 'case "$*" in *download*) : > prometheus_1_any.deb;; esac');
    await tool(
      "bin/dpkg-deb",
      'mkdir -p "$3/usr/bin"; printf "#!/bin/sh\\nexit 127\\n" > "$3/usr/bin/prometheus"; chmod 755 "$3/usr/bin/prometheus"',
    );
    await assert.rejects(fetchPrometheus({ cacheDir, env }), /prometheus ended with 127/);
    assert.equal(await findPrometheus({ cacheDir, env }), null);
    await tool(
      "bin/dpkg-deb",
      'mkdir -p "$3/usr/bin"; printf "#!/bin/sh\\nexit 0\\n" > "$3/usr/bin/prometheus"; chmod 755 "$3/usr/bin/prometheus"',
    );
    assert.equal(await fetchPrometheus({ cacheDir, env }), await findPrometheus({ cacheDir, env }));
  });
});
