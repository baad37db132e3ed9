import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, beforeEach, test } from "node:test";
import { codeVersion, sourceDigest, sourcesIn } from "./source-digest.ts";

const scratch = await mkdtemp(join(tmpdir(), "ballast-sources-"));
after(() => rm(scratch, { recursive: true, force: true }));
const [here, elsewhere] = [join(scratch, "here"), join(scratch, "elsewhere")];

beforeEach(async () => {
  for (const folder of [here, elsewhere]) {
    await rm(folder, { recursive: true, force: true });
    await mkdir(join(folder, "inner"), { recursive: true });
    for (const name of ["b.py", "a.ts", "inner/c.ts"]) await writeFile(join(folder, name), `of ${name}`);
  }
});

test("the version follows from names and contents, wherever the folder lies", async () => {
  const version = codeVersion([here]);
  assert.match(version, /^sources-[0-9a-f]{16}$/);
  assert.equal(codeVersion([elsewhere]), version);
  assert.notEqual(codeVersion([here, elsewhere]), version);
  await writeFile(join(here, "b.py"), "of another");
  assert.notEqual(codeVersion([here]), version, "a changed line");
  await writeFile(join(here, "b.py"), "of b.py");
  assert.equal(codeVersion([here]), version);
  await writeFile(join(here, "requirements.txt"), "of packages");
  assert.notEqual(codeVersion([here]), version, "a file more");
});

test("tests, pages and folders inside are no part of it", async () => {
  const version = codeVersion([here]);
  for (const name of ["a.test.ts", "README.md", "inner/d.ts"]) await writeFile(join(here, name), "");
  assert.equal(codeVersion([here]), version);
  assert.deepEqual(
    sourcesIn(here, /\.ts$/).map(({ name }) => name),
    ["a.ts"],
  );
});

test("a file counts under the name it is given, so that one moved to another place is another source", () => {
  const path = join(here, "a.ts");
  assert.notEqual(sourceDigest([{ name: "a.ts", path }]), sourceDigest([{ name: "inner/a.ts", path }]));
  assert.throws(() => sourceDigest([{ name: "a.ts", path: join(here, "gone.ts") }]), /ENOENT/);
});
