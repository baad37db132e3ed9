import { existsSync } from "node:fs";
import { parseArgs } from "node:util";
import { BallastError } from "../../common/errors.ts";
import type { Anchor } from "../checkpoint/anchor.ts";
import { type AuditReport, auditVerify } from "../checkpoint/audit.ts";
import { auditExport, exportLog } from "../checkpoint/audit-export.ts";
import { auditLog } from "../checkpoint/audit-log.ts";
import type { Entry } from "../checkpoint/chain.ts";
import { openStore } from "../checkpoint/open-store.ts";
import type { CheckpointStore } from "../checkpoint/store.ts";
import { loadConfig } from "../config/load-config.ts";
import { entryLine } from "./entry-line.ts";
import { epochArgument } from "./epoch-argument.ts";
import type { Command, Io } from "./io.ts";

const USAGE = `usage: ballast audit verify [--export FILE] [--expect SEQ:HASH] | export | show EPOCH   [--config FILE | --store FILE] [--json]

verify  hashes, links, moves, tables, head, leases of the store. Exit 0 when all is sound, 5 (AUDIT_FAILED) with the faults, at most
        100. Behind a broken entry each later one is held against its own hash; what it means is not judged.
        --export FILE       the lines of an exported log instead, without any store
        --expect SEQ:HASH   also, that entry SEQ is there and has this hash: write down what an earlier verify printed, elsewhere, and
                            a log that was cut off at its end or made anew is found
export  the whole log, one entry a line: {"hash":"…","entry":{…}}. The SHA-256 of the text of "entry" is its hash. The last line,
        {"end":{"entries":…,"tip":"…"}}, says that nothing is missing.
show    everything that the log says of one epoch.
All read the store itself (store of ballast.yaml, or the SQLite file --store), also while a server runs.`;

export const run: Command = async (args, io) => {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      export: { type: "string" },
      expect: { type: "string" },
      store: { type: "string" },
      config: { type: "string", default: "demo/ballast.yaml" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    io.out(USAGE);
    return 0;
  }
  const [what, ...rest] = positionals;
  switch (what) {
    case "verify": {
      if (rest.length > 0) throw new BallastError("USAGE", `audit verify ${rest.join(" ")}`);
      const anchor = values.expect === undefined ? null : anchorOf(values.expect);
      const report =
        values.export === undefined ? await verifyStore(values, anchor) : await verifyExport(values.export, anchor);
      return judge(report, values.json, io);
    }
    case "export":
      if (rest.length > 0) throw new BallastError("USAGE", `audit export ${rest.join(" ")}`);
      await withStore(values, async (store) => {
        for await (const line of exportLog(store)) io.out(line);
      });
      return 0;
    case "show": {
      const epoch = epochArgument(rest);
      const entries = await withStore(values, (store) => store.history({ epoch, limit: 1000 }));
      if (entries.length === 0) throw new BallastError("EPOCH_NOT_FOUND", `the log has no epoch ${epoch}`);
      if (values.json) io.out(JSON.stringify({ epoch, entries }));
      else for (const entry of entries) show(entry, io);
      return 0;
    }
    default:
      throw new BallastError(
        "USAGE",
        what === undefined ? "audit verify, export or show EPOCH" : `there is no audit ${what}`,
      );
  }
};

interface Place {
  store?: string | undefined;
  config: string;
}

async function verifyStore(place: Place, anchor: Anchor | null): Promise<AuditReport> {
  const file = await sqliteFile(place);
  return file === null ? withStore(place, (store) => auditLog(store, anchor)) : auditVerify(file, anchor);
}

/** `SEQ:HASH`. Throws USAGE. */
function anchorOf(text: string): Anchor {
  const [, seq, hash] = /^([1-9]\d{0,14}):([0-9a-f]{64})$/.exec(text) ?? [];
  if (seq === undefined || hash === undefined)
    throw new BallastError(
      "USAGE",
      `--expect ${text.slice(0, 100)}: expected SEQ:HASH, as \`audit verify\` prints them`,
    );
  return { seq: Number(seq), hash };
}

