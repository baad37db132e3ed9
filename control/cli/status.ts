import { parseArgs } from "node:util";
import { PPM } from "../plan/plan.ts";
import type { StatusView } from "../serve/api-routes.ts";
import { callApi } from "./api-client.ts";
import type { Command } from "./io.ts";
import { serverAddress } from "./server-address.ts";

const USAGE = `usage: ballast status [--config FILE | --server HOST:PORT] [--json]

Shows what a running control server has in force: epoch, nodes, weights and why. Exit 0, or 1 when something needs a person.`;

export const run: Command = async (args, io) => {
  const { values } = parseArgs({
    args,
    options: {
      config: { type: "string", default: "demo/ballast.yaml" },
      server: { type: "string" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    io.out(USAGE);
    return 0;
  }
  const view = (await callApi(await serverAddress(values), "GET", "/v1/status")) as StatusView;
  if (values.json) io.out(JSON.stringify(view));
  else print(view, io.out);
  return view.server.state === "serving" &&
    view.notReleased === null &&
    view.services.every((service) => service.alarm === null)
    ? 0
    : 1;
};

function print(view: StatusView, out: (text: string) => void): void {
  out(
    `fleet ${view.fleet}, epoch ${view.epoch}, ${view.now}${view.held ? ", the planner holds (ballast resume)" : ""}`,
  );
  if (view.server.state !== "serving") out(`the server is ${view.server.state}: ${view.server.reason}`);
  if (view.notReleased !== null) out(`the newest plan is not in force: ${view.notReleased}`);
  if (view.forecast.model !== "ready") out(`the model is ${view.forecast.model}: ${view.forecast.reason?.text ?? ""}`);
  for (const { url, reason } of view.unreachable) out(`no telemetry from ${url}: ${reason}`);
  for (const node of view.nodes) {
    const nack = node.lastNack === null ? "" : `, last refusal: ${node.lastNack.reason}`;
    out(
      `node ${node.id} (${node.instance}): ${node.connected ? "connected" : "gone"}, active ${node.activeVersion || "nothing"}${nack}`,
    );
  }
  for (const service of view.services) {
    out(`${service.name} (${service.mode}): ${service.why}`);
    if (service.alarm !== null) out(`  ALARM ${service.alarm}`);
    for (const target of service.targets) {
      const percent = (ppm: number) => `${((100 * ppm) / PPM).toFixed(1).padStart(5)} %`;
      const live = target.live === null ? "" : `  ${target.live.healthyHosts}/${target.live.totalHosts} hosts healthy`;
      out(
        `  ${target.name.padEnd(24)} base ${percent(target.basePpm)}  planned ${percent(target.weightPpm)}  sessions ${percent(target.stickyPpm)}${live}`,
      );
    }
  }
}
