import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { SeededRandom } from "../features/seeded-random.ts";
import { run } from "./backtest.ts";

const scratch = await mkdtemp(join(tmpdir(), "ballast-cli-backtest-"));
after(() => rm(scratch, { recursive: true, force: true }));
const csv = join(scratch, "load.csv");
const random = new SeededRandom(4);
const values = Array.from({ length: 500 }, (_, t) => 80 + 30 * Math.sin((2 * Math.PI * t) / 24) + 2 * random.normal());
await writeFile(
  csv,
  `when,rps\n${values.map((v, t) => `${new Date(Date.UTC(2026, 0, 1, t)).toISOString()},${v}`).join("\n")}\n`,
);
const NAMED = ["--csv", csv, "--time", "when", "--value", "rps", "--season", "24", "--horizon", "12", "--windows", "6"];

async function backtest(...args: string[]): Promise<{ code: number; out: string[]; err: string[] }> {
  const [out, err]: [string[], string[]] = [[], []];
  const io = { out: (text: string) => void out.push(text), err: (text: string) => void err.push(text), color: false };
  return { code: await run(args, io), out, err };
}

describe("ballast backtest", () => {
  test("ends with one RESULT line whose figures are those of the definitions", async () => {
    const { code, out } = await backtest(...NAMED);
    assert.equal(code, 0);
    const result = JSON.parse(out.at(-1)!.replace(/^RESULT /, ""));
    // The same figures, computed from the definition in place.
    const mase = (forecast: (start: number, h: number) => number): number => {
      let sum = 0;
      for (let w = 0; w < 6; w++) {
        const start = 500 - (6 - w) * 12;
        let scale = 0;
        for (let t = 24; t < start; t++) scale += Math.abs(values[t]! - values[t - 24]!) / (start - 24);
        for (let h = 0; h < 12; h++) sum += Math.abs(values[start + h]! - forecast(start, h)) / scale / 12 / 6;
      }
      return sum;
    };
    assert.ok(Math.abs(result.naive_mase - mase((start) => values[start - 1]!)) < 1e-9);
    assert.ok(Math.abs(result.seasonal_naive_mase - mase((start, h) => values[start + h - 24]!)) < 1e-9);
    assert.equal(result.bench, "forecast");
    assert.equal(result.answered_by, "mixture");
    const shares: number[] = Object.values(result.shares);
    assert.ok(Math.abs(shares.reduce((sum, share) => sum + share, 0) - 1) < 0.01);
    assert.ok(result.mase <= result.seasonal_naive_mase);
    assert.ok(result.mase_ci[0] <= result.mase && result.mase <= result.mase_ci[1]);
    assert.ok(result.rank >= 1 && result.rank <= result.of);
    assert.equal(result.of, 17, "every member and the mixture are scored on the same windows");
  });

  test("writes a page with a plot of every window", async () => {
    const html = join(scratch, "page.html");
    await backtest(...NAMED, "--html", html);
    assert.equal((await readFile(html, "utf8")).match(/<svg/g)?.length, 6);
  });

  test("--json prints nothing but the RESULT line", async () => {
    const { out } = await backtest(...NAMED, "--json");
    assert.equal(out.length, 1);
    assert.match(out[0]!, /^RESULT \{/);
  });

  test("refuses what it cannot score, and says why", async () => {
    await assert.rejects(backtest("--csv", csv), /USAGE: --time is missing/);
    await assert.rejects(backtest(...NAMED, "--windows", "0"), /USAGE: --windows 0/);
    await assert.rejects(backtest(...NAMED, "--pipeline", "magic"), /USAGE: --pipeline magic/);
    await assert.rejects(backtest(...NAMED, "--windows", "41"), /SERIES_INVALID.*leave 8 before the first window/);
    await assert.rejects(backtest(...NAMED, "--windows", "41"), { hint: "At most 39 windows of 12 fit." });
    await assert.rejects(backtest(...NAMED, "--html", join(scratch, "no/page.html")), /USAGE: --html: ENOENT/);
    await assert.rejects(backtest(...NAMED, "--train", "--out", join(csv, "model")), /USAGE: --out: ENOTDIR/);
    await assert.rejects(backtest(...NAMED, "--out", scratch), /USAGE: --out keeps what --train trains/);
    await assert.rejects(backtest(...NAMED, "--train", "--model", scratch), /USAGE: --model and --train/);
    const silent = join(scratch, "silent.csv");
    await writeFile(silent, `when,rps\n${values.map((v, t) => `${3600 * t},${t < 440 ? v : ""}`).join("\n")}\n`);
    await assert.rejects(
      backtest(...NAMED, "--csv", silent, "--windows", "3"),
      /SERIES_INVALID.*none of the last 36 steps has a reading/,
    );
    await assert.rejects(backtest(...NAMED, "--value", "nope"), /SERIES_INVALID.*no column nope/);
    await assert.rejects(backtest(...NAMED, "--model", scratch), /USAGE: --model .*manifest.json cannot be read/);
  });
});
