/** One incident as it stood in its first event, and what became of it. */
export interface OpenedIncident {
  openedMs: number;
  /** 1 critical … 4 low. */
  priority: number;
  impact: number;
  urgency: number;
  /** `field=value` of what was filled in when it was opened. */
  words: string[];
  /** Its SLA was missed in the end: the outcome. */
  missed: boolean;
}

const WORD_FIELDS = ["category", "subcategory", "u_symptom", "location", "assignment_group", "opened_by"];

/** Reads the event log: the first event gives the facts, the last one the outcome. In order of opening. */
export function readIncidents(csv: string): OpenedIncident[] {
  const [head, ...lines] = csv.split(/\r?\n/).filter((line) => line !== "");
  const names = head!.split(",");
  const events = Map.groupBy(
    lines.map((line) => Object.fromEntries(line.split(",").map((cell, k) => [names[k]!, cell]))),
    (event) => event.number!,
  );
  const incidents = [...events.values()].map((list): OpenedIncident => {
    const [first, last] = [list[0]!, list.at(-1)!];
    return {
      openedMs: timeOf(first.opened_at!),
      priority: Number(first.priority![0]),
      impact: Number(first.impact![0]),
      urgency: Number(first.urgency![0]),
      words: WORD_FIELDS.filter((field) => first[field] !== "?").map((field) => `${field}=${first[field]}`),
      missed: last.made_sla!.toUpperCase() === "FALSE",
    };
  });
  return incidents.sort((a, b) => a.openedMs - b.openedMs);
}

/** `dd-mm-yyyy hh:mm`. */
function timeOf(text: string): number {
  const match = /^(\d\d)-(\d\d)-(\d{4}) (\d\d):(\d\d)$/.exec(text);
  if (match === null) throw new Error(`not a time of the event log: ${text}`);
  const [day, month, year, hour, minute] = match.slice(1).map(Number) as [number, number, number, number, number];
  return Date.UTC(year, month - 1, day, hour, minute);
}

/**
 * Hour, weekday, priority, impact, urgency and, per field, the shrunk rate of its word on the training span, as log-odds; an
 * incident of that span is left out of its own rate, or it would see its outcome.
 */
export function incidentRow(
  incident: OpenedIncident,
  rates: ReadonlyMap<string, { count: number; missed: number }>,
  base: number,
  ofTraining: boolean,
): Float32Array {
  const own = ofTraining ? { count: 1, missed: Number(incident.missed) } : { count: 0, missed: 0 };
  const start = new Date(incident.openedMs);
  const words = WORD_FIELDS.map((field) => {
    const word = incident.words.find((one) => one.startsWith(`${field}=`));
    if (word === undefined) return Number.NaN;
    const seen = rates.get(word) ?? own;
    const rate = (seen.missed - own.missed + 8 * base) / (seen.count - own.count + 8);
    return Math.log(rate / (1 - rate));
  });
  const hour = (start.getUTCHours() / 24) * 2 * Math.PI;
  return Float32Array.from([
    Math.sin(hour),
    Math.cos(hour),
    incident.priority,
    incident.impact,
    incident.urgency,
    ...words,
  ]);
}
