import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { ServedInputs } from "./served-inputs.ts";

const scratch = await mkdtemp(join(tmpdir(), "ballast-served-"));
after(() => rm(scratch, { recursive: true, force: true }));
const options = { schemaHash: "abc", columns: ["step", "level"], maxRows: 100 };

describe("the sample of served inputs", () => {
  test("keeps whole rows, at most so many, from the whole time", async () => {
    const served = new ServedInputs(options);
    for (let i = 0; i < 2_000; i++) served.observe(Float32Array.of(1, i, 2, i));
    assert.equal(served.rows, 100);
    await served.write(scratch);
    const { buffer } = new Uint8Array(await readFile(join(scratch, "served.bin")));
    const rows = new Float32Array(buffer);
    assert.equal(rows.length, 200);
    const levels = rows.filter((_, i) => i % 2 === 1);
    assert.ok(levels.some((level) => level < 500) && levels.some((level) => level > 1_500));
    assert.ok(rows.filter((_, i) => i % 2 === 0).every((step) => step === 1 || step === 2));
    const about = JSON.parse(await readFile(join(scratch, "served.json"), "utf8"));
    assert.deepEqual(about, { schema_hash: "abc", columns: ["step", "level"], rows: 100, seen: 2_000 });
  });

  test("refuses what is no row", () => {
    assert.throws(() => new ServedInputs(options).observe(new Float32Array(3)), /3 values are no rows of 2/);
  });
});
