import { createHash, randomBytes } from "node:crypto";
import { access, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { stringify } from "yaml";
import { testAuthority } from "../control/xds/test-certificates.ts";
import { DEMO_HEADERS } from "../envoy/demo.ts";
import { bootstrap } from "../envoy/render/bootstrap.ts";
import * as at from "./layout.ts";
import { rigConfig, rigServices } from "./services.ts";

/** Name of the header by which the load sees the epoch of each answer. */
const DEBUG_HEADER = "x-ballast-debug";

/** Writes certificates, a token and every part's configuration into the volume, once: what runs on it must not change under it. */
const file = (name: string) => join(at.FOLDER, name);
const there = await access(file("token")).then(
  () => true,
  () => false,
);
if (!there) await setUp();

async function setUp(): Promise<void> {
  const authority = testAuthority("ballast rig");
  await writeFile(file("ca.pem"), authority.cert);
  const issue = async (name: string, names: readonly string[]) => {
    const { cert, key } = authority.issue(name, names);
    await writeFile(file(`${name}.pem`), cert);
    await writeFile(file(`${name}.key`), key, { mode: 0o600 });
  };
  for (const name of at.CONTROLS) await issue(name, [`DNS:${at.CONTROL_NAME}`, `DNS:${name}`, "DNS:localhost"]);
  for (const name of at.EDGES) await issue(name, [`URI:spiffe://ballast.example/fleet/${at.FLEET}/node/${name}`]);

  const routes = at.NATS.map((name) => `nats://${name}:${at.NATS_ROUTE_PORT}`);
  for (const name of at.NATS) {
    await writeFile(
      file(`${name}.conf`),
      `server_name: ${name}\nlisten: "0.0.0.0:${at.NATS_PORT}"\nhttp: "0.0.0.0:${at.NATS_MONITOR_PORT}"\n` +
        'jetstream { store_dir: "/tmp/jetstream", sync_interval: always }\n' +
        `cluster { name: rig, listen: "0.0.0.0:${at.NATS_ROUTE_PORT}", routes: ${JSON.stringify(routes)} }\n`,
    );
  }

  const yaml = await rigConfig();
  const services = rigServices(yaml);
  const token = randomBytes(32).toString("base64url");
  yaml.fleet = at.FLEET;
  // An admin endpoint is read over loopback or TLS, and each container has a loopback of its own: without telemetry here.
  delete yaml.envoy;
  yaml.policy = { ...yaml.policy, stepLimit: "100%", telemetryMaxAge: "1m" };
  yaml.rollout = { cohorts: ["100%"], slotStep: "100%", bakeTime: "2s", telemetryGap: "1d", maxFailedNodes: "100%" };
  yaml.access = {
    tokens: { operator: { roles: ["operator"], sha256: createHash("sha256").update(token).digest("hex") } },
  };
  yaml.store = {
    nats: {
      servers: at.NATS.map((name) => `nats://${name}:${at.NATS_PORT}`),
      monitor: at.NATS.map((name) => `http://${name}:${at.NATS_MONITOR_PORT}`),
      name: "rig",
      // The containers' own network; between machines TLS.
      allowClearText: true,
    },
  };
  for (const name of at.CONTROLS) {
    const tls = { cert: file(`${name}.pem`), key: file(`${name}.key`) };
    yaml.server = {
      xds: `0.0.0.0:${at.XDS_PORT}`,
      xdsTls: { ...tls, clientCa: file("ca.pem") },
      api: `0.0.0.0:${at.API_PORT}`,
      apiTls: tls,
      lease: "5s",
    };
    await writeFile(file(`${name}.yaml`), stringify(yaml));
  }

  for (const name of at.EDGES) {
    // biome-ignore lint/suspicious/noExplicitAny: edited as a user would do it in an editor.
    const rendered: any = bootstrap({
      fleet: at.FLEET,
      nodeId: name,
      admin: { host: "0.0.0.0", port: at.ADMIN_PORT },
      listeners: [
        {
          listen: { host: "0.0.0.0", port: at.EDGE_PORT },
          services: services.map((service) => ({
            name: service.name,
            targets: service.targets.map((target) => ({ name: target.name, weight: target.basePpm })),
          })),
          routes: { form: "header-route", markHeader: DEMO_HEADERS.route },
          filter: {
            wasmPath: "/ballast/ballast.wasm",
            sessionFrom: { cookie: "sid" },
            debugHeader: DEBUG_HEADER,
          },
          clusterHeader: DEMO_HEADERS.cluster,
        },
      ],
      targets: services.flatMap(({ targets }) =>
        targets.map((target) => ({ name: target.name, address: { host: "backends", port: target.port } })),
      ),
      control: at.CONTROLS.map((host) => ({ host, port: at.XDS_PORT })),
      controlTls: {
        caFile: file("ca.pem"),
        certFile: file(`${name}.pem`),
        keyFile: file(`${name}.key`),
        serverName: at.CONTROL_NAME,
      },
    });
    for (const cluster of rendered.static_resources.clusters) {
      if (cluster.type === "STATIC") cluster.type = "STRICT_DNS";
    }
    const manager = rendered.static_resources.listeners[0].filter_chains[0].filters[0].typed_config;
    // The load is trusted to ask for the debug header; who else reaches the rig is on this machine.
    manager.use_remote_address = true;
    manager.internal_address_config = {
      cidr_ranges: ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8"].map((range) => {
        const [address_prefix, length] = range.split("/");
        return { address_prefix, prefix_len: Number(length) };
      }),
    };
    await writeFile(file(`${name}.json`), JSON.stringify(rendered, null, 2));
  }
  // Last: whoever finds it finds the rest.
  await writeFile(file("token"), token, { mode: 0o600 });
}
