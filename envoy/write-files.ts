import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { committedFiles } from "./render/files.ts";

/** Writes the committed configurations from the renderer: `npx node envoy/write-files.ts`. */
for (const [name, text] of committedFiles()) await writeFile(join(import.meta.dirname, name), text);
