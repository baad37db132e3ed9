import { get } from "node:http";
import { get as getTls } from "node:https";

/** `node rig/probe.ts URL`: exit 0 for an answer of 200. Whose certificate it is does not matter to a look at oneself. */
const [url = ""] = process.argv.slice(2);
const call = url.startsWith("https:") ? getTls(url, { rejectUnauthorized: false }) : get(url);
call.setTimeout(3_000, () => call.destroy(new Error("no answer in time")));
call.once("response", (response) => {
  response.resume();
  process.exitCode = response.statusCode === 200 ? 0 : 1;
});
call.once("error", (error) => {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
});
