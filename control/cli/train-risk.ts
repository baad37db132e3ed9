import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { BallastError } from "../../common/errors.ts";
import { loadConfig } from "../config/load-config.ts";
import { buildEstate } from "../estate/build-estate.ts";
import { readConfiguredEstate } from "../serve/inputs.ts";
import type { Command } from "./io.ts";

const USAGE = `usage: ballast train-risk [--config FILE] --out DIR [--seed N] [--json]

Trains the change-risk model on the changes and incidents of the estate that ballast.yaml names: the first 60 % of its calendar to train,
20 % to calibrate, the rest to test. Leaves model, manifest and model card in DIR; name it as riskModel. Needs Python 3.11 once.
Exit 0, or 1 when the model beats neither rule nor base rate: a server refuses it, and a model that lies in DIR is left as it is.`;

export const run: Command = async (args, io) => {
  const { values } = parseArgs({
    args,
    options: {
      config: { type: "string", default: "demo/ballast.yaml" },
      out: { type: "string" },
      seed: { type: "string", default: "1" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    io.out(USAGE);
    return 0;
  }
  const seed = Number(values.seed);
  if (values.out === undefined) throw new BallastError("USAGE", "--out DIR is needed");
  if (!Number.isInteger(seed) || seed < 0)
    throw new BallastError("USAGE", `--seed ${values.seed}: expected a whole number`);
  const config = await loadConfig(values.config);
  const records = await readConfiguredEstate(config);
  const estate = buildEstate({ records, config, nowMs: 0 });
  const targets = [...estate.services.values()].flatMap((service) => service.targets.map(({ ciId }) => ciId));
  const { riskDataset, trainRisk } = await import("../../models/risk/train-risk.ts");
  const unique = [...new Set(targets)];
  // Before anything is installed: too little history is the usual outcome of a first try.
  riskDataset(records, unique);
  const root = join(fileURLToPath(import.meta.url), "../../..");
  const { ModelFolder } = await import("../../models/lib/model-folder.ts");
  const { takeWorkFolder } = await import("../../models/lib/work-folder.ts");
  const out = await ModelFolder.open(values.out, "change-risk");
  const work = join(root, ".ballast/train-risk");
  await using _taken = await takeWorkFolder(work);
  const made = join(work, "made");
  const { makePythonEnvironment } = await import("../../models/trees/environment.ts");
  const python = await makePythonEnvironment(join(root, ".ballast/venv"), io.err);
  const { manifest, refusal } = await trainRisk({
    records,
    targets: unique,
    source: `The changes and incidents of ${config.estate.servicenow}`,
    outDir: made,
    workDir: join(work, "files"),
    python,
    seed,
    progress: io.err,
  });
  // One that a server refuses is of use to nobody who has one that answers.
  const kept = refusal !== null && out.lying.model === "whole";
  if (!kept) await out.place(made);
  if (values.json) io.out(JSON.stringify({ out: values.out, test: manifest.test, refusal }));
  else {
    for (const [name, { brier, pr_auc, ece }] of Object.entries(manifest.test))
      io.out(`${name.replace("_", " ").padEnd(10)} Brier ${brier}  PR-AUC ${pr_auc}  calibration error ${ece}`);
    io.out(
      refusal === null
        ? `written to ${values.out}; it may answer`
        : `${kept ? `the model in ${values.out} was left as it is` : `written to ${values.out}`}; a server refuses the new one: ${refusal}`,
    );
  }
  return refusal === null ? 0 : 1;
};