/** The SQLite file to read; null when the store is not a file. Never makes one. */
async function sqliteFile(place: Place): Promise<string | null> {
  const store =
    place.store === undefined ? (await loadConfig(place.config)).store : { sqlite: place.store, nats: null };
  if (store.nats !== null) return null;
  if (!existsSync(store.sqlite)) throw new BallastError("STORE_UNREADABLE", `there is no file ${store.sqlite}`);
  return store.sqlite;
}

async function withStore<T>(place: Place, work: (store: CheckpointStore) => Promise<T>): Promise<T> {
  const file = await sqliteFile(place);
  const store = await openStore(file === null ? (await loadConfig(place.config)).store : { sqlite: file, nats: null });
  try {
    return await work(store);
  } finally {
    await store.close();
  }
}

async function verifyExport(file: string, anchor: Anchor | null): Promise<AuditReport> {
  if (!existsSync(file)) throw new BallastError("USAGE", `there is no file ${file}`);
  return auditExport(file, anchor);
}

function judge(report: AuditReport, json: boolean, io: Io): number {
  if (json) io.out(JSON.stringify(report));
  else if (report.ok)
    io.out(`sound: ${report.entries} entries, ${report.tables} tables; --expect ${report.entries}:${report.tip}`);
  if (report.ok) return 0;
  const named = report.faults.map(({ seq, what }) => `  ${seq === null ? "" : `entry ${seq} `}${what}`);
  throw new BallastError(
    "AUDIT_FAILED",
    [`${report.faults.length} faults; sound up to entry ${report.entries}`, ...named].join("\n"),
  );
}

function show(entry: Entry, io: Io): void {
  io.out(entryLine(entry));
  const { body } = entry;
  if (body.kind === "note") io.out(`        ${JSON.stringify(body.detail)}`);
  if (body.kind !== "checkpoint") return;
  const { record, moves } = body.checkpoint;
  const out = (text: string) => io.out(`        ${text}`);
  io.out(
    `        parent ${record.parent}, set ${record.setDigest}, slots moved ${record.slotsMoved} of at least ${record.slotsMinMoved}`,
  );
  const { rollout, cohort, ends = [] } = record;
  if (rollout !== undefined) {
    const ahead = cohort === undefined ? "" : `; unit ${cohort.unit} ahead on ${cohort.nodes} of ${cohort.of} nodes`;
    out(`rollout ${rollout.id}, ${rollout.kind}, step ${rollout.step + 1} of ${rollout.steps}${ahead}`);
    for (const { name, by, path } of rollout.services)
      out(`  ${name} by ${by}${path.length > 1 ? ` in ${path.length} steps` : ""}`);
  }
  for (const { unit, how, automatic, reason } of ends)
    out(`ends ${unit}: ${how.replace("_", " ")}${automatic ? " automatically" : ""}: ${reason}`);
  if (record.breakGlass !== undefined) out(`glass broken by ${record.breakGlass.by}: ${record.breakGlass.reason}`);
  for (const { move, atMs, detail } of moves) {
    io.out(`        ${new Date(atMs).toISOString()}  ${move}`);
    if ("verdicts" in detail)
      for (const { ok, text } of detail.verdicts) io.out(`          ${ok ? "ok    " : "BROKEN"}  ${text}`);
    if ("reason" in detail) io.out(`          ${detail.reason}`);
  }
  for (const service of record.services) {
    io.out(`        ${service.name} (${service.mode}): ${service.why}`);
    for (const target of service.targets) {
      io.out(`          ${target.name.padEnd(24)} ${target.beforePpm ?? "new"} → ${target.weightPpm} ppm`);
      for (const cause of target.causes)
        io.out(`            ${String(cause.effectPpm).padStart(9)} ppm  ${cause.text}`);
    }
  }
}
