import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { readSecret } from "./read-secret.ts";

test("a secret is one line, from the environment or from a file that is its owner's alone", async () => {
  const folder = await mkdtemp(join(tmpdir(), "ballast-secret-"));
  const file = async (name: string, text: string, mode = 0o600) => {
    const path = join(folder, name);
    await writeFile(path, text, { mode });
    return { file: path };
  };
  const unreadable = { code: "TICKET_SECRET_UNREADABLE" };
  try {
    assert.equal(await readSecret({ env: "PW" }, { PW: "from env" }), "from env");
    await assert.rejects(readSecret({ env: "PW" }, {}), unreadable);
    assert.equal(await readSecret(await file("good", "from file\n")), "from file");
    await assert.rejects(readSecret({ file: join(folder, "absent") }), unreadable);
    await assert.rejects(readSecret(await file("open", "x", 0o644)), { ...unreadable, message: /644/ });
    await assert.rejects(readSecret(await file("empty", "")), unreadable);
    await assert.rejects(readSecret(await file("large", "x".repeat(9000))), unreadable);
    await assert.rejects(readSecret(await file("lines", "sekret\nnotes\n")), (error: Error) => {
      return /not one line/.test(error.message) && !error.message.includes("sekret");
    });
  } finally {
    await rm(folder, { recursive: true });
  }
});
