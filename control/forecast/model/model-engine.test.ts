import assert from "node:assert/strict";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { FEATURE_STEP_MS } from "../../features/schema.ts";
import { syntheticLoad } from "../../features/synthetic-load.ts";
import { LoadHistory } from "../../ingest/load-history.ts";
import { Quantiles } from "../quantiles.ts";
import type { FallbackReason } from "../reasons.ts";
import { servicesPerBatch } from "./batch-gatherer.ts";
import { ModelEngine } from "./model-engine.ts";
import { readServedModel } from "./served-model.ts";

const committed = fileURLToPath(new URL("../../../models/committed/demand", import.meta.url));
const model = await readServedModel(committed);
const engines: ModelEngine[] = [];
after(() => {
  for (const engine of engines) engine.close();
});

/** Counts how many services are gathered in one turn of the event loop. */
class CountedHistory extends LoadHistory {
  turn = 0;
  most = 0;
  #gathered = 0;
  #seenTurn = -1;

  override tailInto(service: string, nowMs: number, out: Float64Array, start?: number, end?: number): void {
    if (this.#seenTurn !== this.turn) this.#gathered = 0;
    this.#seenTurn = this.turn;
    this.most = Math.max(this.most, ++this.#gathered);
    super.tailInto(service, nowMs, out, start, end);
  }
}

function fleet(services: number): { history: CountedHistory; endMs: number } {
  const history = new CountedHistory({ stepMs: FEATURE_STEP_MS });
  const { startMs, values } = syntheticLoad({ seed: 3, days: 3 });
  for (let s = 0; s < services; s++)
    for (const [i, value] of values.entries())
      history.append(`s${s}`, startMs + i * FEATURE_STEP_MS, value * (1 + s / 100));
  return { history, endMs: startMs + values.length * FEATURE_STEP_MS };
}

function rowsOf(answer: Quantiles | FallbackReason | undefined): Float64Array[] {
  assert.ok(answer instanceof Quantiles);
  return answer.rows();
}

test("no turn of the event loop gathers more than one batch, however many services are asked for", async () => {
  const { history, endMs } = fleet(1_200);
  const engine = await ModelEngine.open(model, { maxWorkers: 2 });
  engines.push(engine);
  let counting = true;
  const count = (): void => {
    history.turn++;
    if (counting) setImmediate(count);
  };
  count();
  const { answer } = await engine.answer(history, history.services, endMs);
  counting = false;
  assert.equal(answer.index.names.length, 1_200);
  assert.ok(history.services.every((service) => answer.get(service) instanceof Quantiles));
  const bound = servicesPerBatch(model.historySteps);
  assert.ok(bound < 100, "a batch is a small part of a large fleet");
  assert.ok(history.most <= bound, `${history.most} services were gathered in one turn, ${bound} are the bound`);
});

test("answers do not depend on the batch that a service falls into, nor on the number of workers", async () => {
  const { history, endMs } = fleet(1_100);
  const two = await ModelEngine.open(model, { maxWorkers: 2 });
  const one = await ModelEngine.open(model, { maxWorkers: 1 });
  engines.push(two, one);
  const { answer } = await two.answer(history, history.services, endMs);
  const backwards = await one.answer(history, history.services.toReversed(), endMs);
  for (const service of history.services)
    assert.deepEqual(rowsOf(backwards.answer.get(service)), rowsOf(answer.get(service)));
  const alone = await one.answer(history, ["s77"], endMs);
  assert.deepEqual(rowsOf(alone.answer.get("s77")), rowsOf(answer.get("s77")));
});

test("a service without load among thousands is told so, and the others keep their own answers", async () => {
  const { history, endMs } = fleet(60);
  const engine = await ModelEngine.open(model);
  engines.push(engine);
  const { answer } = await engine.answer(history, ["nobody", ...history.services, "nothing"], endMs);
  for (const name of ["nobody", "nothing"]) {
    const reason = answer.get(name);
    assert.ok(reason !== undefined && "code" in reason && reason.code === "HISTORY_TOO_SHORT");
  }
  const alone = await engine.answer(history, ["s59"], endMs);
  assert.deepEqual(rowsOf(answer.get("s59")), rowsOf(alone.answer.get("s59")));
});
