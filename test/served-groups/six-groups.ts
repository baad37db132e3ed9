import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parse, stringify } from "yaml";
import { SeededRandom } from "../../control/features/seeded-random.ts";

/*
 * The files that a model with all six feature groups is trained on, beside the demo's estate and load history, and those that a server is
 * given for it. Seeded: the same text every time.
 */

export const ESTATE = "demo/estate";
export const TIME_ZONE = "Europe/London";
const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;
/** The load history of the demo: six weeks up to the morning that the demo plays. */
const FIRST_DAY_MS = Date.UTC(2026, 0, 19);
const DAYS = 44;

/** A holiday that was always known, one that was declared the evening before, and one behind all that is served. */
export const HOLIDAYS = `date,name,known_at
2026-01-26,founders' day,
2026-02-16,day of mourning,2026-02-15T18:00:00Z
2026-12-25,Christmas,
`;

/** A weekly premiere that is announced a year ahead, and its viewers, who are published a day later. */
export function signalsCsv(): string {
  const rows = ["signal,service,start,end,value,known_at"];
  for (let week = 0; week < 8; week++) {
    const startMs = FIRST_DAY_MS + (7 * week + 6) * DAY_MS + 20 * HOUR_MS;
    const span = `${iso(startMs)},${iso(startMs + 2 * HOUR_MS)}`;
    rows.push(`premiere,,${span},1,2025-04-01T00:00:00Z`);
    rows.push(`viewers,quotes,${span},${(6 + week / 4).toFixed(2)},${iso(startMs + DAY_MS)}`);
  }
  return `${rows.join("\n")}\n`;
}

/** Clients who look at quotes, and some of them pay: JSON lines as Envoy writes them. */
export function accessLog(
  fromMs: number,
  toMs: number,
  everyMs: number,
  shownAs: (ms: number) => number = (ms) => ms,
): string {
  const random = new SeededRandom(17);
  const lines: string[] = [];
  for (let ms = fromMs; ms < toMs; ms += everyMs) {
    const client = random.integer(1, 60);
    const pays = client % 3 === 0;
    const [route_name, path] = pays
      ? ([
          "payments",
          `/pay/${["card", "bank", "wallet"][random.integer(0, 2)]}?order=${random.integer(1, 9_999)}`,
        ] as const)
      : (["quotes", `/quote/${["fx", "bond", "fund", "stock"][random.integer(0, 3)]}`] as const);
    const start_time = new Date(shownAs(ms)).toISOString();
    lines.push(
      JSON.stringify({
        start_time,
        path,
        downstream_remote_address: `10.0.0.${client}:${random.integer(1024, 60_000)}`,
        route_name,
      }),
    );
  }
  return `${lines.join("\n")}\n`;
}

/** What `ballast train` reads: six weeks of visits, one a minute in the working day. */
export async function writeTrainingFiles(dir: string): Promise<string> {
  const days = Array.from({ length: DAYS - 2 }, (_, day) => {
    const fromMs = FIRST_DAY_MS + day * DAY_MS + 8 * HOUR_MS;
    return accessLog(fromMs, fromMs + 10 * HOUR_MS, 4 * MINUTE_MS);
  });
  await writeFile(join(dir, "access.log"), days.join(""));
  await writeFile(join(dir, "holidays.csv"), HOLIDAYS);
  await writeFile(join(dir, "signals.csv"), signalsCsv());
  const config = join(dir, "train.yaml");
  const forecast = {
    holidays: join(dir, "holidays.csv"),
    signals: join(dir, "signals.csv"),
    accessLog: [join(dir, "access.log")],
    timeZone: TIME_ZONE,
  };
  await writeFile(config, stringify({ ...parse(await readFile("demo/ballast.yaml", "utf8")), forecast }));
  return config;
}

function iso(ms: number): string {
  return new Date(ms).toISOString().replace(".000Z", "Z");
}
